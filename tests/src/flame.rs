//! Running flame.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};

use flame::format::pprof;
use flame::profile::Profile;

use crate::files::{Folder, ending};
use crate::process::{Guarded, PATIENCE, signal};
use crate::seen::Seen;
use crate::workload::target;

/// A command line of flame whose files go to a folder of its own.
#[derive(Debug)]
pub struct Flame {
    command: Command,
    folder: Folder,
}

impl Flame {
    /// The program: the one that the environment names in FLAME, else the one of the same build.
    pub fn program() -> PathBuf {
        if let Some(path) = std::env::var_os("FLAME") {
            return path.into();
        }
        let own = target().join("flame");
        let other = |profile| target().with_file_name(profile).join("flame");
        let places = [own, other("release"), other("debug")];
        let found = places.into_iter().find(|path| path.exists());
        found.expect("flame is not built: run `cargo build`, or name it in FLAME")
    }

    /// `flame record ARGUMENTS...`: options, then the command and its arguments.
    pub fn record<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        Self::recording("record", arguments)
    }

    /// `flame attach ARGUMENTS...`
    pub fn attach<S: AsRef<OsStr>>(arguments: &[S]) -> Self {
        Self::recording("attach", arguments)
    }

    fn recording<S: AsRef<OsStr>>(verb: &str, arguments: &[S]) -> Self {
        let folder = Folder::new();
        let mut command = Command::new(Self::program());
        command.args([verb, "--json", "--output-dir"]).arg(folder.path()).args(arguments);
        // Whoever runs the tests may have come by sudo; flame is to see that in its own tests only.
        command.env_remove("SUDO_UID").env_remove("SUDO_GID");
        Self { command, folder }
    }

    /// The command, to change.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Where its files go.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it to its end.
    pub fn run(self) -> Outcome {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Guarded::spawn(&mut self.command);
        let stdout = read(process.child().stdout.take().expect("a pipe"));
        let (lines, said) = mpsc::channel();
        let talk = BufReader::new(process.child().stderr.take().expect("a pipe"));
        let stderr = thread::spawn(move || {
            let mut all = String::new();
            for line in talk.lines().map_while(Result::ok) {
                all.push_str(&line);
                all.push('\n');
                // Nobody may wait for lines any more.
                _ = lines.send(line);
            }
            all
        });
        Running { process, stdout, stderr, said, folder: self.folder }
    }

    /// Starts it, and returns when it samples (`attach` says so).
    pub fn start_sampling(self) -> Running {
        let running = self.start();
        running.wait_to_say("sampling");
        running
    }
}

/// A flame that runs.
#[derive(Debug)]
pub struct Running {
    /// The process.
    pub process: Guarded,
    stdout: JoinHandle<Vec<u8>>,
    stderr: JoinHandle<String>,
    said: Receiver<String>,
    folder: Folder,
}

impl Running {
    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where its files go.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits for a line on stderr with `word`.
    pub fn wait_to_say(&self, word: &str) {
        let mut said = String::new();
        while !said.contains(word) {
            said = self.said.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                panic!("flame does not say {word:?}; its last line is {said:?}")
            });
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, number: i32) {
        assert!(signal(self.pid(), number), "flame has gone");
    }

    /// Ends it as Ctrl-C does and waits for its end.
    pub fn interrupt(self) -> Outcome {
        self.signal(libc::SIGINT);
        self.finish()
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Outcome {
        let status = self.process.child().wait().expect("wait for flame");
        let stdout = self.stdout.join().expect("read stdout");
        let stderr = self.stderr.join().expect("read stderr");
        assert!(!stderr.contains("panicked"), "flame panicked: {stderr}");
        Outcome { status, stdout, stderr, folder: self.folder }
    }
}

/// What flame did.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub status: ExitStatus,
    /// What it and its command wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it and its command wrote to stderr.
    pub stderr: String,
    folder: Folder,
}

impl Outcome {
    /// Its exit status.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("flame was killed: {}", self.status))
    }

    /// Asserts an exit status.
    #[must_use]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}", self.stderr);
        self
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What stands on stdout before the JSON summary.
    pub fn printed(&self) -> String {
        let text = String::from_utf8_lossy(&self.stdout);
        let is_json = |line: &&str| line.starts_with('{') && line.contains("\"command_line\":");
        text.split_inclusive('\n').filter(|line| !is_json(line)).collect()
    }

    /// The JSON summary.
    pub fn json(&self) -> serde_json::Value {
        let text = String::from_utf8_lossy(&self.stdout);
        let last = text.lines().last().unwrap_or_default();
        serde_json::from_str(last)
            .unwrap_or_else(|error| panic!("a summary ({error}): {text:?}\n{}", self.stderr))
    }

    /// Its CPU profiles' files.
    pub fn profiles(&self) -> Vec<PathBuf> {
        self.profiles_of("cpu")
    }

    /// Its files of a type of profile.
    fn profiles_of(&self, kind: &str) -> Vec<PathBuf> {
        let mut files = ending(self.folder(), ".pb");
        let start = format!("{kind}-profile-");
        files.retain(|file| {
            file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&start))
        });
        files
    }

    /// Its one heap profile.
    pub fn heap(&self) -> Profile {
        let files = self.profiles_of("heap");
        let [file] = files.as_slice() else { panic!("one profile: {files:?}\n{}", self.stderr) };
        read_profile(file)
    }

    /// Its one CPU profile.
    pub fn profile(&self) -> Profile {
        let files = self.profiles();
        let [file] = files.as_slice() else { panic!("one profile: {files:?}\n{}", self.stderr) };
        read_profile(file)
    }

    /// Its one CPU profile, written out.
    pub fn seen(&self) -> Seen {
        Seen::new(&self.profile())
    }
}

/// Reads a profile.
pub fn read_profile(file: &Path) -> Profile {
    let bytes = fs::read(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()));
    pprof::read(&bytes).unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
}

fn read(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        from.read_to_end(&mut all).expect("read what flame prints");
        all
    })
}
