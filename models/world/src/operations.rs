//! What operators do: planned recoveries into the live cluster, and mistakes.
//!
//! Modelled: a recovery that is run in production although nothing may be wrong, once or several times, by one operator
//! or by two at once, with a runbook that was followed or not; a retention typed wrong; backups switched off; backups
//! sent to another store than a data center's. The last three are a changed configuration on one node, which restarts
//! with it; they last until somebody mends them (`for`), or until trouble is over. Other mistakes stand elsewhere:
//! deploys and roll-backs in `deploys`, a removed directory among the faults (`remove_directory`), expired credentials
//! as a condition (`credentials.expired`), permissions that are too wide in the topology. Not modelled: a recovery into
//! the wrong cluster, a mistake that changes several nodes at once.
//!
//! Source: GitLab's account of 2017-01-31 names a directory removed on the wrong host, backups that had silently not
//! been taken for months, and a runbook that was improvised; restic#3861 a retention whose unit was misread.

use crate::scenario::{Protection, Topic};
use crate::topology::Nodes;
use latent_engine::{Scenario, ScenarioProblem, Span, Timestamp};
use latent_oracle::Excused;
use latent_pipeline::config::Cluster;
use latent_pipeline::recovery::run::Targets;
use latent_pipeline::recovery::runbook::{Step, is_by_the_book};
use latent_pipeline::zone::Day;
use latent_ports::NodeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that an operator does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum What {
    /// Recovers days into the live cluster.
    Recover(Recover),
    /// Types a retention wrong.
    TypeRetention(TypeRetention),
    /// Switches backups off.
    DisableBackup(Lasting),
    /// Sends backups to the tee store's bucket instead of the data centers'.
    WrongBucket(Lasting),
}

/// A recovery into the live cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Recover {
    /// Which project-days; empty: everything that backups or the tee know.
    pub days: Vec<ProjectDate>,
    /// How often, one after the other. One that does not call itself complete is run again, by the book.
    #[schemars(range(max = 100))]
    pub times: u32,
    /// The steps of the first run, in order. By the book: all of them, in this order.
    pub runbook: Vec<RunbookStep>,
}

impl Default for Recover {
    fn default() -> Self {
        Recover { days: Vec::new(), times: 1, runbook: RunbookStep::ALL.to_vec() }
    }
}

/// A day of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectDate {
    /// The project's number, from 1.
    #[schemars(range(max = 10_000))]
    pub project: u32,
    /// The date: 2016-02-22.
    pub day: String,
}

/// A step of the runbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunbookStep {
    /// The edges put all that they still hold into the tee store.
    FlushEdges,
    /// All files of the tee store are read.
    ReadTee,
    /// The catalogs of all data centers are read.
    ReadBackups,
    /// Each day is put together from the newest readable backup and the tee.
    Rebuild,
    /// Each day that lacks something is put together again, from older backups.
    Audit,
    /// Each day is written to all disks, skipping what is present.
    Write,
}

impl RunbookStep {
    const ALL: [RunbookStep; 6] = [
        RunbookStep::FlushEdges,
        RunbookStep::ReadTee,
        RunbookStep::ReadBackups,
        RunbookStep::Rebuild,
        RunbookStep::Audit,
        RunbookStep::Write,
    ];

    fn step(self) -> Step {
        match self {
            RunbookStep::FlushEdges => Step::FlushEdges,
            RunbookStep::ReadTee => Step::ReadTee,
            RunbookStep::ReadBackups => Step::ReadBackups,
            RunbookStep::Rebuild => Step::Rebuild,
            RunbookStep::Audit => Step::Audit,
            RunbookStep::Write => Step::Write,
        }
    }
}

/// A retention typed wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TypeRetention {
    /// Of what.
    pub of: Retained,
    /// What was typed: 7h for 7d.
    pub typed: Span,
    /// Until it is mended; absent: until trouble is over.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

