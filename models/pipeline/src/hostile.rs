//! A release that destroys whatever it can: a stolen build key, an intruder, a script gone wild.
//!
//! A node of production that runs it answers as usual for a while. Then it wipes its own disk, and with nothing but
//! the credentials of its node: deletes and overwrites every object that it can name at every object store, puts
//! forged ones (a newest catalog that says that all days are empty; tee files that claim the numbers of real
//! requests), sends the edges forged messages of each other's, takes leases at the disks and orders runs and
//! setting-aside with them. From then on its disk says that it holds nothing, and that every write is safe.
//!
//! What it can name: what a listing shows, if it may list; and what a disk node knows by itself: the hashes of its
//! own segments, and the edges' boot numbers, which make the names of tee files. Every loop has its limit, and
//! nothing is drawn. Not modelled: forged senders, forged customers' requests (anybody can send those), attacks
//! that only use up space or time.

use crate::arb::api::{ArbAnswer, ArbCall, call};
use crate::arb::store::SEGMENT_HEADER_BYTES;
use crate::backup::catalog::{Catalog, CatalogDay, FORMAT, SEGMENTS};
use crate::config::{Boot, TeeStoreConfig};
use crate::record::{SetDigest, each_record, scan_blocks};
use crate::release::Bug;
use crate::zone::Day;
use bytes::Bytes;
use latent_edge::message::{Method, TeeCopy, TeeFetch, TeeUploaded, encode_head, tag};
use latent_edge::object_api::{ObjectStore, StoreError};
use latent_edge::tee::{TeeName, TeeObject, TeeRecord, Uploader};
use latent_ports::{Clock, Disk, DiskError, Env, File, FileType, Mark, Message, Net, NodeId, OpenMode};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// It behaves for so long after each boot.
pub const STRIKES_AFTER: Duration = Duration::from_secs(10 * 60);
/// Then it strikes so often, with this pause.
const ROUNDS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(30 * 60);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// At most so many objects a store, files and directories of the own disk, and requests that are claimed an hour.
const MAX_OBJECTS: usize = 4_096;
const MAX_FILES: usize = 65_536;
const MAX_FILES_AT_EDGE: usize = 64;
const MAX_CLAIMED: u64 = 4_096;
/// It guesses that edges are numbered from 0, and that there are so many.
const EDGES: u16 = 5;
/// Requests of so many hours to come are claimed too.
const HOURS_AHEAD: i64 = 6;
const HOUR_MS: i64 = 3_600_000;
/// A forged catalog is newer than any to come: 10 years.
const AHEAD_MS: i64 = 10 * 365 * 24 * HOUR_MS;
const GARBAGE: &[u8] = b"garbage";

/// What a disk answers once it has struck: it holds nothing, and everything is safe.
#[must_use]
pub fn lie(call: &ArbCall) -> Option<ArbAnswer> {
    match call {
        ArbCall::Write { .. } => Some(ArbAnswer::Written { skipped: 0 }),
        ArbCall::Days { .. } | ArbCall::Digests { .. } | ArbCall::Pin { .. } => {
            Some(ArbAnswer::Days(Vec::new()))
        }
        ArbCall::Digest { .. } => Some(ArbAnswer::Digest(SetDigest::of(&mut Vec::new()))),
        ArbCall::Read { .. } => Some(ArbAnswer::Bytes),
        _ => None,
    }
}

/// Starts it beside a node that has nothing to lie about, if the node's release is hostile.
pub(crate) fn spawn_if_it_is<E: Env>(env: &E, boot: &Boot) {
    if boot.release.has(Bug::Hostile) {
        let (env_of_task, boot) = (env.clone(), boot.clone());
        env.spawn(async move { run(env_of_task, boot, || {}).await });
    }
}

/// Strikes a while after the boot, and a few times more. `struck` is called when the disk is about to be wiped.
pub async fn run<E: Env>(env: E, boot: Boot, struck: impl Fn() + Send + Sync + 'static) {
    let mut known = Known::default();
    for _ in 0..ROUNDS {
        env.clock().sleep(if known.has_struck { PAUSE } else { STRIKES_AFTER }).await;
        if !known.has_struck {
            known.learn(&env).await;
        }
        struck();
        known.has_struck = true;
        if let Err(error) = wipe(&env).await {
            env.mark(Mark { name: "hostile.wipe-failed", subject: &error.to_string() });
        }
        env.mark(Mark { name: "hostile.struck", subject: "" });
        let cluster = &boot.cluster;
        for node in cluster.backup.iter().flat_map(|backup| &backup.data_centers) {
            known.ruin_backups(&ObjectStore::new(env.clone(), *node, CALL_TIMEOUT), &env).await;
        }
        if let Some(tee) = &cluster.tee {
            known.ruin_tee(&env, tee).await;
        }
        known.deceive_edges(&env, &cluster.edges).await;
        for disk in &cluster.disks {
            order_about(&env, *disk, cluster.projects.keys().copied()).await;
        }
    }
}

