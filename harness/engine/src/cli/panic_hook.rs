//! Panics of this program itself: one line and exit code 1, like any other internal error.

use crate::case::worker::panic_text;
use crate::case_source::shell_word;
use crate::exit;
use crate::print::terminal;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

/// Installs a hook that ends the program when any thread panics, with one line: the message, the location, and the
/// command to report. The backtrace follows if `RUST_BACKTRACE` requests it, or the command line has `-v`.
pub(super) fn install_panic_hook(words: &[String]) {
    let command = words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" ");
    let is_verbose = words.iter().any(|word| word == "-v" || word == "--verbose");
    panic::set_hook(Box::new(move |info| {
        terminal::eprint(&line(info, &command));
        let trace = if is_verbose { Backtrace::force_capture() } else { Backtrace::capture() };
        if trace.status() == BacktraceStatus::Captured {
            terminal::eprint(&format!("{trace}\n"));
        }
        std::process::exit(i32::from(exit::INTERNAL));
    }));
}

fn line(info: &PanicHookInfo<'_>, command: &str) -> String {
    let text = panic_text(info.payload());
    let place = info.location().map_or_else(String::new, |place| format!(", at {place}"));
    format!("error: internal error: {text}{place} (report it with: {command})\n")
}
