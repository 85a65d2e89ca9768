//! Every choice that a seed decides, written down: who the customers are, when drills and exports happen.
//!
//! A customer's events are a law and the seed (see `workload`): the plan stays small whatever the volume.

use crate::load::{self, Manners};
use crate::operations::Operation;
use crate::scenario::{TenantClass, Topic, ZoneShare};
use crate::workload::{HOUR_MS, Late, StreamLaw, WrittenRequest};
use latent_engine::sim::{Fault, keyed_draw};
use latent_engine::{Scenario, humanize};
use latent_pipeline::zone::Day;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Node clocks are off by at most this, either way, ms: what a good time service leaves.
pub(crate) const CLOCK_OFFSET_MS: i64 = 20;

/// What a seed decides.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldPlan {
    /// The seed: of workload, latencies, clocks.
    pub seed: u64,
    /// The customers, in the order of their projects' numbers, which begin with 1 and may have gaps: some may have been
    /// left out to make a case smaller.
    pub tenants: Vec<Tenant>,
    /// Clock offsets of nodes are drawn up to this, either way, ms.
    pub clock_offset_ms: i64,
    /// When drills happen, ms since 1970.
    pub drills_ms: Vec<i64>,
    /// What customers export.
    pub exports: Vec<Export>,
    /// Faults that the seed drew.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// What operators do.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// One customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// Its class.
    pub class: String,
    /// Its time zone.
    pub zone: String,
    /// What its clients send.
    pub law: StreamLaw,
    /// How they go about it.
    #[serde(default, skip_serializing_if = "Manners::is_usual")]
    pub(crate) manners: Manners,
    /// What its clients send, written out in place of the law's stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<WrittenRequest>>,
}

/// An export that a customer reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// The project.
    pub project: u32,
    /// When, ms since 1970.
    pub at_ms: i64,
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
}

