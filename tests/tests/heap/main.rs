//! Heap profiles of programs that know what they allocate and hold.

mod estimates;
mod go;
mod held;
mod limits;
mod own;
mod processes;
mod stated;
mod traces;
