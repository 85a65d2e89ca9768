//! Anti-entropy: some hours after a project's job its copies are compared, and brought together where they differ.
//!
//! Digests of keys at one cut (events that arrived before it) are asked of every disk. On a difference every disk
//! gets the union, by arrival id, and then an alarm is raised. A copy that is corrupt is set aside by its disk and filled
//! from the others: only with enough of them readable. What was set aside goes once a later comparison, of enough
//! disks to hold every acknowledged event, finds the day equal on all of them.

use crate::alarms::{Alarm, Alarms};
use crate::arb::api::{ArbAnswer, ArbCall, call};
use crate::arb::manifest::Tier;
use crate::config::{Boot, Cluster};
use crate::export::read_copy;
use crate::heartbeat::{Job, JobLog};
use crate::ingest::copies::encode_write;
use crate::record::{Record, SetDigest};
use crate::schedule::{MedianClock, Next, Timetable, Turns};
use crate::union::union;
use crate::zone::Day;
use bytes::Bytes;
use futures_util::future::join_all;
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The cut lies this far back, so that what is in flight belongs to no copy yet.
const CUT_SLACK: Duration = Duration::from_secs(5 * 60);

/// From a boot to the first comparison: hints have been handed off by then, and what a crash cut off does not wait for
/// the next night.
const FIRST_AFTER: Duration = Duration::from_secs(3600);
/// From a comparison that too few disks answered to the next.
const RETRY_AFTER: Duration = Duration::from_secs(3600);

/// Compares every project's copies each night, and once after a boot. The first worker does it.
pub async fn nightly<E: Env>(env: E, boot: Boot, clock: MedianClock<E>, alarms: Alarms<E>, log: JobLog<E>) {
    if boot.cluster.workers.first() != Some(&env.node()) {
        return;
    }
    let after = boot.cluster.scrub_after_midnight;
    let turns = |project, now| Turns::nightly(&boot.cluster.projects[&project].zones, now, |_| after);
    let first = env.clock().monotonic() + FIRST_AFTER;
    let mut table = Timetable::new(boot.cluster.projects.keys().map(|project| (*project, first)));
    loop {
        let now = clock.now().await;
        match table.next(now, env.clock().monotonic(), turns) {
            Next::Sleep(wait) => env.clock().sleep(wait).await,
            Next::Due(project) => {
                if compare(&env, &boot.cluster, &alarms, now - CUT_SLACK, project).await {
                    table.done(project);
                    log.complete(Job::AntiEntropy, project);
                } else {
                    table.put_off(project, env.clock().monotonic() + RETRY_AFTER);
                }
            }
        }
    }
}

/// What a disk said of a day: a digest, or that it cannot read it.
type Said = BTreeMap<Day, Vec<(NodeId, Option<SetDigest>)>>;

/// Compares what arrived before `cut`. Returns whether so many disks answered that together they hold every
/// acknowledged event.
async fn compare<E: Env>(env: &E, cluster: &Cluster, alarms: &Alarms<E>, cut: UnixMs, project: u32) -> bool {
    let ask = ArbCall::Digests { project, arrived_before_ms: cut.0 };
    let answers =
        join_all(cluster.disks.iter().map(|disk| call(env, *disk, &ask, Bytes::new(), CALL_TIMEOUT))).await;
    let mut said = Said::new();
    let mut disks = Vec::new();
    let mut aside: BTreeSet<(Day, NodeId)> = BTreeSet::new();
    for (disk, answer) in cluster.disks.iter().zip(answers) {
        let days = match answer {
            Ok((ArbAnswer::Days(days), _)) => days,
            Ok((ArbAnswer::DaysAndAside { days, aside: of_disk }, _)) => {
                aside.extend(of_disk.into_iter().map(|day| (day, *disk)));
                days
            }
            _ => continue,
        };
        disks.push(*disk);
        for day in days {
            said.entry(day.day).or_default().push((*disk, day.digest));
        }
    }
    env.mark(Mark { name: "repair.compared", subject: "" });
    for (day, copies) in said {
        let first = copies[0].1;
        let agree = first.is_some() && copies.len() == disks.len() && copies.iter().all(|(_, d)| *d == first);
        if !agree {
            bring_together(env, cluster, project, day, &disks, &copies).await;
            alarms.raise(Alarm::CopiesDiffer { project, day });
            continue;
        }
        for (_, disk) in aside.iter().filter(|(of, _)| *of == day && disks.len() >= cluster.copies.read_disks)
        {
            let_aside_go(env, *disk, project, day).await;
        }
    }
    disks.len() >= cluster.copies.read_disks
}

/// Asked again the next night if it fails.
async fn let_aside_go<E: Env>(env: &E, disk: NodeId, project: u32, day: Day) {
    let order = ArbCall::LetAsideGo { project, day };
    let name = match call(env, disk, &order, Bytes::new(), CALL_TIMEOUT).await {
        Ok(_) => "repair.aside-let-go",
        Err(_) => "repair.aside-kept",
    };
    env.mark(Mark { name, subject: &format!("p{project}/{day}") });
}

async fn bring_together<E: Env>(
    env: &E,
    cluster: &Cluster,
    project: u32,
    day: Day,
    disks: &[NodeId],
    copies: &[(NodeId, Option<SetDigest>)],
) {
    let subject = format!("p{project}/{day}");
    env.mark(Mark { name: "repair.copies-differ", subject: &subject });
    let read = join_all(disks.iter().map(|disk| read_copy(env, *disk, project, day))).await;
    let read: Vec<Vec<Record>> = read.into_iter().flatten().collect();
    let enough = read.len() >= cluster.copies.read_disks;
    if enough {
        for (disk, _) in copies.iter().filter(|(_, digest)| digest.is_none()) {
            // A corrupt copy is set aside only now that the others were read.
            let set_aside = ArbCall::SetAside { project, day };
            if call(env, *disk, &set_aside, Bytes::new(), CALL_TIMEOUT).await.is_err() {
                env.mark(Mark { name: "repair.set-aside-failed", subject: &subject });
            }
        }
    }
    let records = union(read);
    let is_late = |r: &Record| UnixMs(r.arrived_ms).since(UnixMs(r.time_ms)) >= cluster.copies.late_after;
    let (late, on_time): (Vec<Record>, Vec<Record>) = records.into_iter().partition(is_late);
    let parts = [(day, Tier::Late, late.as_slice()), (day, Tier::OnTime, on_time.as_slice())];
    let Ok(write) = encode_write(project, parts.into_iter().filter(|(_, _, r)| !r.is_empty()), true) else {
        return;
    };
    let writes = disks.iter().map(|disk| call(env, *disk, &write.call, write.body.clone(), CALL_TIMEOUT));
    let done = join_all(writes).await.iter().all(Result::is_ok);
    let name = if done && enough { "repair.brought-together" } else { "repair.incomplete" };
    env.mark(Mark { name, subject: &subject });
}
