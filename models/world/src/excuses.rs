//! Excuses: during which times faults of the plan kept a job from working.
//!
//! One model for every job. A fault has nodes, a beginning and an end; a job names the nodes that it needs: all of some,
//! and a number of others, such as enough disks. It is excused while a fault touches one of the former or leaves too few
//! of the latter, and for a stated time afterwards, in which it catches up: the time until it is tried again.
//!
//! - A fault of links touches a job if both ends are among the job's nodes and one of them is needed: what disks say to
//!   each other is not what a backup waits for.
//! - A condition (a store that throttles, expired credentials) touches its node as isolating it would.
//! - Damage (a new disk, rot, an unreadable block, a removed directory) lasts until it is surely repaired: some nights, and
//!   one more for each other fault that may have cost one. A write that was
//!   confirmed and lost shows at the next boot of its node, and is damage from then on.
//! - A fault that waits for so many operations has ended when it had them all.
//! - A clock that was set wrong touches its node for as long as timers may sleep by what it said, after it is right again.
//! - A deploy, and an operator who restarts a node, touch it for an instant. What he configured is his own doing: backups
//!   that are switched off are not excused.
//! - No excuse: reads that come short, listings in short pages, garbage after a crash, a drift of some seconds. The system
//!   must work with these.

use crate::store_faults::SHORT_PAGES;
use crate::trouble::{REPAIRED_AFTER_MS, damages};
use latent_engine::sim::{FaultAction, FaultOutcome, World};
use latent_oracle::ExcusedPeriods;
use std::collections::{BTreeMap, BTreeSet};

/// From one night's comparison to the next, at most.
const A_NIGHT_MS: i64 = 25 * 3_600_000;
/// Every node, where a link's end is named.
const EVERY: &str = "*";
/// Timers look at the clock again after six hours at the latest.
const TIMERS_LOOK_EVERY_MS: i64 = 6 * 3_600_000;
/// A clock that is off by less decides nothing.
const DRIFT_NOT_FELT_MS: i64 = 5 * 60_000;

/// Nodes of which a job needs some.
#[derive(Clone, Debug)]
pub(crate) struct SomeOf {
    nodes: BTreeSet<String>,
    least: usize,
}

/// What a job needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Need {
    /// Nodes that it cannot do without.
    pub all: BTreeSet<String>,
    /// Groups of nodes of which it needs some each.
    pub some_of: Vec<SomeOf>,
    /// How long after a fault it may be until the job has tried again.
    pub catch_up_ms: i64,
    /// How long a damaged node that it cannot do without may need until it is whole.
    pub repaired_after_ms: i64,
}

impl Need {
    /// One node, and nothing but it.
    pub fn of(nodes: impl IntoIterator<Item = String>, catch_up_ms: i64) -> Need {
        let all = nodes.into_iter().collect();
        Need { all, catch_up_ms, repaired_after_ms: REPAIRED_AFTER_MS, ..Need::default() }
    }

    /// And so many of these besides.
    pub fn and(mut self, least: usize, nodes: impl IntoIterator<Item = String>) -> Need {
        self.some_of.push(SomeOf { nodes: nodes.into_iter().collect(), least });
        self
    }

    fn has_member(&self, name: &str) -> Option<&str> {
        self.some_of.iter().find_map(|group| group.nodes.get(name)).map(String::as_str)
    }
}

/// What a fault touches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Touched {
    Nodes(Vec<String>),
    /// Every link between one of these and one of those.
    Links(Vec<String>, Vec<String>),
}

/// One fault of the run.
#[derive(Clone, Debug)]
struct Struck {
    touched: Touched,
    from_ms: i64,
    /// `None`: it lasts.
    to_ms: Option<i64>,
    is_damage: bool,
    is_clock: bool,
    /// Of damage: nights on which other faults may have kept it from being repaired.
    nights_lost: i64,
}

