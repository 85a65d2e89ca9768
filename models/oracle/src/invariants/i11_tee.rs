//! I11: the tee holds, byte for byte, every acknowledged request of the last 7 days by arrival.
//!
//! A request is on its edge's disk, on another edge's, in the tee store, or in several of these; copies with one
//! number must be equal. Requests are identified by [`crate::request_digest`]: of equal requests, at least as many
//! must be there as were acknowledged. More may be there: requests without an answer, and requests that ingest
//! refused. Where a planned fault destroyed a file's bytes and no other copy of the file is readable, the contents of
//! the file are unknown, and its hour is not checked. A request may be missing if an edge recorded, when the request
//! arrived, that it let it through, and has not teed it since: each such line excuses one request that was in flight
//! then.
//!
//! In the tee store each record is in two readable objects from [`SECOND_COPY_WITHIN_MS`] after its hour on: both
//! edges uploaded it, or the store's keeper, which reads every object within a day, has copied it into another object.
//! Faults excuse a single copy, for as long after them as a repair may take.
//!
//! Documented in docs/invariants.md#i11.

use super::{CheckContext, pluralize};
use crate::day::format_utc;
use crate::decode_cache::DecodeCache;
use crate::ledger::{AckedRequest, Ledger};
use crate::reader::gaps::OpenGaps;
use crate::reader::tee;
use crate::reader::teed_request::{self, TeedRequest};
use crate::reader::{ReadError, ReadErrorKind};
use crate::view::{DiskView, FileView};
use latent_verdict::Violation;
use std::collections::{BTreeMap, BTreeSet};

const HOUR_MS: i64 = 3_600_000;

/// Time in milliseconds after which each record must be in two objects: both edges upload within two hours of a file's
/// hour, and the keeper reads every object within a day, checking every six hours.
pub const SECOND_COPY_WITHIN_MS: i64 = 26 * 3_600_000;

/// Retention of the tee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeeRetention {
    /// Requests are kept this long after their arrival.
    pub retention_ms: i64,
    /// Tolerance by which requests may expire earlier: the error of the clocks by which the store's keeper removes
    /// files, and the time for which it trusts a file's name. A file that it sees later is kept from then.
    pub tolerance_ms: i64,
    /// Maximum difference between the hour in a file's name, by the edge's clock, and the arrival of its requests, plus
    /// the error of the keeper's clocks: what is judged by names has this tolerance.
    pub name_tolerance_ms: i64,
    /// Time since which nothing has kept edges and tee store from working, in milliseconds since 1970.
    pub undisturbed_since_ms: i64,
}

/// Longest time that a request waits for the batch that an edge writes it with; an edge never answers one that waited
/// longer.
const MAX_BATCH_WAIT_MS: i64 = 60_000;

/// Checks every tee file on these disks: edges and tee store.
pub fn check(
    cache: &mut DecodeCache,
    ledger: &Ledger,
    disks: &[DiskView],
    retention: TeeRetention,
    context: &CheckContext,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_number: BTreeMap<(u16, u64), u128> = BTreeMap::new();
    let mut object_counts = TeeObjectCounts::default();
    let (mut lost_files, mut read) = (BTreeSet::new(), BTreeSet::new());
    for disk in disks {
        for file in disk.files.iter().filter(|file| is_tee_file(&file.path)) {
            let teed = match cache.tee(file) {
                Ok(teed) => teed,
                Err(error) => {
                    if file.corrupted {
                        lost_files.extend(parse_tee_path(&file.path));
                    }
                    found.extend(unreadable(disk, file, &error, context));
                    continue;
                }
            };
            read.extend(parse_tee_path(&file.path));
            if file.path.starts_with(STORE_DIR) {
                object_counts.add(&file.path, &teed);
            }
            for one in teed.iter() {
                if *by_number.entry((one.edge, one.sequence)).or_insert(one.digest) != one.digest {
                    let detail = format!(
                        "{}: {} has another request with sequence number {}",
                        disk.name, file.path, one.sequence
                    );
                    found.push(tee_violation("copies-differ", 1, context).because(detail));
                }
            }
        }
    }
    let oldest_ms = context.at_ms - retention.retention_ms + retention.tolerance_ms;
    let oldest_by_name_ms = context.at_ms - retention.retention_ms + retention.name_tolerance_ms;
    found.extend(object_counts.single_copies(oldest_by_name_ms, retention, context));
    let lost_files =
        lost_files.difference(&read).filter_map(|(hour, _, _)| i64::try_from(*hour).ok()).collect();
    let gaps = OpenGaps::of(disks);
    found.extend(missing(ledger, by_number.into_values(), &lost_files, (oldest_ms, &gaps), context));
    found
}

