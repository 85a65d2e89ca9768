//! L1: once faults stop, backlogs drain: clients' retries, hints on ingest disks, tee files on edges whose hour is
//! over, and unfinished uploads.
//!
//! A hint is delivered within an hour whenever both its node and its disk are up, even while faults continue
//! elsewhere.
//!
//! The check sees only files that must be gone by their deadline, and clients without an answer. It does not read the
//! backlogs: I1 and I11 check that nothing was lost on the way.
//!
//! Documented in docs/invariants.md#l1.

use super::CheckContext;
use super::liveness_violation::LivenessViolation;
use crate::excused_periods::ExcusedPeriods;
use crate::reader::tee::parse_name;
use crate::view::{DiskView, FileView};
use latent_verdict::Violation;

/// A client retries for less than two hours, hints and uploads are retried every ten minutes, and a peer waits two
/// hours before it uploads in its owner's place: a day is ample.
pub const WITHIN_MS: i64 = 24 * 3_600_000;

/// Returns the remaining backlogs on `disks` (edges, ingest nodes, object stores) long after faults ended.
#[must_use]
pub fn check(
    disks: &[DiskView],
    clients_waiting: u64,
    faults_ended_ms: i64,
    now_ms: i64,
) -> Vec<LivenessViolation> {
    let past =
        |since_ms: i64| LivenessViolation::if_overdue("L1", since_ms.max(faults_ended_ms), WITHIN_MS, now_ms);
    let clients = past(faults_ended_ms).filter(|_| clients_waiting > 0);
    let clients =
        clients.map(|late| late.at("clients").what(format!("{clients_waiting} still wait for an answer")));
    let files = disks.iter().flat_map(|disk| disk.files.iter().map(move |file| (disk, file)));
    let files = files.filter_map(|(disk, file)| {
        let (since_ms, what) = backlog(file)?;
        Some(past(since_ms)?.at(&disk.name).file(&file.path).what(what))
    });
    clients.into_iter().chain(files).collect()
}

/// Hints are retried every ten minutes: while nothing keeps the two nodes apart, an hour is ample.
pub const HINT_WITHIN_MS: i64 = 3_600_000;

/// Reports a hint that has been on `node` since `kept_ms` for too long; `excused` covers the time in which its node or
/// its disk was down.
#[must_use]
pub fn late_hint(
    node: &str,
    path: &str,
    kept_ms: i64,
    excused: &ExcusedPeriods,
    context: &CheckContext,
) -> Option<Violation> {
    let waits_ms = excused.available_ms(kept_ms, context.at_ms);
    (waits_ms > HINT_WITHIN_MS).then(|| {
        let detail = format!(
            "{node}: {path} is not handed off {} min after it was stored, with no fault to excuse it",
            waits_ms / 60_000
        );
        let late = Violation::new("L1", "hint-overdue", context.stage.as_str()).of(node, 1).at(context.at_ms);
        late.keys([path]).because(detail)
    })
}

/// Returns the time since which a file is a backlog, and a description of what it waits for.
fn backlog(file: &FileView) -> Option<(i64, &'static str)> {
    let (dir, name) = file.path.split_once('/')?;
    match dir {
        "hints" => Some((i64::MIN, "is not handed off")),
        "incoming" => Some((i64::MIN, "is an unfinished upload")),
        // A file that the device cannot read stays until it expires, which I16 checks.
        "tee" | "tee-peer" if !file.unreadable => {
            let (hour, _, _) = parse_name(name)?;
            let ends_ms = i64::try_from(hour).ok()?.checked_add(1)?.checked_mul(3_600_000)?;
            Some((ends_ms, "is not in the tee store"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const HOUR_MS: i64 = 3_600_000;

    fn disk(name: &str, paths: &[&str]) -> DiskView {
        let files = paths.iter().map(|path| FileView::whole(*path, Bytes::new()));
        DiskView { name: name.into(), files: files.collect() }
    }

    fn messages(disks: &[DiskView], clients: u64, now_ms: i64) -> Vec<String> {
        check(disks, clients, 100 * HOUR_MS, now_ms).iter().map(LivenessViolation::to_string).collect()
    }

    #[test]
    fn each_remaining_backlog_is_reported_a_day_after_faults() {
        let disks = [
            disk("ingest-1", &["hints/3-7"]),
            disk("edge-1", &["tee/99-0-1.tee", "tee-peer/98-1-1.tee", "boot", "gaps/gaps"]),
            disk("dc-1", &["incoming/5", "objects/catalogs/1-a.json"]),
        ];
        let after = 124 * HOUR_MS;
        assert_eq!(messages(&disks, 2, after), [""; 0], "before the deadline");
        let expected = [
            "L1 clients 2 still wait for an answer",
            "L1 ingest-1 hints/3-7 is not handed off",
            "L1 edge-1 tee/99-0-1.tee is not in the tee store",
            "L1 edge-1 tee-peer/98-1-1.tee is not in the tee store",
            "L1 dc-1 incoming/5 is an unfinished upload",
        ];
        assert_eq!(messages(&disks, 2, after + 1), expected);
    }

    #[test]
    fn an_unreadable_tee_file_is_not_a_backlog() {
        let mut edge = disk("edge-1", &["tee/99-0-1.tee"]);
        edge.files[0].unreadable = true;
        assert_eq!(messages(&[edge], 0, 200 * HOUR_MS), [""; 0]);
    }

    #[test]
    fn a_hint_is_late_after_an_hour_with_its_node_and_its_disk_up() {
        let late = |excused_min: &[(i64, i64)], later_ms: i64| {
            let context = CheckContext { at_ms: later_ms, ..crate::invariants::noon_context() };
            let excused =
                ExcusedPeriods::of(excused_min.iter().map(|(from, to)| (from * 60_000, to * 60_000)));
            late_hint("ingest-1", "hints/3-7", 0, &excused, &context).map(|late| late.detail)
        };
        assert_eq!((late(&[], HOUR_MS), late(&[(10, 90)], 2 * HOUR_MS)), (None, None));
        let expected =
            "ingest-1: hints/3-7 is not handed off 120 min after it was stored, with no fault to excuse it";
        assert_eq!(late(&[], 2 * HOUR_MS).as_deref(), Some(expected));
        assert!(late(&[(10, 90)], 140 * 60_000 + 1).is_some(), "the excuse has ended");
    }

    #[test]
    fn drained_backlogs_and_files_of_later_hours_pass() {
        let disks = [disk("ingest-1", &[]), disk("edge-1", &["tee/110-0-1.tee"])];
        assert_eq!(messages(&disks, 0, 135 * HOUR_MS), [""; 0]);
        assert_eq!(messages(&disks, 0, 135 * HOUR_MS + 1).len(), 1, "a day after the end of its hour");
    }
}
