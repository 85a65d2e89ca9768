//! Requests that were let through although the tee lacked them (`accept-and-record-gap`).
//!
//! Before such a request is forwarded, a line in `edge/gaps` says, durably, that the tee lacks it. The request itself is kept
//! here: in memory, and where this disk takes it also in a file of `tee-gaps/`, which a restart finds. The uploader goes on
//! trying to put it into the tee store, under its number; once it was read back there, a second line says that the gap is
//! closed. A gap is open as long as that line is missing: while the store cannot be reached (each try leaves a mark), and
//! for good where the request was dropped for want of room, or was in memory alone when the process died.

use super::merge::Merge;
use super::record::{TeeName, TeeRecord};
use crate::frame::{FRAME_HEAD_BYTES, push_frame};
use crate::local::{read_file, remove_if_there};
use crate::numbers::DIR as LINES_DIR;
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskError, Env, File, Mark, OpenMode};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Requests that are not in the tee yet, in files named as the tee's.
pub(crate) const GAPS_DIR: &str = "tee-gaps";
const LINES: &str = "gaps";
const OLDER_LINES: &str = "gaps.old";
/// A file of lines that has reached this length makes room for a new one, and takes the place of the one before.
const MOST_LINES_BYTES: u64 = 4 << 20;
/// The most requests that are kept at a time, and the most bytes of them.
const MOST_REQUESTS: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// What is kept of one edge's gaps.
pub(crate) struct Gaps<E> {
    env: E,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Frames' payloads by file and sequence.
    files: BTreeMap<TeeName, BTreeMap<u64, Bytes>>,
    requests: usize,
    bytes: usize,
}

impl Kept {
    /// False when there is no room.
    fn put(&mut self, name: TeeName, sequence: u64, payload: Bytes) -> bool {
        if self.requests >= MOST_REQUESTS || self.bytes + payload.len() > MOST_BYTES {
            return false;
        }
        self.requests += 1;
        self.bytes += payload.len();
        self.files.entry(name).or_default().insert(sequence, payload);
        true
    }

    /// Forgets these requests of a file; true when none of it is left.
    fn take(&mut self, name: TeeName, sequences: &[u64]) -> bool {
        let Some(file) = self.files.get_mut(&name) else { return true };
        for payload in sequences.iter().filter_map(|sequence| file.remove(sequence)) {
            self.requests -= 1;
            self.bytes -= payload.len();
        }
        let is_empty = file.is_empty();
        if is_empty {
            self.files.remove(&name);
        }
        is_empty
    }
}

/// A request with its frame.
pub(crate) struct Lacking<'a> {
    pub(crate) record: &'a TeeRecord,
    pub(crate) frame: &'a Bytes,
}

impl<E: Env> Gaps<E> {
    pub(crate) fn new(env: E) -> Gaps<E> {
        Gaps { env, kept: Mutex::default() }
    }

    /// Writes down, durably, that the tee lacks these requests of the file `name`, and keeps them. Returns whether any are
    /// kept.
    ///
    /// # Errors
    /// When it could not be written down: the requests must not be forwarded then, nothing would say what is missing.
    pub(crate) async fn record(
        &self,
        name: TeeName,
        requests: &[Lacking<'_>],
        why: &str,
    ) -> Result<bool, DiskError> {
        let arrived_ms = requests.first().map_or(0, |first| first.record.arrived_ms);
        let sequences: Vec<u64> = requests.iter().map(|request| request.record.sequence).collect();
        let line = |(first, last): (u64, u64)| {
            let edge = name.edge;
            format!(
                "{{\"edge\":{edge},\"first\":{first},\"last\":{last},\"arrived_ms\":{arrived_ms},\"why\":{why:?}}}\n"
            )
        };
        self.write_lines(runs_of(&sequences).into_iter().map(line).collect()).await?;
        let mut frames = Vec::new();
        let mut dropped = 0;
        {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            for Lacking { record, frame } in requests {
                if kept.put(name, record.sequence, frame.slice(FRAME_HEAD_BYTES..)) {
                    frames.extend_from_slice(frame);
                } else {
                    dropped += 1;
                }
            }
        }
        if dropped > 0 {
            self.env.mark(Mark { name: "edge.tee-gap-dropped", subject: &format!("{name}: {dropped}") });
        }
        if frames.is_empty() {
            return Ok(false);
        }
        if let Err(error) = self.append(name, frames).await {
            self.env.mark(Mark { name: "edge.tee-gap-in-memory", subject: &error.to_string() });
        }
        Ok(true)
    }

    /// A file of `tee-gaps/` is salvaged, not scanned: what a failed append left between its frames costs none behind it.
    async fn append(&self, name: TeeName, frames: Vec<u8>) -> Result<(), DiskError> {
        let file = self.env.disk().open(&path(name), OpenMode::Create).await?;
        let is_new = file.size_bytes().await? == 0;
        let bytes = if is_new { [&name.header(), frames.as_slice()].concat() } else { frames };
        file.append(bytes.into()).await?;
        file.sync().await?;
        self.env.disk().sync_dir(GAPS_DIR).await
    }

    async fn write_lines(&self, lines: String) -> Result<(), DiskError> {
        let disk = self.env.disk();
        let path = format!("{LINES_DIR}/{LINES}");
        let mut file = disk.open(&path, OpenMode::Create).await?;
        if file.size_bytes().await? >= MOST_LINES_BYTES {
            disk.rename(&path, &format!("{LINES_DIR}/{OLDER_LINES}")).await?;
            file = disk.open(&path, OpenMode::Create).await?;
        }
        // A line that was cut off must not swallow this one.
        file.append(format!("\n{lines}").into()).await?;
        file.sync().await?;
        disk.sync_dir(LINES_DIR).await
    }

    /// Adds what is kept of a file to a merge, from the disk and from memory.
    pub(crate) async fn take_in(&self, name: TeeName, merge: &mut Merge) -> Result<(), DiskError> {
        let on_disk = read_file(self.env.disk(), &path(name)).await;
        let in_memory = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.files.get(&name).cloned()
        };
        match on_disk {
            Ok(file) => drop(file.map(|file| merge.add(&file))),
            Err(error) if in_memory.is_none() => return Err(error),
            Err(_) => {}
        }
        let mut file = name.header().to_vec();
        for payload in in_memory.iter().flat_map(BTreeMap::values) {
            push_frame(&mut file, payload).expect("the payload came out of a frame");
        }
        merge.add(&file.into());
        Ok(())
    }

