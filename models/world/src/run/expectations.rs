//! Settings of the oracle before a run: clock errors, network behavior and zones.

use crate::cluster::node_ids::NodeIds;
use crate::plan::WorldPlan;
use crate::scenario::WorldConfig;
use latent_engine::Scenario;
use latent_engine::sim::{Fault, FaultAction, World};
use latent_oracle::{LedgerConfig, ProjectZones};
use std::collections::BTreeSet;

/// Returns the ledger's settings: the maximum clock error of edges, from the time service and the plan's faults, and
/// whether faults of links to edges duplicate requests.
pub(super) fn ledger_settings(
    world: &World,
    nodes: &NodeIds,
    scenario: &Scenario<WorldConfig>,
) -> LedgerConfig {
    let usual = LedgerConfig::default();
    let edges: BTreeSet<String> = nodes.edges.iter().map(|node| world.node_name(*node).to_string()).collect();
    let duration_ms = (scenario.run_for.0 + scenario.config.healing.0).as_millis() as u64;
    let skew_ms = |fault: &Fault| match &fault.action {
        FaultAction::ClockStep(step) if edges.contains(&step.node) => step.by_ms.unsigned_abs(),
        FaultAction::ClockDrift(drift) if edges.contains(&drift.node) => {
            let for_ms = drift.for_ms.unwrap_or(duration_ms).min(duration_ms);
            u64::from(drift.ppm.unsigned_abs()) * for_ms / 1_000_000 + 1
        }
        _ => 0,
    };
    // Clock steps add up: all may affect one edge.
    let skew_ms: u64 = world.fault_outcomes().iter().map(|outcome| skew_ms(&outcome.fault)).sum();
    let is_edge = |name: &String| name == "*" || edges.contains(name);
    let doubles = |fault: &Fault| match &fault.action {
        FaultAction::DegradeLink(link) => {
            link.duplicate_ppm > Some(0) && (is_edge(&link.from) || is_edge(&link.to))
        }
        _ => false,
    };
    let doubled = world.fault_outcomes().iter().any(|outcome| doubles(&outcome.fault));
    let deliveries_per_send = usual.deliveries_per_send + u32::from(doubled);
    LedgerConfig {
        deliveries_per_send,
        clock_skew_ms: usual.clock_skew_ms + i64::try_from(skew_ms).unwrap_or(i64::MAX / 4),
    }
}

/// Returns the zones of all projects for the oracle.
pub(super) fn oracle_zones(plan: &WorldPlan) -> ProjectZones {
    let mut zones = ProjectZones::default();
    for tenant in &plan.tenants {
        for (since_ms, zone) in plan.zones_of(tenant) {
            let set = zones.set(tenant.workload.project, since_ms, zone);
            set.unwrap_or_else(|error| panic!("zone of p{}: {error}", tenant.workload.project));
        }
    }
    zones
}
