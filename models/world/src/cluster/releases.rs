//! Releases of a scenario, and their replacement by the option `--release`.

use crate::scenario::bug_names::{HOSTILE, bug_names};
use crate::scenario::{Deploy, DeployTarget, ReleaseConfig, WorldConfig};
use latent_engine::verdict::Outcome;
use latent_engine::{PlantedBug, Problem, Scenario};
use latent_pipeline::marks::RELEASE_BUG_REACHED;
use latent_pipeline::release::{Bug, Release};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Release as a node of the world runs it.
#[derive(Clone, Debug)]
pub(crate) struct DeployedRelease {
    /// Release of the system.
    pub release: Arc<Release>,
    /// Whether an adversary runs beside the node's own tasks.
    pub is_hostile: bool,
}

impl DeployedRelease {
    /// Returns the release without planted bugs.
    pub fn good() -> DeployedRelease {
        DeployedRelease { release: Arc::new(Release::good()), is_hostile: false }
    }
}

/// Returns the releases of a scenario by name, including `good`.
pub(crate) fn releases(config: &WorldConfig) -> BTreeMap<String, DeployedRelease> {
    let mut releases = BTreeMap::from([("good".to_owned(), DeployedRelease::good())]);
    for release in &config.releases {
        let bugs = Bug::ALL.iter().copied().filter(|bug| release.bugs.iter().any(|name| name == bug.name()));
        let is_hostile = release.bugs.iter().any(|name| name == HOSTILE);
        let release = Arc::new(Release { name: release.name.clone(), bugs: bugs.collect() });
        releases.insert(release.name.clone(), DeployedRelease { release, is_hostile });
    }
    releases
}

/// Returns the bugs that can be planted in the pipeline.
pub(crate) fn planted_bugs() -> Vec<PlantedBug> {
    let of = |bug: &Bug| PlantedBug {
        name: bug.name(),
        mistake: bug.mistake(),
        source: bug.source(),
        trigger: RELEASE_BUG_REACHED,
        equivalent: None,
    };
    Bug::ALL.iter().map(of).collect()
}

/// Deploys a release from the start to the end to the nodes whose code has its bugs, production or those that protect
/// it: one of the scenario's releases, one with the planted bug of this name, or `good`. Other deploys are removed, except
/// for those of releases that are faults of the run, as long as production is not under test: its bad release is rolled
/// back to `good`. The scenario's expectation was for its own releases, so the expected outcome becomes `clean`.
///
/// # Errors
/// An unknown release, with the known ones.
pub(crate) fn deploy_everywhere(scenario: &mut Scenario<WorldConfig>, name: &str) -> Result<(), Problem> {
    let good = Release::good().name;
    let config = &mut scenario.config;
    let is_known = config.releases.iter().any(|release| release.name == name);
    if !is_known && bug_names().contains(&name) {
        config.releases.push(ReleaseConfig {
            name: name.to_owned(),
            bugs: vec![name.to_owned()],
            is_fault: false,
        });
    } else if !is_known && name != good {
        let mut known: BTreeSet<&str> = bug_names().into_iter().collect();
        known.insert(&good);
        known.extend(config.releases.iter().map(|release| release.name.as_str()));
        let known: Vec<&str> = known.into_iter().collect();
        let suggestion = latent_engine::suggest(name, known.iter().copied());
        let suggestion =
            suggestion.first().map_or(String::new(), |candidate| format!("did you mean {candidate}? "));
        let own: Vec<&str> = known.iter().copied().filter(|one| !is_planted(one)).collect();
        let hint = format!(
            "{suggestion}there are: {}; `latent bugs --list` prints the planted ones",
            own.join(", ")
        );
        return Err(Problem::new(format!("no release is called '{name}'"), hint));
    }
    let bugs =
        config.releases.iter().filter(|release| release.name == name).flat_map(|release| &release.bugs);
    let is_in_protection =
        |bug: &String| Bug::ALL.iter().any(|known| known.name() == bug && known.is_in_protection());
    // Production stays good where it can, since the operator waits for that before a recovery.
    let mut targets: BTreeSet<bool> = bugs.map(is_in_protection).collect();
    if name != good && targets.is_empty() {
        targets.insert(false);
    }
    let has_fault = config.releases.iter().any(|release| release.is_fault && release.name != name);
    let keeps_faults = has_fault && !targets.contains(&false);
    let is_of_production = |deploy: &Deploy| {
        matches!(deploy.to, DeployTarget::All | DeployTarget::Rolling { .. } | DeployTarget::Canary { .. })
    };
    config.deploys.retain(|deploy| keeps_faults && is_of_production(deploy));
    config.releases.retain(|release| {
        release.name == name || config.deploys.iter().any(|deploy| deploy.release == release.name)
    });
    if name != good {
        for is_in_protection in targets {
            let to = if is_in_protection { DeployTarget::Protection } else { DeployTarget::All };
            config.deploys.insert(0, Deploy { at: scenario.start, release: name.to_owned(), to });
        }
    }
    if !scenario.expect.accepts_better() {
        // What the scenario's own releases lose is not expected of this one.
        scenario.expect = Outcome::Clean.into();
    }
    Ok(())
}