/// All that was in the way of jobs so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excuses {
    /// The node that repairs damaged disks, at night.
    pub repairer: Option<String>,
    struck: Vec<Struck>,
    /// Restarts by people, and nodes that do not come back.
    restarts: Vec<Struck>,
    /// When faults that wait for so many operations were found to have had them all, by number.
    used_up_ms: BTreeMap<usize, i64>,
}

impl Excuses {
    /// Takes in what became of the faults so far. `booted` says when a node booted first after an instant.
    pub fn hear(&mut self, world: &World, booted: impl Fn(&str, i64) -> Option<i64>) {
        self.take(world.fault_outcomes(), world.now().0, booted);
    }

    fn take(&mut self, outcomes: Vec<FaultOutcome>, now_ms: i64, booted: impl Fn(&str, i64) -> Option<i64>) {
        self.struck.clear();
        for (index, outcome) in outcomes.into_iter().enumerate() {
            let Some(from_ms) = outcome.triggered_at.map(|at| at.0) else { continue };
            if outcome.is_exhausted {
                self.used_up_ms.entry(index).or_insert(now_ms);
            }
            let used_up_ms = self.used_up_ms.get(&index).copied();
            let ended_ms = outcome.ended_at.map(|at| at.0);
            let to_ms = used_up_ms.into_iter().chain(ended_ms).min();
            self.struck.extend(of_action(&outcome.fault.action, from_ms, to_ms, &booted));
        }
        for index in 0..self.struck.len() {
            if self.struck[index].is_damage {
                self.struck[index].nights_lost = self.nights_lost(index);
            }
        }
    }

    /// How many other faults were in the way of repairing this damage: each may have cost a night.
    fn nights_lost(&self, damage: usize) -> i64 {
        let Struck { touched, from_ms, to_ms, .. } = &self.struck[damage];
        let Touched::Nodes(damaged) = touched else { return 0 };
        let concerned = Need::of(damaged.iter().chain(&self.repairer).cloned(), 0);
        let others = self.struck.iter().enumerate().filter(|(index, _)| *index != damage);
        let mut others: Vec<&Struck> = others
            .map(|(_, other)| other)
            .filter(|other| other.touched.is_in_the_way_of(&concerned))
            .collect();
        others.sort_by_key(|other| other.from_ms);
        let Some(to_ms) = to_ms else { return 0 };
        let mut until_ms = to_ms + REPAIRED_AFTER_MS;
        let mut nights = 0;
        for other in others {
            let other_ends_ms = other.to_ms.unwrap_or(i64::MAX);
            if other.from_ms <= until_ms && other_ends_ms >= *from_ms {
                let lasted_ms = other_ends_ms.min(until_ms) - other.from_ms.max(*from_ms);
                let lost = 1 + lasted_ms.max(0) / A_NIGHT_MS;
                (nights, until_ms) = (nights + lost, until_ms + lost * A_NIGHT_MS);
            }
        }
        nights
    }

    /// Somebody restarted a node.
    pub fn restarted(&mut self, node: &str, at_ms: i64) {
        let touched = Touched::Nodes(vec![node.to_owned()]);
        let to_ms = Some(at_ms + 1);
        self.restarts.push(Struck {
            touched,
            from_ms: at_ms,
            to_ms,
            is_damage: false,
            is_clock: false,
            nights_lost: 0,
        });
    }

    /// A node does not come back.
    pub fn gone(&mut self, node: &str, at_ms: i64) {
        let touched = Touched::Nodes(vec![node.to_owned()]);
        self.restarts.push(Struck {
            touched,
            from_ms: at_ms,
            to_ms: None,
            is_damage: false,
            is_clock: false,
            nights_lost: 0,
        });
    }

