//! Checks of the nemesis configuration.

use crate::scenario::WorldConfig;
use latent_engine::ScenarioProblem;

/// Checks constraints that span several fields.
pub(crate) fn check(config: &WorldConfig) -> Vec<ScenarioProblem> {
    let Some(nemesis) = &config.nemesis else { return Vec::new() };
    let mut problems = Vec::new();
    let (min, max) = nemesis.per_week;
    if min > max || max > 1_000 {
        let hint = "write the minimum first, then the maximum, at most 1000";
        problems.push(ScenarioProblem::at("/nemesis/per_week", format!("from {min} to {max}"), hint));
    }
    if nemesis.kinds.as_ref().is_some_and(Vec::is_empty) {
        let hint = "name at least one, or leave the field out for all";
        problems.push(ScenarioProblem::at("/nemesis/kinds", "no kind of fault", hint));
    }
    problems
}