fn is_planted(name: &str) -> bool {
    Bug::ALL.iter().any(|bug| bug.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Latent;
    use crate::small_scenario::SMALL;

    fn small() -> Scenario<WorldConfig> {
        latent_engine::parse::<Latent>("small.json", SMALL).unwrap()
    }

    #[test]
    fn a_planted_bug_can_be_named_as_a_release() {
        let mut scenario = small();
        deploy_everywhere(&mut scenario, "recompaction-overwrites").unwrap();
        assert_eq!(scenario.config.releases[0].bugs, ["recompaction-overwrites"]);
        let [deploy] = &scenario.config.deploys[..] else { panic!("{:?}", scenario.config.deploys) };
        assert_eq!((deploy.at, deploy.to.clone()), (scenario.start, DeployTarget::All));
        assert!(crate::check::check(&scenario).is_empty());
        assert_eq!(scenario.expect, Outcome::Clean.into());
    }

    #[test]
    fn a_bug_in_the_protection_leaves_production_good() {
        let mut scenario = small();
        deploy_everywhere(&mut scenario, "retention-unit").unwrap();
        let [deploy] = &scenario.config.deploys[..] else { panic!("{:?}", scenario.config.deploys) };
        assert_eq!(deploy.to, DeployTarget::Protection);
    }

    #[test]
    fn a_release_that_is_a_fault_stays_unless_production_is_under_test() {
        let text =
            SMALL.replace(r#"["recompaction-overwrites"]"#, r#"["recompaction-overwrites"], "fault": true"#);
        let releases = |name: &str| {
            let mut scenario = latent_engine::parse::<Latent>("small.json", &text).unwrap();
            deploy_everywhere(&mut scenario, name).unwrap();
            assert!(crate::check::check(&scenario).is_empty());
            scenario.config.deploys.into_iter().map(|deploy| deploy.release).collect::<Vec<String>>()
        };
        assert_eq!(releases("retention-unit"), ["retention-unit", "bad"]);
        assert_eq!(releases("good"), ["bad"]);
        assert_eq!(releases("coarse-dedupe-key"), ["coarse-dedupe-key"]);
    }

    #[test]
    fn the_good_release_needs_no_deploy() {
        let mut scenario = small();
        assert!(!scenario.config.deploys.is_empty());
        deploy_everywhere(&mut scenario, "good").unwrap();
        assert!(scenario.config.deploys.is_empty() && scenario.config.releases.is_empty());
    }

    #[test]
    fn an_unknown_release_lists_the_known_ones() {
        let message = deploy_everywhere(&mut small(), "2016-02-99").unwrap_err().to_string();
        assert!(message.starts_with("no release is called '2016-02-99'\nthere are: "), "{message}");
        assert!(message.contains("bad, good, hostile; `latent bugs --list`"), "{message}");
    }
}
