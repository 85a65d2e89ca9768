//! Writer of this edge's own tee file, and sender of its second copy.
//!
//! A single task writes. Requests that arrive during a write form the next batch: one append, one sync and one message
//! to a peer. A batch is durable when both disks confirm it. Otherwise all its requests fail, and any copy may or may
//! not hold them. A failed request never gets another sequence number: a client that receives 503 sends a new request.
//!
//! After a failed append or sync, the file is not written again. The next batch takes the next boot number and a new
//! file. The same happens when a file is closed before its hour is over, or when the clock steps back into a closed
//! hour. Hours only increase under one boot number, so no file name is used twice.

use super::OWN_DIR;
use super::gaps::{GapRequest, GapStore};
use super::peer::PeerError;
use super::peers::Peers;
use super::record::{HOUR_MS, TeeError, TeeName, TeeRecord};
use super::upload_queue::UploadQueue;
use crate::config::{EdgeConfig, OnTeeFailure, TeeConfig};
use crate::marks;
use crate::sequence::{SequenceAllocator, boot_of};
use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, DiskOp, Env, File, Mark, OpenMode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Limits of one batch: requests, and bytes.
const MAX_BATCH_REQUESTS: usize = 256;
const MAX_BATCH_BYTES: usize = 16 << 20;

/// Reason that a request is not durable in both copies.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum TeeWriteError {
    /// Failure of this disk.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// This disk or the peer failed recently and is in backoff.
    #[error("failed a moment ago; not tried again yet")]
    BackingOff,
    /// Failure of the second copy.
    #[error("second copy: {0}")]
    Peer(String),
    /// The request does not fit a record.
    #[error(transparent)]
    Unencodable(#[from] TeeError),
    /// The gap itself could not be recorded.
    #[error("{0}; nor could the gap be recorded")]
    GapNotRecorded(String),
}

/// A request with its sequence number, and whether it is durable in both copies.
#[derive(Debug)]
pub(crate) struct TeeWriteResult {
    pub(crate) record: TeeRecord,
    pub(crate) durable: Result<(), TeeWriteError>,
}

enum WriterCommand {
    /// Assign a sequence number to this request and write it. Its previous sequence number is ignored.
    Write(TeeRecord, oneshot::Sender<TeeWriteResult>),
    /// Close the open file if its hour is before this one, or unconditionally if `None`.
    Close(Option<i64>, oneshot::Sender<()>),
}

/// Handle to the writer task.
#[derive(Clone)]
pub(crate) struct TeeHandle(mpsc::Sender<WriterCommand>);

impl TeeHandle {
    /// Starts the writer task.
    pub(crate) fn start<E: Env>(
        env: &E,
        config: &EdgeConfig,
        tee: TeeConfig,
        sequences: SequenceAllocator,
        uploads: Arc<UploadQueue>,
        gaps: Arc<GapStore<E>>,
    ) -> TeeHandle {
        let (commands, queue) = mpsc::channel(config.limits.in_flight.max(1));
        let peers = Peers::new(env, &config.peers, config.limits);
        let backoff = config.limits.backoff;
        let writer = TeeWriter {
            env: env.clone(),
            tee,
            backoff,
            sequences,
            uploads,
            gaps,
            peers,
            open: None,
            last_hour: None,
            backoff_until: None,
        };
        env.spawn(writer.run(queue));
        TeeHandle(commands)
    }

    /// Assigns a sequence number to a request and writes it. Returns `None` only if the writer task has ended.
    pub(crate) async fn write(&self, record: TeeRecord) -> Option<TeeWriteResult> {
        let (reply, kept) = oneshot::channel();
        self.0.send(WriterCommand::Write(record, reply)).await.ok()?;
        kept.await.ok()
    }

    /// Closes the open file if its hour is before `before`, or unconditionally if `None`.
    pub(crate) async fn close(&self, before: Option<i64>) {
        let (reply, closed) = oneshot::channel();
        if self.0.send(WriterCommand::Close(before, reply)).await.is_ok() {
            // An error means that the task has ended, and its open file is closed.
            let _ = closed.await;
        }
    }
}

struct TeeWriter<E: Env> {
    env: E,
    tee: TeeConfig,
    backoff: Duration,
    sequences: SequenceAllocator,
    uploads: Arc<UploadQueue>,
    gaps: Arc<GapStore<E>>,
    peers: Peers<E>,
    open: Option<OpenTeeFile<<E::Disk as Disk>::File>>,
    /// Latest hour of a file under this boot number.
    last_hour: Option<i64>,
    /// Monotonic time until which no new file is created on this disk.
    backoff_until: Option<Duration>,
}

