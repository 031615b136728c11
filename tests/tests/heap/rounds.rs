//! Attaching and detaching, again and again, on a busy server; and processes that are no target.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flame_tests::machine::{Machine, measured, skip};
use flame_tests::process::{signal, wait_for};
use flame_tests::{Flame, Guarded, Workload};

use crate::traces::changed_bytes_of;

/// Rounds, where the environment does not say otherwise. What one attaching in a thousand would lose
/// is not found by so few: a thousand take many minutes.
const ROUNDS: usize = 20;
const ROUNDS_VARIABLE: &str = "FLAME_TEST_ROUNDS";
const PORT: u16 = 17_379;
const CLIENTS: usize = 4;

/// Asks for something and waits for just this answer.
fn ask(server: &mut TcpStream, request: &str, answer: &str) {
    server.write_all(request.as_bytes()).expect("send a request");
    let mut read = vec![0; answer.len()];
    server.read_exact(&mut read).expect("an answer within seconds");
    assert_eq!(String::from_utf8_lossy(&read), answer);
}

/// Connects, once the server is there.
fn connect() -> TcpStream {
    let mut server = None;
    wait_for("the server", || {
        server = TcpStream::connect(("127.0.0.1", PORT)).ok();
        server.is_some()
    });
    let server = server.expect("it is there");
    server.set_read_timeout(Some(Duration::from_secs(10))).expect("set a time limit");
    server
}

/// Sets and gets values until it is told to stop; how many requests were answered rightly, which all
/// of them have to be.
fn client(number: usize, stop: Arc<AtomicBool>) -> JoinHandle<u64> {
    thread::spawn(move || {
        let (mut server, mut requests) = (connect(), 0);
        while !stop.load(Ordering::Relaxed) {
            let key = format!("k{number}-{}", requests % 1000);
            let value = "v".repeat(1 + requests as usize * 7 % 900);
            let (bytes, length) = (key.len(), value.len());
            let set = format!("SET {key} {value}\r\n");
            ask(&mut server, &set, "+OK\r\n");
            let get = format!("*2\r\n$3\r\nGET\r\n${bytes}\r\n{key}\r\n");
            ask(&mut server, &get, &format!("${length}\r\n{value}\r\n"));
            requests += 2;
        }
        requests
    })
}

fn server() -> Guarded {
    let port = PORT.to_string();
    let options = ["--port", &port, "--save", "", "--io-threads", "3"];
    Guarded::spawn(Command::new("redis-server").args(options).stdout(Stdio::null()))
}

#[test]
fn rounds_of_attaching_and_detaching_lose_no_request_of_a_busy_server() {
    let Some(_machine) = Machine::take() else { return };
    if !std::path::Path::new("/usr/bin/redis-server").exists() {
        skip("needs redis-server");
        return;
    }
    let asked = std::env::var(ROUNDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let rounds: usize = asked.unwrap_or(ROUNDS);
    let mut server = server();
    drop(connect());
    let pid = server.pid().to_string();
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS).map(|number| client(number, Arc::clone(&stop))).collect();
    for round in 0..rounds {
        let mode = ["exact", "governed", "alloc"][round % 3];
        let options = ["-t", "heap", "-f", "pb", "--heap-mode", mode, "--pid", &pid];
        let flame = Flame::attach(&options).start_sampling();
        match round % 4 {
            // A crash of flame.
            3 => {
                assert!(signal(flame.pid(), libc::SIGKILL), "flame has gone");
                drop(flame);
            }
            _ => _ = flame.interrupt().with_code(0),
        }
        for library in ["/libjemalloc.so", "/libc.so.6"] {
            let what = format!("the server's own code in {library}, round {round}");
            wait_for(&what, || changed_bytes_of(server.pid(), library) == 0);
        }
        assert!(server.is_alive(), "round {round}, {mode}");
    }
    stop.store(true, Ordering::Relaxed);
    let answered = clients.into_iter().map(|client| client.join().expect("no request is lost"));
    let answered: u64 = answered.sum();
    measured(&format!("{rounds} rounds, {answered} requests, none lost"));
    assert!(answered > 1000, "{answered} requests");
}

/// Turns of work in a second of CPU time of a program that allocates much.
fn turns(program: &Workload) -> u64 {
    let output = program.command(&["500", "20"]).output().expect("run the workload");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = printed.lines().find_map(|line| line.strip_prefix("known turns "));
    line.and_then(|turns| turns.parse().ok()).expect("its turns")
}

#[test]
fn a_program_that_is_no_target_has_no_probe_and_is_as_fast_while_another_one_is_probed() {
    let Some(_machine) = Machine::take() else { return };
    let program = Workload::c("alloc_shares");
    let busy = || Guarded::spawn(program.command(&["600000", "20"]).stdout(Stdio::null()));
    let (target, older) = (busy(), busy());
    let middle = |mut turns: Vec<u64>| {
        turns.sort_unstable();
        turns[turns.len() / 2] as f64
    };
    let before = middle((0..5).map(|_| turns(&program)).collect());
    let pid = target.pid().to_string();
    let options = ["-t", "heap", "-f", "pb", "--heap-mode", "exact", "--pid", &pid];
    let flame = Flame::attach(&options).start_sampling();
    let meanwhile = middle((0..5).map(|_| turns(&program)).collect());
    let younger = busy();
    thread::sleep(Duration::from_millis(300));
    assert!(changed_bytes_of(target.pid(), "/libc.so.6") > 0, "the target is probed");
    // Without a breakpoint in its text nothing of it can trap.
    for other in [older, younger] {
        assert_eq!(changed_bytes_of(other.pid(), "/libc.so.6"), 0, "no target");
    }
    drop(flame.interrupt().with_code(0));
    measured(&format!("{meanwhile} turns while another is probed, {before} before"));
    // Each turn takes some 60 us and has 40 calls, of which each would take 1 us more.
    assert!(meanwhile / before > 0.85, "{meanwhile} turns, {before} before");
}
