//! I11: the tee holds, byte for byte, every acknowledged request of the last 7 days by arrival.
//!
//! A request is on an edge's disk, on its peer's, in the tee store, or in several of these; copies of one number
//! must be equal. Requests are known again by [`crate::request_digest`]: of equal ones as many must be there as were
//! acknowledged. More may be there: requests without an answer, and such as ingest refused. Where a planned fault took
//! a file's bytes, and no other copy is left, nobody can say which requests were in it: its hour is not judged. So many
//! requests may be missing as edges wrote down that they let through.

use super::{Moment, count};
use crate::day::moment_text;
use crate::ledger::{Ledger, request_digest};
use crate::memo::Memo;
use crate::reader::tee::{self, Method, TeeRecord};
use crate::reader::{Flaw, ReadError, Tail};
use crate::view::DiskView;
use latent_verdict::Violation;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;

/// One request in the tee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Teed {
    /// The edge that took it.
    pub edge: u16,
    /// The edge's number for it.
    pub sequence: u64,
    /// When it came in, by the edge's clock.
    pub arrived_ms: i64,
    /// Its digest, by [`crate::request_digest`].
    pub digest: u128,
}

/// How long the tee holds what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Requests are kept this long after their arrival.
    pub kept_ms: i64,
    /// Older than this less than `kept_ms`, a request may be on its way out already.
    pub slack_ms: i64,
}

/// What an edge writes down when it lets requests through without a copy (`accept-and-record-gap`): one line of JSON.
#[derive(Deserialize)]
struct Gap {
    first: u64,
    last: u64,
    arrived_ms: i64,
}

/// An edge's clock may be so wrong, and its gaps are still counted.
const GAP_CLOCK_MS: i64 = 86_400_000;

/// How many requests edges wrote down as let through without a copy, since then. A line that was cut off tells of
/// requests that nobody was answered.
fn recorded_gaps(disks: &[DiskView], since_ms: i64) -> u64 {
    let files = disks.iter().flat_map(|disk| &disk.files).filter(|file| file.path == "edge/gaps");
    let gaps = files.flat_map(|file| -> Vec<Gap> {
        let text = file.chunks.concat();
        text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    });
    let recent = gaps.filter(|gap| gap.arrived_ms >= since_ms - GAP_CLOCK_MS);
    recent.map(|gap| gap.last.saturating_sub(gap.first) + 1).sum()
}

/// Checks every tee file on these disks: edges' and the tee store's.
pub fn check(
    memo: &mut Memo,
    ledger: &Ledger,
    disks: &[DiskView],
    retention: Retention,
    now: &Moment,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut by_number: BTreeMap<(u16, u64), u128> = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for disk in disks {
        for file in disk.files.iter().filter(|file| is_tee(&file.path)) {
            let teed = match memo.tee(file) {
                Ok(teed) => teed,
                Err(error) => {
                    if error.flaw == Flaw::Unreadable || now.is_damaged(&disk.name) {
                        taken.extend(hour_of(&file.path));
                    }
                    found.extend(unreadable(disk, &error, now));
                    continue;
                }
            };
            for one in teed.iter() {
                if *by_number.entry((one.edge, one.sequence)).or_insert(one.digest) != one.digest {
                    let detail = format!("{}: {} has another request {}", disk.name, file.path, one.sequence);
                    found.push(tee_violation("copies-differ", 1, now).because(detail));
                }
            }
        }
    }
    let oldest_ms = now.at_ms - retention.kept_ms + retention.slack_ms;
    let gaps = recorded_gaps(disks, oldest_ms);
    found.extend(missing(ledger, by_number.into_values(), &taken, (oldest_ms, gaps), now));
    found
}

/// The hour in a tee file's name.
fn hour_of(path: &str) -> Option<i64> {
    let (hour, _, _) = tee::parse_name(path.rsplit('/').next()?)?;
    i64::try_from(hour).ok()
}

fn is_tee(path: &str) -> bool {
    let dir = path.strip_prefix("objects/").unwrap_or(path);
    (dir.starts_with("tee/") || dir.starts_with("tee-peer/")) && path.ends_with(".tee")
}

