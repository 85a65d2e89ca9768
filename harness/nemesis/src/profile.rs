//! How many faults of which kinds a run has, and the draws of a whole run.

use crate::choices::{ByteRandomSource, Choices, FaultSizeRange};
use crate::fault_budget::{Budget, add_within_budget};
use crate::fault_kind::FaultKind;
use crate::fault_sampler::FaultSampler;
use crate::part_draws::{RandomSource, between};
use crate::targets::FaultTargets;
use arbitrary::Unstructured;
use latent_sim::{Fault, FaultAction, Kill, OpKind, Trigger, keyed_draw};

const DAY_MS: i64 = 86_400_000;

/// Faults that a run may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Number of faults, all kinds together, minimum and maximum. Those beyond the budget are left out.
    pub count: (i64, i64),
    /// Kinds that may be drawn; each run enables about half of them.
    pub kinds: Vec<FaultKind>,
}

impl Profile {
    /// Scales a number of faults per week to whole days of a run.
    #[must_use]
    pub fn per_week(per_week: (u32, u32), days: u64, kinds: Vec<FaultKind>) -> Profile {
        let days = i64::try_from(days).unwrap_or(i64::MAX / 1_000);
        let scaled = |per_week: u32| i64::from(per_week) * days / 7;
        Profile { count: (scaled(per_week.0), scaled(per_week.1)), kinds }
    }
}

/// Draws the faults of a run from a seed.
#[must_use]
pub fn draw(targets: &dyn FaultTargets, profile: &Profile, budget: &Budget, seed: u64) -> Vec<Fault> {
    let mut enabled = enabled_kinds(&profile.kinds, seed);
    enabled.retain(|kind| kind.has_targets(targets));
    if enabled.is_empty() {
        return Vec::new();
    }
    let count = between(keyed_draw(seed, "trouble.count", 0), profile.count.0, profile.count.1);
    let mut faults = Vec::new();
    for number in 0..u64::try_from(count).unwrap_or(0) {
        let kind = enabled[usize::try_from(number % enabled.len() as u64).unwrap_or(0)];
        let random = KeyedRandomSource { seed, kind, number: number / enabled.len() as u64 };
        let drawn = FaultSampler { targets, kind, random: &random }.fault();
        add_within_budget(&mut faults, drawn, &targets.window(), budget);
    }
    faults
}

/// Returns the kinds that the run of a seed enables: each with a probability of one half, at least one.
#[must_use]
pub fn enabled_kinds(all: &[FaultKind], seed: u64) -> Vec<FaultKind> {
    let random = |kind: &FaultKind| keyed_draw(seed, "trouble.kind", *kind as u128);
    let mut enabled: Vec<FaultKind> = all.iter().copied().filter(|kind| random(kind) & 1 == 1).collect();
    if enabled.is_empty() {
        enabled.extend(all.iter().copied().min_by_key(random));
    }
    enabled
}

/// Draws the faults of a run from bytes: none in a fifth of the runs, otherwise a subset of the kinds, with sizes from a
/// part of their range. Missing bytes count as zeros, and zeros are no faults.
///
/// Each fault is drawn part by part as its kind asks, by the sampler that also draws from a seed.
pub fn draw_from_bytes(
    targets: &dyn FaultTargets,
    budget: &Budget,
    bytes: &mut Unstructured<'_>,
) -> arbitrary::Result<Vec<Fault>> {
    let window = targets.window();
    let days = u32::try_from((window.last_ms - window.start_ms) / DAY_MS).unwrap_or(7);
    let per_week = bytes.pick(&[(0, 0), (1, 4), (4, 12), (12, 30), (30, 60)]);
    let count = bytes.within(per_week.0, per_week.1) * days.max(2) / 7;
    let can_come = |kind: &FaultKind| kind.has_targets(targets) && kind.has_time(&window);
    let there: Vec<FaultKind> = FaultKind::ALL.iter().copied().filter(can_come).collect();
    let (kinds, sizes): (_, FaultSizeRange) = (bytes.some_of(&there), bytes.arbitrary()?);
    let mut faults = Vec::new();
    for _ in 0..count {
        let kind = bytes.pick(&kinds);
        let random = ByteRandomSource::new(bytes, sizes);
        let drawn = FaultSampler { targets, kind, random: &random }.fault();
        add_within_budget(&mut faults, drawn, &window, budget);
    }
    Ok(faults)
}

/// Returns the crash of a seed that strikes each operation of a node in turn: the seeds 1, 2, 3 … the first, the second,
/// the third …, and after `operations` the first again. The node restarts after a second.
#[must_use]
pub fn crash_at_each_operation(node: &str, operations: u64, seed: u64) -> Fault {
    let n = 1 + seed.wrapping_sub(1) % operations.max(1);
    let (node, path_prefix) = (node.to_owned(), String::new());
    let kill = Kill { node: node.clone(), restart_after_ms: Some(1_000), ..Kill::default() };
    let trigger = Trigger::NthOp { node, op: OpKind::Disk, path_prefix, n, after_ms: 0 };
    Fault { trigger, action: FaultAction::Kill(kill) }
}

/// Random source of the fault `number` of a kind, keyed by a seed.
struct KeyedRandomSource {
    seed: u64,
    kind: FaultKind,
    number: u64,
}

impl RandomSource for KeyedRandomSource {
    fn bits(&self, part: u32) -> u64 {
        let key = ((self.kind as u128) << 96) | (u128::from(self.number) << 32) | u128::from(part);
        keyed_draw(self.seed, "trouble.fault", key)
    }
}
