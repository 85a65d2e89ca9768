//! Checks of constraints that span several fields of a scenario.

pub(crate) mod cost;
mod healing;
mod load;
mod nemesis;
mod nodes;
mod operations;

use crate::plan::workload::WorkloadSpecError;
use crate::scenario::bug_names::bug_names;
use crate::scenario::{NodeNames, WorldConfig};
use latent_engine::{Scenario, ScenarioProblem, Span};
use latent_pipeline::zone::ZoneHistory;
use std::time::Duration;

/// The checker reads a day's files once an hour, so replaced files must stay at least as long.
const MIN_GRACE: Duration = Duration::from_secs(3_600);
/// A backup may take this long: it waits for slow links, and a failed backup is retried.
const MIN_INTERVAL: Duration = Duration::from_secs(3_600);
/// Maximum number of customers in all classes together.
const MAX_CUSTOMERS: u64 = 2_000;

/// Checks constraints that span several fields.
pub(crate) fn check(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let config = &scenario.config;
    let mut problems = check_topology(config);
    if let Some(without) = config.heal_without.as_ref() {
        let disks = NodeNames::new(config).disks;
        if !disks.iter().any(|disk| disk == without.disk()) {
            let message = format!("no disk is called '{}'", without.disk());
            problems.push(ScenarioProblem::at("/heal_without", message, "write a disk from disk-1 on"));
        }
        if usize::from(config.topology.copies) <= usize::from(config.topology.ack_copies) {
            let hint = "give the topology more copies, or leave the field out";
            problems.push(ScenarioProblem::at("/heal_without", "every copy is needed to acknowledge", hint));
        }
    }
    if config.zones.iter().all(|zone| zone.weight == 0) {
        problems.push(ScenarioProblem::at(
            "/zones",
            "no zone has a weight",
            "give at least one zone a weight of 1",
        ));
    }
    for (index, share) in config.zones.iter().enumerate() {
        if ZoneHistory::constant(&share.zone).is_err() {
            let message = format!("no time zone is called '{}'", share.zone);
            let hint = "write a name of the IANA database, such as America/Los_Angeles";
            problems.push(ScenarioProblem::at(format!("/zones/{index}/zone"), message, hint));
        }
    }
    problems.extend(check_zone_edits(scenario));
    problems.extend(check_tenants(config));
    problems.extend(check_protection(scenario));
    problems.extend(check_releases(scenario));
    problems.extend(nodes::check_fault_nodes(scenario));
    problems.extend(operations::check(scenario));
    problems.extend(nemesis::check(config));
    problems.extend(load::check(scenario));
    problems.extend(healing::check(config));
    if problems.is_empty() {
        problems.extend((0..config.tenants.len()).filter_map(|index| check_spec(config, index)));
    }
    problems
}

fn check_topology(config: &WorldConfig) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let topology = &config.topology;
    if topology.workers > topology.copies {
        let message = format!("{} workers, but there are {} disks", topology.workers, topology.copies);
        let hint = format!("write a number from 1 to {}", topology.copies);
        problems.push(ScenarioProblem::at("/topology/workers", message, hint));
    }
    if topology.ack_copies > topology.copies {
        problems.push(ScenarioProblem::at(
            "/topology/ack_copies",
            format!(
                "an acknowledgement needs {} copies, but there are {} disks",
                topology.ack_copies, topology.copies
            ),
            format!("write a number from 1 to {}", topology.copies),
        ));
    }
    problems
}

fn check_zone_edits(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let customers: u32 = scenario.config.tenants.iter().map(|class| class.count).sum();
    let mut problems = Vec::new();
    for (index, edit) in scenario.config.zone_edits.iter().enumerate() {
        if ZoneHistory::constant(&edit.zone).is_err() {
            let message = format!("no time zone is called '{}'", edit.zone);
            let hint = "write a name of the IANA database, such as America/Los_Angeles";
            problems.push(ScenarioProblem::at(format!("/zone_edits/{index}/zone"), message, hint));
        }
        if edit.project == 0 || edit.project > customers {
            let message = format!("there is no project {}", edit.project);
            let hint = format!("write a number from 1 to {customers}");
            problems.push(ScenarioProblem::at(format!("/zone_edits/{index}/project"), message, hint));
        }
        if edit.at < scenario.start || edit.at > scenario.end() {
            let message = "the time is outside of the run";
            let hint = "write a time from the start of the run to its end";
            problems.push(ScenarioProblem::at(format!("/zone_edits/{index}/at"), message, hint));
        }
    }
    problems
}

