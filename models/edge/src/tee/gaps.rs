//! Requests that were forwarded although the tee lacks them (`accept-and-record-gap`).
//!
//! Before such a request is forwarded, a line in `edge/gaps` durably records the gap. The request itself is buffered in
//! memory and, if the disk accepts it, in a file of `tee-gaps/` that survives a restart. The uploader retries until the
//! request is in the tee store under its sequence number. After the object is read back, a second line records that the
//! gap is closed. A gap without that line is open: while the store is unreachable (each attempt leaves a mark), or
//! permanently if the request was dropped for lack of space or existed only in memory when the process died.

use super::merge::TeeMerge;
use super::record::{TeeName, TeeRecord};
use crate::marks;
use crate::sequence::DIR as GAP_LOG_DIR;
use bytes::Bytes;
use latent_ports::{Clock, Disk, DiskError, Env, File, Mark, OpenMode};
use latent_storekit::files::{read_file, remove_if_exists};
use latent_storekit::frame::{FRAME_HEAD_BYTES, push_frame};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Directory of buffered requests, in files named like tee files.
pub(crate) const GAPS_DIR: &str = "tee-gaps";
const GAP_LOG: &str = "gaps";
const ROTATED_GAP_LOG: &str = "gaps.old";
/// Size at which the gap log is rotated; the previous rotated log is replaced.
const MAX_GAP_LOG_BYTES: u64 = 4 << 20;
/// Limits of the buffer: requests, and bytes.
const MAX_BUFFERED_REQUESTS: usize = 10_000;
const MAX_BUFFERED_BYTES: usize = 64 << 20;

/// Buffered gaps of one edge.
pub(crate) struct GapStore<E> {
    env: E,
    buffer: Mutex<GapBuffer>,
}

#[derive(Default)]
struct GapBuffer {
    /// Frame payloads by file and sequence number.
    files: BTreeMap<TeeName, BTreeMap<u64, Bytes>>,
    requests: usize,
    bytes: usize,
}

impl GapBuffer {
    /// Adds a request. Returns false when the buffer is full.
    fn insert(&mut self, name: TeeName, sequence: u64, payload: Bytes) -> bool {
        if self.requests >= MAX_BUFFERED_REQUESTS || self.bytes + payload.len() > MAX_BUFFERED_BYTES {
            return false;
        }
        self.requests += 1;
        self.bytes += payload.len();
        self.files.entry(name).or_default().insert(sequence, payload);
        true
    }

    /// Removes requests of a file. Returns true when none of the file is left.
    fn remove(&mut self, name: TeeName, sequences: &[u64]) -> bool {
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

/// A request to buffer, with its frame.
pub(crate) struct GapRequest<'a> {
    pub(crate) record: &'a TeeRecord,
    pub(crate) frame: &'a Bytes,
}

impl<E: Env> GapStore<E> {
    pub(crate) fn new(env: E) -> GapStore<E> {
        GapStore { env, buffer: Mutex::default() }
    }

