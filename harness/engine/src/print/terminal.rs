//! All output to the terminal. Output ends silently when the reader has closed the pipe (`latent … | head`), and
//! control characters in printed text (a file's name, a scenario's text, an error that quotes either) are escaped: they
//! could colour or clear the terminal, or hide text.

use super::escape::escaped;
use super::screen::Screen;
use std::io::{self, IsTerminal as _, Write};

/// Default width of a screen, without a terminal.
pub(crate) const COLUMNS: usize = Screen::COLUMNS;
/// A narrower terminal than this wraps lines itself.
const MIN_COLUMNS: usize = 40;

/// Writes plain text to the standard output, with control characters escaped. A closed pipe is ignored.
///
/// # Errors
/// The output cannot be written for any other reason: a full disk, a closed descriptor.
pub(crate) fn print(text: &str) -> io::Result<()> {
    quietly(write_all(&mut io::stdout().lock(), &escaped(text)))
}

/// Writes a screen to the standard output: as wide as the terminal, and without colours unless it is one. Its pieces
/// are escaped already.
///
/// # Errors
/// As [`print`].
pub(crate) fn screen(screen: &Screen) -> io::Result<()> {
    let text = screen.render(columns().unwrap_or(COLUMNS));
    quietly(write_all(&mut anstream::AutoStream::auto(io::stdout().lock()), &text))
}

/// Writes bytes for a program, unchanged, to the standard output.
///
/// # Errors
/// As [`print`].
pub(crate) fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    quietly(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Writes plain text to the standard error, ignoring errors.
pub(crate) fn eprint(text: &str) {
    let _ = write_all(&mut io::stderr().lock(), &escaped(text));
}

/// Writes an error that clap has styled to clap's stream, with its colours only if it contains no foreign control
/// characters.
pub(crate) fn clap_error(error: &clap::Error, has_control_characters: bool) {
    if has_control_characters {
        let text = error.render().to_string();
        if error.use_stderr() {
            eprint(&text);
        } else {
            let _ = print(&text);
        }
    } else {
        let _ = error.print();
    }
}

/// Width of the terminal, or of `COLUMNS`; `None` if there is neither.
pub(crate) fn columns() -> Option<usize> {
    #[expect(clippy::disallowed_methods, reason = "COLUMNS is where the width comes from without a terminal")]
    let named = std::env::var("COLUMNS").ok().and_then(|text| text.parse::<usize>().ok());
    let of_terminal = || {
        let size = io::stdout().is_terminal().then(|| terminal_size::terminal_size_of(io::stdout()))??;
        Some(usize::from(size.0.0))
    };
    named.or_else(of_terminal).map(|columns| columns.max(MIN_COLUMNS))
}

fn write_all(out: &mut impl Write, text: &str) -> io::Result<()> {
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn quietly(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_quiet() {
        assert!(quietly(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
        assert!(quietly(Err(io::ErrorKind::StorageFull.into())).is_err());
        assert!(quietly(Ok(())).is_ok());
    }
}
