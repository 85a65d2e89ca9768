//! Operator actions: planned recoveries into the live cluster, and mistakes.
//!
//! Modelled: a recovery in production, although nothing may be wrong, run once or several times, by one operator or
//! two at once, with the complete runbook or another one; a mistyped retention; disabled backups; backups sent to a
//! store other than a data center. The last three change the configuration of one node, which restarts with it; they
//! last for `for`, or until faults end. Other mistakes are modelled elsewhere: deploys and roll-backs in `deploys`, a
//! removed directory as a fault (`remove_directory`), expired credentials as a condition (`credentials.expired`),
//! excessive permissions in the topology. Not modelled: a recovery into the wrong cluster, a mistake that changes
//! several nodes at once.
//!
//! Sources: GitLab's account of 2017-01-31 names a directory removed on the wrong host, backups that had silently
//! failed for months, and an improvised runbook; restic#3861 a retention whose unit was misread.

use crate::scenario::{Protection, WorldConfig};
use crate::topology::NodeIds;
use latent_engine::{Scenario, ScenarioProblem, Span, Timestamp};
use latent_oracle::ExcusedPeriods;
use latent_pipeline::config::Cluster;
use latent_pipeline::recovery::run::RecoveryTargets;
use latent_pipeline::recovery::runbook::{RecoveryStep, is_complete_runbook};
use latent_pipeline::zone::Day;
use latent_ports::NodeId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A planned operator action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Time of the action.
    pub at: Timestamp,
    /// The action.
    #[serde(rename = "what")]
    pub action: OperatorAction,
}

/// An action of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatorAction {
    /// Recovers project-days into the live cluster.
    Recover(RecoverAction),
    /// Mistypes a retention.
    TypeRetention(RetentionTypo),
    /// Disables backups.
    DisableBackup(MistakeDuration),
    /// Sends backups to the tee store's bucket instead of the data centers' buckets.
    WrongBucket(MistakeDuration),
}

/// A recovery into the live cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RecoverAction {
    /// Project-days to recover. Empty: everything that backups or the tee hold.
    pub days: Vec<ProjectDate>,
    /// Number of complete runs, one after the other. A run that does not report itself complete is repeated with the
    /// full runbook.
    #[schemars(range(max = 100))]
    pub times: u32,
    /// Steps of the first run, in order. Default: the full runbook, all steps in this order.
    pub runbook: Vec<RunbookStep>,
}

impl Default for RecoverAction {
    fn default() -> Self {
        RecoverAction { days: Vec::new(), times: 1, runbook: RunbookStep::ALL.to_vec() }
    }
}

/// A local day of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectDate {
    /// Number of the project, from 1.
    #[schemars(range(max = 10_000))]
    pub project: u32,
    /// Date, such as `2016-02-22`.
    pub day: String,
}

/// A step of the runbook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunbookStep {
    /// The edges upload everything that they still hold to the tee store.
    FlushEdges,
    /// Reads all files of the tee store.
    ReadTee,
    /// Reads the catalogs of all data centers.
    ReadBackups,
    /// Rebuilds each day from the newest readable backup and the tee.
    Rebuild,
    /// Rebuilds each day that lacks events from older backups.
    Audit,
    /// Writes each day to all disks and skips events that are present.
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

    fn step(self) -> RecoveryStep {
        match self {
            RunbookStep::FlushEdges => RecoveryStep::FlushEdges,
            RunbookStep::ReadTee => RecoveryStep::ReadTee,
            RunbookStep::ReadBackups => RecoveryStep::ReadBackups,
            RunbookStep::Rebuild => RecoveryStep::Rebuild,
            RunbookStep::Audit => RecoveryStep::Audit,
            RunbookStep::Write => RecoveryStep::Write,
        }
    }
}

/// A mistyped retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetentionTypo {
    /// Files to which the retention applies.
    pub of: RetentionTarget,
    /// The typed value, such as `7h` instead of `7d`.
    pub typed: Span,
    /// Duration until the mistake is fixed. Absent: until faults end.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
}

/// Files that are removed after their retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RetentionTarget {
    /// Files of the tee store.
    Tee,
    /// Backups.
    Backups,
}

/// Duration of a mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MistakeDuration {
    /// Duration until the mistake is fixed. Absent: until faults end.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub duration: Option<Span>,
}

