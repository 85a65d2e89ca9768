//! What the oracle is told of the world before a run: how wrong clocks may be, what the network may do, which zones
//! there are.

use crate::plan::WorldPlan;
use crate::scenario::Topic;
use crate::topology::Nodes;
use latent_engine::Scenario;
use latent_engine::sim::{Action, Fault, World};
use latent_oracle::{Settings, Zones};
use std::collections::BTreeSet;

/// How far edges' clocks may be off: what a good time service leaves, and what the plan's faults do to them. And
/// whether they let links to edges double a customer's request.
pub(super) fn ledger_settings(world: &World, nodes: &Nodes, scenario: &Scenario<Topic>) -> Settings {
    let usual = Settings::default();
    let edges: BTreeSet<String> = nodes.edges.iter().map(|node| world.node_name(*node).to_string()).collect();
    let lasts_ms = (scenario.run_for.0 + scenario.config.healing.0).as_millis() as u64;
    let skew_ms = |fault: &Fault| match &fault.action {
        Action::ClockStep(step) if edges.contains(&step.node) => step.by_ms.unsigned_abs(),
        Action::ClockDrift(drift) if edges.contains(&drift.node) => {
            let for_ms = drift.for_ms.unwrap_or(lasts_ms).min(lasts_ms);
            u64::from(drift.ppm.unsigned_abs()) * for_ms / 1_000_000 + 1
        }
        _ => 0,
    };
    // Steps may add up: they may all fall on one edge.
    let skew_ms: u64 = world.fault_outcomes().iter().map(|outcome| skew_ms(&outcome.fault)).sum();
    let is_edge = |name: &String| name == "*" || edges.contains(name);
    let doubles = |fault: &Fault| match &fault.action {
        Action::DegradeLink(link) => {
            link.duplicate_ppm > Some(0) && (is_edge(&link.from) || is_edge(&link.to))
        }
        _ => false,
    };
    let doubled = world.fault_outcomes().iter().any(|outcome| doubles(&outcome.fault));
    let deliveries_per_send = usual.deliveries_per_send + u32::from(doubled);
    Settings {
        deliveries_per_send,
        clock_skew_ms: usual.clock_skew_ms + i64::try_from(skew_ms).unwrap_or(i64::MAX / 4),
    }
}

/// The oracle's own knowledge of zones.
pub(super) fn oracle_zones(plan: &WorldPlan) -> Zones {
    let mut zones = Zones::default();
    for tenant in &plan.tenants {
        let set = zones.set(tenant.law.project, i64::MIN, &tenant.zone);
        set.unwrap_or_else(|error| panic!("zone of p{}: {error}", tenant.law.project));
    }
    zones
}