    /// These requests of a file are in the tee store: says so, durably, and forgets them.
    pub(crate) async fn close(&self, name: TeeName, sequences: &[u64]) -> Result<(), DiskError> {
        let closed_ms = self.env.clock().wall().0;
        let line = |(first, last): (u64, u64)| {
            let edge = name.edge;
            format!("{{\"edge\":{edge},\"first\":{first},\"last\":{last},\"closed_ms\":{closed_ms}}}\n")
        };
        self.write_lines(runs_of(sequences).into_iter().map(line).collect()).await?;
        self.forget(name, sequences).await
    }

    /// Whether requests of this file are kept, as far as this process knows.
    pub(crate) fn has(&self, name: TeeName) -> bool {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).files.contains_key(&name)
    }

    /// Gives up what is kept of a file: its gaps stay open.
    pub(crate) async fn drop_all(&self, name: TeeName) -> Result<(), DiskError> {
        let sequences: Vec<u64> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.files.get(&name).into_iter().flat_map(BTreeMap::keys).copied().collect()
        };
        self.forget(name, &sequences).await
    }

    /// What came meanwhile is kept, and with it the file on the disk.
    async fn forget(&self, name: TeeName, sequences: &[u64]) -> Result<(), DiskError> {
        if !self.kept.lock().unwrap_or_else(PoisonError::into_inner).take(name, sequences) {
            return Ok(());
        }
        remove_if_there(self.env.disk(), &path(name)).await?;
        self.env.disk().sync_dir(GAPS_DIR).await
    }
}

/// Sequences as runs without a hole: the first and the last of each.
fn runs_of(sequences: &[u64]) -> Vec<(u64, u64)> {
    let runs = sequences.chunk_by(|one, next| one + 1 == *next);
    runs.filter_map(|run| Some((*run.first()?, *run.last()?))).collect()
}

fn path(name: TeeName) -> String {
    format!("{GAPS_DIR}/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: TeeName = TeeName { hour: 404_497, edge: 1, boot: 7 };

    #[test]
    fn runs_have_no_holes() {
        assert_eq!(runs_of(&[]), []);
        assert_eq!(runs_of(&[3, 4, 5, 9, 11, 12]), [(3, 5), (9, 9), (11, 12)]);
    }

    #[test]
    fn what_is_kept_is_bounded_and_makes_room_when_it_goes() {
        let mut kept = Kept::default();
        let payload = Bytes::from(vec![1; MOST_BYTES / 2]);
        assert!(kept.put(NAME, 1, payload.clone()) && kept.put(NAME, 2, payload.clone()));
        assert!(!kept.put(NAME, 3, payload.clone()));
        assert!(!kept.take(NAME, &[1]), "the second is left");
        assert!(kept.put(NAME, 3, payload));
        assert!(kept.take(NAME, &[2, 3]));
        assert_eq!((kept.requests, kept.bytes), (0, 0));
        assert!((0..MOST_REQUESTS as u64).all(|n| kept.put(NAME, n, Bytes::from_static(b"x"))));
        assert!(!kept.put(NAME, u64::MAX, Bytes::from_static(b"x")));
    }
}