/// What is let go of once it is old enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retained {
    /// Files of the tee store.
    Tee,
    /// Backups.
    Backups,
}

/// How long a mistake lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lasting {
    /// Until it is mended; absent: until trouble is over.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Span>,
}

impl Recover {
    pub(crate) fn targets(&self) -> Targets {
        if self.days.is_empty() {
            return Targets::Everything;
        }
        let days = self.days.iter().filter_map(|of| Some((of.project, Day::parse(&of.day)?)));
        Targets::Days(days.collect())
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        self.runbook.iter().map(|step| step.step()).collect()
    }
}

/// When somebody has typed a longer retention of the tee than the scenario gives it. `operations` are the plan's: a case that
/// was made smaller has them there alone.
pub(crate) fn longer_tee_retention(operations: &[Operation], scenario: &Scenario<Topic>) -> Excused {
    let kept = scenario.config.protection.tee.as_ref().map(|tee| tee.retention.0).unwrap_or_default();
    let longer = operations.iter().filter_map(|operation| match &operation.what {
        What::TypeRetention(TypeRetention { of: Retained::Tee, typed, lasts }) if typed.0 > kept => {
            let from_ms = operation.at.0.0;
            let lasts_ms = lasts.map(|lasts| i64::try_from(lasts.0.as_millis()).unwrap_or(i64::MAX));
            Some((from_ms, lasts_ms.map_or(scenario.end().0.0, |lasts_ms| from_ms.saturating_add(lasts_ms))))
        }
        _ => None,
    });
    Excused::of(longer)
}

impl What {
    /// How long it lasts; `None` for what is done at once, and for what lasts until trouble is over.
    pub(crate) fn lasts(&self) -> Option<Span> {
        match self {
            What::Recover(_) => None,
            What::TypeRetention(it) => it.lasts,
            What::DisableBackup(it) | What::WrongBucket(it) => it.lasts,
        }
    }

    /// The node that restarts with another configuration, and the configuration. Nothing for a recovery.
    pub(crate) fn configure(&self, cluster: &Cluster, nodes: &Nodes) -> Option<(NodeId, Cluster)> {
        let mut changed = cluster.clone();
        let node = match self {
            What::Recover(_) => return None,
            What::TypeRetention(TypeRetention { of: Retained::Tee, typed, .. }) => {
                changed.tee.as_mut()?.retention = typed.0;
                nodes.tee_store?
            }
            What::TypeRetention(TypeRetention { of: Retained::Backups, typed, .. }) => {
                changed.backup.as_mut()?.retention = typed.0;
                nodes.backup?
            }
            What::DisableBackup(_) => {
                changed.backup = None;
                nodes.backup?
            }
            What::WrongBucket(_) => {
                changed.backup.as_mut()?.data_centers = vec![nodes.tee_store?];
                nodes.backup?
            }
        };
        Some((node, changed))
    }

    /// What it needs and the protection has not, in words.
    pub(crate) fn lacks(&self, protection: &Protection) -> Option<&'static str> {
        let (needs, is_there) = match self {
            What::Recover(_) => ("an audit: nobody is there to run a recovery", protection.audit.is_some()),
            What::TypeRetention(TypeRetention { of: Retained::Tee, .. }) => {
                ("a tee", protection.tee.is_some())
            }
            What::TypeRetention(_) | What::DisableBackup(_) => ("backups", protection.backup.is_some()),
            What::WrongBucket(_) => {
                ("backups and a tee", protection.backup.is_some() && protection.tee.is_some())
            }
        };
        (!is_there).then_some(needs)
    }

    /// As the printed choices say it.
    pub(crate) fn in_words(&self) -> String {
        let lasts = self.lasts().map_or(String::new(), |lasts| format!(", for {lasts}"));
        match self {
            What::Recover(it) => {
                let what = match it.days.len() {
                    0 => "everything".to_owned(),
                    1 => "1 project-day".to_owned(),
                    days => format!("{days} project-days"),
                };
                let how = if is_by_the_book(&it.steps()) { "by the book" } else { "not by the book" };
                let times = if it.times == 1 { String::new() } else { format!(", {} times", it.times) };
                format!("recovers {what} into the live cluster{times}, {how}")
            }
            What::TypeRetention(TypeRetention { of: Retained::Tee, typed, .. }) => {
                format!("types {typed} for the tee's retention{lasts}")
            }
            What::TypeRetention(TypeRetention { typed, .. }) => {
                format!("types {typed} for the backups' retention{lasts}")
            }
            What::DisableBackup(_) => format!("switches backups off{lasts}"),
            What::WrongBucket(_) => format!("sends backups to the wrong bucket{lasts}"),
        }
    }
}

