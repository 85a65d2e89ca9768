//! A panic of this program itself: one line and exit code 1, like any other internal error.

use crate::case::worker::panic_text;
use crate::exit;
use crate::print::out;
use crate::target::shell_word;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

/// From here on a panic of any thread ends the program with one line that says what happened, where, and what to report.
/// The backtrace follows where `RUST_BACKTRACE` asks for it, or the command line has `-v`.
pub(super) fn end_as_errors(words: &[String]) {
    let command = words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
    let is_verbose = words.iter().any(|word| word == "-v" || word == "--verbose");
    panic::set_hook(Box::new(move |info| {
        out::complain(&line(info, &command));
        let trace = if is_verbose { Backtrace::force_capture() } else { Backtrace::capture() };
        if trace.status() == BacktraceStatus::Captured {
            out::complain(&format!("{trace}\n"));
        }
        std::process::exit(i32::from(exit::INTERNAL));
    }));
}

fn line(info: &PanicHookInfo<'_>, command: &str) -> String {
    let text = panic_text(info.payload());
    let place = info.location().map_or_else(String::new, |place| format!(", at {place}"));
    format!("error: internal error: {text}{place} (report it with: {command})\n")
}
