//! Pipes and devices: written to as they are, by a thread of their own.
//!
//! A write to a pipe lasts as long as its reader wants, and opening a named pipe waits for one. The thread is what waits;
//! the program still obeys a signal at once.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The path that stands for the standard output, and as an input for the standard input.
pub(crate) const STANDARD: &str = "-";

/// Lines that may wait for a slow reader before the work waits too.
const LINES_AHEAD: usize = 256;
/// How often a blocked write looks whether the program was interrupted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether `path` is no regular file: the standard output, a pipe or a device. What has no name yet becomes a file.
pub(crate) fn is_stream(path: &Path) -> bool {
    // A descriptor's name may lead to a regular file, which is still not to be replaced by a rename.
    let is_descriptor = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    let is_special = || std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
    path == Path::new(STANDARD) || is_descriptor || is_special()
}

/// Lines on their way to a pipe or a device.
#[derive(Debug)]
pub(crate) struct Stream {
    /// `None` once the thread has ended.
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    signal: Arc<AtomicUsize>,
}

impl Stream {
    /// Begins to write to `path`. `signal` is other than 0 once the program is interrupted: nothing waits then.
    ///
    /// # Errors
    /// There is no thread for it.
    pub fn open(path: &Path, signal: Arc<AtomicUsize>) -> io::Result<Stream> {
        let (to_thread, lines) = mpsc::sync_channel::<String>(LINES_AHEAD);
        let path: PathBuf = path.to_owned();
        let write = move || {
            let mut output: Box<dyn Write> = if path == Path::new(STANDARD) {
                Box::new(io::stdout())
            } else {
                Box::new(OpenOptions::new().write(true).open(&path)?)
            };
            lines.iter().try_for_each(|line| output.write_all(line.as_bytes()).and_then(|()| output.flush()))
        };
        let thread = thread::Builder::new().name("stream".into()).spawn(write)?;
        Ok(Stream { lines: Some(to_thread), thread: Some(thread), signal })
    }

    /// Writes a line, waiting for the reader if it is slow.
    ///
    /// # Errors
    /// It cannot be written, or the program was interrupted while it waited.
    pub fn put(&mut self, mut line: String) -> io::Result<()> {
        loop {
            let Some(lines) = &self.lines else { return Err(io::ErrorKind::BrokenPipe.into()) };
            match lines.try_send(line) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(back)) => line = back,
                Err(TrySendError::Disconnected(_)) => return self.wait(),
            }
            self.pause()?;
        }
    }

    /// Looks whether writing still goes on.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn check(&mut self) -> io::Result<()> {
        let has_ended = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        if has_ended { self.wait() } else { Ok(()) }
    }

    /// Waits until all that was put is written.
    ///
    /// # Errors
    /// It cannot be written, or the program was interrupted while it waited.
    pub fn end(mut self) -> io::Result<()> {
        self.wait()
    }

    fn wait(&mut self) -> io::Result<()> {
        self.lines = None;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.pause()?;
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            None => Ok(()),
            Some(Err(_)) => Err(io::Error::other("the thread that writes it panicked")),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "waits for a real reader in real time")]
    fn pause(&self) -> io::Result<()> {
        if self.signal.load(Ordering::Relaxed) != 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        thread::sleep(LOOK_EVERY);
        Ok(())
    }
}
