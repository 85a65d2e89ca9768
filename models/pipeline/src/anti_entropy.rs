//! Anti-entropy: compares the copies of each project some hours after its job, and reconciles them where they differ.
//!
//! Every disk is asked for digests of its keys at one cut (events that arrived before it). If they differ, every disk
//! receives the union by arrival id, and an alarm is raised. A corrupt copy is quarantined by its disk and filled from
//! the others, but only if enough of them are readable. Quarantined data is removed once a later comparison, of enough
//! disks to hold every acknowledged event, finds the day equal on all of them. If so many copies are corrupt that the
//! others may lack an acknowledged event, a second alarm says so: then a recovery must fill them.

use crate::alarms::{Alarm, AlarmSender, NightlyJob};
use crate::arb::api::{ArbRequest, ArbResponse, call};
use crate::arb::manifest::Tier;
use crate::arb::write_call::encode_write;
use crate::config::BootConfig;
use crate::export::read_copy;
use crate::heartbeat::JobTracker;
use crate::marks;
use crate::record::{Record, SetDigest};
use crate::release::Bug;
use crate::schedule::{DueTimes, JobSchedule, MedianClock, NextJob};
use crate::union::union;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Distance of the cut from the present, so that requests in flight belong to no copy yet.
const CUT_SLACK: Duration = Duration::from_secs(5 * 60);

/// Delay from boot to the first comparison. Hints are handed off before that, and a comparison that a crash interrupted
/// does not wait for the next night.
const FIRST_AFTER: Duration = Duration::from_secs(3600);
/// Delay after a comparison that too few disks answered.
const RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Compares every project's copies each night, and once after a boot. Only the first worker runs it.
pub async fn nightly<E: Env>(
    env: E,
    boot: BootConfig,
    clock: MedianClock<E>,
    alarms: AlarmSender<E>,
    log: JobTracker<E>,
) {
    if boot.cluster.workers.first() != Some(&env.node()) {
        return;
    }
    let after = boot.cluster.scrub_after_midnight;
    let due_times = |project, now| DueTimes::nightly(&boot.cluster.projects[&project].zones, now, |_| after);
    let first = env.clock().monotonic() + FIRST_AFTER;
    let mut table = JobSchedule::new(boot.cluster.projects.keys().map(|project| (*project, first)));
    loop {
        let now = clock.now().await;
        match table.next(now, env.clock().monotonic(), due_times) {
            NextJob::Sleep(wait) => env.clock().sleep(wait).await,
            NextJob::Due(project) => {
                if compare(&env, &boot, &alarms, now - CUT_SLACK, project).await {
                    table.mark_done(project);
                    log.complete(NightlyJob::AntiEntropy, project);
                } else {
                    table.postpone(project, env.clock().monotonic() + RETRY_AFTER);
                }
            }
        }
    }
}

/// Digest of a day on each disk; `None` when the disk cannot read the day.
type DayDigests = BTreeMap<Day, Vec<(NodeId, Option<SetDigest>)>>;

/// Compares events that arrived before `cut`. Returns whether the disks that responded are enough to hold every
/// acknowledged event.
async fn compare<E: Env>(
    env: &E,
    boot: &BootConfig,
    alarms: &AlarmSender<E>,
    cut: UnixMs,
    project: u32,
) -> bool {
    let cluster = &boot.cluster;
    let request = ArbRequest::Digests { project, arrived_before_ms: cut.0 };
    let answers =
        join_all(cluster.disks.iter().map(|disk| call(env, *disk, &request, Bytes::new(), CALL_TIMEOUT)))
            .await;
    let mut digests = DayDigests::new();
    let mut disks = Vec::new();
    let mut quarantined: BTreeSet<(Day, NodeId)> = BTreeSet::new();
    for (disk, response) in cluster.disks.iter().zip(answers) {
        let days = match response {
            Ok((ArbResponse::Days(days), _)) => days,
            Ok((ArbResponse::DaysAndQuarantined { days, quarantined: of_disk }, _)) => {
                quarantined.extend(of_disk.into_iter().map(|day| (day, *disk)));
                days
            }
            _ => continue,
        };
        disks.push(*disk);
        for day in days {
            digests.entry(day.day).or_default().push((*disk, day.digest));
        }
    }
    env.mark(Mark { name: marks::REPAIR_COMPARED, subject: "" });
    for (day, copies) in digests {
        let first = copies[0].1;
        let agree = first.is_some() && copies.len() == disks.len() && copies.iter().all(|(_, d)| *d == first);
        if !agree {
            let readable = reconcile(env, boot, project, day, &disks, &copies).await;
            alarms.raise(Alarm::CopiesDiffer { project, day });
            let needed = cluster.replication.read_disks;
            if readable < needed && disks.len() >= needed {
                alarms.raise(Alarm::TooFewCopies { project, day, readable: readable as u64 });
            }
            continue;
        }
        for (_, disk) in
            quarantined.iter().filter(|(of, _)| *of == day && disks.len() >= cluster.replication.read_disks)
        {
            release_quarantine(env, *disk, project, day).await;
        }
    }
    disks.len() >= cluster.replication.read_disks
}

