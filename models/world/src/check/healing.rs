//! Check of the healing duration.

use crate::plan::time_limits::bounds;
use crate::scenario::WorldConfig;
use latent_engine::{ScenarioProblem, humanize};
use std::time::Duration;

/// Checks that the healing duration is long enough for all laws.
pub(crate) fn check(config: &WorldConfig) -> Option<ScenarioProblem> {
    let (law, longest) = bounds(config).into_iter().max_by_key(|(_, within)| *within)?;
    let describe = |time: Duration| humanize::span_ms(time.as_millis() as u64);
    let healing = config.healing.0;
    (healing <= longest).then(|| {
        let message = format!("healing of {} ends before {law} can be checked", describe(healing));
        ScenarioProblem::at("/healing", message, format!("write more than {}", describe(longest)))
    })
}
