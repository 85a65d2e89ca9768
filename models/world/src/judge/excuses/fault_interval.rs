//! The nodes or links that a fault affects, and for how long.

use super::{JobDependencies, NIGHT_MS};
use crate::scenario::store_conditions::SHORT_PAGES;
use latent_engine::sim::FaultAction;
use latent_nemesis::damages;
use std::collections::BTreeSet;

/// A clock offset below this has no effect.
const MAX_HARMLESS_DRIFT_MS: i64 = 5 * 60_000;
/// Timers check the clock again after six hours at the latest.
const TIMER_RECHECK_MS: i64 = 6 * 3_600_000;
/// Time until a copy is equal again whose directory was removed: the next comparison sees it and fills it.
const SEEN_AND_REPAIRED_MS: i64 = NIGHT_MS + 6 * 3_600_000;
/// Wildcard for the end of a link: every node.
const ANY_NODE: &str = "*";
/// Nodes or links that a fault affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultScope {
    Nodes(Vec<String>),
    /// All links between a node of the first and a node of the second list.
    Links(Vec<String>, Vec<String>),
}

/// The time during which a fault was active.
#[derive(Clone, Debug)]
pub(super) struct FaultInterval {
    pub(super) scope: FaultScope,
    pub(super) from_ms: i64,
    /// `None`: the fault is still active.
    pub(super) to_ms: Option<i64>,
    pub(super) is_damage: bool,
    /// Damage that corrupts bytes of some files, and no others.
    pub(super) is_corruption: bool,
    /// Damage that the next comparison sees without reading a file again: directories of a disk of Arb are gone.
    pub(super) is_seen_at_once: bool,
    pub(super) is_clock: bool,
    /// Damage only: number of nights on which other faults may have prevented the repair.
    pub(super) nights_lost: i64,
    /// Damage only: time by which an operator has repaired what exceeds the budget.
    pub(super) repaired_by_operator_ms: Option<i64>,
}

impl FaultInterval {
    pub(super) fn span(&self, catch_up_ms: i64, repaired_after_ms: i64) -> (i64, i64) {
        let repaired_after_ms = match self.is_seen_at_once {
            true => repaired_after_ms.min(SEEN_AND_REPAIRED_MS),
            false => repaired_after_ms,
        };
        let after_ms = match (self.is_damage, self.is_clock) {
            (true, _) => repaired_after_ms.saturating_add(self.nights_lost * NIGHT_MS),
            (_, true) => catch_up_ms + TIMER_RECHECK_MS,
            _ => catch_up_ms,
        };
        let to_ms = self.to_ms.map_or(i64::MAX, |to_ms| to_ms.saturating_add(after_ms));
        let by_operator_ms = self.repaired_by_operator_ms.map_or(to_ms, |ms| ms.saturating_add(NIGHT_MS));
        (self.from_ms, to_ms.max(by_operator_ms))
    }
}

/// Overlap of a fault's scope with a job's dependencies.
#[derive(Debug, Default)]
pub(super) struct ScopeOverlap<'n> {
    /// True if a required node is affected.
    pub(super) affects_required: bool,
    /// Affected members of groups.
    pub(super) members: BTreeSet<&'n str>,
}

impl<'n> ScopeOverlap<'n> {
    fn node(&mut self, dependencies: &'n JobDependencies, name: &str) {
        self.affects_required |= dependencies.all.contains(name);
        self.members.extend(dependencies.member(name));
    }

    /// Adds the link of a required node to this one.
    fn link_to(&mut self, dependencies: &'n JobDependencies, name: &str) {
        self.affects_required |= dependencies.linked.contains(name);
        self.members.extend(dependencies.member(name));
    }

    fn link(&mut self, dependencies: &'n JobDependencies, one: &str, other: &str) {
        match (one == ANY_NODE, other == ANY_NODE) {
            (true, true) => {
                let members = dependencies.some_of.iter().flat_map(|group| &group.nodes);
                dependencies.all.iter().chain(members).for_each(|name| self.node(dependencies, name));
            }
            (true, false) => self.node(dependencies, other),
            (false, true) => self.node(dependencies, one),
            (false, false) if one == other => {}
            (false, false) => match (dependencies.all.contains(one), dependencies.all.contains(other)) {
                (true, true) => self.affects_required = true,
                (true, false) => self.link_to(dependencies, other),
                (false, true) => self.link_to(dependencies, one),
                (false, false) => {}
            },
        }
    }
}

