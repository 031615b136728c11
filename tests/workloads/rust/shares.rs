//! Known shares in a trait's method, a generic function and a plain one.

use std::ffi::{c_int, c_long};
use std::hint::black_box;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: c_long,
}

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
}

const PROCESS: c_int = 2;
const THREAD: c_int = 3;
const MS: u64 = 1_000_000;

fn cpu_ns(clock: c_int) -> u64 {
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: the call fills in a struct that lives through it.
    unsafe { clock_gettime(clock, &mut now) };
    now.seconds as u64 * 1_000_000_000 + now.nanoseconds as u64
}

#[inline(never)]
fn spin() {
    for i in 0..50_000u64 {
        black_box(i);
    }
}

#[inline(never)]
fn burn(ns: u64) -> u64 {
    let start = cpu_ns(THREAD);
    loop {
        spin();
        let burned = cpu_ns(THREAD) - start;
        if burned >= ns {
            return black_box(burned);
        }
    }
}

trait Parser {
    fn parse(&self, ns: u64) -> u64;
}

struct Json;

impl Parser for Json {
    #[inline(never)]
    fn parse(&self, ns: u64) -> u64 {
        black_box(burn(ns))
    }
}

#[inline(never)]
fn sort<T: Default>(ns: u64) -> u64 {
    black_box(T::default());
    black_box(burn(ns))
}

mod hash {
    #[inline(never)]
    pub fn digest(ns: u64) -> u64 {
        std::hint::black_box(super::burn(ns))
    }
}

#[inline(never)]
fn rounds(ms: u64) -> [u64; 3] {
    let parser: Box<dyn Parser> = Box::new(Json);
    let mut known = [0; 3];
    for _ in 0..ms / 100 {
        known[0] += parser.parse(45 * MS);
        known[1] += sort::<String>(35 * MS);
        known[2] += hash::digest(20 * MS);
    }
    black_box(known)
}

fn main() {
    let ms = std::env::args().nth(1).and_then(|ms| ms.parse().ok()).unwrap_or(10_000);
    let known = rounds(ms);
    println!("known parse {}", known[0]);
    println!("known sort {}", known[1]);
    println!("known digest {}", known[2]);
    println!("known cpu {}", cpu_ns(PROCESS));
}
