//! This edge's own tee file, and the sending side of its second copy.
//!
//! One task writes. Requests that come while a write is under way make the next batch: one append, one sync and
//! one message to a peer for all of them. A batch is durable when both disks say so; otherwise all its requests
//! fail, and whether they stand in any copy is open. They are never numbered again under another number: a
//! client that is told 503 sends a new request.
//!
//! After an append or a sync failed, the file is never written again. The next batch takes the next boot number,
//! and with it a new file; so it does when a file was closed before its hour is over, or the clock steps back into
//! an hour that has been closed. Under one boot number hours only rise, and so no file's name is used twice.

use super::OWN_DIR;
use super::gaps::{Gaps, Lacking};
use super::peer::PeerFailure;
use super::peers::Peers;
use super::record::{HOUR_MS, TeeError, TeeName, TeeRecord};
use super::upload::Uploads;
use crate::config::{EdgeConfig, OnTeeFailure, TeeConfig};
use crate::numbers::{Numbers, boot_of};
use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use latent_ports::{Clock, Disk, DiskError, DiskErrorKind, DiskOp, Env, File, Mark, OpenMode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The most requests and bytes in one batch.
const BATCH_REQUESTS: usize = 256;
const BATCH_BYTES: usize = 16 << 20;

/// Why a request is not durable in both copies.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum NotKept {
    /// This disk.
    #[error(transparent)]
    Own(#[from] DiskError),
    /// This disk or the peer failed a moment ago.
    #[error("failed a moment ago; not tried again yet")]
    Resting,
    /// The second copy.
    #[error("second copy: {0}")]
    Peer(String),
    /// The request does not fit a record.
    #[error(transparent)]
    Unencodable(#[from] TeeError),
    /// Not even that it is not kept could be written down.
    #[error("{0}; nor could the gap be recorded")]
    Unrecorded(String),
}

/// A request with its number, and whether it is durable in both copies.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) record: TeeRecord,
    pub(crate) durable: Result<(), NotKept>,
}

enum Command {
    /// Number this request and keep it. What its sequence was does not count.
    Keep(TeeRecord, oneshot::Sender<Kept>),
    /// Close the open file if its hour is before this one; whichever it is, if there is none.
    Close(Option<i64>, oneshot::Sender<()>),
}

/// The way to the writing task.
#[derive(Clone)]
pub(crate) struct Tee(mpsc::Sender<Command>);

impl Tee {
    /// Starts the writing task.
    pub(crate) fn start<E: Env>(
        env: &E,
        config: &EdgeConfig,
        tee: TeeConfig,
        numbers: Numbers,
        uploads: Arc<Uploads>,
        gaps: Arc<Gaps<E>>,
    ) -> Tee {
        let (commands, queue) = mpsc::channel(config.limits.in_flight.max(1));
        let peers = Peers::new(env, &config.peers, config.limits);
        let rest = config.limits.rest;
        let writer = Writer {
            env: env.clone(),
            tee,
            rest,
            numbers,
            uploads,
            gaps,
            peers,
            open: None,
            last_hour: None,
            rests_until: None,
        };
        env.spawn(writer.run(queue));
        Tee(commands)
    }

    /// Numbers a request and keeps it. `None` only when the writing task is gone.
    pub(crate) async fn keep(&self, record: TeeRecord) -> Option<Kept> {
        let (reply, kept) = oneshot::channel();
        self.0.send(Command::Keep(record, reply)).await.ok()?;
        kept.await.ok()
    }

    /// Closes the open file, if its hour is before `before` (or in any case, without one).
    pub(crate) async fn close(&self, before: Option<i64>) {
        let (reply, closed) = oneshot::channel();
        if self.0.send(Command::Close(before, reply)).await.is_ok() {
            // An error means that the task is gone, and its open file with it.
            let _ = closed.await;
        }
    }
}

struct Writer<E: Env> {
    env: E,
    tee: TeeConfig,
    rest: Duration,
    numbers: Numbers,
    uploads: Arc<Uploads>,
    gaps: Arc<Gaps<E>>,
    peers: Peers<E>,
    open: Option<OpenFile<<E::Disk as Disk>::File>>,
    /// The latest hour of a file under this boot number.
    last_hour: Option<i64>,
    /// Until when (monotonic) this disk is not asked for a new file.
    rests_until: Option<Duration>,
}

struct OpenFile<F> {
    name: TeeName,
    file: F,
    /// Its length; all of it is durable on this disk.
    len_bytes: u64,
}

struct Waiting {
    record: TeeRecord,
    reply: oneshot::Sender<Kept>,
}

struct Numbered {
    waiting: Waiting,
    frame: Result<Bytes, NotKept>,
}

impl<E: Env> Writer<E> {
    /// Serves commands in the order they came: a close waits for the batches before it.
    async fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut next = queue.recv().await;
        while let Some(command) = next {
            next = match command {
                Command::Close(before, reply) => {
                    self.close(before);
                    let _ = reply.send(());
                    None
                }
                Command::Keep(record, reply) => {
                    let (batch, behind) = gather(Waiting { record, reply }, &mut queue);
                    self.keep(batch).await;
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
            self.uploads.own_closed(open.name);
        }
    }

    /// Keeps a batch of requests of one hour, and tells each what became of it.
    async fn keep(&mut self, batch: Vec<Waiting>) {
        let hour = hour_of(&batch[0].record);
        let ready = self.make_ready(hour, batch[0].record.edge).await;
        let (batch, frames) = self.number(batch);
        let mut written = match ready {
            Ok(()) if frames.is_empty() => Ok(()),
            Ok(()) => self.write(frames).await,
            Err(why) => Err(why),
        };
        if let Err(why) = &written
            && let Err(error) = self.record_gap(&batch, why).await
        {
            self.env.mark(Mark { name: "edge.tee-gap-unrecorded", subject: &error.to_string() });
            written = Err(NotKept::Unrecorded(why.to_string()));
        }
        for Numbered { waiting: Waiting { record, reply }, frame } in batch {
            let durable = frame.and_then(|_| written.clone());
            // Whoever stopped waiting is not told; the request is kept all the same.
            let _ = reply.send(Kept { record, durable });
        }
    }

    /// Sees to it that the open file takes requests of `hour`.
    async fn make_ready(&mut self, hour: i64, edge: u16) -> Result<(), NotKept> {
        let fits = |open: &OpenFile<_>| open.name.hour == hour && open.len_bytes < self.tee.file_max_bytes;
        if self.open.as_ref().is_some_and(fits) {
            return Ok(());
        }
        if self.rests_until.is_some_and(|until| self.env.clock().monotonic() < until) {
            return Err(NotKept::Resting);
        }
        self.close(None);
        match self.begin(hour, edge).await {
            Ok(open) => {
                self.rests_until = None;
                self.uploads.own_opened(open.name);
                self.open = Some(open);
                Ok(())
            }
            Err(error) => {
                self.rests_until = Some(self.env.clock().monotonic() + self.rest);
                Err(error.into())
            }
        }
    }

    async fn begin(&mut self, hour: i64, edge: u16) -> Result<OpenFile<<E::Disk as Disk>::File>, DiskError> {
        if self.last_hour.is_some_and(|last| last >= hour) {
            self.numbers.next_boot(&self.env).await?;
            self.env.mark(Mark { name: "edge.tee-renumbered", subject: "" });
        }
        // Before the file is there: should this fail half-way, its name is not tried again.
        self.last_hour = Some(hour);
        let name = TeeName { hour, edge, boot: self.numbers.boot_number() };
        let file = self.env.disk().open(&path(name), OpenMode::CreateNew).await?;
        Ok(OpenFile { name, file, len_bytes: 0 })
    }

    /// Numbers a batch; the bytes to write, with the header if the file has none yet.
    fn number(&self, batch: Vec<Waiting>) -> (Vec<Numbered>, Bytes) {
        let mut frames = BytesMut::new();
        let mut numbered = Vec::with_capacity(batch.len());
        for mut waiting in batch {
            waiting.record.sequence = self.numbers.take();
            let frame = waiting.record.encode_frame();
            if let Ok(frame) = &frame {
                frames.extend_from_slice(frame);
            }
            numbered.push(Numbered { waiting, frame: frame.map_err(NotKept::from) });
        }
        match &self.open {
            Some(open) if open.len_bytes == 0 && !frames.is_empty() => {
                let file = [&open.name.header(), frames.as_ref()].concat();
                (numbered, file.into())
            }
            _ => (numbered, frames.freeze()),
        }
    }

    /// Appends to both copies at once.
    async fn write(&mut self, bytes: Bytes) -> Result<(), NotKept> {
        let Some(open) = &mut self.open else { return Err(NotKept::Resting) };
        let reject = self.tee.on_failure == OnTeeFailure::Reject;
        if reject && self.peers.all_rest() {
            // What will be refused is better not written: a replay would find requests that nobody was told of.
            return Err(NotKept::Resting);
        }
        let own = append(self.env.disk(), open, bytes.clone());
        let second = self.peers.copy(open.name, &open.file, open.len_bytes, &bytes);
        let (own, second) = join(own, second).await;
        match own {
            Ok(()) => open.len_bytes += bytes.len() as u64,
            Err(_) => {
                self.rests_until = Some(self.env.clock().monotonic() + self.rest);
                self.close(None);
            }
        }
        own?;
        second.map_err(|failure: PeerFailure| {
            if failure.is_final() {
                self.close(None);
            }
            NotKept::Peer(failure.to_string())
        })
    }

    /// Writes down, durably, which requests are forwarded although the tee lacks them, and keeps them for the uploader. If
    /// they cannot be written down they may not be forwarded.
    async fn record_gap(&self, batch: &[Numbered], why: &NotKept) -> Result<(), DiskError> {
        if self.tee.on_failure != OnTeeFailure::AcceptAndRecordGap {
            return Ok(());
        }
        let encoded = batch.iter().filter_map(|one| Some((&one.waiting.record, one.frame.as_ref().ok()?)));
        let lacking: Vec<Lacking<'_>> = encoded.map(|(record, frame)| Lacking { record, frame }).collect();
        let Some(first) = lacking.first().map(|first| first.record) else { return Ok(()) };
        let name = TeeName { hour: hour_of(first), edge: first.edge, boot: boot_of(first.sequence) };
        if self.gaps.record(name, &lacking, &why.to_string()).await? {
            self.uploads.gap_kept(name);
        }
        Ok(())
    }
}

/// Makes `bytes` durable at the end of the file, and on the first time its name.
async fn append<D: Disk>(disk: &D, open: &OpenFile<D::File>, bytes: Bytes) -> Result<(), DiskError> {
    let at = open.file.append(bytes).await?;
    if at != open.len_bytes {
        // What stands between is not ours. The file is given up, as after any other failure.
        return Err(DiskError { kind: DiskErrorKind::Io, op: DiskOp::Append, path: path(open.name) });
    }
    open.file.sync().await?;
    if open.len_bytes == 0 {
        disk.sync_dir(OWN_DIR).await?;
    }
    Ok(())
}

/// The requests that wait behind `first` and are of its hour; and the command behind them that is not.
fn gather(first: Waiting, queue: &mut mpsc::Receiver<Command>) -> (Vec<Waiting>, Option<Command>) {
    let hour = hour_of(&first.record);
    let mut bytes = first.record.body.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_REQUESTS && bytes < BATCH_BYTES {
        match queue.try_recv() {
            Ok(Command::Keep(record, reply)) if hour_of(&record) == hour => {
                bytes += record.body.len();
                batch.push(Waiting { record, reply });
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
