//! Heap profiles of programs that know what they allocate and hold.

mod cost;
mod estimates;
mod growth;
mod processes;
mod rounds;
mod traces;