    /// When the job that needs this was kept from working.
    pub fn of(&self, need: &Need) -> ExcusedPeriods {
        let mut whole: Vec<(i64, i64)> = Vec::new();
        let mut each: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
        for one in self.struck.iter().chain(&self.restarts) {
            let touched = one.touched.of(need);
            if touched.whole {
                whole.push(one.span(need.catch_up_ms, need.repaired_after_ms));
            }
            for name in touched.members {
                each.entry(name).or_default().push(one.span(need.catch_up_ms, REPAIRED_AFTER_MS));
            }
        }
        whole.extend(need.some_of.iter().flat_map(|group| too_few(&each, group)));
        ExcusedPeriods::of(whole)
    }
}

/// When fewer than are needed were untouched.
fn too_few(each: &BTreeMap<&str, Vec<(i64, i64)>>, group: &SomeOf) -> Vec<(i64, i64)> {
    let each: Vec<&Vec<(i64, i64)>> = group.nodes.iter().filter_map(|name| each.get(name.as_str())).collect();
    if group.nodes.len() - each.len() >= group.least {
        return Vec::new();
    }
    let edges: BTreeSet<i64> = each.iter().copied().flatten().flat_map(|(from, to)| [*from, *to]).collect();
    let edges: Vec<i64> = edges.into_iter().collect();
    let is_in =
        |at_ms: i64, spans: &[(i64, i64)]| spans.iter().any(|(from, to)| *from <= at_ms && at_ms < *to);
    let is_short = |at_ms: i64| {
        let touched = each.iter().filter(|spans| is_in(at_ms, spans)).count();
        group.nodes.len() - touched < group.least
    };
    edges.windows(2).filter(|pair| is_short(pair[0])).map(|pair| (pair[0], pair[1])).collect()
}

impl Struck {
    fn span(&self, catch_up_ms: i64, repaired_after_ms: i64) -> (i64, i64) {
        let after_ms = match (self.is_damage, self.is_clock) {
            (true, _) => repaired_after_ms.saturating_add(self.nights_lost * A_NIGHT_MS),
            (_, true) => catch_up_ms + TIMERS_LOOK_EVERY_MS,
            _ => catch_up_ms,
        };
        (self.from_ms, self.to_ms.map_or(i64::MAX, |to_ms| to_ms.saturating_add(after_ms)))
    }
}

/// What is touched of a need.
#[derive(Debug, Default)]
struct Touches<'n> {
    /// Something that the job cannot do without.
    whole: bool,
    /// Nodes of which it needs some.
    members: BTreeSet<&'n str>,
}

impl<'n> Touches<'n> {
    fn node(&mut self, need: &'n Need, name: &str) {
        self.whole |= need.all.contains(name);
        self.members.extend(need.has_member(name));
    }

    fn link(&mut self, need: &'n Need, one: &str, other: &str) {
        match (one == EVERY, other == EVERY) {
            (true, true) => {
                let members = need.some_of.iter().flat_map(|group| &group.nodes);
                need.all.iter().chain(members).for_each(|name| self.node(need, name));
            }
            (true, false) => self.node(need, other),
            (false, true) => self.node(need, one),
            (false, false) if one == other => {}
            (false, false) => match (need.all.contains(one), need.all.contains(other)) {
                (true, true) => self.whole = true,
                (true, false) => self.members.extend(need.has_member(other)),
                (false, true) => self.members.extend(need.has_member(one)),
                (false, false) => {}
            },
        }
    }
}

impl Touched {
    /// Whether it touches one of the nodes that something cannot do without, over whichever link.
    fn is_in_the_way_of(&self, need: &Need) -> bool {
        let is_needed = |name: &String| need.all.contains(name);
        match self {
            Touched::Nodes(nodes) => nodes.iter().any(is_needed),
            Touched::Links(side, other) => side.iter().chain(other).any(is_needed),
        }
    }

    fn of<'n>(&self, need: &'n Need) -> Touches<'n> {
        let mut touches = Touches::default();
        match self {
            Touched::Nodes(nodes) => nodes.iter().for_each(|name| touches.node(need, name)),
            Touched::Links(side, other) => {
                let pairs = side.iter().flat_map(|one| other.iter().map(move |other| (one, other)));
                pairs.for_each(|(one, other)| touches.link(need, one, other));
            }
        }
        touches
    }
}