impl FaultScope {
    /// Returns true if it affects a required node over any link.
    pub(super) fn affects(&self, dependencies: &JobDependencies) -> bool {
        let is_needed = |name: &String| dependencies.all.contains(name);
        match self {
            FaultScope::Nodes(nodes) => nodes.iter().any(is_needed),
            FaultScope::Links(side, other) => side.iter().chain(other).any(is_needed),
        }
    }

    pub(super) fn overlap<'n>(&self, dependencies: &'n JobDependencies) -> ScopeOverlap<'n> {
        let mut overlap = ScopeOverlap::default();
        match self {
            FaultScope::Nodes(nodes) => nodes.iter().for_each(|name| overlap.node(dependencies, name)),
            FaultScope::Links(side, other) => {
                let pairs = side.iter().flat_map(|one| other.iter().map(move |other| (one, other)));
                pairs.for_each(|(one, other)| overlap.link(dependencies, one, other));
            }
        }
        overlap
    }
}

/// Whether the fault corrupts bytes of some files, and no others.
pub(super) fn corrupts(action: &FaultAction) -> bool {
    use FaultAction::{BitRot, LatentSector, LostWrite, MisdirectedWrite};
    matches!(action, BitRot(_) | LatentSector(_) | MisdirectedWrite(_) | LostWrite(_))
}

/// Returns the interval of a fault that triggered at `from_ms` and ended at `to_ms`; `None` if it excuses nothing.
pub(super) fn fault_interval(
    action: &FaultAction,
    from_ms: i64,
    to_ms: Option<i64>,
    booted: &impl Fn(&str, i64) -> Option<i64>,
) -> Option<FaultInterval> {
    let one = |name: &String| vec![name.clone()];
    let (is_damage, is_clock) =
        (damages(action).is_some(), matches!(action, FaultAction::ClockStep(_) | FaultAction::ClockDrift(_)));
    let is_corruption = corrupts(action);
    let is_seen_at_once = matches!(action, FaultAction::RemoveDirectory(it) if it.path.starts_with("arb"));
    let scope = match action {
        FaultAction::ShortRead(_) | FaultAction::GarbageTails(_) => return None,
        FaultAction::Condition(it) if it.name == SHORT_PAGES => return None,
        FaultAction::ClockDrift(it) if !is_significant(it.ppm, it.for_ms) => return None,
        FaultAction::CutLink(it) => FaultScope::Links(one(&it.from), one(&it.to)),
        FaultAction::DegradeLink(it) => FaultScope::Links(one(&it.from), one(&it.to)),
        FaultAction::Partition(it) => FaultScope::Links(it.side.clone(), it.other.clone()),
        FaultAction::PowerLoss(it) => FaultScope::Nodes(it.nodes.clone()),
        FaultAction::Kill(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::Pause(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::CrashLoop(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::NewDisk(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::Isolate(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::Flap(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::LoseMessage(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::ClockStep(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::ClockDrift(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::DiskError(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::SyncFailure(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::DiskFull(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::SlowDisk(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::LatentSector(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::BitRot(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::MisdirectedWrite(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::LostWrite(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::RemoveDirectory(it) => FaultScope::Nodes(one(&it.node)),
        FaultAction::Condition(it) => FaultScope::Nodes(one(&it.node)),
    };
    let to_ms = match action {
        // These take no time; repair starts at once.
        FaultAction::LatentSector(_) | FaultAction::BitRot(_) | FaultAction::RemoveDirectory(_) => {
            Some(from_ms)
        }
        FaultAction::LostWrite(it) => to_ms.and_then(|to_ms| booted(&it.node, to_ms)),
        _ => to_ms,
    };
    Some(FaultInterval {
        scope,
        from_ms,
        to_ms,
        is_damage,
        is_corruption,
        is_seen_at_once,
        is_clock,
        nights_lost: 0,
        repaired_by_operator_ms: None,
    })
}

/// Returns true if a drifting clock can be off by enough to have an effect.
fn is_significant(ppm: i32, for_ms: Option<u64>) -> bool {
    const YEAR_MS: u64 = 365 * 86_400_000;
    let off_ms = i128::from(ppm.unsigned_abs()) * i128::from(for_ms.unwrap_or(YEAR_MS / 12)) / 1_000_000;
    off_ms > i128::from(MAX_HARMLESS_DRIFT_MS)
}