impl WorldPlan {
    /// The customer with this project.
    pub(crate) fn tenant(&self, project: u32) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.law.project == project)
    }

    /// The choices, one a line, for people.
    pub(crate) fn in_words(&self) -> Vec<String> {
        let mut zones: BTreeMap<(&str, &str), u32> = BTreeMap::new();
        for tenant in &self.tenants {
            *zones.entry((&tenant.class, &tenant.zone)).or_default() += 1;
        }
        let mut lines: Vec<String> =
            zones.into_iter().map(|((class, zone), count)| format!("{count} {class} in {zone}")).collect();
        let mut loads: BTreeMap<String, u32> = BTreeMap::new();
        for sentence in self.tenants.iter().flat_map(|tenant| load::in_words(&tenant.law, &tenant.manners)) {
            *loads.entry(sentence).or_default() += 1;
        }
        lines.extend(loads.into_iter().map(|(sentence, count)| match count {
            1 => format!("in 1 project {sentence}"),
            _ => format!("in {count} projects {sentence}"),
        }));
        let moments = self.drills_ms.iter().map(|at_ms| humanize::moment_ms(*at_ms));
        lines.extend(moments.map(|moment| format!("drill at {moment}")));
        lines.extend(
            self.operations
                .iter()
                .map(|it| format!("{}: an operator {}", humanize::moment_ms(it.at.0.0), it.what.in_words())),
        );
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

/// A pure draw: stream name and key to 64 bits.
type Draw<'a> = &'a dyn Fn(&'static str, u128) -> u64;

/// Expands a scenario.
pub(crate) fn expand(scenario: &Scenario<Topic>, seed: u64) -> WorldPlan {
    let draw = |stream: &'static str, key: u128| keyed_draw(seed, stream, key);
    let topic = &scenario.config;
    let mut tenants = Vec::new();
    for (class_index, class) in topic.tenants.iter().enumerate() {
        let turn = draw("plan.zones", class_index as u128);
        for index in 0..class.count {
            let zone = deal_zone(&topic.zones, index, class.count, turn);
            let project = tenants.len() as u32 + 1;
            let (mut law, mut manners) = (law(class, project, &draw), Manners::default());
            load::apply(&topic.load, &mut law, &mut manners);
            tenants.push(Tenant { class: class.name.clone(), zone, law, manners, requests: None });
        }
    }
    let (start, end) = (scenario.start.0.0, scenario.end().0.0);
    // A drill in the first tenth would find nothing to recover.
    let instant =
        |stream, key| start + (end - start) / 10 + between(draw(stream, key), 0, (end - start) * 9 / 10);
    let drills_ms = crate::instants::drills(scenario, seed, &tenants);
    let first = Day((start / (24 * HOUR_MS)) as i32 - 1);
    let mut exports: Vec<Export> = (1..=tenants.len() as u32)
        .flat_map(|project| (0..topic.exports_per_project).map(move |n| (project, n)))
        .map(|(project, n)| {
            let at_ms = instant("plan.exports", (u128::from(project) << 32) | u128::from(n));
            Export { project, at_ms, from: first, to: Day((at_ms / (24 * HOUR_MS)) as i32 + 1) }
        })
        .collect();
    exports.sort_by_key(|export| (export.at_ms, export.project));
    let faults = crate::trouble::draw(scenario, seed);
    let operations = topic.operations.clone();
    WorldPlan { seed, tenants, clock_offset_ms: CLOCK_OFFSET_MS, drills_ms, exports, faults, operations }
}

/// Deals a class over the zones: evenly spaced over all weights, beginning at a place that the seed turns. As the
/// zones stand in the order of their offsets, every stretch of the globe gets its share, give or take one.
fn deal_zone(zones: &[ZoneShare], index: u32, count: u32, turn: u64) -> String {
    let total: u64 = zones.iter().map(|zone| u64::from(zone.weight)).sum();
    // In units of weight / count, so that a class of any size is spaced evenly.
    let (count, units) = (u64::from(count), total * u64::from(count));
    let mut place = (u64::from(index) * total + turn % units.max(1)) % units.max(1);
    for share in zones {
        let width = u64::from(share.weight) * count;
        if place < width {
            return share.zone.clone();
        }
        place -= width;
    }
    zones.last().map(|share| share.zone.clone()).unwrap_or_default()
}

/// The law of a class's projects with the largest shares and the load of all projects.
pub(crate) fn largest_law(topic: &Topic, class: &TenantClass) -> StreamLaw {
    let mut law = law(class, 0, &|_, _| u64::MAX);
    load::apply(&topic.load, &mut law, &mut Manners::default());
    law
}

fn law(class: &TenantClass, project: u32, draw: Draw<'_>) -> StreamLaw {
    let number = u128::from(project);
    let (least, most) = class.late_ppm;
    let share_ppm = between(draw("plan.late", number), i64::from(least), i64::from(most)) as u32;
    // Mostly offline devices come back in the evening of the same day; others trickle in.
    StreamLaw {
        project,
        token: format!("{:016x}", draw("plan.token", number)),
        secret: format!("{:016x}", draw("plan.secret", number)),
        events_per_day: class.events_per_day,
        requests_per_day: class.requests_per_day,
        users: 40,
        late: Late {
            share_ppm,
            same_day_ppm: class.late_same_day_ppm,
            by_ms: (2 * HOUR_MS, 30 * HOUR_MS),
            long_ppm: class.very_late_ppm,
            long_by_ms: (30 * HOUR_MS, 96 * HOUR_MS),
        },
        ahead_ppm: 0,
        resend_ppm: class.repeated_ppm,
        resend_after_ms: (HOUR_MS / 4, 20 * HOUR_MS),
        no_insert_id_ppm: class.no_insert_id_ppm,
        shared_insert_id_ppm: class.repeated_ppm / 4,
        no_time_ppm: class.no_time_ppm,
        invalid_ppm: class.invalid_ppm,
        huge_ppm: 0,
        event_bytes: (180, 300),
        api: (&class.api).into(),
        bursts: Vec::new(),
        absences: Vec::new(),
        wrong_clocks: Vec::new(),
        kept: Vec::new(),
    }
}

/// A number from `least` to `most`, both included.
pub(crate) fn between(draw: u64, least: i64, most: i64) -> i64 {
    let width = (most.max(least) - least) as u128 + 1;
    least + ((u128::from(draw) * width) >> 64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_dealt_over_zones_in_proportion_wherever_the_seed_begins() {
        let share = |zone: &str, weight| ZoneShare { zone: zone.to_owned(), weight };
        let zones = [share("west", 3), share("spared", 4), share("east", 3)];
        for turn in 0..500u64 {
            for count in [4, 30, 204] {
                let dealt = (0..count).map(|index| deal_zone(&zones, index, count, turn * 7));
                let spared = dealt.filter(|zone| zone == "spared").count() as i64;
                assert!((spared - i64::from(count) * 4 / 10).abs() <= 1, "{spared} of {count}, turn {turn}");
            }
        }
    }

    #[test]
    fn between_reaches_both_ends() {
        assert_eq!(between(0, -3, 5), -3);
        assert_eq!(between(u64::MAX, -3, 5), 5);
    }
}
