//! Faults, all explicit, and the disk without which the system heals.

use super::choices::{ByteRandomSource, Choices, FaultSizeRange};
use super::in_context::{ArbitraryIn, InContext};
use super::quiet_scenario::QuietScenario;
use crate::plan::nemesis::{self, FaultSampler};
use crate::scenario::{AbsentDisk, FaultBudget, FaultKind, NodeNames, Topology};
use arbitrary::{Result, Unstructured};
use latent_engine::sim::Fault;
use std::collections::BTreeSet;

/// Settings of a run's faults: none in a fifth of the runs, otherwise a subset of the kinds, with sizes from a part of
/// their range.
pub(super) struct FaultSettings {
    /// Number of faults that are drawn; those beyond the budget are left out.
    count: u32,
    kinds: Vec<FaultKind>,
    sizes: FaultSizeRange,
}

impl ArbitraryIn for FaultSettings {
    /// Only kinds are drawn for which the scenario has targets and time.
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<FaultSettings> {
        let QuietScenario(scenario) = quiet;
        let weeks_of_days = u32::try_from(scenario.run_for.0.as_secs() / 86_400).unwrap_or(7);
        let per_week = bytes.pick(&[(0, 0), (1, 4), (4, 12), (12, 30), (30, 60)]);
        let count = bytes.within(per_week.0, per_week.1) * weeks_of_days.max(2) / 7;
        let names = NodeNames::new(&scenario.config);
        let can_come = |kind: &FaultKind| kind.has_targets(&names) && kind.has_time(scenario);
        let there: Vec<FaultKind> = FaultKind::ALL.iter().copied().filter(can_come).collect();
        Ok(FaultSettings { count, kinds: bytes.some_of(&there), sizes: bytes.arbitrary()? })
    }
}

/// The faults of a run, within the budget.
///
/// One fault is drawn part by part as its kind asks, through the sampler that also draws faults from a seed. It is
/// therefore no type of its own here: `FaultSampler` with `ByteRandomSource` is its implementation.
pub(super) struct Faults(pub Vec<Fault>);

impl ArbitraryIn for Faults {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<Faults> {
        let FaultSettings { count, kinds, sizes } = FaultSettings::arbitrary_in(quiet, bytes)?;
        let QuietScenario(scenario) = quiet;
        let names = NodeNames::new(&scenario.config);
        let budget = budget(&scenario.config.topology);
        let mut faults = Vec::new();
        for _ in 0..count {
            let kind = bytes.pick(&kinds);
            let random = ByteRandomSource::new(bytes, sizes);
            let drawn = FaultSampler { scenario, names: &names, kind, random: &random }.fault();
            nemesis::add_within_budget(&mut faults, drawn, scenario, &budget);
        }
        Ok(Faults(faults))
    }
}

/// One disk that stays unavailable during healing, or none.
pub(super) struct HealWithout(pub Option<AbsentDisk>);

impl ArbitraryIn for HealWithout {
    /// The disk and all damaged disks together are within the budget: its contents cannot be read either.
    type Context = InContext<Faults>;

    fn arbitrary_in(faulty: &InContext<Faults>, bytes: &mut Unstructured<'_>) -> Result<HealWithout> {
        let InContext { context: QuietScenario(scenario), part: Faults(faults) } = faulty;
        let disks = NodeNames::new(&scenario.config).disks;
        let damaged = faults.iter().filter_map(|fault| nemesis::damages(&fault.action));
        let damaged: BTreeSet<&str> = damaged.filter(|node| disks.iter().any(|disk| disk == node)).collect();
        let max = usize::from(budget(&scenario.config.topology).disks);
        if !bytes.percent(15) || damaged.len() + 1 > max {
            return Ok(HealWithout(None));
        }
        let disk = disks[bytes.within(0, disks.len() as u32 - 1) as usize].clone();
        let without = if bytes.percent(50) { AbsentDisk::CutOff(disk) } else { AbsentDisk::Down(disk) };
        Ok(HealWithout(Some(without)))
    }
}

/// Returns the fault budget: few enough disks that readers are certain to see every acknowledged event.
pub(super) fn budget(topology: &Topology) -> FaultBudget {
    let usual = FaultBudget::default();
    FaultBudget { disks: usual.disks.min(topology.copies - topology.ack_copies), ..usual }
}