fn missing(
    ledger: &Ledger,
    held: impl Iterator<Item = u128>,
    taken: &BTreeSet<i64>,
    (oldest_ms, gaps): (i64, u64),
    now: &Moment,
) -> Option<Violation> {
    let mut counts: BTreeMap<u128, i64> = BTreeMap::new();
    held.for_each(|digest| *counts.entry(digest).or_default() += 1);
    let owed = ledger.acked_requests.iter();
    let owed = owed.filter(|r| r.sent_at_ms >= oldest_ms && r.acked_at_ms < now.settled_before_ms);
    // Sent in an hour of which the device took a file, or just before it.
    let may_be_taken = |sent_at_ms: i64| {
        let hour = sent_at_ms.div_euclid(HOUR_MS);
        taken.contains(&hour) || taken.contains(&(hour + 1))
    };
    let mut missing = Vec::new();
    for request in owed {
        let left = counts.entry(request.digest).or_default();
        *left -= 1;
        if *left < 0 && !may_be_taken(request.sent_at_ms) {
            missing.push(format!("{:032x}", request.digest));
        }
    }
    let items = (missing.len() as u64).saturating_sub(gaps);
    (items > 0).then(|| {
        let detail = format!(
            "{} sent since {} in no copy of the tee",
            count(items, "acknowledged request", "acknowledged requests"),
            moment_text(oldest_ms)
        );
        tee_violation("missing", items, now).keys(missing).because(detail)
    })
}

/// The end of a file that an edge was writing when it died is torn: that is no breach, what is owed is counted.
fn unreadable(disk: &DiskView, error: &ReadError, now: &Moment) -> Option<Violation> {
    let is_new = matches!(error.flaw, Flaw::ShortHeader { .. });
    if is_new || now.faults_active || error.flaw == Flaw::Unreadable || now.is_damaged(&disk.name) {
        return None;
    }
    Some(tee_violation("unreadable", 1, now).because(format!("{}: {error}", disk.name)))
}

fn tee_violation(kind: &str, items: u64, now: &Moment) -> Violation {
    Violation::new("I11", kind, now.stage.as_str()).of("tee", items).at(now.at_ms)
}

