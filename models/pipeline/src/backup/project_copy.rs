//! Copies one project: pins its files on enough disks, chooses those that together hold every acknowledged event, and
//! puts what a data center lacks there and reads it back.
//!
//! Where all pinned disks agree on a day, the files of one disk are enough: a file that cannot be read on one disk is
//! read from another, or another disk's files are used. Where they differ, the files of all disks are needed; a disk
//! with an unreadable file then does not count, and enough disks for a read must be intact without it.

use super::catalog::{CatalogDay, CatalogSegment};
use super::data_center::DataCenter;
use super::error::BackupError;
use crate::arb::api::{ArbRequest, ArbResponse, DayFiles, call};
use crate::config::BootConfig;
use crate::marks;
use crate::record::SetDigest;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Env, Mark, NodeId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(120);
const PIN_FOR: Duration = Duration::from_secs(3600);

type Pinned = Vec<(NodeId, Vec<DayFiles>)>;

/// Copies a project to the data centers that are up. A data center that does not accept a segment is marked as failed.
/// Returns the project's days.
///
/// # Errors
/// Too few disks have readable files; the project's days are then unknown.
pub(super) async fn copy<E: Env>(
    env: &E,
    boot: &BootConfig,
    project: u32,
    arrived_before_ms: i64,
    data_centers: &mut [DataCenter<E>],
) -> Result<Vec<CatalogDay>, BackupError> {
    let pinned = pin(env, boot, project, arrived_before_ms).await;
    let needed = boot.cluster.replication.read_disks;
    let copied = match pinned.len() {
        enough if enough >= needed => {
            ProjectCopy { env, project, needed, pinned: &pinned, data_centers }.days().await
        }
        answered => Err(BackupError::TooFewDisks { project, answered, needed }),
    };
    // Also after a failure: the next attempt pins again, and files that stay pinned are never removed.
    let unpin = ArbRequest::Unpin { project };
    let unpins = pinned.iter().map(|(disk, _)| call(env, *disk, &unpin, Bytes::new(), CALL_TIMEOUT));
    // A pin that cannot be released expires by itself.
    join_all(unpins).await;
    copied
}

/// Pins a project's files on as many disks as are needed; on all disks if one of those does not respond or they
/// disagree, since one may be empty or damaged and other disks have what they lack.
async fn pin<E: Env>(env: &E, boot: &BootConfig, project: u32, arrived_before_ms: i64) -> Pinned {
    let request = ArbRequest::Pin { project, for_ms: PIN_FOR.as_millis() as u64, arrived_before_ms };
    let needed = boot.cluster.replication.read_disks;
    let disks = &boot.cluster.disks;
    let count = disks.len();
    let mut pinned = Vec::new();
    let order: Vec<NodeId> = (0..count).map(|step| disks[(project as usize + step) % count]).collect();
    for batch in [&order[..needed.min(count)], &order[needed.min(count)..]] {
        if pinned.len() >= needed && agree(&pinned) {
            break;
        }
        let calls = batch.iter().map(|disk| call(env, *disk, &request, Bytes::new(), CALL_TIMEOUT));
        for (disk, response) in batch.iter().zip(join_all(calls).await) {
            if let Ok((ArbResponse::Days(days), _)) = response {
                pinned.push((*disk, days));
            }
        }
    }
    pinned
}

/// Whether every day verifies on all of these disks and is equal. Pure.
fn agree(pinned: &[(NodeId, Vec<DayFiles>)]) -> bool {
    let digests = |(_, days): &(NodeId, Vec<DayFiles>)| -> BTreeMap<Day, Option<SetDigest>> {
        days.iter().map(|files| (files.day, files.digest)).collect()
    };
    let verifies = pinned.iter().flat_map(|(_, days)| days).all(|files| files.digest.is_some());
    verifies && pinned.windows(2).all(|pair| digests(&pair[0]) == digests(&pair[1]))
}

/// Files of a day on one disk, by segment; empty if the disk has none.
struct DayCopy {
    files: BTreeMap<CatalogSegment, u64>,
    digest: Option<SetDigest>,
    disk: NodeId,
    /// Whether the disk lists the day.
    is_listed: bool,
}

/// Returns every pinned disk's copy of a day. Pure.
fn copies_of(pinned: &Pinned, day: Day) -> Vec<DayCopy> {
    let copy = |(disk, days): &(NodeId, Vec<DayFiles>)| {
        let listed = days.iter().find(|files| files.day == day);
        let files = listed.iter().flat_map(|listed| &listed.files).filter(|file| file.records > 0);
        let segment = |hash: &str, bytes, records| CatalogSegment { hash: hash.to_owned(), bytes, records };
        DayCopy {
            files: files.map(|file| (segment(&file.hash, file.bytes, file.records), file.id)).collect(),
            digest: listed.and_then(|listed| listed.digest),
            disk: *disk,
            is_listed: listed.is_some(),
        }
    };
    pinned.iter().map(copy).collect()
}