/// What no single operation's fields show.
pub(crate) fn check(scenario: &Scenario<Topic>) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let (topic, start, end) = (&scenario.config, scenario.start, scenario.end());
    let projects: u32 = topic.tenants.iter().map(|class| class.count).sum();
    for (index, operation) in topic.operations.iter().enumerate() {
        let at = |place: &str| format!("/operations/{index}{place}");
        if operation.at < start || operation.at > end {
            let said = format!("the operation at {} lies outside of the run", operation.at);
            problems.push(ScenarioProblem::at(
                at("/at"),
                said,
                format!("write an instant from {start} to {end}"),
            ));
        }
        if let Some(needs) = operation.what.lacks(&topic.protection) {
            let hint = "give the scenario's protection one, or leave the operation out";
            problems.push(ScenarioProblem::at(at("/what"), format!("this needs {needs}"), hint));
        }
        if let What::Recover(recover) = &operation.what {
            problems.extend(check_recover(recover, projects, &at("/what/recover")));
        }
    }
    problems
}

fn check_recover(recover: &Recover, projects: u32, at: &str) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    if recover.times == 0 || recover.times > MOST_TIMES {
        let hint = format!("write a number from 1 to {MOST_TIMES}");
        problems.push(ScenarioProblem::at(format!("{at}/times"), format!("{} times", recover.times), hint));
    }
    if recover.runbook.is_empty() || recover.runbook.len() > MOST_STEPS {
        let hint = format!("write 1 to {MOST_STEPS} steps, or leave the runbook out");
        problems.push(ScenarioProblem::at(
            format!("{at}/runbook"),
            format!("{} steps", recover.runbook.len()),
            hint,
        ));
    }
    for (index, of) in recover.days.iter().enumerate() {
        if of.project == 0 || of.project > projects {
            let said = format!("there is no project {}", of.project);
            let hint = format!("write a number from 1 to {projects}");
            problems.push(ScenarioProblem::at(format!("{at}/days/{index}/project"), said, hint));
        }
        if Day::parse(&of.day).is_none() {
            let said = format!("'{}' is no date", of.day);
            problems.push(ScenarioProblem::at(
                format!("{at}/days/{index}/day"),
                said,
                "write it like 2016-02-22",
            ));
        }
    }
    problems
}

const MOST_TIMES: u32 = 20;
const MOST_STEPS: usize = 40;

/// A planned recovery, and how far it is: on the desk, where it outlives the machine that runs it.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub recover: Recover,
    /// Runs that called themselves complete.
    pub done: u32,
    /// Runs of it in all.
    pub begun: u32,
    /// A process is at it.
    pub is_under_way: bool,
}

impl Order {
    pub fn of(recover: Recover) -> Order {
        Order { recover, done: 0, begun: 0, is_under_way: false }
    }

    /// Whether there is more to run, and nobody runs it. What cannot be completed is given up after some runs: the
    /// last report says so.
    pub fn is_due(&self) -> bool {
        !self.is_under_way && self.done < self.recover.times && self.begun < self.recover.times + MORE_TRIES
    }
}

/// A recovery that does not call itself complete is tried so often more.
const MORE_TRIES: u32 = 20;

#[cfg(test)]
mod tests;
