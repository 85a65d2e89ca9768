//! The plan: every choice that a seed makes, such as customers, drill times and exports.
//!
//! A customer's events follow from a workload specification and the seed (see `workload`), so the plan stays small at
//! any volume.

use super::drill_schedule::PlannedDrill;
use super::load::{self, ClientRetryPolicy};
use super::workload::{ExplicitRequest, WorkloadSpec};
use crate::scenario::{Operation, ZoneEdit};
use latent_engine::humanize;
use latent_engine::sim::Fault;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::UnixMs;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All choices of a seed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldPlan {
    /// Seed of workload, latencies and clocks.
    pub seed: u64,
    /// The customers, in the order of their project numbers. These start at 1 and may have gaps in a shrunk case.
    pub tenants: Vec<Tenant>,
    /// Maximum drawn clock offset of a node in either direction, in milliseconds.
    pub clock_offset_ms: i64,
    /// Recovery drills.
    pub drills: Vec<PlannedDrill>,
    /// Exports that customers read.
    pub exports: Vec<PlannedExport>,
    /// Faults drawn from the seed.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Planned operator actions.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// Changes of time zones by customers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zone_edits: Vec<ZoneEdit>,
}

/// A customer with one project.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Name of its class.
    pub class: String,
    /// Time zone, by IANA name.
    pub zone: String,
    /// Specification of the requests that its clients send.
    pub workload: WorkloadSpec,
    /// Retry policy of its clients.
    #[serde(default, skip_serializing_if = "ClientRetryPolicy::is_default")]
    pub(crate) retry_policy: ClientRetryPolicy,
    /// Explicit requests that replace the stream of the specification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<ExplicitRequest>>,
}

/// An export that a customer reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedExport {
    /// Number of the project.
    pub project: u32,
    /// Time, in milliseconds since 1970.
    pub at_ms: i64,
    /// First local day.
    pub from: Day,
    /// Last local day.
    pub to: Day,
}

impl WorldPlan {
    /// Returns the customer with this project number.
    pub(crate) fn tenant(&self, project: u32) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.workload.project == project)
    }

    /// Returns the zones of a customer's project, each with the time from which it applies, in milliseconds since 1970.
    pub(crate) fn zones_of<'p>(&'p self, tenant: &'p Tenant) -> impl Iterator<Item = (i64, &'p str)> {
        let edits = self.zone_edits.iter().filter(|edit| edit.project == tenant.workload.project);
        std::iter::once((i64::MIN, tenant.zone.as_str()))
            .chain(edits.map(|edit| (edit.at.0.0, edit.zone.as_str())))
    }

    /// Returns the zone history of a customer's project, as the system is configured with it.
    pub(crate) fn zone_history(&self, tenant: &Tenant) -> ZoneHistory {
        let checked = "zones were checked with the scenario";
        let first = ZoneHistory::constant(&tenant.zone).expect(checked);
        self.zones_of(tenant)
            .skip(1)
            .fold(first, |history, (since_ms, zone)| history.then(UnixMs(since_ms), zone).expect(checked))
    }

    /// Describes the choices, one per line.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut zones: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for tenant in &self.tenants {
            *zones.entry((&tenant.class, &tenant.zone)).or_default() += 1;
        }
        let mut lines: Vec<String> =
            zones.into_iter().map(|((class, zone), count)| format!("{count} {class} in {zone}")).collect();
        let mut loads: BTreeMap<String, u32> = BTreeMap::new();
        for sentence in
            self.tenants.iter().flat_map(|tenant| load::describe(&tenant.workload, &tenant.retry_policy))
        {
            *loads.entry(sentence).or_default() += 1;
        }
        lines.extend(loads.into_iter().map(|(sentence, count)| match count {
            1 => format!("in 1 project {sentence}"),
            _ => format!("in {count} projects {sentence}"),
        }));
        lines.extend(self.drills.iter().map(|drill| format!("drill {}", drill.describe())));
        lines.extend(
            self.operations.iter().map(|it| {
                format!("{}: an operator {}", humanize::moment_ms(it.at.0.0), it.action.describe())
            }),
        );
        lines.extend(self.zone_edits.iter().map(|edit| {
            format!("{}: p{} moves to {}", humanize::moment_ms(edit.at.0.0), edit.project, edit.zone)
        }));
        let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
        for fault in &self.faults {
            *kinds.entry(fault.action.name()).or_default() += 1;
        }
        lines.extend(kinds.into_iter().map(|(kind, count)| format!("{count} times {kind}")));
        lines.push(format!(
            "{} exports, clocks off by up to {} ms",
            self.exports.len(),
            self.clock_offset_ms
        ));
        lines
    }
}
