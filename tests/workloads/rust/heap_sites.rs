//! What Rust's collections allocate, each kind in a function of its own:
//! `heap_sites ROUNDS [PAUSE_US]`. Tells `site NAME OBJECTS BYTES HELD_OBJECTS HELD_BYTES` as the
//! workloads in C do (c/heap.h).

use std::alloc::{GlobalAlloc, Layout, System, alloc, dealloc, realloc};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::time::Duration;

const NAMES: [&str; 10] = [
    "boxes", "vector_growth", "zeroed_vector", "string_building", "tree_nodes", "hash_tables",
    "over_aligned", "shared_pointers", "held_boxes", "sent_across",
];

struct Site {
    objects: AtomicU64,
    bytes: AtomicU64,
    freed_objects: AtomicU64,
    freed_bytes: AtomicU64,
}

static SITES: [Site; NAMES.len()] = [const {
    Site {
        objects: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        freed_objects: AtomicU64::new(0),
        freed_bytes: AtomicU64::new(0),
    }
}; NAMES.len()];

/// No site: what the runtime and `main` allocate.
const NONE: usize = NAMES.len();

thread_local! {
    static AT: Cell<usize> = const { Cell::new(NONE) };
}

fn made(site: usize, size: usize) {
    if let Some(site) = SITES.get(site) {
        site.objects.fetch_add(1, Relaxed);
        site.bytes.fetch_add(size as u64, Relaxed);
    }
}

fn gone(site: usize, size: usize) {
    if let Some(site) = SITES.get(site) {
        site.freed_objects.fetch_add(1, Relaxed);
        site.freed_bytes.fetch_add(size as u64, Relaxed);
    }
}

fn site() -> usize {
    AT.try_with(Cell::get).unwrap_or(NONE)
}

/// The system's allocator, counted. A block is freed in the site that made it.
struct Counting;

// SAFETY: each call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        made(site(), layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        made(site(), layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        gone(site(), layout.size());
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        gone(site(), layout.size());
        made(site(), size);
        // SAFETY: as the caller promised.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs a site.
#[inline(always)]
fn at<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let index = NAMES.iter().position(|n| *n == name).expect("a site's name");
    AT.set(index);
    let result = work();
    AT.set(NONE);
    result
}

fn below(state: &mut u64, limit: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 32) as usize * limit) >> 32
}

#[inline(never)]
fn boxes(state: &mut u64) {
    at("boxes", || {
        for _ in 0..32 {
            drop(black_box(Box::new([below(state, 9) as u64; 7])));
        }
    });
}

#[inline(never)]
fn vector_growth(state: &mut u64) {
    at("vector_growth", || {
        let mut grows = Vec::new();
        for n in 0..below(state, 4000) {
            grows.push(n);
        }
        black_box(&grows);
        grows.shrink_to_fit();
        drop(black_box(grows));
    });
}

#[inline(never)]
fn zeroed_vector(state: &mut u64) {
    at("zeroed_vector", || drop(black_box(vec![0_u8; 1 + below(state, 20_000)])));
}

#[inline(never)]
fn string_building(state: &mut u64) {
    at("string_building", || {
        let mut text = String::new();
        for n in 0..below(state, 200) {
            text.push_str(&n.to_string());
        }
        drop(black_box(text));
    });
}

#[inline(never)]
fn tree_nodes(state: &mut u64) {
    at("tree_nodes", || {
        let tree: BTreeMap<usize, [u8; 24]> =
            (0..64).map(|_| (below(state, 1000), [0; 24])).collect();
        drop(black_box(tree));
    });
}

#[inline(never)]
fn hash_tables(state: &mut u64) {
    at("hash_tables", || {
        let table: HashMap<usize, usize> = (0..below(state, 300)).map(|n| (n, n)).collect();
        drop(black_box(table));
    });
}

#[inline(never)]
fn over_aligned(state: &mut u64) {
    at("over_aligned", || {
        let size = 64 + below(state, 2000);
        let layout = Layout::from_size_align(size, 128).expect("a layout");
        let wider = Layout::from_size_align(size * 2, 128).expect("a layout");
        // SAFETY: the block has the layout that it is given back with.
        unsafe {
            let block = black_box(alloc(layout));
            let block = black_box(realloc(block, layout, wider.size()));
            dealloc(block, wider);
        }
    });
}

#[inline(never)]
fn shared_pointers() {
    at("shared_pointers", || {
        let first = Arc::new([1_u64; 5]);
        drop(black_box((Arc::clone(&first), first)));
    });
}

#[inline(never)]
fn held_boxes() {
    at("held_boxes", || {
        for n in 0..4_u64 {
            std::mem::forget(black_box(Box::new([n; 8])));
        }
    });
}

#[inline(never)]
fn sent_across(state: &mut u64) -> Vec<u8> {
    at("sent_across", || black_box(Vec::with_capacity(100 + below(state, 400))))
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse().expect("a number"));
    let rounds: u64 = arguments.next().unwrap_or(1000);
    let pause = Duration::from_micros(arguments.next().unwrap_or(0));
    let (send, receive) = mpsc::sync_channel::<Vec<u8>>(64);
    let other = std::thread::spawn(move || {
        for block in receive {
            at("sent_across", || drop(block));
        }
    });
    let mut state = 1;
    for _ in 0..rounds {
        boxes(&mut state);
        vector_growth(&mut state);
        zeroed_vector(&mut state);
        string_building(&mut state);
        tree_nodes(&mut state);
        hash_tables(&mut state);
        over_aligned(&mut state);
        shared_pointers();
        held_boxes();
        for _ in 0..4 {
            send.send(sent_across(&mut state)).expect("the other thread receives");
        }
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
    }
    drop(send);
    other.join().expect("the other thread ends");
    for (name, site) in NAMES.iter().zip(&SITES) {
        let [objects, bytes, freed_objects, freed_bytes] =
            [&site.objects, &site.bytes, &site.freed_objects, &site.freed_bytes]
                .map(|count| count.load(Relaxed));
        let (held_objects, held) = (objects - freed_objects, bytes - freed_bytes);
        println!("site {name} {objects} {bytes} {held_objects} {held}");
    }
}