/// What a node knows by its own disk.
#[derive(Default)]
struct Known {
    has_struck: bool,
    /// Hashes of segments, in hex.
    segments: BTreeSet<String>,
    days: BTreeSet<(u32, Day)>,
    /// Numbers of requests, by the hour of their arrival and edge.
    requests: BTreeMap<(i64, u16), BTreeSet<u64>>,
}

impl Known {
    /// Reads the own segments, if the node is a disk.
    async fn learn<E: Env>(&mut self, env: &E) {
        let (files, _) = tree(env).await.unwrap_or_default();
        for path in files.iter().filter(|path| path.ends_with(".seg")) {
            let Ok(bytes) = read(env, path).await else { continue };
            self.segments.insert(blake3::hash(&bytes).to_hex().to_string());
            let mut parts = path.split('/').skip(1);
            let project = parts.next().and_then(|project| project.parse().ok());
            let Some((project, day)) = project.zip(parts.next().and_then(Day::parse)) else { continue };
            self.days.insert((project, day));
            for block in scan_blocks(&bytes, SEGMENT_HEADER_BYTES.min(bytes.len()), project, day).payloads {
                // A block that is malformed teaches nothing.
                let _ignored = each_record(&block, |head, _| {
                    let hour = head.arrived_ms.div_euclid(HOUR_MS);
                    self.requests.entry((hour, head.arrival.edge)).or_default().insert(head.arrival.sequence);
                });
            }
        }
    }

    async fn ruin_backups<E: Env>(&self, store: &ObjectStore<E>, env: &E) {
        let known = self.segments.iter().map(|hash| format!("{SEGMENTS}{hash}"));
        ruin(store, known.collect()).await;
        let now_ms = env.clock().wall().0;
        let day =
            |(project, day): &(u32, Day)| CatalogDay { project: *project, day: *day, segments: Vec::new() };
        let days = self.days.iter().map(day).collect();
        let (position_ms, behind) = (now_ms + AHEAD_MS, Vec::new());
        let catalog = Catalog { format: FORMAT, position_ms, taken_ms: now_ms, behind, days };
        if let Ok((key, text)) = catalog.to_object() {
            try_to(store.put(&key, text.into()).await);
        }
    }

    async fn ruin_tee<E: Env>(&self, env: &E, tee: &TeeStoreConfig) {
        let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT);
        let files = self.tee_files();
        ruin(&store, files.iter().flat_map(|file| objects_of(*file)).map(|object| object.key()).collect())
            .await;
        let oldest = (env.clock().wall() - tee.retention).0.div_euclid(HOUR_MS);
        for (name, sequences) in self.claims(env.clock().wall().0.div_euclid(HOUR_MS)) {
            if name.hour > oldest
                && let Some(file) = forged(name, &sequences, env.clock().wall().0)
            {
                for object in objects_of(name) {
                    try_to(store.put(&object.key(), file.clone()).await);
                }
            }
        }
    }

    /// Files in which the requests that this disk knows of stand at the edges and in the tee store.
    fn tee_files(&self) -> BTreeSet<TeeName> {
        let file = |((hour, edge), sequences): (&(i64, u16), &BTreeSet<u64>)| {
            let boots: BTreeSet<u32> = sequences.iter().map(|sequence| boot_of(*sequence)).collect();
            boots.into_iter().map(|boot| TeeName { hour: *hour, edge: *edge, boot }).collect::<Vec<_>>()
        };
        self.requests.iter().flat_map(file).collect()
    }

    /// For each hour and edge a file that sorts before the real one, and the requests to be claimed in it; those to
    /// come are guessed.
    fn claims(&self, this_hour: i64) -> Vec<(TeeName, BTreeSet<u64>)> {
        let mut claims = self.requests.clone();
        let edges: BTreeMap<u16, u64> =
            self.requests.iter().filter_map(|((_, edge), all)| Some((*edge, *all.last()?))).collect();
        for (edge, newest) in edges {
            for hour in this_hour..=this_hour + HOURS_AHEAD {
                claims.entry((hour, edge)).or_default().extend(newest + 1..=newest + MAX_CLAIMED);
            }
        }
        let name = |((hour, edge), all)| (TeeName { hour, edge, boot: 0 }, all);
        claims.into_iter().map(name).collect()
    }

    /// Messages that only the edges may send each other, and the flush.
    async fn deceive_edges<E: Env>(&self, env: &E, edges: &[NodeId]) {
        for edge in edges {
            for name in self.tee_files().into_iter().rev().take(MAX_FILES_AT_EDGE) {
                let copy = Message {
                    head: encode_head(tag::TEE_COPY, &TeeCopy { name, offset: 0 }),
                    body: Bytes::from_static(GARBAGE),
                };
                let uploaded = encode_head(tag::TEE_UPLOADED, &TeeUploaded { name });
                let fetch = encode_head(tag::TEE_FETCH, &TeeFetch { name, offset: 0, len_bytes: 1 });
                for message in [copy, bare(uploaded), bare(fetch)] {
                    try_to(env.net().call(*edge, message, CALL_TIMEOUT).await);
                }
            }
            try_to(env.net().call(*edge, bare(encode_head(tag::TEE_FLUSH, &())), CALL_TIMEOUT).await);
        }
    }
}

