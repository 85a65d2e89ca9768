//! Adversarial release that destroys everything that its credentials allow: a stolen build key, an intruder, a runaway
//! script.
//!
//! A production node that runs it behaves normally for a while. Then it wipes its own disk and, using only the
//! credentials of its node, does the following. It deletes and overwrites every object that it can name at every object
//! store. It puts forged objects (a newest catalog in which all days are empty; tee files that claim the sequence
//! numbers of real requests). It sends the edges forged messages of each other, takes leases at the disks, and orders
//! runs and quarantines with them. From then on its disk reports that it holds nothing, and that every write succeeded.
//!
//! Names that it knows: those in a listing, if it may list; and those that a disk node knows by itself: the hashes of
//! its own segments, and the edges' boot numbers, which make up the names of tee files. Every loop is bounded, and
//! nothing is drawn at random. Not modelled: forged senders, forged customer requests (anyone can send those), attacks
//! that only consume space or time.

use crate::marks;
use bytes::Bytes;
use latent_edge::tee::calls::{TeeCopy, TeeFetch, TeeUploaded};
use latent_edge::tee::{ObjectWriter, TeeName, TeeObject, TeeRecord};
use latent_pipeline::arb::api::{ArbRequest, ArbResponse, call};
use latent_pipeline::arb::segment::SEGMENT_HEADER_BYTES;
use latent_pipeline::backup::catalog::{Catalog, CatalogDay, FORMAT, SEGMENTS};
use latent_pipeline::codec;
use latent_pipeline::config::{BootConfig, TeeStoreConfig};
use latent_pipeline::record::{SetDigest, each_record, scan_blocks};
use latent_pipeline::zone::Day;
use latent_ports::{Clock, Disk, DiskError, Env, File, FileType, Mark, Message, Net, NodeId, OpenMode};
use latent_storekit::http_message::Method;
use latent_storekit::message::{encode_head, tag};
use latent_storekit::object_store::{ObjectStore, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Delay from boot to the first attack.
const ATTACK_DELAY: Duration = Duration::from_secs(10 * 60);
/// Number of attacks, and the pause between them.
const ATTACK_ROUNDS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(30 * 60);
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Limits: objects per store, files and directories of the own disk, tee files per edge, and claimed requests per hour.
const MAX_OBJECTS: usize = 4_096;
const MAX_FILES: usize = 65_536;
const MAX_FILES_AT_EDGE: usize = 64;
const MAX_CLAIMED: u64 = 4_096;
/// Number of edges that it assumes, numbered from 0.
const EDGES: u16 = 5;
/// Number of future hours for which requests are claimed too.
const HOURS_AHEAD: i64 = 6;
const HOUR_MS: i64 = 3_600_000;
/// Lead of a forged catalog, so that it is newer than any real one: 10 years.
const AHEAD_MS: i64 = 10 * 365 * 24 * HOUR_MS;
const GARBAGE: &[u8] = b"garbage";

/// Returns the false response of a node that a hostile release has attacked to a call for its disk: it holds nothing,
/// and every write succeeded. `None` for other messages.
pub(super) fn false_response(message: &Message) -> Option<Message> {
    let response = match codec::decode::<ArbRequest>(tag::ARB, message).ok()? {
        ArbRequest::Write { .. } => ArbResponse::Written { skipped: 0 },
        ArbRequest::Days { .. } | ArbRequest::Digests { .. } | ArbRequest::Pin { .. } => {
            ArbResponse::Days(Vec::new())
        }
        ArbRequest::Digest { .. } => ArbResponse::Digest(SetDigest::of(&mut Vec::new())),
        ArbRequest::Read { .. } => ArbResponse::Bytes,
        _ => return None,
    };
    Some(codec::message_with(tag::ARB, &response, Bytes::new()))
}

/// Attacks some time after boot, and a few more times. Calls `on_attack` before the disk is wiped.
pub async fn run<E: Env>(env: E, boot: BootConfig, on_attack: impl Fn() + Send + Sync + 'static) {
    let mut knowledge = NodeKnowledge::default();
    for _ in 0..ATTACK_ROUNDS {
        env.clock().sleep(if knowledge.has_attacked { PAUSE } else { ATTACK_DELAY }).await;
        if !knowledge.has_attacked {
            knowledge.read_own_segments(&env).await;
        }
        on_attack();
        knowledge.has_attacked = true;
        if let Err(error) = wipe_disk(&env).await {
            env.mark(Mark { name: marks::ADVERSARY_WIPE_FAILED, subject: &error.to_string() });
        }
        env.mark(Mark { name: marks::ADVERSARY_WIPED, subject: "" });
        let cluster = &boot.cluster;
        for node in cluster.backup.iter().flat_map(|backup| &backup.data_centers) {
            knowledge.destroy_backups(&ObjectStore::new(env.clone(), *node, CALL_TIMEOUT), &env).await;
        }
        if let Some(tee) = &cluster.tee {
            knowledge.destroy_tee(&env, tee).await;
        }
        knowledge.send_forged_messages(&env, &cluster.edges).await;
        for disk in &cluster.disks {
            issue_commands(&env, *disk, cluster.projects.keys().copied()).await;
        }
    }
}

/// Knowledge that a node has from its own disk.
#[derive(Default)]
struct NodeKnowledge {
    has_attacked: bool,
    /// Hashes of segments, in hex.
    segments: BTreeSet<String>,
    days: BTreeSet<(u32, Day)>,
    /// Sequence numbers of requests, by the hour of their arrival and edge.
    requests: BTreeMap<(i64, u16), BTreeSet<u64>>,
}

impl NodeKnowledge {
    /// Reads the own segments, if the node is a disk.
    async fn read_own_segments<E: Env>(&mut self, env: &E) {
        let (files, _) = list_tree(env).await.unwrap_or_default();
        for path in files.iter().filter(|path| path.ends_with(".seg")) {
            let Ok(bytes) = read(env, path).await else { continue };
            self.segments.insert(blake3::hash(&bytes).to_hex().to_string());
            let mut parts = path.split('/').skip(1);
            let project = parts.next().and_then(|project| project.parse().ok());
            let Some((project, day)) = project.zip(parts.next().and_then(Day::parse)) else { continue };
            self.days.insert((project, day));
            for block in scan_blocks(&bytes, SEGMENT_HEADER_BYTES.min(bytes.len()), project, day).payloads {
                // Malformed blocks are skipped.
                let _ignored = each_record(&block, |head, _| {
                    let hour = head.arrived_ms.div_euclid(HOUR_MS);
                    self.requests.entry((hour, head.arrival.edge)).or_default().insert(head.arrival.sequence);
                });
            }
        }
    }

    async fn destroy_backups<E: Env>(&self, store: &ObjectStore<E>, env: &E) {
        let known_keys = self.segments.iter().map(|hash| format!("{SEGMENTS}{hash}"));
        destroy_objects(store, known_keys.collect()).await;
        let now_ms = env.clock().wall().0;
        let day =
            |(project, day): &(u32, Day)| CatalogDay { project: *project, day: *day, segments: Vec::new() };
        let days = self.days.iter().map(day).collect();
        let (position_ms, behind) = (now_ms + AHEAD_MS, Vec::new());
        let catalog = Catalog { format: FORMAT, position_ms, taken_ms: now_ms, behind, days };
        if let Ok((key, text)) = catalog.to_object() {
            ignore_result(store.put(&key, text.into()).await);
        }
    }

    async fn destroy_tee<E: Env>(&self, env: &E, tee: &TeeStoreConfig) {
        let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT);
        let files = self.tee_files();
        destroy_objects(
            &store,
            files.iter().flat_map(|file| objects_of(*file)).map(|object| object.key()).collect(),
        )
        .await;
        let oldest = (env.clock().wall() - tee.retention).0.div_euclid(HOUR_MS);
        for (name, sequences) in self.requests_to_claim(env.clock().wall().0.div_euclid(HOUR_MS)) {
            if name.hour > oldest
                && let Some(file) = forged_file(name, &sequences, env.clock().wall().0)
            {
                for object in objects_of(name) {
                    ignore_result(store.put(&object.key(), file.clone()).await);
                }
            }
        }
    }

    /// Returns the tee files that hold the requests known to this disk, at the edges and in the tee store.
    fn tee_files(&self) -> BTreeSet<TeeName> {
        let file = |((hour, edge), sequences): (&(i64, u16), &BTreeSet<u64>)| {
            let boots: BTreeSet<u32> = sequences.iter().map(|sequence| boot_of(*sequence)).collect();
            boots.into_iter().map(|boot| TeeName { hour: *hour, edge: *edge, boot }).collect::<Vec<_>>()
        };
        self.requests.iter().flat_map(file).collect()
    }

    /// Returns, for each hour and edge, a file that sorts before the real one and the requests to claim in it. Future
    /// requests are guessed.
    fn requests_to_claim(&self, this_hour: i64) -> Vec<(TeeName, BTreeSet<u64>)> {
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

    /// Sends messages that only edges may send each other, and a flush.
    async fn send_forged_messages<E: Env>(&self, env: &E, edges: &[NodeId]) {
        for edge in edges {
            for name in self.tee_files().into_iter().rev().take(MAX_FILES_AT_EDGE) {
                let copy = Message {
                    head: encode_head(tag::TEE_COPY, &TeeCopy { name, offset: 0 }),
                    body: Bytes::from_static(GARBAGE),
                };
                let uploaded = encode_head(tag::TEE_UPLOADED, &TeeUploaded { name });
                let fetch = encode_head(tag::TEE_FETCH, &TeeFetch { name, offset: 0, len_bytes: 1 });
                for message in [copy, message_without_body(uploaded), message_without_body(fetch)] {
                    ignore_result(env.net().call(*edge, message, CALL_TIMEOUT).await);
                }
            }
            ignore_result(
                env.net()
                    .call(*edge, message_without_body(encode_head(tag::TEE_FLUSH, &())), CALL_TIMEOUT)
                    .await,
            );
        }
    }
}

fn message_without_body(head: Bytes) -> Message {
    Message { head, body: Bytes::new() }
}

/// Discards a result: the attack continues whether or not a step succeeded.
fn ignore_result<T, E>(_outcome: Result<T, E>) {}

fn boot_of(sequence: u64) -> u32 {
    (sequence >> 40) as u32
}

/// Returns the objects that edges may have written for a tee file, assuming [`EDGES`] edges.
fn objects_of(file: TeeName) -> impl Iterator<Item = TeeObject> {
    (0..EDGES).map(move |edge| TeeObject { file, writer: ObjectWriter::Edge(edge) })
}

/// Encodes a tee file whose records claim these sequence numbers and hold no events.
fn forged_file(name: TeeName, sequences: &BTreeSet<u64>, now_ms: i64) -> Option<Bytes> {
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

/// Overwrites and deletes all objects that it can name: listed ones and `known_keys`.
async fn destroy_objects<E: Env>(store: &ObjectStore<E>, known_keys: BTreeSet<String>) {
    let listed: Result<_, StoreError> = store.list("").await;
    let mut keys = known_keys;
    keys.extend(listed.unwrap_or_default().into_iter().map(|info| info.key));
    for key in keys.iter().take(MAX_OBJECTS) {
        ignore_result(overwrite(store, key).await);
        ignore_result(store.delete(key).await);
    }
}

/// With read permission, overwrites only objects that exist. Without it, garbage also goes under keys that have no
/// object yet, where it blocks what a backup will put there.
async fn overwrite<E: Env>(store: &ObjectStore<E>, key: &str) -> Result<(), StoreError> {
    match store.head(key).await {
        Ok(None) => Ok(()),
        _ => store.put(key, Bytes::from_static(GARBAGE)).await,
    }
}

/// Takes leases, and orders runs and quarantines, as a worker would.
async fn issue_commands<E: Env>(env: &E, disk: NodeId, projects: impl Iterator<Item = u32>) {
    for project in projects {
        let lease = ArbRequest::Lease { project, for_ms: HOUR_MS as u64 };
        let leased = call(env, disk, &lease, Bytes::new(), CALL_TIMEOUT).await;
        let Ok((ArbResponse::Leased { token }, _)) = leased else { continue };
        let today = Day(env.clock().wall().0.div_euclid(24 * HOUR_MS) as i32);
        for day in [today, Day(today.0 - 1)] {
            let run = ArbRequest::Run { project, day, token, inputs: vec![1, 2], keep: Vec::new() };
            for order in [run, ArbRequest::Quarantine { project, day }] {
                ignore_result(call(env, disk, &order, Bytes::new(), CALL_TIMEOUT).await);
            }
        }
    }
}

async fn read<E: Env>(env: &E, path: &str) -> Result<Bytes, DiskError> {
    let file = env.disk().open(path, OpenMode::Read).await?;
    let bytes = file.size_bytes().await?;
    file.read_at(0, bytes).await
}

/// Lists every file and directory of the own disk; a directory comes before its contents.
async fn list_tree<E: Env>(env: &E) -> Result<(Vec<String>, Vec<String>), DiskError> {
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
async fn wipe_disk<E: Env>(env: &E) -> Result<(), DiskError> {
    let disk = env.disk();
    let (files, dirs) = list_tree(env).await?;
    for path in &files {
        disk.remove(path).await?;
    }
    for dir in dirs.iter().rev().filter(|dir| !dir.is_empty()) {
        disk.sync_dir(dir).await?;
        disk.remove_dir(dir).await?;
    }
    disk.sync_dir("").await
}
