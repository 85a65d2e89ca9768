//! Checks of planned operator actions.

use crate::scenario::{
    OperatorAction, Protection, RecoverAction, RetentionTarget, RetentionTypo, WorldConfig,
};
use latent_engine::{Scenario, ScenarioProblem};
use latent_pipeline::zone::Day;

const MAX_TIMES: u32 = 20;
const MAX_STEPS: usize = 40;

impl OperatorAction {
    /// Returns the protection that the action needs and the scenario lacks, in words.
    pub(crate) fn lacks(&self, protection: &Protection) -> Option<&'static str> {
        let (needs, is_there) = match self {
            OperatorAction::Recover(_) => {
                ("an audit: without it no operator runs recoveries", protection.audit.is_some())
            }
            OperatorAction::RetentionTypo(RetentionTypo { target: RetentionTarget::Tee, .. }) => {
                ("a tee", protection.tee.is_some())
            }
            OperatorAction::RetentionTypo(_) | OperatorAction::DisableBackup(_) => {
                ("backups", protection.backup.is_some())
            }
            OperatorAction::WrongBucket(_) => {
                ("backups and a tee", protection.backup.is_some() && protection.tee.is_some())
            }
        };
        (!is_there).then_some(needs)
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
            problems.push(ScenarioProblem::at(at("/action"), format!("this needs {needs}"), hint));
        }
        if let OperatorAction::Recover(recover) = &operation.action {
            problems.extend(check_recover(recover, projects, &at("/action/recover")));
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
