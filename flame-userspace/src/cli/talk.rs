//! What flame says to people, on stderr: messages, one live line, colours where they are wanted.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::{Color, RecordingArgs};
use crate::format::text::visible;

/// Whether a live line stands on the terminal, to be cleared before anything else is said.
static LIVE: AtomicBool = AtomicBool::new(false);

/// How to speak.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    quiet: bool,
    color: bool,
    live: bool,
}

impl Talk {
    /// As the arguments, the environment and the terminal want it.
    pub(super) fn new(args: &RecordingArgs) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let color = match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                terminal
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        log::set_max_level(match args.verbose {
            0 => log::LevelFilter::Warn,
            1 => log::LevelFilter::Info,
            _ => log::LevelFilter::Debug,
        });
        // A second logger is refused; the first one does.
        _ = log::set_logger(&LOGGER);
        Self { quiet: args.quiet, color, live: terminal && !args.quiet }
    }

    /// Says a line, unless asked to be quiet.
    pub(super) fn say(&self, line: &str) {
        if !self.quiet {
            put(line);
        }
    }

    /// Says a line in any case.
    pub(super) fn error(&self, line: &str) {
        put(&format!("{} {}", self.bold("flame:"), shown_lines(line)));
    }

    /// Puts a line that the next one replaces; on a terminal alone.
    pub(super) fn live(&self, line: &str) {
        if self.live {
            let mut stderr = std::io::stderr();
            // A terminal that is gone is no reason to lose a profile, and `eprint!` would panic.
            _ = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
            LIVE.store(true, Ordering::Relaxed);
        }
    }

    /// Whether live lines are shown.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Emphasized text.
    pub(super) fn bold(&self, text: &str) -> String {
        if self.color { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Says an error with its causes, as every command that fails does.
pub(super) fn tell(error: &anyhow::Error) {
    put(&format!("flame: {}", shown_lines(&format!("{error:#}"))));
}

/// Passes on a line that another part of flame has said.
pub(super) fn relay(line: &str) {
    put(line);
}

/// The most characters of a name that are shown: a path has as many at most.
const LONGEST_NAME: usize = 4096;

/// A name of somebody else's making, safe to show on a terminal.
pub(super) fn shown(name: &str) -> String {
    let mut shown = visible(name).into_owned();
    if let Some((end, _)) = shown.char_indices().nth(LONGEST_NAME) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

/// A message, safe to show though it may quote what somebody else made. Lines after its first are
/// indented, so that none of them passes for another message.
fn shown_lines(message: &str) -> String {
    let lines: Vec<_> = message.split('\n').map(visible).collect();
    lines.join("\n  ")
}

/// Writes a line to stderr, past a live line. A closed stderr is no reason to lose a profile.
fn put(line: &str) {
    let clear = if LIVE.swap(false, Ordering::Relaxed) { "\r\x1b[K" } else { "" };
    _ = writeln!(std::io::stderr(), "{clear}{line}");
}

/// Passes log records on to stderr.
struct Logger;

static LOGGER: Logger = Logger;

impl log::Log for Logger {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        // Other crates' chatter is not for people; their warnings are not about what they asked.
        metadata.target().starts_with("flame") && metadata.level() <= log::max_level()
    }

    fn log(&self, record: &log::Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = record.level().as_str().to_lowercase();
            put(&format!("flame: {level}: {}", shown(&record.args().to_string())));
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_whole_and_a_longer_name_by_its_start() {
        let path = "é".repeat(LONGEST_NAME);
        assert_eq!(shown(&path), path);
        assert_eq!(shown(&format!("{path}x")), format!("{path}…"));
    }

    #[test]
    fn a_message_cannot_steer_the_terminal_or_pass_for_two() {
        let error =
            anyhow::anyhow!("no type \x1b]0;owned\x07\nflame: all is well\r").context("read x");
        assert_eq!(
            shown_lines(&format!("{error:#}")),
            "read x: no type \\u{1b}]0;owned\\u{7}\n  flame: all is well\\r"
        );
    }
}
