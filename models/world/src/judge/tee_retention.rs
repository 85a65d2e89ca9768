//! Tee retention during a run: the times at which an operator has configured a longer one.

use crate::scenario::{Operation, OperatorAction, RetentionTarget, RetentionTypo, WorldConfig};
use latent_engine::Scenario;
use latent_oracle::ExcusedPeriods;

/// Returns the times during which an operator has configured a longer tee retention than the scenario's. `operations`
/// are those of the plan: a shrunk case has them only there.
pub(crate) fn longer_tee_retention(
    operations: &[Operation],
    scenario: &Scenario<WorldConfig>,
) -> ExcusedPeriods {
    let kept = scenario.config.protection.tee.as_ref().map(|tee| tee.retention.0).unwrap_or_default();
    let longer = operations.iter().filter_map(|operation| match &operation.action {
        OperatorAction::RetentionTypo(RetentionTypo { target: RetentionTarget::Tee, typed, duration })
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
