use super::*;
use crate::scenario::store_conditions::SHORT_PAGES;
use latent_engine::sim::{
    BitRot, ClockStep, Condition, CutLink, DiskError, Fault, FaultAction, Isolate, Kill, LostWrite, OpKind,
    Partition, Trigger,
};
use latent_ports::UnixMs;

const HOUR_MS: i64 = 3_600_000;

fn struck(action: FaultAction, from_h: i64, to_h: Option<i64>) -> FaultOutcome {
    let fault = Fault { trigger: Trigger::AtMs(from_h * HOUR_MS), action };
    let at = |hour: i64| UnixMs(hour * HOUR_MS);
    let (struck, ended) = (Some(at(from_h)), to_h.map(at));
    FaultOutcome {
        fault,
        triggered_at: struck,
        ended_at: ended,
        is_exhausted: false,
        match_count: 0,
        unknown_nodes: Vec::new(),
    }
}

fn isolated(node: &str, from_h: i64, to_h: i64) -> FaultOutcome {
    let node = node.into();
    struck(FaultAction::Isolate(Isolate { node, for_ms: None }), from_h, Some(to_h))
}

fn disks() -> impl Iterator<Item = String> {
    (1..=8).map(|n| format!("disk-{n}"))
}

/// A backup: its node, a data center, five of eight disks; it retries within an hour.
fn backup() -> JobDependencies {
    JobDependencies::new(["backup".to_owned(), "dc-1".to_owned()], HOUR_MS).and_some_of(5, disks())
}

/// Returns the number of hours from 0 to 1,000 that are excused for the backup.
fn excused_h(outcomes: Vec<FaultOutcome>) -> i64 {
    let mut excuses = Excuses::default();
    excuses.set_outcomes(outcomes, 500 * HOUR_MS, |_, _| Some(300 * HOUR_MS));
    1_000 - excuses.for_job(&backup()).available_ms(0, 1_000 * HOUR_MS) / HOUR_MS
}

#[test]
fn an_excuse_begins_and_ends_with_its_fault_on_the_affected_nodes() {
    let killed =
        |node: &str, to_h| struck(FaultAction::Kill(Kill { node: node.into(), ..Kill::default() }), 10, to_h);
    assert_eq!(excused_h(vec![killed("ingest-1", Some(11))]), 0, "no backup needs it");
    assert_eq!(excused_h(vec![killed("backup", Some(11))]), 2, "an hour, and one to try again");
    assert_eq!(excused_h(vec![killed("dc-2", None)]), 0);
    assert_eq!(excused_h(vec![killed("dc-1", None)]), 990, "it lasts");
    assert_eq!(excused_h(vec![isolated("dc-1", 10, 20), isolated("backup", 15, 21)]), 12);
}

#[test]
fn a_fault_of_a_linked_node_excuses_only_through_its_link() {
    let needs = JobDependencies {
        linked: BTreeSet::from(["audit".to_owned()]),
        ..JobDependencies::new(["operator".to_owned()], HOUR_MS)
    };
    let excused_h = |outcome: FaultOutcome| {
        let mut excuses = Excuses::default();
        excuses.set_outcomes(vec![outcome], 500 * HOUR_MS, |_, _| None);
        100 - excuses.for_job(&needs).available_ms(0, 100 * HOUR_MS) / HOUR_MS
    };
    let cut = |from: &str, to: &str| {
        let cut = CutLink { from: from.into(), to: to.into(), both: false, for_ms: None };
        struck(FaultAction::CutLink(cut), 10, Some(20))
    };
    assert_eq!(excused_h(isolated("operator", 10, 20)), 11);
    assert_eq!(excused_h(isolated("audit", 10, 20)), 0);
    assert_eq!((excused_h(cut("audit", "operator")), excused_h(cut("audit", "disk-1"))), (11, 0));
}

#[test]
fn conditions_of_a_store_or_its_caller_excuse_like_isolation() {
    let holds = |node: &str, name: &str| {
        let condition = Condition { node: node.into(), name: name.into(), ..Condition::default() };
        excused_h(vec![struck(FaultAction::Condition(condition), 10, Some(16))])
    };
    assert_eq!(holds("backup", "credentials.expired"), excused_h(vec![isolated("backup", 10, 16)]));
    assert_eq!(holds("dc-1", "store.uploads-broken"), 7);
    assert_eq!((holds("dc-1", SHORT_PAGES), holds("dc-2", "store.unavailable")), (0, 0));
}