/// What a fault that struck at `from_ms` and ended at `to_ms` is in the way of; `None`: nothing.
fn of_action(
    action: &FaultAction,
    from_ms: i64,
    to_ms: Option<i64>,
    booted: &impl Fn(&str, i64) -> Option<i64>,
) -> Option<Struck> {
    let one = |name: &String| vec![name.clone()];
    let (is_damage, is_clock) =
        (damages(action).is_some(), matches!(action, FaultAction::ClockStep(_) | FaultAction::ClockDrift(_)));
    let touched = match action {
        FaultAction::ShortRead(_) | FaultAction::GarbageTails(_) => return None,
        FaultAction::Condition(it) if it.name == SHORT_PAGES => return None,
        FaultAction::ClockDrift(it) if !is_felt(it.ppm, it.for_ms) => return None,
        FaultAction::CutLink(it) => Touched::Links(one(&it.from), one(&it.to)),
        FaultAction::DegradeLink(it) => Touched::Links(one(&it.from), one(&it.to)),
        FaultAction::Partition(it) => Touched::Links(it.side.clone(), it.other.clone()),
        FaultAction::PowerLoss(it) => Touched::Nodes(it.nodes.clone()),
        FaultAction::Kill(it) => Touched::Nodes(one(&it.node)),
        FaultAction::Pause(it) => Touched::Nodes(one(&it.node)),
        FaultAction::CrashLoop(it) => Touched::Nodes(one(&it.node)),
        FaultAction::NewDisk(it) => Touched::Nodes(one(&it.node)),
        FaultAction::Isolate(it) => Touched::Nodes(one(&it.node)),
        FaultAction::Flap(it) => Touched::Nodes(one(&it.node)),
        FaultAction::LoseMessage(it) => Touched::Nodes(one(&it.node)),
        FaultAction::ClockStep(it) => Touched::Nodes(one(&it.node)),
        FaultAction::ClockDrift(it) => Touched::Nodes(one(&it.node)),
        FaultAction::DiskError(it) => Touched::Nodes(one(&it.node)),
        FaultAction::SyncFailure(it) => Touched::Nodes(one(&it.node)),
        FaultAction::DiskFull(it) => Touched::Nodes(one(&it.node)),
        FaultAction::SlowDisk(it) => Touched::Nodes(one(&it.node)),
        FaultAction::LatentSector(it) => Touched::Nodes(one(&it.node)),
        FaultAction::BitRot(it) => Touched::Nodes(one(&it.node)),
        FaultAction::MisdirectedWrite(it) => Touched::Nodes(one(&it.node)),
        FaultAction::LostWrite(it) => Touched::Nodes(one(&it.node)),
        FaultAction::RemoveDirectory(it) => Touched::Nodes(one(&it.node)),
        FaultAction::Condition(it) => Touched::Nodes(one(&it.node)),
    };
    let to_ms = match action {
        // They take no time; what they leave is to be repaired from then on.
        FaultAction::LatentSector(_) | FaultAction::BitRot(_) | FaultAction::RemoveDirectory(_) => {
            Some(from_ms)
        }
        FaultAction::LostWrite(it) => to_ms.and_then(|to_ms| booted(&it.node, to_ms)),
        _ => to_ms,
    };
    Some(Struck { touched, from_ms, to_ms, is_damage, is_clock, nights_lost: 0 })
}