/// What a tee file holds, for the memo.
pub(crate) fn digests(file: &crate::FileView) -> Result<Arc<Vec<Teed>>, ReadError> {
    let read = tee::read(file)?;
    // A torn object was uploaded torn: its file should have been cut before.
    if let (true, Tail::Torn { at }) = (file.path.starts_with("objects/"), read.tail) {
        return Err(ReadError { path: file.path.clone(), at, flaw: Flaw::SealedTorn });
    }
    let teed = |record: &TeeRecord| Teed {
        edge: read.edge,
        sequence: record.sequence,
        arrived_ms: record.arrived_ms,
        digest: request_digest(
            record.method == Method::Post,
            &record.target,
            record.headers.iter().map(|(name, value)| (&name[..], &value[..])),
            &record.body,
        ),
    };
    Ok(Arc::new(read.records.iter().map(teed).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Answer, Clients, NOON_MS, Rec, TeeRec, tee_file};
    use crate::view::FileView;

    const DAY_MS: i64 = 86_400_000;
    const SEVEN_DAYS: Retention = Retention { kept_ms: 7 * DAY_MS, slack_ms: 3_600_000 };
    const HOUR: u64 = (NOON_MS / 3_600_000) as u64;

    fn rec(id: &str) -> Rec {
        Rec::new("a", id, NOON_MS)
    }

    fn clients() -> Clients {
        let clients = Clients::new().acked(17, &[rec("i1")]).acked(17, &[rec("i2")]);
        clients.send(17, &[rec("i3")], Answer::Unknown).send(17, &[rec("i4")], Answer::Rejected)
    }

    fn file(path: &str, ids: &[(u64, &str)]) -> FileView {
        let teed = |(sequence, id): &(u64, &str)| TeeRec {
            sequence: *sequence,
            arrived_ms: NOON_MS + 1_000,
            body: rec(id).json().into_bytes(),
        };
        FileView::whole(path, tee_file(HOUR, 0, &ids.iter().map(teed).collect::<Vec<_>>()))
    }

    fn found(files: Vec<FileView>, retention: Retention, at_ms: i64) -> Vec<(String, u64)> {
        let disk = DiskView { name: "edge-0".into(), files };
        let now = Moment { at_ms, settled_before_ms: at_ms, ..crate::invariants::noon_after() };
        let found = check(&mut Memo::default(), &clients().ledger, &[disk], retention, &now);
        found.into_iter().map(|v| (v.kind, v.items)).collect()
    }

    fn path(dir: &str) -> String {
        format!("{dir}{HOUR}-0-1.tee")
    }

    #[test]
    fn acknowledged_requests_in_any_copy_pass_and_others_may_be_there() {
        let files = vec![
            file(&path("tee/"), &[(1, "i1")]),
            file(&path("tee-peer/"), &[(1, "i1"), (2, "i2"), (3, "i4")]),
        ];
        assert_eq!(found(files, SEVEN_DAYS, NOON_MS + DAY_MS), []);
        let stored = vec![file(&path("objects/tee/"), &[(1, "i1"), (2, "i2")])];
        assert_eq!(found(stored, SEVEN_DAYS, NOON_MS + DAY_MS), []);
    }

    #[test]
    fn an_acknowledged_request_that_no_copy_holds_is_found_for_seven_days() {
        let files = || vec![file(&path("tee/"), &[(1, "i1")]), file(&path("incoming/tee/"), &[(2, "i2")])];
        assert_eq!(found(files(), SEVEN_DAYS, NOON_MS + DAY_MS), [("missing".into(), 1)]);
        assert_eq!(found(files(), SEVEN_DAYS, NOON_MS + 7 * DAY_MS), []);
        let line = |arrived_ms: i64| {
            let line =
                format!("{{\"edge\":0,\"first\":2,\"last\":2,\"arrived_ms\":{arrived_ms},\"why\":\"x\"}}\n");
            let gaps = FileView::whole("edge/gaps", line.into_bytes().into());
            files().into_iter().chain([gaps]).collect::<Vec<_>>()
        };
        assert_eq!(found(line(NOON_MS), SEVEN_DAYS, NOON_MS + DAY_MS), [], "the edge wrote it down");
        let old_ms = NOON_MS - 9 * DAY_MS;
        assert_eq!(found(line(old_ms), SEVEN_DAYS, NOON_MS + DAY_MS), [("missing".into(), 1)]);
    }

    #[test]
    fn an_hour_of_which_a_planned_fault_took_a_file_is_not_judged_and_others_are() {
        let rotten = |hour: u64| {
            FileView::whole(
                format!("objects/tee/{hour}-0-1.tee"),
                "rotten, and longer than any header".into(),
            )
        };
        let found = |hour: u64, damaged: &str| {
            let disk = DiskView { name: "tee-store".into(), files: vec![rotten(hour)] };
            let now = Moment { damaged: [damaged.to_owned()].into(), ..crate::invariants::noon_after() };
            check(&mut Memo::default(), &clients().ledger, &[disk], SEVEN_DAYS, &now).len()
        };
        assert_eq!((found(HOUR, "tee-store"), found(HOUR + 2, "tee-store")), (0, 1));
        assert_eq!(found(HOUR, "edge-1"), 2, "unreadable without a planned reason, and missing");
    }

    #[test]
    fn what_is_not_settled_is_not_owed_yet() {
        let now = Moment { settled_before_ms: NOON_MS, ..crate::invariants::noon_after() };
        assert_eq!(check(&mut Memo::default(), &clients().ledger, &[], SEVEN_DAYS, &now), []);
    }

    #[test]
    fn one_byte_more_is_another_request() {
        let mut altered = rec("i2").json().into_bytes();
        altered.push(b' ');
        let records = [(1, rec("i1").json().into_bytes()), (2, altered)].map(|(sequence, body)| TeeRec {
            sequence,
            arrived_ms: NOON_MS,
            body,
        });
        let files = vec![FileView::whole(path("tee/"), tee_file(HOUR, 0, &records))];
        assert_eq!(found(files, SEVEN_DAYS, NOON_MS + DAY_MS), [("missing".into(), 1)]);
    }

    #[test]
    fn as_many_are_owed_as_were_acknowledged() {
        let again = clients().acked(17, &[rec("i1")]);
        let now = crate::invariants::noon_after();
        let check = |ids: &[(u64, &str)]| {
            let disk = DiskView { name: "edge-0".into(), files: vec![file(&path("tee/"), ids)] };
            check(&mut Memo::default(), &again.ledger, &[disk], SEVEN_DAYS, &now).len()
        };
        assert_eq!((check(&[(1, "i1"), (2, "i2")]), check(&[(1, "i1"), (2, "i2"), (3, "i1")])), (1, 0));
    }

    #[test]
    fn copies_that_differ_and_files_that_do_not_read_are_found() {
        let files =
            vec![file(&path("tee/"), &[(1, "i1"), (2, "i2")]), file(&path("tee-peer/"), &[(1, "i3")])];
        assert_eq!(found(files, SEVEN_DAYS, NOON_MS + DAY_MS), [("copies-differ".into(), 1)]);
        let whole = file(&path("objects/tee/"), &[(1, "i1"), (2, "i2")]);
        let cut = FileView::whole(whole.path.clone(), whole.chunks[0].slice(..whole.chunks[0].len() - 1));
        let kinds = found(vec![cut], SEVEN_DAYS, NOON_MS + DAY_MS);
        assert_eq!(kinds, [("unreadable".into(), 1), ("missing".into(), 2)]);
    }
}
