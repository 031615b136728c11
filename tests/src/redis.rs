//! A redis-server of Debian's, which allocates by jemalloc's own library, and load for it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::Folder;
use crate::machine::skip;
use crate::process::{Guarded, wait_for};

/// A server that only this test talks to: by a socket in a folder of its own, and by TCP where it
/// is put under load, as its clients are.
#[derive(Debug)]
pub struct Redis {
    process: Guarded,
    folder: Folder,
    socket: PathBuf,
    port: u16,
}

impl Redis {
    /// Starts it, with variables of its environment set, and waits until it answers. `None`, and a
    /// line that says so, where it is not to be had.
    pub fn start(environment: &[(&str, &str)]) -> Option<Self> {
        for program in ["redis-server", "redis-benchmark", "redis-cli"] {
            if Command::new(program).arg("--version").stdout(Stdio::null()).status().is_err() {
                skip("needs redis-server and redis-tools");
                return None;
            }
        }
        let folder = Folder::new();
        let socket = folder.join("socket");
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = listener.expect("a free port").port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--unixsocket"]).arg(&socket);
        command.current_dir(folder.path()).envs(environment.iter().copied());
        let process = Guarded::spawn(command.stdout(Stdio::null()));
        let server = Self { process, folder, socket, port };
        wait_for("the server's answer", || server.client(&["ping"]).status().unwrap().success());
        Some(server)
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file that it runs, which in Debian has several names.
    pub fn program(&self) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/exe", self.pid())).expect("its program")
    }

    fn client(&self, words: &[&str]) -> Command {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(&self.socket).args(words);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// redis-benchmark with these options, ready to be started.
    pub fn load(&self, options: &[&str]) -> Command {
        let mut command = Command::new("redis-benchmark");
        command.args(["-p", &self.port.to_string(), "-q"]).args(options).stdout(Stdio::null());
        command
    }

    /// What it says that it has allocated, in bytes of blocks as its allocator rounds them up.
    pub fn used_memory(&self) -> u64 {
        let output = self.client(&["info", "memory"]).stdout(Stdio::piped()).output();
        let told = String::from_utf8(output.expect("run redis-cli").stdout).expect("a text");
        let line = told.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.and_then(|bytes| bytes.trim().parse().ok()).expect("a number of bytes")
    }

    /// Asks it to end, and waits for that.
    pub fn shut_down(&mut self) {
        // It hangs up instead of an answer.
        _ = self.client(&["shutdown", "nosave"]).status().expect("run redis-cli");
        assert!(self.process.wait().success(), "the server failed");
    }
}