impl RecoverAction {
    pub(crate) fn targets(&self) -> RecoveryTargets {
        if self.days.is_empty() {
            return RecoveryTargets::Everything;
        }
        let days = self.days.iter().filter_map(|of| Some((of.project, Day::parse(&of.day)?)));
        RecoveryTargets::Days(days.collect())
    }

    pub(crate) fn steps(&self) -> Vec<RecoveryStep> {
        self.runbook.iter().map(|step| step.step()).collect()
    }
}

/// Returns the times during which an operator has configured a longer tee retention than the scenario's. `operations`
/// are those of the plan: a shrunk case has them only there.
pub(crate) fn longer_tee_retention(
    operations: &[Operation],
    scenario: &Scenario<WorldConfig>,
) -> ExcusedPeriods {
    let kept = scenario.config.protection.tee.as_ref().map(|tee| tee.retention.0).unwrap_or_default();
    let longer = operations.iter().filter_map(|operation| match &operation.action {
        OperatorAction::TypeRetention(RetentionTypo { of: RetentionTarget::Tee, typed, duration })
            if typed.0 > kept =>
        {
            let from_ms = operation.at.0.0;
            let duration_ms =
                duration.map(|duration| i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX));
            Some((
                from_ms,
                duration_ms.map_or(scenario.end().0.0, |duration_ms| from_ms.saturating_add(duration_ms)),
            ))
        }
        _ => None,
    });
    ExcusedPeriods::of(longer)
}

impl OperatorAction {
    /// Returns the duration; `None` for an instantaneous action and for one that lasts until faults end.
    pub(crate) fn duration(&self) -> Option<Span> {
        match self {
            OperatorAction::Recover(_) => None,
            OperatorAction::TypeRetention(it) => it.duration,
            OperatorAction::DisableBackup(it) | OperatorAction::WrongBucket(it) => it.duration,
        }
    }

    /// Returns the node that restarts with a changed configuration, and that configuration; `None` for a recovery.
    pub(crate) fn configure(&self, cluster: &Cluster, nodes: &NodeIds) -> Option<(NodeId, Cluster)> {
        let mut changed = cluster.clone();
        let node = match self {
            OperatorAction::Recover(_) => return None,
            OperatorAction::TypeRetention(RetentionTypo { of: RetentionTarget::Tee, typed, .. }) => {
                changed.tee.as_mut()?.retention = typed.0;
                nodes.tee_store?
            }
            OperatorAction::TypeRetention(RetentionTypo { of: RetentionTarget::Backups, typed, .. }) => {
                changed.backup.as_mut()?.retention = typed.0;
                nodes.backup?
            }
            OperatorAction::DisableBackup(_) => {
                changed.backup = None;
                nodes.backup?
            }
            OperatorAction::WrongBucket(_) => {
                changed.backup.as_mut()?.data_centers = vec![nodes.tee_store?];
                nodes.backup?
            }
        };
        Some((node, changed))
    }

    /// Returns the protection that the action needs and the scenario lacks, in words.
    pub(crate) fn lacks(&self, protection: &Protection) -> Option<&'static str> {
        let (needs, is_there) = match self {
            OperatorAction::Recover(_) => {
                ("an audit: without it no operator runs recoveries", protection.audit.is_some())
            }
            OperatorAction::TypeRetention(RetentionTypo { of: RetentionTarget::Tee, .. }) => {
                ("a tee", protection.tee.is_some())
            }
            OperatorAction::TypeRetention(_) | OperatorAction::DisableBackup(_) => {
                ("backups", protection.backup.is_some())
            }
            OperatorAction::WrongBucket(_) => {
                ("backups and a tee", protection.backup.is_some() && protection.tee.is_some())
            }
        };
        (!is_there).then_some(needs)
    }

    /// Describes the action for the printed choices.
    pub(crate) fn describe(&self) -> String {
        let duration = self.duration().map_or(String::new(), |duration| format!(", for {duration}"));
        match self {
            OperatorAction::Recover(it) => {
                let what = match it.days.len() {
                    0 => "everything".to_owned(),
                    1 => "1 project-day".to_owned(),
                    days => format!("{days} project-days"),
                };
                // The trace records this text, so it stays as it is.
                let how = if is_complete_runbook(&it.steps()) { "by the book" } else { "not by the book" };
                let times = if it.times == 1 { String::new() } else { format!(", {} times", it.times) };
                format!("recovers {what} into the live cluster{times}, {how}")
            }
            OperatorAction::TypeRetention(RetentionTypo { of: RetentionTarget::Tee, typed, .. }) => {
                format!("types {typed} for the tee's retention{duration}")
            }
            OperatorAction::TypeRetention(RetentionTypo { typed, .. }) => {
                format!("types {typed} for the backups' retention{duration}")
            }
            OperatorAction::DisableBackup(_) => format!("switches backups off{duration}"),
            OperatorAction::WrongBucket(_) => format!("sends backups to the wrong bucket{duration}"),
        }
    }
}

