//! A small system for this crate's unit tests: it has fields to get wrong, one node that does next to nothing, and
//! findings to print.

use crate::{Judged, Problem, Progress, Report, Scenario, Screen, System};
use latent_ports::{Clock, Env, Mark};
use latent_sim::{NodeSpec, SimEnv, World};
use latent_verdict::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) struct Toy;

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Topic {
    pub disks: u8,
    pub copies: u8,
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tenant {
    pub name: String,
    pub zone: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Findings {
    pub sent: u64,
}

impl System for Toy {
    const NAME: &'static str = "toy";
    const SUBJECT: &'static str = "tenant";
    const ITEMS: &'static str = "letters";
    type Topic = Topic;
    type Plan = u64;
    type Findings = Findings;

    fn check(scenario: &Scenario<Topic>) -> Vec<Problem> {
        let topic = &scenario.topic;
        let mut problems = Vec::new();
        for (index, tenant) in topic.tenants.iter().enumerate().filter(|(_, t)| !t.zone.contains('/')) {
            let message = format!("'{}' is no zone", tenant.zone);
            problems.push(Problem::at(
                format!("/tenants/{index}/zone"),
                message,
                "write one such as Europe/Paris",
            ));
        }
        if topic.copies > topic.disks {
            let message = format!("{} copies do not fit on {} disks", topic.copies, topic.disks);
            problems.push(Problem::at("/copies", message, format!("at most {}", topic.disks)));
        }
        problems
    }

    fn expand(_scenario: &Scenario<Topic>, seed: u64) -> u64 {
        seed
    }

    async fn run(
        plan: &u64,
        scenario: &Scenario<Topic>,
        world: World,
        progress: Progress,
    ) -> Judged<Findings> {
        let disks = scenario.topic.disks;
        world.add_node(NodeSpec::named("postman"), move |env: SimEnv| async move {
            assert!(disks != 13, "a toy with 13 disks breaks");
            env.clock().sleep(std::time::Duration::from_secs(u64::from(disks))).await;
            env.mark(Mark { name: "toy.delivered", subject: "" });
        });
        progress.phase("delivering");
        world.sleep_until(scenario.end().0).await;
        let (facts, findings) = (Facts::default(), Findings { sent: *plan });
        Judged {
            items: 1,
            violations: Vec::new(),
            facts,
            noticed: Vec::new(),
            marks: [("fork:toy.rehearsed".to_owned(), 2)].into(),
            findings,
        }
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        screen.item("letters", format!("{} sent", report.findings.sent));
    }
}
