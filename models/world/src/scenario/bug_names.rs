//! Names of the bugs that a scenario may plant in a release.

use latent_pipeline::release::Bug;

/// Name of a release that destroys everything its node's credentials allow. It is not a bug of the system's code: the
/// world runs an adversary beside the node's tasks.
pub(crate) const HOSTILE: &str = "hostile";

/// Returns every name that a scenario's list of bugs may hold.
pub(crate) fn bug_names() -> Vec<&'static str> {
    Bug::ALL.iter().map(|bug| bug.name()).chain([HOSTILE]).collect()
}