    /// Durably records that the tee lacks these requests of the file `name`, and buffers them. Returns whether any
    /// request was buffered.
    ///
    /// # Errors
    /// The gap could not be recorded. The requests must then not be forwarded, since the loss would be untraceable.
    pub(crate) async fn record(
        &self,
        name: TeeName,
        requests: &[GapRequest<'_>],
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
        self.append_log(ranges_of(&sequences).into_iter().map(line).collect()).await?;
        let mut frames = Vec::new();
        let mut dropped = 0;
        {
            let mut buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            for GapRequest { record, frame } in requests {
                if buffer.insert(name, record.sequence, frame.slice(FRAME_HEAD_BYTES..)) {
                    frames.extend_from_slice(frame);
                } else {
                    dropped += 1;
                }
            }
        }
        if dropped > 0 {
            self.env.mark(Mark { name: marks::EDGE_TEE_GAP_DROPPED, subject: &format!("{name}: {dropped}") });
        }
        if frames.is_empty() {
            return Ok(false);
        }
        if let Err(error) = self.append(name, frames).await {
            self.env.mark(Mark { name: marks::EDGE_TEE_GAP_IN_MEMORY, subject: &error.to_string() });
        }
        Ok(true)
    }

    /// Files in `tee-gaps/` are read with `salvage`, so a failed append between frames does not affect later frames.
    async fn append(&self, name: TeeName, frames: Vec<u8>) -> Result<(), DiskError> {
        let file = self.env.disk().open(&path(name), OpenMode::Create).await?;
        let is_new = file.size_bytes().await? == 0;
        let bytes = if is_new { [&name.header(), frames.as_slice()].concat() } else { frames };
        file.append(bytes.into()).await?;
        file.sync().await?;
        self.env.disk().sync_dir(GAPS_DIR).await
    }

    async fn append_log(&self, lines: String) -> Result<(), DiskError> {
        let disk = self.env.disk();
        let path = format!("{GAP_LOG_DIR}/{GAP_LOG}");
        let mut file = disk.open(&path, OpenMode::Create).await?;
        if file.size_bytes().await? >= MAX_GAP_LOG_BYTES {
            disk.rename(&path, &format!("{GAP_LOG_DIR}/{ROTATED_GAP_LOG}")).await?;
            file = disk.open(&path, OpenMode::Create).await?;
        }
        // The leading newline separates this line from one that was cut off.
        file.append(format!("\n{lines}").into()).await?;
        file.sync().await?;
        disk.sync_dir(GAP_LOG_DIR).await
    }

    /// Merges the buffered requests of a file, from disk and memory.
    pub(crate) async fn merge_into(&self, name: TeeName, merge: &mut TeeMerge) -> Result<(), DiskError> {
        let on_disk = read_file(self.env.disk(), &path(name)).await;
        let in_memory = {
            let buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            buffer.files.get(&name).cloned()
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

    /// Durably records that these requests are in the tee store, and removes them from the buffer.
    pub(crate) async fn close(&self, name: TeeName, sequences: &[u64]) -> Result<(), DiskError> {
        let closed_ms = self.env.clock().wall().0;
        let line = |(first, last): (u64, u64)| {
            let edge = name.edge;
            format!("{{\"edge\":{edge},\"first\":{first},\"last\":{last},\"closed_ms\":{closed_ms}}}\n")
        };
        self.append_log(ranges_of(sequences).into_iter().map(line).collect()).await?;
        self.remove_buffered(name, sequences).await
    }

    /// Whether this process has buffered requests of this file.
    pub(crate) fn contains(&self, name: TeeName) -> bool {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner).files.contains_key(&name)
    }

    /// Discards the buffered requests of a file. Their gaps stay open.
    pub(crate) async fn discard(&self, name: TeeName) -> Result<(), DiskError> {
        let sequences: Vec<u64> = {
            let buffer = self.buffer.lock().unwrap_or_else(PoisonError::into_inner);
            buffer.files.get(&name).into_iter().flat_map(BTreeMap::keys).copied().collect()
        };
        self.remove_buffered(name, &sequences).await
    }

    /// Requests that were added in the meantime keep the file on the disk.
    async fn remove_buffered(&self, name: TeeName, sequences: &[u64]) -> Result<(), DiskError> {
        if !self.buffer.lock().unwrap_or_else(PoisonError::into_inner).remove(name, sequences) {
            return Ok(());
        }
        remove_if_exists(self.env.disk(), &path(name)).await?;
        self.env.disk().sync_dir(GAPS_DIR).await
    }
}

/// Groups sequence numbers into contiguous ranges: first and last of each.
fn ranges_of(sequences: &[u64]) -> Vec<(u64, u64)> {
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
    fn ranges_are_contiguous() {
        assert_eq!(ranges_of(&[]), []);
        assert_eq!(ranges_of(&[3, 4, 5, 9, 11, 12]), [(3, 5), (9, 9), (11, 12)]);
    }

    #[test]
    fn the_buffer_is_bounded_and_removal_frees_space() {
        let mut buffer = GapBuffer::default();
        let payload = Bytes::from(vec![1; MAX_BUFFERED_BYTES / 2]);
        assert!(buffer.insert(NAME, 1, payload.clone()) && buffer.insert(NAME, 2, payload.clone()));
        assert!(!buffer.insert(NAME, 3, payload.clone()));
        assert!(!buffer.remove(NAME, &[1]), "the second is left");
        assert!(buffer.insert(NAME, 3, payload));
        assert!(buffer.remove(NAME, &[2, 3]));
        assert_eq!((buffer.requests, buffer.bytes), (0, 0));
        assert!((0..MAX_BUFFERED_REQUESTS as u64).all(|n| buffer.insert(NAME, n, Bytes::from_static(b"x"))));
        assert!(!buffer.insert(NAME, u64::MAX, Bytes::from_static(b"x")));
    }
}
