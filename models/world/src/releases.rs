//! Another release than the scenario says: what `--release` does.

use crate::scenario::{Deploy, DeployTo, ReleaseTopic, Topic};
use latent_engine::Scenario;
use latent_engine::verdict::Outcome;
use latent_pipeline::release::{Bug, Release};
use std::collections::BTreeSet;

/// Puts all of production on the release of this name, from the start on and to the end: one of the scenario's, one that
/// carries the planted bug of this name, or `good`. Other deploys are left out. As the scenario's expectation was of its
/// own releases, it is expected to end clean.
///
/// # Errors
/// No such release, with those there are.
pub(crate) fn put_on(scenario: &mut Scenario<Topic>, name: &str) -> Result<(), String> {
    let good = Release::good().name;
    let topic = &mut scenario.config;
    let is_known = topic.releases.iter().any(|release| release.name == name);
    if let Some(bug) = Bug::ALL.iter().find(|bug| !is_known && bug.name() == name) {
        topic.releases.push(ReleaseTopic { name: name.to_owned(), bugs: vec![bug.name().to_owned()] });
    } else if !is_known && name != good {
        let mut known: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
        known.insert(&good);
        known.extend(topic.releases.iter().map(|release| release.name.as_str()));
        let known: Vec<&str> = known.into_iter().collect();
        let meant = latent_engine::suggest(name, known.iter().copied());
        let meant = meant.first().map_or(String::new(), |near| format!("did you mean {near}? "));
        return Err(format!("no release is called '{name}'\n{meant}there are: {}", known.join(", ")));
    }
    topic.deploys.clear();
    topic.releases.retain(|release| release.name == name);
    if name != good {
        topic.deploys.push(Deploy { at: scenario.start, release: name.to_owned(), to: DeployTo::All });
    }
    scenario.expect = Outcome::Clean;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Latent;
    use crate::testing::SMALL;

    fn small() -> Scenario<Topic> {
        latent_engine::parse::<Latent>("small.json", SMALL).unwrap()
    }

    #[test]
    fn a_planted_bug_is_a_release_of_its_own() {
        let mut scenario = small();
        put_on(&mut scenario, "recompaction-overwrites").unwrap();
        assert_eq!(scenario.config.releases[0].bugs, ["recompaction-overwrites"]);
        let [deploy] = &scenario.config.deploys[..] else { panic!("{:?}", scenario.config.deploys) };
        assert_eq!((deploy.at, deploy.to.clone()), (scenario.start, DeployTo::All));
        assert!(crate::scenario::check(&scenario).is_empty());
        assert_eq!(scenario.expect, Outcome::Clean);
    }

    #[test]
    fn the_good_release_needs_no_deploy() {
        let mut scenario = small();
        assert!(!scenario.config.deploys.is_empty());
        put_on(&mut scenario, "good").unwrap();
        assert!(scenario.config.deploys.is_empty() && scenario.config.releases.is_empty());
    }

    #[test]
    fn what_there_is_is_told() {
        let said = put_on(&mut small(), "2016-02-99").unwrap_err();
        assert!(said.starts_with("no release is called '2016-02-99'\nthere are: "), "{said}");
        assert!(said.contains("good") && said.contains("recompaction-overwrites"), "{said}");
    }
}