/// Finds the copies of single requests. Files that grow are digested once: what they held before is remembered.
#[derive(Clone, Debug, Default)]
pub struct TeeCopies {
    /// Digests of the requests of a file, in its order, by disk and path.
    digests: BTreeMap<(String, String), Vec<u128>>,
}

impl TeeCopies {
    /// Returns the number of copies of a request on these disks: one for each edge that has it in a file, and one for
    /// each object of the tee store. Files whose hour, by their names, is not among `hours` are not read.
    pub fn of(&mut self, disks: &[DiskView], digest: u128, hours: std::ops::RangeInclusive<i64>) -> usize {
        let hour_of = |path: &str| parse_tee_path(path).and_then(|(hour, _, _)| i64::try_from(hour).ok());
        self.digests.retain(|(_, path), _| hour_of(path).is_some_and(|hour| hour >= *hours.start()));
        let is_of_hours = |file: &&FileView| {
            is_tee_file(&file.path) && hour_of(&file.path).is_some_and(|hour| hours.contains(&hour))
        };
        let mut copies = 0;
        for disk in disks {
            let (objects, files): (Vec<&FileView>, Vec<&FileView>) =
                disk.files.iter().filter(is_of_hours).partition(|file| file.path.starts_with(STORE_DIR));
            copies += usize::from(files.into_iter().any(|file| self.holds(&disk.name, file, digest)));
            copies += objects.into_iter().filter(|file| self.holds(&disk.name, file, digest)).count();
        }
        copies
    }

    fn holds(&mut self, disk: &str, file: &FileView, digest: u128) -> bool {
        let known = self.digests.entry((disk.to_owned(), file.path.clone())).or_default();
        let Ok(read) = tee::read(file) else { return false };
        if file.corrupted || read.records.len() < known.len() {
            known.clear();
        }
        known.extend(read.records[known.len()..].iter().map(teed_request::digest_of));
        known.contains(&digest)
    }
}

/// Reports an acknowledged request with fewer copies than promised.
#[must_use]
pub fn too_few_copies(
    digest: u128,
    copies: usize,
    promised: usize,
    context: &CheckContext,
) -> Option<Violation> {
    (copies < promised).then(|| {
        let detail =
            format!("an acknowledged request is in {copies} of {promised} durable copies of the tee");
        tee_violation("too-few-copies", 1, context).keys([format!("{digest:032x}")]).because(detail)
    })
}

/// Number of tee store objects that contain each record.
#[derive(Default)]
struct TeeObjectCounts {
    /// Edge and sequence, to the end of the record's hour and the number of objects.
    objects: BTreeMap<(u16, u64), (i64, u32)>,
}

impl TeeObjectCounts {
    fn add(&mut self, path: &str, teed: &[TeedRequest]) {
        let Some((hour, _, _)) = parse_tee_path(path) else { return };
        let ends_ms = i64::try_from(hour).unwrap_or(i64::MAX / HOUR_MS - 1).saturating_add(1) * HOUR_MS;
        for one in teed {
            self.objects.entry((one.edge, one.sequence)).or_insert((ends_ms, 0)).1 += 1;
        }
    }

    /// Returns the records that must be in two objects and are in one. Objects that are about to expire may go in any
    /// order.
    fn single_copies(
        &self,
        oldest_ms: i64,
        retention: TeeRetention,
        context: &CheckContext,
    ) -> Option<Violation> {
        if context.at_ms - retention.undisturbed_since_ms < SECOND_COPY_WITHIN_MS {
            return None;
        }
        let is_due = |ends_ms: i64| ends_ms > oldest_ms && ends_ms + SECOND_COPY_WITHIN_MS < context.at_ms;
        let single = self.objects.iter().filter(|(_, (ends_ms, objects))| *objects < 2 && is_due(*ends_ms));
        let keys: Vec<String> = single.map(|((edge, sequence), _)| format!("{edge}/{sequence}")).collect();
        let items = keys.len() as u64;
        (items > 0).then(|| {
            let detail = format!(
                "{} in one object of the tee store for more than a day",
                pluralize(items, "request is", "requests are")
            );
            tee_violation("in-one-object", items, context).keys(keys).because(detail)
        })
    }
}