/// Checks constraints that span several fields.
pub(crate) fn check(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let (config, start, end) = (&scenario.config, scenario.start, scenario.end());
    let projects: u32 = config.tenants.iter().map(|class| class.count).sum();
    for (index, operation) in config.operations.iter().enumerate() {
        let at = |place: &str| format!("/operations/{index}{place}");
        if operation.at < start || operation.at > end {
            let message = format!("the operation at {} is outside the run", operation.at);
            problems.push(ScenarioProblem::at(
                at("/at"),
                message,
                format!("write an instant from {start} to {end}"),
            ));
        }
        if let Some(needs) = operation.action.lacks(&config.protection) {
            let hint = "give the scenario's protection one, or leave the operation out";
            problems.push(ScenarioProblem::at(at("/what"), format!("this needs {needs}"), hint));
        }
        if let OperatorAction::Recover(recover) = &operation.action {
            problems.extend(check_recover(recover, projects, &at("/what/recover")));
        }
    }
    problems
}

fn check_recover(recover: &RecoverAction, projects: u32, at: &str) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    if recover.times == 0 || recover.times > MAX_TIMES {
        let hint = format!("write a number from 1 to {MAX_TIMES}");
        problems.push(ScenarioProblem::at(format!("{at}/times"), format!("{} times", recover.times), hint));
    }
    if recover.runbook.is_empty() || recover.runbook.len() > MAX_STEPS {
        let hint = format!("write 1 to {MAX_STEPS} steps, or leave the runbook out");
        problems.push(ScenarioProblem::at(
            format!("{at}/runbook"),
            format!("{} steps", recover.runbook.len()),
            hint,
        ));
    }
    for (index, of) in recover.days.iter().enumerate() {
        if of.project == 0 || of.project > projects {
            let message = format!("unknown project {}", of.project);
            let hint = format!("write a number from 1 to {projects}");
            problems.push(ScenarioProblem::at(format!("{at}/days/{index}/project"), message, hint));
        }
        if Day::parse(&of.day).is_none() {
            let message = format!("invalid date '{}'", of.day);
            problems.push(ScenarioProblem::at(
                format!("{at}/days/{index}/day"),
                message,
                "write it like 2016-02-22",
            ));
        }
    }
    problems
}

const MAX_TIMES: u32 = 20;
const MAX_STEPS: usize = 40;

/// A planned recovery and its progress. It is part of the operator's state, which survives a restart of the
/// operator's node.
#[derive(Clone, Debug)]
pub(crate) struct RecoveryTask {
    pub recover: RecoverAction,
    /// Number of runs that reported themselves complete.
    pub completed: u32,
    /// Number of runs started.
    pub started: u32,
    /// True while a run is in progress.
    pub is_running: bool,
}

impl RecoveryTask {
    pub fn new(recover: RecoverAction) -> RecoveryTask {
        RecoveryTask { recover, completed: 0, started: 0, is_running: false }
    }

    /// Returns true if another run is needed and none is in progress. A recovery that never completes is given up
    /// after [`MAX_EXTRA_ATTEMPTS`] additional runs; its last report shows it.
    pub fn is_due(&self) -> bool {
        !self.is_running
            && self.completed < self.recover.times
            && self.started < self.recover.times + MAX_EXTRA_ATTEMPTS
    }
}

/// Maximum number of additional runs of a recovery that does not report itself complete.
const MAX_EXTRA_ATTEMPTS: u32 = 20;

#[cfg(test)]
mod tests;