struct OpenTeeFile<F> {
    name: TeeName,
    file: F,
    /// Length in bytes, all durable on this disk.
    len_bytes: u64,
}

struct PendingWrite {
    record: TeeRecord,
    reply: oneshot::Sender<TeeWriteResult>,
}

struct EncodedWrite {
    pending: PendingWrite,
    frame: Result<Bytes, TeeWriteError>,
}

impl<E: Env> TeeWriter<E> {
    /// Serves commands in order of arrival: a close waits for earlier batches.
    async fn run(mut self, mut queue: mpsc::Receiver<WriterCommand>) {
        let mut next = queue.recv().await;
        while let Some(command) = next {
            next = match command {
                WriterCommand::Close(before, reply) => {
                    self.close(before);
                    let _ = reply.send(());
                    None
                }
                WriterCommand::Write(record, reply) => {
                    let (batch, behind) = take_batch(PendingWrite { record, reply }, &mut queue);
                    self.write_batch(batch).await;
                    behind
                }
            };
            if next.is_none() {
                next = queue.recv().await;
            }
        }
    }

    fn close(&mut self, before: Option<i64>) {
        if let Some(open) = self.open.take_if(|open| before.is_none_or(|before| open.name.hour < before)) {
            self.uploads.file_closed(open.name);
        }
    }

    /// Writes a batch of requests of one hour, and reports the result to each caller.
    async fn write_batch(&mut self, batch: Vec<PendingWrite>) {
        let hour = hour_of(&batch[0].record);
        let ready = self.ensure_open(hour, batch[0].record.edge).await;
        let (batch, frames) = self.assign_sequences(batch);
        let mut written = match ready {
            Ok(()) if frames.is_empty() => Ok(()),
            Ok(()) => self.append_both(frames).await,
            Err(why) => Err(why),
        };
        if let Err(why) = &written
            && let Err(error) = self.record_gap(&batch, why).await
        {
            self.env.mark(Mark { name: marks::EDGE_TEE_GAP_UNRECORDED, subject: &error.to_string() });
            written = Err(TeeWriteError::GapNotRecorded(why.to_string()));
        }
        for EncodedWrite { pending: PendingWrite { record, reply }, frame } in batch {
            let durable = frame.and_then(|_| written.clone());
            // A caller that stopped waiting is ignored; its request is written anyway.
            let _ = reply.send(TeeWriteResult { record, durable });
        }
    }

    /// Ensures that the open file accepts requests of `hour`.
    async fn ensure_open(&mut self, hour: i64, edge: u16) -> Result<(), TeeWriteError> {
        let fits = |open: &OpenTeeFile<_>| open.name.hour == hour && open.len_bytes < self.tee.file_max_bytes;
        if self.open.as_ref().is_some_and(fits) {
            return Ok(());
        }
        if self.backoff_until.is_some_and(|until| self.env.clock().monotonic() < until) {
            return Err(TeeWriteError::BackingOff);
        }
        self.close(None);
        match self.create_file(hour, edge).await {
            Ok(open) => {
                self.backoff_until = None;
                self.uploads.file_opened(open.name);
                self.open = Some(open);
                Ok(())
            }
            Err(error) => {
                self.backoff_until = Some(self.env.clock().monotonic() + self.backoff);
                Err(error.into())
            }
        }
    }

    async fn create_file(
        &mut self,
        hour: i64,
        edge: u16,
    ) -> Result<OpenTeeFile<<E::Disk as Disk>::File>, DiskError> {
        if self.last_hour.is_some_and(|last| last >= hour) {
            self.sequences.next_boot(&self.env).await?;
            self.env.mark(Mark { name: marks::EDGE_TEE_RENUMBERED, subject: "" });
        }
        // Set before the file exists: if creation fails half-way, the name is not reused.
        self.last_hour = Some(hour);
        let name = TeeName { hour, edge, boot: self.sequences.boot_number() };
        let file = self.env.disk().open(&path(name), OpenMode::CreateNew).await?;
        Ok(OpenTeeFile { name, file, len_bytes: 0 })
    }

