//! What redis's clients feel while flame attaches, profiles and detaches: the latency of requests
//! that come at a fixed pace.

use std::fmt;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::interval::middle;
use super::profiler::{self, Place, Target};
use super::programs::Prepared;

/// Requests a second. redis is at work for about a third of the time.
const PACE: u32 = 8000;
/// Percentiles that are told.
const PERCENTILES: [f64; 3] = [0.5, 0.99, 0.999];

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    /// Pairs of a run without flame and one with it.
    pub(super) pairs: usize,
    /// A run. flame attaches after a fifth of it and detaches after four.
    pub(super) run: Duration,
}

/// Percentiles of each run, in milliseconds.
#[derive(Debug, Default)]
pub(super) struct Latency {
    bare: Vec<[f64; 3]>,
    profiled: Vec<[f64; 3]>,
}

/// Measures redis-server in pairs.
pub(super) fn measure(redis: &Prepared, place: &Place, effort: Effort) -> Result<Latency> {
    let mut latency = Latency::default();
    for pair in 1..=effort.pairs {
        eprint!("\rlatency: pair {pair}");
        latency.bare.push(run(redis, None, effort.run)?);
        latency.profiled.push(run(redis, Some(place), effort.run)?);
        profiler::tidy(&place.folder);
    }
    eprintln!();
    Ok(latency)
}

/// One run, under flame if there is a place for it: CPU and heap profiles, as they come.
fn run(redis: &Prepared, flame: Option<&Place>, length: Duration) -> Result<[f64; 3]> {
    let mut process = redis.start(1)?;
    process.release()?;
    redis.await_server()?;
    let socket = redis.socket().to_owned();
    let client = thread::spawn(move || ask(&socket, length));
    if let Some(place) = flame {
        sleep(length / 5);
        let attached = place.attach_flame(&[], &Target::Pids(vec![process.pid()]))?;
        sleep(length * 3 / 5);
        let ending = attached.target_ended()?;
        ending.interrupt()?;
        ending.wait()?;
    }
    let asked = client.join().ok().context("the client panicked")?;
    let mut took = asked?;
    redis.shut_down()?;
    ensure!(process.wait()?.succeeded, "redis-server failed");
    took.sort_unstable();
    Ok(PERCENTILES.map(|share| {
        let index = (took.len() as f64 * share) as usize;
        took.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }))
}

/// Sends requests at the pace, each when its time has come and the answer before it is there. A
/// request that the server kept from being sent counts from when it should have been.
fn ask(socket: &Path, length: Duration) -> Result<Vec<Duration>> {
    let mut stream = UnixStream::connect(socket).context("connect to redis")?;
    let requests = (f64::from(PACE) * length.as_secs_f64()) as u32;
    let mut took = Vec::with_capacity(requests as usize);
    let start = Instant::now();
    let mut answered = start;
    for request in 0..requests {
        let due = start + Duration::from_secs(1) * request / PACE;
        if let Some(early) = due.checked_duration_since(Instant::now()) {
            sleep(early);
        }
        let from = if answered > due { due } else { Instant::now() };
        let key = u64::from(request).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 47;
        let (key, value) = (format!("key:{key:08}"), format!("{request:064}"));
        let (of_key, of_value) = (key.len(), value.len());
        let line = format!("*3\r\n$3\r\nSET\r\n${of_key}\r\n{key}\r\n${of_value}\r\n{value}\r\n");
        stream.write_all(line.as_bytes()).context("ask redis")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).context("hear redis")?;
        ensure!(&answer == b"+OK\r\n", "redis answered {answer:?}");
        answered = Instant::now();
        took.push(answered - from);
    }
    Ok(took)
}

impl fmt::Display for Latency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "Requests to redis-server, {PACE} a second, while flame attaches, takes CPU and heap \
             profiles, and detaches: medians of {} runs each.\n",
            self.bare.len()
        )?;
        writeln!(out, "| percentile | bare | under flame | ratio | more |")?;
        writeln!(out, "|---|---|---|---|---|")?;
        for (index, share) in PERCENTILES.iter().enumerate() {
            let of = |runs: &[[f64; 3]]| middle(runs.iter().map(|run| run[index]));
            let (bare, profiled) = (of(&self.bare), of(&self.profiled));
            writeln!(
                out,
                "| {} | {bare:.3} ms | {profiled:.3} ms | {:.2} | {:+.3} ms |",
                share * 100.0,
                profiled / bare,
                profiled - bare
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_ratios_and_differences() {
        let latency =
            Latency { bare: vec![[0.05, 0.1, 0.4]; 3], profiled: vec![[0.05, 0.12, 0.9]; 3] };
        let text = latency.to_string();
        assert!(text.contains("| 99 | 0.100 ms | 0.120 ms | 1.20 | +0.020 ms |"), "{text}");
        assert!(text.contains("| 99.9 | 0.400 ms | 0.900 ms | 2.25 | +0.500 ms |"), "{text}");
    }
}
