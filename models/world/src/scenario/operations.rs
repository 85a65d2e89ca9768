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

use latent_engine::{Span, Timestamp};
use latent_pipeline::recovery::run::RecoveryTargets;
use latent_pipeline::recovery::runbook::{RecoveryStep, is_complete_runbook};
use latent_pipeline::zone::Day;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A planned operator action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Time of the action.
    pub at: Timestamp,
    /// The action.
    pub action: OperatorAction,
}

/// An action of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatorAction {
    /// Recovers project-days into the live cluster.
    Recover(RecoverAction),
    /// Mistypes a retention.
    RetentionTypo(RetentionTypo),
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
    pub target: RetentionTarget,
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

impl OperatorAction {
    /// Returns the duration; `None` for an instantaneous action and for one that lasts until faults end.
    pub(crate) fn duration(&self) -> Option<Span> {
        match self {
            OperatorAction::Recover(_) => None,
            OperatorAction::RetentionTypo(it) => it.duration,
            OperatorAction::DisableBackup(it) | OperatorAction::WrongBucket(it) => it.duration,
        }
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
                let how = if is_complete_runbook(&it.steps()) {
                    "with the whole runbook"
                } else {
                    "with another runbook"
                };
                let times = if it.times == 1 { String::new() } else { format!(", {} times", it.times) };
                format!("recovers {what} into the live cluster{times}, {how}")
            }
            OperatorAction::RetentionTypo(RetentionTypo { target: RetentionTarget::Tee, typed, .. }) => {
                format!("types {typed} for the tee's retention{duration}")
            }
            OperatorAction::RetentionTypo(RetentionTypo { typed, .. }) => {
                format!("types {typed} for the backups' retention{duration}")
            }
            OperatorAction::DisableBackup(_) => format!("switches backups off{duration}"),
            OperatorAction::WrongBucket(_) => format!("sends backups to the wrong bucket{duration}"),
        }
    }
}
