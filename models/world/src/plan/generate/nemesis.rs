//! Faults, all explicit, and the disk without which the system heals.

use super::in_context::{ArbitraryIn, InContext};
use super::quiet_scenario::QuietScenario;
use crate::plan::nemesis::{PipelineTargets, fault_budget};
use crate::scenario::{AbsentDisk, FaultBudget, NodeNames, Topology};
use arbitrary::{Result, Unstructured};
use latent_engine::sim::Fault;
use latent_nemesis::{Choices, damages, draw_from_bytes};
use std::collections::BTreeSet;

/// The faults of a run, within the budget. Only kinds are drawn for which the scenario has targets and time.
pub(super) struct Faults(pub Vec<Fault>);

impl ArbitraryIn for Faults {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<Faults> {
        let QuietScenario(scenario) = quiet;
        let budget = fault_budget::budget(scenario, &budget(&scenario.config.topology));
        Ok(Faults(draw_from_bytes(&PipelineTargets::new(scenario), &budget, bytes)?))
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
        let damaged = faults.iter().filter_map(|fault| damages(&fault.action));
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
