//! L1: once faults stop, backlogs drain: clients' retries, hints on ingest disks, tee files on edges whose hour is over,
//! and uploads that were never finished.
//!
//! Seen from outside: files that should be gone by then, and clients who have not been told. What a backlog holds is
//! no matter here; that it was not lost on the way is that of I1 and I11.

use super::waiting::Waiting;
use crate::reader::tee::parse_name;
use crate::view::{DiskView, FileView};

/// A client tries again for less than two hours, hints and uploads are tried every ten minutes, and a peer waits two
/// hours before it uploads in its owner's place: a day is ample.
pub const WITHIN_MS: i64 = 24 * 3_600_000;

/// What is left of backlogs on `disks` (edges, ingest nodes, object stores) long after faults ended.
#[must_use]
pub fn check(disks: &[DiskView], clients_waiting: u64, faults_ended_ms: i64, now_ms: i64) -> Vec<Waiting> {
    let past = |since_ms: i64| Waiting::past("L1", since_ms.max(faults_ended_ms), WITHIN_MS, now_ms);
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

/// Since when a file is a backlog, and what it waits for.
fn backlog(file: &FileView) -> Option<(i64, &'static str)> {
    let (dir, name) = file.path.split_once('/')?;
    match dir {
        "hints" => Some((i64::MIN, "is not handed off")),
        "incoming" => Some((i64::MIN, "was never finished, and is still there")),
        "tee" | "tee-peer" => {
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

    fn words(disks: &[DiskView], clients: u64, now_ms: i64) -> Vec<String> {
        check(disks, clients, 100 * HOUR_MS, now_ms).iter().map(Waiting::to_string).collect()
    }

    #[test]
    fn what_is_left_of_each_backlog_a_day_after_faults_is_named() {
        let disks = [
            disk("ingest-1", &["hints/3-7"]),
            disk("edge-1", &["tee/99-0-1.tee", "tee-peer/98-1-1.tee", "boot", "gaps/gaps"]),
            disk("dc-1", &["incoming/5", "objects/catalogs/1-a.json"]),
        ];
        let after = 124 * HOUR_MS;
        assert_eq!(words(&disks, 2, after), [""; 0], "they have until then");
        let expected = [
            "L1 clients 2 still wait for an answer",
            "L1 ingest-1 hints/3-7 is not handed off",
            "L1 edge-1 tee/99-0-1.tee is not in the tee store",
            "L1 edge-1 tee-peer/98-1-1.tee is not in the tee store",
            "L1 dc-1 incoming/5 was never finished, and is still there",
        ];
        assert_eq!(words(&disks, 2, after + 1), expected);
    }

    #[test]
    fn drained_backlogs_pass_and_so_does_a_file_whose_hour_was_over_later() {
        let disks = [disk("ingest-1", &[]), disk("edge-1", &["tee/110-0-1.tee"])];
        assert_eq!(words(&disks, 0, 135 * HOUR_MS), [""; 0]);
        assert_eq!(words(&disks, 0, 135 * HOUR_MS + 1).len(), 1, "a day after the end of its hour");
    }
}