/// Directory of the tee store's objects on its disk.
const STORE_DIR: &str = "objects/tee/";

/// Parses hour, edge and boot number from the name of a tee file or object.
fn parse_tee_path(path: &str) -> Option<(u64, u16, u64)> {
    tee::parse_name(path.rsplit('/').next()?)
}

fn is_tee_file(path: &str) -> bool {
    let dir = path.strip_prefix("objects/").unwrap_or(path);
    (dir.starts_with("tee/") || dir.starts_with("tee-peer/")) && path.ends_with(".tee")
}

fn missing(
    ledger: &Ledger,
    held: impl Iterator<Item = u128>,
    lost_files: &BTreeSet<i64>,
    (oldest_ms, gaps): (i64, &OpenGaps),
    context: &CheckContext,
) -> Option<Violation> {
    let mut counts: BTreeMap<u128, i64> = BTreeMap::new();
    held.for_each(|digest| *counts.entry(digest).or_default() += 1);
    let owed = ledger.acked_requests.iter();
    let owed = owed.filter(|r| r.sent_at_ms >= oldest_ms && r.acked_at_ms < context.settled_before_ms);
    // Sent in an hour of which a fault destroyed a file, or just before it.
    let may_be_lost = |sent_at_ms: i64| {
        let hour = sent_at_ms.div_euclid(HOUR_MS);
        lost_files.contains(&hour) || lost_files.contains(&(hour + 1))
    };
    let mut missing = Vec::new();
    for request in owed {
        let left = counts.entry(request.digest).or_default();
        *left -= 1;
        if *left < 0 && !may_be_lost(request.sent_at_ms) {
            missing.push(request);
        }
    }
    let missing = without_gaps(missing, gaps, ledger.config().clock_skew_ms);
    let items = missing.len() as u64;
    (items > 0).then(|| {
        let detail = format!(
            "{} sent since {} in no copy of the tee",
            pluralize(items, "acknowledged request", "acknowledged requests"),
            format_utc(oldest_ms)
        );
        let keys = missing.iter().map(|request| format!("{:032x}", request.digest));
        tee_violation("missing", items, context).keys(keys).because(detail)
    })
}

/// Returns the requests that no gap line excuses. A line excuses one request that was in flight when the line's first
/// request arrived, or that arrived while this one waited. Lines are processed in order of time, and each goes to the
/// request with the earliest deadline: this excuses as many requests as possible.
fn without_gaps<'r>(
    mut missing: Vec<&'r AckedRequest>,
    gaps: &OpenGaps,
    clock_skew_ms: i64,
) -> Vec<&'r AckedRequest> {
    let from_ms = |request: &AckedRequest| request.sent_at_ms - clock_skew_ms - MAX_BATCH_WAIT_MS;
    let until_ms = |request: &AckedRequest| request.acked_at_ms + clock_skew_ms;
    for arrived_ms in gaps.arrivals_ms() {
        let is_meant = |request: &AckedRequest| (from_ms(request)..=until_ms(request)).contains(&arrived_ms);
        let meant = missing.iter().enumerate().filter(|(_, request)| is_meant(request));
        if let Some((at, _)) = meant.min_by_key(|(_, request)| until_ms(request)) {
            missing.remove(at);
        }
    }
    missing
}

/// A torn tail of a file that an edge was writing when it crashed is not a violation, nor is a header that it was
/// writing: a crash may leave garbage in its place. The missing requests are counted separately.
fn unreadable(
    disk: &DiskView,
    file: &FileView,
    error: &ReadError,
    context: &CheckContext,
) -> Option<Violation> {
    let is_on_edge = !file.path.starts_with(STORE_DIR);
    let is_new = matches!(error.kind, ReadErrorKind::ShortHeader { .. }) || (is_on_edge && error.offset == 0);
    if is_new || file.corrupted {
        return None;
    }
    Some(tee_violation("unreadable", 1, context).because(format!("{}: {error}", disk.name)))
}

fn tee_violation(kind: &str, items: u64, context: &CheckContext) -> Violation {
    Violation::new("I11", kind, context.stage.as_str()).of("tee", items).at(context.at_ms)
}

#[cfg(test)]
mod tests;