    /// Assigns sequence numbers to a batch. Returns the bytes to write, with the header if the file is new.
    fn assign_sequences(&self, batch: Vec<PendingWrite>) -> (Vec<EncodedWrite>, Bytes) {
        let mut frames = BytesMut::new();
        let mut numbered = Vec::with_capacity(batch.len());
        for mut pending in batch {
            pending.record.sequence = self.sequences.next();
            let frame = pending.record.encode_frame();
            if let Ok(frame) = &frame {
                frames.extend_from_slice(frame);
            }
            numbered.push(EncodedWrite { pending, frame: frame.map_err(TeeWriteError::from) });
        }
        match &self.open {
            Some(open) if open.len_bytes == 0 && !frames.is_empty() => {
                let file = [&open.name.header(), frames.as_ref()].concat();
                (numbered, file.into())
            }
            _ => (numbered, frames.freeze()),
        }
    }

    /// Appends to both copies concurrently.
    async fn append_both(&mut self, bytes: Bytes) -> Result<(), TeeWriteError> {
        let Some(open) = &mut self.open else { return Err(TeeWriteError::BackingOff) };
        let reject = self.tee.on_failure == OnTeeFailure::Reject;
        if reject && self.peers.all_backing_off() {
            // Requests that will be refused are not written: a replay would find requests that no client saw
            // acknowledged.
            return Err(TeeWriteError::BackingOff);
        }
        let own = append(self.env.disk(), open, bytes.clone());
        let second = self.peers.replicate(open.name, &open.file, open.len_bytes, &bytes);
        let (own, second) = join(own, second).await;
        match own {
            Ok(()) => open.len_bytes += bytes.len() as u64,
            Err(_) => {
                self.backoff_until = Some(self.env.clock().monotonic() + self.backoff);
                self.close(None);
            }
        }
        own?;
        second.map_err(|failure: PeerError| {
            if failure.is_permanent() {
                self.close(None);
            }
            TeeWriteError::Peer(failure.to_string())
        })
    }

    /// Durably records which requests are forwarded although the tee lacks them, and buffers them for the uploader. If
    /// that fails, the requests must not be forwarded.
    async fn record_gap(&self, batch: &[EncodedWrite], why: &TeeWriteError) -> Result<(), DiskError> {
        if self.tee.on_failure != OnTeeFailure::AcceptAndRecordGap {
            return Ok(());
        }
        let encoded = batch.iter().filter_map(|one| Some((&one.pending.record, one.frame.as_ref().ok()?)));
        let gap_requests: Vec<GapRequest<'_>> =
            encoded.map(|(record, frame)| GapRequest { record, frame }).collect();
        let Some(first) = gap_requests.first().map(|first| first.record) else { return Ok(()) };
        let name = TeeName { hour: hour_of(first), edge: first.edge, boot: boot_of(first.sequence) };
        if self.gaps.record(name, &gap_requests, &why.to_string()).await? {
            self.uploads.gap_buffered(name);
        }
        Ok(())
    }
}

/// Appends `bytes` durably; the first append also makes the file's name durable.
async fn append<D: Disk>(disk: &D, open: &OpenTeeFile<D::File>, bytes: Bytes) -> Result<(), DiskError> {
    let at = open.file.append(bytes).await?;
    if at != open.len_bytes {
        // Another writer appended in between. The file is abandoned, as after any other failure.
        return Err(DiskError { kind: DiskErrorKind::Io, op: DiskOp::Append, path: path(open.name) });
    }
    open.file.sync().await?;
    if open.len_bytes == 0 {
        disk.sync_dir(OWN_DIR).await?;
    }
    Ok(())
}

/// Takes the queued requests after `first` that have the same hour. Returns the first other command, if any.
fn take_batch(
    first: PendingWrite,
    queue: &mut mpsc::Receiver<WriterCommand>,
) -> (Vec<PendingWrite>, Option<WriterCommand>) {
    let hour = hour_of(&first.record);
    let mut bytes = first.record.body.len();
    let mut batch = vec![first];
    while batch.len() < MAX_BATCH_REQUESTS && bytes < MAX_BATCH_BYTES {
        match queue.try_recv() {
            Ok(WriterCommand::Write(record, reply)) if hour_of(&record) == hour => {
                bytes += record.body.len();
                batch.push(PendingWrite { record, reply });
            }
            Ok(other) => return (batch, Some(other)),
            Err(_) => break,
        }
    }
    (batch, None)
}

fn hour_of(record: &TeeRecord) -> i64 {
    record.arrived_ms.div_euclid(HOUR_MS)
}

fn path(name: TeeName) -> String {
    format!("{OWN_DIR}/{name}")
}
