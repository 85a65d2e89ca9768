//! Operations and deploys, all explicit.

use super::in_context::ArbitraryIn;
use super::quiet_scenario::{DAY_MS, HOUR_MS, MINUTE_MS, QuietScenario, span_ms};
use crate::scenario::{Deploy, DeployTarget, ReleaseConfig};
use crate::scenario::{
    MistakeDuration, Operation, OperatorAction, ProjectDate, RecoverAction, RetentionTarget, RetentionTypo,
};
use arbitrary::{Arbitrary, Result, Unstructured};
use latent_engine::Timestamp;
use latent_nemesis::Choices;
use latent_pipeline::zone::Day;

/// Durations of mistakes. They are within the slack of a backup: a longer one would violate the backup guarantee,
/// whatever caused it.
const MISTAKE_DURATIONS_MS: [i64; 3] = [HOUR_MS, 10 * MINUTE_MS, 2 * HOUR_MS];

/// Name of the release that the first deploy brings.
const NEXT: &str = "next";

/// Operator actions, in half of the runs that have the protection for them.
pub(super) struct Operations(pub Vec<Operation>);

impl ArbitraryIn for Operations {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<Operations> {
        let mut operations = Vec::new();
        for _ in 0..bytes.pick(&[0, 0, 1, 3]) {
            let operation = Operation::arbitrary_in(quiet, bytes)?;
            if operation.action.lacks(&quiet.0.config.protection).is_none() {
                operations.push(operation);
            }
        }
        Ok(Operations(operations))
    }
}

impl ArbitraryIn for Operation {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<Operation> {
        let duration = Some(span_ms(bytes.pick(&MISTAKE_DURATIONS_MS)));
        let at = quiet.instant(bytes, HOUR_MS);
        let action = match bytes.within(0, 5) {
            0..=2 => OperatorAction::Recover(recover(quiet, at, bytes)),
            3 => OperatorAction::RetentionTypo(RetentionTypo {
                target: bytes.pick(&[RetentionTarget::Tee, RetentionTarget::Backups]),
                typed: span_ms(bytes.pick(&[7 * HOUR_MS, HOUR_MS, 100 * DAY_MS])),
                duration,
            }),
            4 => OperatorAction::DisableBackup(MistakeDuration { duration }),
            _ => OperatorAction::WrongBucket(MistakeDuration { duration }),
        };
        Ok(Operation { at, action })
    }
}

/// Draws a recovery of everything or of one project-day, once or twice. Its day depends on the operation's time, so it
/// is drawn as part of the operation only.
fn recover(quiet: &QuietScenario, at: Timestamp, bytes: &mut Unstructured<'_>) -> RecoverAction {
    let mut recover = RecoverAction { times: bytes.pick(&[1, 1, 2]), ..RecoverAction::default() };
    if bytes.percent(50) {
        let back = bytes.within(0, 2);
        let day = Day(i32::try_from(at.0.0 / DAY_MS).unwrap_or(0) - back.cast_signed());
        recover.days.push(ProjectDate { project: quiet.project(bytes), day: day.to_string() });
    }
    recover
}

/// Deploys of a release without planted bugs: the restarts of a deploy must lose nothing.
pub(super) struct Deploys(pub Vec<Deploy>);

impl ArbitraryIn for Deploys {
    type Context = QuietScenario;

    fn arbitrary_in(quiet: &QuietScenario, bytes: &mut Unstructured<'_>) -> Result<Deploys> {
        let mut deploys = Vec::new();
        for turn in 0..bytes.pick(&[0, 0, 1, 2]) {
            let to = bytes.arbitrary()?;
            // The second deploy rolls the first back.
            let release = if turn == 0 { NEXT } else { "good" };
            deploys.push(Deploy { at: quiet.instant(bytes, 0), release: release.to_owned(), to });
        }
        deploys.sort_by_key(|deploy| deploy.at);
        Ok(Deploys(deploys))
    }
}

impl Deploys {
    /// Returns the releases that the deploys name, except for the default one.
    pub fn releases(&self) -> Vec<ReleaseConfig> {
        let next = || ReleaseConfig { name: NEXT.to_owned(), bugs: Vec::new(), is_fault: false };
        (!self.0.is_empty()).then(next).into_iter().collect()
    }
}

impl<'a> Arbitrary<'a> for DeployTarget {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<DeployTarget> {
        Ok(match bytes.within(0, 3) {
            0 => DeployTarget::All,
            1 | 2 => {
                DeployTarget::Rolling { pause: span_ms(bytes.pick(&[2 * MINUTE_MS, MINUTE_MS, HOUR_MS])) }
            }
            _ => DeployTarget::Canary { replica_set: bytes.pick(&[0, 1]) },
        })
    }
}