/// Releases the quarantine of a day on one disk. A failure is retried the next night.
async fn release_quarantine<E: Env>(env: &E, disk: NodeId, project: u32, day: Day) {
    let order = ArbRequest::ReleaseQuarantine { project, day };
    let name = match call(env, disk, &order, Bytes::new(), CALL_TIMEOUT).await {
        Ok(_) => marks::REPAIR_QUARANTINE_RELEASED,
        Err(_) => marks::REPAIR_QUARANTINE_RELEASE_FAILED,
    };
    env.mark(Mark { name, subject: &format!("p{project}/{day}") });
}

/// Writes the union of all copies to every disk. Returns the number of copies that could be read.
async fn reconcile<E: Env>(
    env: &E,
    boot: &BootConfig,
    project: u32,
    day: Day,
    disks: &[NodeId],
    copies: &[(NodeId, Option<SetDigest>)],
) -> usize {
    let cluster = &boot.cluster;
    let subject = format!("p{project}/{day}");
    env.mark(Mark { name: marks::REPAIR_COPIES_DIFFER, subject: &subject });
    let read = join_all(disks.iter().map(|disk| read_copy(env, *disk, project, day))).await;
    let read: Vec<Vec<Record>> = read.into_iter().flatten().collect();
    let readable = read.len();
    let enough = readable >= cluster.replication.read_disks;
    if enough {
        for (index, (disk, _)) in copies.iter().filter(|(_, digest)| digest.is_none()).enumerate() {
            // Planted bug: the index counts corrupt copies, not disks.
            let ordered = if boot.release.has(Bug::WrongDirectory) { &disks[index] } else { disk };
            if ordered != disk {
                boot.release.reached(env, Bug::WrongDirectory);
            }
            // A corrupt copy is quarantined only after the others were read.
            let quarantine = ArbRequest::Quarantine { project, day };
            if call(env, *ordered, &quarantine, Bytes::new(), CALL_TIMEOUT).await.is_err() {
                env.mark(Mark { name: marks::REPAIR_QUARANTINE_FAILED, subject: &subject });
            }
        }
    }
    let records = union(read);
    let is_late =
        |r: &Record| UnixMs(r.arrived_ms).since(UnixMs(r.time_ms)) >= cluster.replication.late_after;
    let (late, on_time): (Vec<Record>, Vec<Record>) = records.into_iter().partition(is_late);
    let parts = [(day, Tier::Late, late.as_slice()), (day, Tier::OnTime, on_time.as_slice())];
    let Ok(write) = encode_write(project, parts.into_iter().filter(|(_, _, r)| !r.is_empty()), true) else {
        return readable;
    };
    let writes = disks.iter().map(|disk| call(env, *disk, &write.call, write.body.clone(), CALL_TIMEOUT));
    let done = join_all(writes).await.iter().all(Result::is_ok);
    let name = if done && enough { marks::REPAIR_CONVERGED } else { marks::REPAIR_INCOMPLETE };
    env.mark(Mark { name, subject: &subject });
    readable
}