fn check_tenants(config: &WorldConfig) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let count: u64 = config.tenants.iter().map(|class| u64::from(class.count)).sum();
    if count == 0 || count > MAX_CUSTOMERS {
        let hint = format!("write classes whose counts add up to 1 to {MAX_CUSTOMERS}");
        problems.push(ScenarioProblem::at("/tenants", format!("{count} customers"), hint));
    }
    for (index, class) in config.tenants.iter().enumerate() {
        for (field, (min, max)) in [("events_per_day", class.events_per_day), ("late_ppm", class.late_ppm)] {
            if min > max {
                let pointer = format!("/tenants/{index}/{field}");
                problems.push(ScenarioProblem::at(
                    pointer,
                    format!("from {min} to {max}"),
                    "write the minimum first",
                ));
            }
        }
        let of_late_ppm = class.late_same_day_ppm + class.very_late_ppm;
        if of_late_ppm > 1_000_000 {
            let message = format!(
                "late_same_day_ppm and very_late_ppm are shares of one whole: {of_late_ppm} together"
            );
            let hint =
                "write two numbers of 1000000 together; late_same_day_ppm is 800000 where it is not written";
            problems.push(ScenarioProblem::at(format!("/tenants/{index}/very_late_ppm"), message, hint));
        }
    }
    problems
}

/// Checks that a class's workload specification is valid, after all other checks have passed.
fn check_spec(config: &WorldConfig, index: usize) -> Option<ScenarioProblem> {
    let error = crate::plan::largest_spec(config, &config.tenants[index]).check().err()?;
    let field = match &error {
        WorkloadSpecError::NoImport { .. } | WorkloadSpecError::Zero { field: "api", .. } => "/api",
        WorkloadSpecError::Share { .. }
        | WorkloadSpecError::Range { .. }
        | WorkloadSpecError::Zero { .. } => "",
    };
    Some(ScenarioProblem::at(
        format!("/tenants/{index}{field}"),
        error.to_string(),
        "change the class or its load",
    ))
}

fn check_protection(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let config = &scenario.config;
    let mut problems = Vec::new();
    let protection = &config.protection;
    if config.compaction.grace.0 < MIN_GRACE {
        let message = format!("replaced files are removed after {}", config.compaction.grace);
        let hint =
            format!("write at least {}: until then each run is compared with its inputs", Span(MIN_GRACE));
        problems.push(ScenarioProblem::at("/compaction/grace", message, hint));
    }
    if let Some(backup) = &protection.backup {
        if backup.interval.0 < MIN_INTERVAL {
            let message = format!("a backup every {}", backup.interval);
            let hint = format!("write at least {}: one may take as long", Span(MIN_INTERVAL));
            problems.push(ScenarioProblem::at("/protection/backup/interval", message, hint));
        }
        if backup.first_after.0 >= scenario.run_for.0 {
            let message = format!(
                "the first backup comes {} after the start, and the run lasts {}",
                backup.first_after, scenario.run_for
            );
            problems.push(ScenarioProblem::at(
                "/protection/backup/first_after",
                message,
                "write a shorter time, or leave backups out",
            ));
        }
    }
    if protection.audit.is_some() && protection.tee.is_none() {
        let hint = "give the scenario a tee, or leave the audit out";
        problems.push(ScenarioProblem::at(
            "/protection/audit",
            "an audit compares exports with the tee",
            hint,
        ));
    }
    if let (Some(tee), Some(backup)) = (&protection.tee, &protection.backup)
        && backup.retention.0 < tee.retention.0 + backup.interval.0
    {
        problems.push(ScenarioProblem::at(
            "/protection/backup/retention",
            "the last backup before the oldest request of the tee could expire",
            "write at least the tee's retention plus the interval",
        ));
    }
    if config.operator.is_some() && protection.audit.is_none() {
        let hint = "give the scenario an audit, or leave the operator out";
        problems.push(ScenarioProblem::at(
            "/operator",
            "without an audit there are no alarms for the operator",
            hint,
        ));
    }
    problems
}

fn check_releases(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let config = &scenario.config;
    let known = bug_names();
    for (index, release) in config.releases.iter().enumerate() {
        for (bug, name) in release.bugs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let similar = latent_engine::suggest(name, known.iter().copied());
                let similar = similar.first().map_or(String::new(), |one| format!("did you mean {one}? "));
                let hint = format!("{similar}`latent bugs --list` prints all; or write hostile");
                let pointer = format!("/releases/{index}/bugs/{bug}");
                problems.push(ScenarioProblem::at(
                    pointer,
                    format!("no planted bug is called '{name}'"),
                    hint,
                ));
            }
        }
    }
    for (index, deploy) in config.deploys.iter().enumerate() {
        let exists = deploy.release == "good" || config.releases.iter().any(|r| r.name == deploy.release);
        if !exists {
            let hint = "write good, or the name of one of the scenario's releases";
            let message = format!("no release is called '{}'", deploy.release);
            problems.push(ScenarioProblem::at(format!("/deploys/{index}/release"), message, hint));
        }
        if deploy.at.0 < scenario.start.0 || deploy.at.0 > scenario.end().0 {
            let message = format!("the deploy at {} is outside the run", deploy.at);
            let hint = format!("write an instant from {} to {}", scenario.start, scenario.end());
            problems.push(ScenarioProblem::at(format!("/deploys/{index}/at"), message, hint));
        }
    }
    problems
}
