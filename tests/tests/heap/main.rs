//! Heap profiles of programs that know what they allocate and hold.

mod cost;
mod estimates;
mod go;
mod governed;
mod growth;
mod held;
mod limits;
mod own;
mod processes;
mod redis;
mod redis_shares;
mod refused;
mod rounds;
mod stated;
mod traces;
mod whose;