/// Whether all copies are equal, so that one is enough. Pure.
fn copies_agree(copies: &[DayCopy]) -> bool {
    let first = copies.first().and_then(|copy| copy.digest);
    first.is_some() && copies.iter().all(|copy| copy.is_listed && copy.digest == first)
}

/// A project that is being copied.
struct ProjectCopy<'a, E> {
    env: &'a E,
    project: u32,
    needed: usize,
    pinned: &'a Pinned,
    data_centers: &'a mut [DataCenter<E>],
}

impl<E: Env> ProjectCopy<'_, E> {
    async fn days(&mut self) -> Result<Vec<CatalogDay>, BackupError> {
        let listed: BTreeSet<Day> =
            self.pinned.iter().flat_map(|(_, days)| days.iter().map(|files| files.day)).collect();
        let mut days = Vec::new();
        for day in listed {
            let copies = copies_of(self.pinned, day);
            let segments = match copies_agree(&copies) {
                true => self.copy_from_one(day, &copies).await?,
                false => self.copy_from_all(day, &copies).await?,
            };
            if !segments.is_empty() {
                let segments = segments.into_iter().collect();
                days.push(CatalogDay { project: self.project, day, segments });
            }
        }
        Ok(days)
    }

    /// Copies the first disk's files that can be copied completely.
    async fn copy_from_one(
        &mut self,
        day: Day,
        copies: &[DayCopy],
    ) -> Result<BTreeSet<CatalogSegment>, BackupError> {
        let mut unreadable = None;
        for copy in copies {
            let (copied, failed) = self.copy_files(day, copy, copies).await;
            match failed {
                None => return Ok(copied),
                Some(hash) => unreadable = unreadable.or(Some(hash)),
            }
        }
        Err(BackupError::Unreadable { project: self.project, hash: unreadable.unwrap_or_default() })
    }

    /// Copies what can be copied of all disks, if enough of them are intact.
    async fn copy_from_all(
        &mut self,
        day: Day,
        copies: &[DayCopy],
    ) -> Result<BTreeSet<CatalogSegment>, BackupError> {
        let (mut all, mut intact, mut unreadable) = (BTreeSet::new(), 0, None);
        for copy in copies {
            let (copied, failed) = self.copy_files(day, copy, copies).await;
            all.extend(copied);
            intact += usize::from(failed.is_none());
            unreadable = unreadable.or(failed);
        }
        match unreadable {
            Some(hash) if intact < self.needed => {
                Err(BackupError::Unreadable { project: self.project, hash })
            }
            _ => Ok(all),
        }
    }

    /// Copies one disk's files, each from any disk that has the same file. Returns the copied segments, and the hash of
    /// one that could not be copied.
    async fn copy_files(
        &mut self,
        day: Day,
        copy: &DayCopy,
        copies: &[DayCopy],
    ) -> (BTreeSet<CatalogSegment>, Option<String>) {
        let (mut copied, mut failed) = (BTreeSet::new(), None);
        for segment in copy.files.keys() {
            let others = copies.iter().filter(|other| other.disk != copy.disk);
            let sources = [copy].into_iter().chain(others);
            let sources: Vec<(NodeId, u64)> =
                sources.filter_map(|from| Some((from.disk, *from.files.get(segment)?))).collect();
            if self.segment(day, segment, &sources).await {
                copied.insert(segment.clone());
            } else {
                failed = Some(segment.hash.clone());
            }
        }
        (copied, failed)
    }

    /// Puts a segment where it is not held. Returns false when its bytes cannot be obtained.
    async fn segment(&mut self, day: Day, segment: &CatalogSegment, sources: &[(NodeId, u64)]) -> bool {
        let mut lacking = Vec::new();
        for (index, data_center) in self.data_centers.iter_mut().enumerate() {
            if !data_center.holds(segment).await && data_center.is_up() {
                lacking.push(index);
            }
        }
        if lacking.is_empty() {
            return true;
        }
        let Some(bytes) = self.bytes_of(day, &segment.hash, sources).await else { return false };
        for index in lacking {
            self.data_centers[index].put(segment, &bytes).await;
        }
        true
    }

    /// Reads a segment from a disk, or else from a data center that holds it.
    async fn bytes_of(&self, day: Day, hash: &str, sources: &[(NodeId, u64)]) -> Option<Bytes> {
        for (disk, id) in sources {
            let request = ArbRequest::Fetch { project: self.project, day, id: *id };
            if let Ok((ArbResponse::Bytes, bytes)) =
                call(self.env, *disk, &request, Bytes::new(), CALL_TIMEOUT).await
                && blake3::hash(&bytes).to_hex().as_str() == hash
            {
                return Some(bytes);
            }
            self.env.mark(Mark { name: marks::BACKUP_COPY_UNREADABLE, subject: hash });
        }
        for data_center in self.data_centers.iter().filter(|one| one.lists(hash)) {
            if let Ok(Some(bytes)) = data_center.read(hash).await {
                return Some(bytes);
            }
        }
        None
    }
}