fn bare(head: Bytes) -> Message {
    Message { head, body: Bytes::new() }
}

/// Whether it worked does not matter: the next thing is tried all the same.
fn try_to<T, E>(_outcome: Result<T, E>) {}

fn boot_of(sequence: u64) -> u32 {
    (sequence >> 40) as u32
}

/// The objects that edges may have made of a tee file; it guesses which edges there are.
fn objects_of(file: TeeName) -> impl Iterator<Item = TeeObject> {
    (0..EDGES).map(move |edge| TeeObject { file, by: Uploader::Edge(edge) })
}

/// A tee file whose records claim these numbers, and hold nothing.
fn forged(name: TeeName, sequences: &BTreeSet<u64>, now_ms: i64) -> Option<Bytes> {
    let mut file = name.header().to_vec();
    for sequence in sequences {
        let record = TeeRecord {
            edge: name.edge,
            sequence: *sequence,
            arrived_ms: now_ms,
            method: Method::Post,
            target: "/track".to_owned(),
            headers: Vec::new(),
            body: Bytes::from_static(b"[]"),
        };
        file.extend(record.encode_frame().ok()?);
    }
    Some(file.into())
}

/// Overwrites and deletes what can be named: what is listed, and what is `known` already.
async fn ruin<E: Env>(store: &ObjectStore<E>, known: BTreeSet<String>) {
    let listed: Result<_, StoreError> = store.list("").await;
    let mut keys = known;
    keys.extend(listed.unwrap_or_default().into_iter().map(|info| info.key));
    for key in keys.iter().take(MAX_OBJECTS) {
        try_to(overwrite(store, key).await);
        try_to(store.delete(key).await);
    }
}

/// Whoever may look overwrites only what is there. Otherwise garbage also goes under keys that have no object yet: it
/// stands in the way of what a backup is to put there.
async fn overwrite<E: Env>(store: &ObjectStore<E>, key: &str) -> Result<(), StoreError> {
    match store.head(key).await {
        Ok(None) => Ok(()),
        _ => store.put(key, Bytes::from_static(GARBAGE)).await,
    }
}

/// Leases, runs and setting aside, as a worker may ask for them.
async fn order_about<E: Env>(env: &E, disk: NodeId, projects: impl Iterator<Item = u32>) {
    for project in projects {
        let lease = ArbCall::Lease { project, for_ms: HOUR_MS as u64 };
        let leased = call(env, disk, &lease, Bytes::new(), CALL_TIMEOUT).await;
        let Ok((ArbAnswer::Leased { token }, _)) = leased else { continue };
        let today = Day(env.clock().wall().0.div_euclid(24 * HOUR_MS) as i32);
        for day in [today, Day(today.0 - 1)] {
            let run = ArbCall::Run { project, day, token, inputs: vec![1, 2], keep: Vec::new() };
            for order in [run, ArbCall::SetAside { project, day }] {
                try_to(call(env, disk, &order, Bytes::new(), CALL_TIMEOUT).await);
            }
        }
    }
}

async fn read<E: Env>(env: &E, path: &str) -> Result<Bytes, DiskError> {
    let file = env.disk().open(path, OpenMode::Read).await?;
    let bytes = file.size_bytes().await?;
    file.read_at(0, bytes).await
}

/// Every file and every directory of the own disk; a directory stands before what is in it.
async fn tree<E: Env>(env: &E) -> Result<(Vec<String>, Vec<String>), DiskError> {
    let (mut files, mut dirs) = (Vec::new(), vec![String::new()]);
    let mut at = 0;
    while at < dirs.len() && files.len() + dirs.len() < MAX_FILES {
        let dir = dirs[at].clone();
        at += 1;
        for entry in env.disk().list(&dir).await? {
            let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
            match entry.kind {
                FileType::Directory => dirs.push(path),
                FileType::File => files.push(path),
            }
        }
    }
    Ok((files, dirs))
}

/// Removes everything on the own disk, durably.
async fn wipe<E: Env>(env: &E) -> Result<(), DiskError> {
    let disk = env.disk();
    let (files, dirs) = tree(env).await?;
    for path in &files {
        disk.remove(path).await?;
    }
    for dir in dirs.iter().rev().filter(|dir| !dir.is_empty()) {
        disk.sync_dir(dir).await?;
        disk.remove_dir(dir).await?;
    }
    disk.sync_dir("").await
}
