//! Output that ends quietly when nobody reads it any more (`latent … | head`).

use std::io::{self, Write};

/// Writes `text` to the standard output, without colours unless it is a terminal. A closed pipe is no error.
///
/// # Errors
/// The output cannot be written for any other reason: a full disk, a closed descriptor.
pub(crate) fn print(text: &str) -> io::Result<()> {
    quietly(write_all(&mut anstream::AutoStream::auto(io::stdout().lock()), text))
}

/// The same to the standard error output, where nothing can be done about errors.
pub(crate) fn complain(text: &str) {
    let _ = write_all(&mut anstream::AutoStream::auto(io::stderr().lock()), text);
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