/// Whether a clock that drifts is ever off by enough to decide anything.
fn is_felt(ppm: i32, for_ms: Option<u64>) -> bool {
    const A_YEAR_MS: u64 = 365 * 86_400_000;
    let off_ms = i128::from(ppm.unsigned_abs()) * i128::from(for_ms.unwrap_or(A_YEAR_MS / 12)) / 1_000_000;
    off_ms > i128::from(DRIFT_NOT_FELT_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use latent_engine::sim::{
        BitRot, ClockStep, Condition, CutLink, DiskError, Fault, Isolate, Kill, LostWrite, OpKind, Partition,
        Trigger,
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

    /// A backup: its node, a data center, five of eight disks; it tries again within an hour.
    fn backup() -> Need {
        Need::of(["backup".to_owned(), "dc-1".to_owned()], HOUR_MS).and(5, disks())
    }

    /// The hours of 0 to 1,000 that are not available to the backup.
    fn excused_h(outcomes: Vec<FaultOutcome>) -> i64 {
        let mut excuses = Excuses::default();
        excuses.take(outcomes, 500 * HOUR_MS, |_, _| Some(300 * HOUR_MS));
        1_000 - excuses.of(&backup()).available_ms(0, 1_000 * HOUR_MS) / HOUR_MS
    }

    #[test]
    fn an_excuse_begins_and_ends_with_its_fault_for_the_nodes_it_struck() {
        let killed = |node: &str, to_h| {
            struck(FaultAction::Kill(Kill { node: node.into(), ..Kill::default() }), 10, to_h)
        };
        assert_eq!(excused_h(vec![killed("ingest-1", Some(11))]), 0, "no backup needs it");
        assert_eq!(excused_h(vec![killed("backup", Some(11))]), 2, "an hour, and one to try again");
        assert_eq!(excused_h(vec![killed("dc-2", None)]), 0);
        assert_eq!(excused_h(vec![killed("dc-1", None)]), 990, "it lasts");
        assert_eq!(excused_h(vec![isolated("dc-1", 10, 20), isolated("backup", 15, 21)]), 12);
    }

    #[test]
    fn conditions_of_a_store_and_of_its_caller_excuse_like_isolating_it() {
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
    fn links_count_where_the_job_goes_over_them() {
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
    fn damage_lasts_until_it_is_repaired_and_a_lost_write_shows_when_its_node_boots() {
        let need = || Need::of(["disk-1".to_owned()], 0);
        let of = |outcome: FaultOutcome, booted_h: Option<i64>| {
            let mut excuses = Excuses::default();
            excuses.take(vec![outcome], 500 * HOUR_MS, |_, _| booted_h.map(|hour| hour * HOUR_MS));
            excuses.of(&need())
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
        excuses.take(vec![rotten, flap, isolated("disk-2", 90, 94)], 500 * HOUR_MS, |_, _| None);
        assert_eq!(
            excuses.of(&need()),
            days(10, 106 + 25),
            "a night on which it was cut off repairs nothing"
        );
        let lost = || {
            let lost = struck(
                FaultAction::LostWrite(LostWrite { node: node(), ..LostWrite::default() }),
                10,
                Some(12),
            );
            FaultOutcome { is_exhausted: true, ..lost }
        };
        assert_eq!(of(lost(), Some(20)), days(10, 116));
        assert_eq!(of(lost(), None), ExcusedPeriods::of([(10 * HOUR_MS, i64::MAX)]));
    }

    #[test]
    fn a_fault_that_waits_for_operations_ends_when_it_had_them_and_a_clock_when_timers_look_again() {
        let (node, path_prefix) = ("backup".to_owned(), String::new());
        let error =
            DiskError { node: node.clone(), op: OpKind::Any, path_prefix, times: Some(3), for_ms: None };
        let waits = struck(FaultAction::DiskError(error), 10, None);
        assert_eq!(excused_h(vec![waits.clone()]), 990);
        assert_eq!(excused_h(vec![FaultOutcome { is_exhausted: true, ..waits }]), 491, "found at 500 h");
        let step = ClockStep { node, by_ms: HOUR_MS, for_ms: None };
        assert_eq!(excused_h(vec![struck(FaultAction::ClockStep(step), 10, Some(12))]), 9);
        let mut excuses = Excuses::default();
        excuses.restarted("backup", 0);
        let available_ms = excuses.of(&backup()).available_ms(0, 10 * HOUR_MS);
        assert_eq!(available_ms, 9 * HOUR_MS - 1);
    }
}