#[test]
fn a_job_that_needs_five_of_eight_disks_is_excused_while_four_are_away() {
    let three = || (1..=3).map(|n| isolated(&format!("disk-{n}"), 10, 20)).collect::<Vec<_>>();
    assert_eq!(excused_h(three()), 0);
    let four = |from_h| three().into_iter().chain([isolated("disk-4", from_h, 30)]).collect();
    assert_eq!((excused_h(four(12)), excused_h(four(22))), (9, 0), "from 12 h to 20 h, and an hour");
}

#[test]
fn link_faults_count_only_on_links_that_the_job_uses() {
    let cut = |from: &str, to: &str| {
        let cut = CutLink { from: from.into(), to: to.into(), ..CutLink::default() };
        excused_h(vec![struck(FaultAction::CutLink(cut), 10, Some(20))])
    };
    assert_eq!((cut("dc-1", "backup"), cut("disk-1", "disk-2"), cut("edge-1", "dc-1")), (11, 0, 0));
    let parted = |side: &[&str], other: Vec<String>| {
        let side = side.iter().map(|name| (*name).to_owned()).collect();
        let parted = Partition { side, other, ..Partition::default() };
        excused_h(vec![struck(FaultAction::Partition(parted), 10, Some(20))])
    };
    assert_eq!(parted(&["backup"], disks().take(3).collect()), 0, "five can be read");
    assert_eq!(parted(&["backup"], disks().take(4).collect()), 11);
    assert_eq!(parted(&["disk-7", "edge-1"], disks().take(4).collect()), 0);
}

#[test]
fn damage_lasts_until_its_repair_and_a_lost_write_counts_from_the_next_boot() {
    let dependencies = || JobDependencies::new(["disk-1".to_owned()], 0);
    let of = |outcome: FaultOutcome, booted_h: Option<i64>| {
        let mut excuses = Excuses::default();
        excuses.set_outcomes(vec![outcome], 500 * HOUR_MS, |_, _| booted_h.map(|hour| hour * HOUR_MS));
        excuses.for_job(&dependencies())
    };
    let node = || "disk-1".to_owned();
    let days = |from_h: i64, to_h: i64| ExcusedPeriods::of([(from_h * HOUR_MS, to_h * HOUR_MS)]);
    let rotten = struck(FaultAction::BitRot(BitRot { node: node(), ..BitRot::default() }), 10, None);
    assert_eq!(of(rotten, None), days(10, 106));
    let (rotten, flap) = (
        struck(FaultAction::BitRot(BitRot { node: node(), ..BitRot::default() }), 10, None),
        isolated("disk-1", 90, 94),
    );
    let mut excuses = Excuses::default();
    excuses.set_outcomes(vec![rotten, flap, isolated("disk-2", 90, 94)], 500 * HOUR_MS, |_, _| None);
    assert_eq!(
        excuses.for_job(&dependencies()),
        days(10, 106 + 25),
        "a night on which it was cut off repairs nothing"
    );
    let lost = || {
        let lost =
            struck(FaultAction::LostWrite(LostWrite { node: node(), ..LostWrite::default() }), 10, Some(12));
        FaultOutcome { is_exhausted: true, ..lost }
    };
    assert_eq!(of(lost(), Some(20)), days(10, 116));
    assert_eq!(of(lost(), None), ExcusedPeriods::of([(10 * HOUR_MS, i64::MAX)]));
}

#[test]
fn a_fault_limited_by_operations_ends_with_the_last_one_and_a_clock_fault_when_timers_recheck() {
    let (node, path_prefix) = ("backup".to_owned(), String::new());
    let error = DiskError { node: node.clone(), op: OpKind::Any, path_prefix, times: Some(3), for_ms: None };
    let waits = struck(FaultAction::DiskError(error), 10, None);
    assert_eq!(excused_h(vec![waits.clone()]), 990);
    assert_eq!(excused_h(vec![FaultOutcome { is_exhausted: true, ..waits }]), 491, "found at 500 h");
    let step = ClockStep { node, by_ms: HOUR_MS, for_ms: None };
    assert_eq!(excused_h(vec![struck(FaultAction::ClockStep(step), 10, Some(12))]), 9);
    let mut excuses = Excuses::default();
    excuses.record_restart("backup", 0);
    let available_ms = excuses.for_job(&backup()).available_ms(0, 10 * HOUR_MS);
    assert_eq!(available_ms, 9 * HOUR_MS - 1);
}
