//! Checks of node names in a scenario, and of conditions at nodes.

use crate::scenario::store_conditions::{CREDENTIALS_EXPIRED, STORE_CONDITIONS};
use crate::scenario::{DeployTarget, NodeNames, WorldConfig};
use latent_engine::sim::FaultAction;
use latent_engine::{Scenario, ScenarioProblem};

/// Checks that faults and deploys name existing nodes.
pub(crate) fn check_fault_nodes(scenario: &Scenario<WorldConfig>) -> Vec<ScenarioProblem> {
    let names = NodeNames::new(&scenario.config);
    let known: Vec<&String> = names.all().collect();
    let is_known = |name: &str| name == "clients" || known.iter().any(|other| *other == name);
    let hint =
        || format!("write one of: {}", known.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", "));
    let mut problems = Vec::new();
    for (index, fault) in scenario.faults.iter().enumerate() {
        for name in fault.nodes().filter(|name| !is_known(name)) {
            problems.push(ScenarioProblem::at(
                format!("/faults/{index}"),
                format!("no node is called '{name}'"),
                hint(),
            ));
        }
    }
    let is_store =
        |name: &String| names.data_centers.contains(name) || names.tee_store.as_ref() == Some(name);
    for (index, fault) in scenario.faults.iter().enumerate() {
        let FaultAction::Condition(condition) = &fault.action else { continue };
        if let Some((message, hint)) = check_condition(&condition.name, is_store(&condition.node)) {
            problems.push(ScenarioProblem::at(
                format!("/faults/{index}/action/condition/name"),
                message,
                hint,
            ));
        }
    }
    for (index, deploy) in scenario.config.deploys.iter().enumerate() {
        let DeployTarget::Nodes(names) = &deploy.to else { continue };
        for name in names.iter().filter(|name| !is_known(name)) {
            let pointer = format!("/deploys/{index}/to");
            problems.push(ScenarioProblem::at(pointer, format!("no node is called '{name}'"), hint()));
        }
    }
    problems
}

/// Returns the problem and a hint if a condition of this family is unknown or set at a node that does not support it.
fn check_condition(name: &str, at_a_store: bool) -> Option<(String, String)> {
    let is_known = STORE_CONDITIONS.contains(&name) || name == CREDENTIALS_EXPIRED;
    if !is_known && (name.starts_with("store.") || name.starts_with("credentials.")) {
        let hint = format!("write one of: {}, {CREDENTIALS_EXPIRED}", STORE_CONDITIONS.join(", "));
        return Some((format!("no condition is called '{name}'"), hint));
    }
    (STORE_CONDITIONS.contains(&name) && !at_a_store).then(|| {
        let message = format!("'{name}' has no effect at a node that is not an object store");
        (message, "name a data center or the tee store".to_owned())
    })
}
