//! Output to pipes and devices, written by a separate thread.
//!
//! A write to a pipe blocks until its reader is ready, and opening a named pipe waits for a reader. Only the thread
//! blocks; the program still handles a signal at once.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The path of the standard output, and as an input of the standard input.
pub(crate) const STANDARD: &str = "-";

/// Number of lines that are queued for a slow reader before `put` waits.
const QUEUED_LINES: usize = 256;
/// Interval at which a blocked write checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Whether `path` is not a regular file: the standard output, a pipe or a device. A path that does not exist becomes a
/// file.
pub(crate) fn is_stream(path: &Path) -> bool {
    // A descriptor's path may lead to a regular file, which must not be replaced by a rename.
    let is_descriptor = ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
    let is_special = || std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir());
    path == Path::new(STANDARD) || is_descriptor || is_special()
}

/// A pipe or a device with its queue of lines.
#[derive(Debug)]
pub(crate) struct OutputStream {
    /// `None` once the thread has ended.
    lines: Option<SyncSender<String>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    signal: Arc<AtomicUsize>,
}

impl OutputStream {
    /// Starts to write to `path`. `signal` is other than 0 once the program is interrupted: then no call waits.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn open(path: &Path, signal: Arc<AtomicUsize>) -> io::Result<OutputStream> {
        let (to_thread, lines) = mpsc::sync_channel::<String>(QUEUED_LINES);
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
        Ok(OutputStream { lines: Some(to_thread), thread: Some(thread), signal })
    }

    /// Writes a line, waiting for the reader if it is slow.
    ///
    /// # Errors
    /// It cannot be written, or the program was interrupted during the wait.
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

    /// Checks that the thread still writes.
    ///
    /// # Errors
    /// It ended with an error.
    pub fn check(&mut self) -> io::Result<()> {
        let has_ended = self.thread.as_ref().is_some_and(JoinHandle::is_finished);
        if has_ended { self.wait() } else { Ok(()) }
    }

    /// Waits until all lines are written.
    ///
    /// # Errors
    /// They cannot be written, or the program was interrupted during the wait.
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
        thread::sleep(POLL_INTERVAL);
        Ok(())
    }
}
