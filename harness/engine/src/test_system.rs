//! A small system for this crate's unit tests: a few fields to validate, one node that sleeps and sets a mark, and
//! findings to print.

use crate::explain::{GlossaryEntry, GlossaryKind};
use crate::{PhaseReporter, Report, Scenario, ScenarioProblem, Screen, System, SystemRun, Verdict};
use latent_ports::{Clock, Env, Mark, MarkName};
use latent_sim::{NodeSpec, SimEnv, World};
use latent_verdict::OutcomeFacts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(crate) struct TestSystem;

pub(crate) mod marks {
    latent_ports::marks! {
        /// The postman has delivered everything.
        TOY_DELIVERED = "toy.delivered";
        /// A letter was lost: no test gets there.
        TOY_LOST = "toy.lost";
        /// A fork has rehearsed the delivery.
        TOY_REHEARSED = "toy.rehearsed";
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
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

pub(crate) struct TestRun<'a> {
    plan: &'a u64,
    scenario: &'a Scenario<Config>,
    world: World,
}

impl System for TestSystem {
    const NAME: &'static str = "toy";
    const SUBJECT: &'static str = "tenant";
    const ITEMS: &'static str = "letters";
    const FORKS: &'static [&'static str] = &["fork"];
    type Config = Config;
    type Plan = u64;
    type Run<'a> = TestRun<'a>;
    type Findings = Findings;

    fn glossary() -> Vec<GlossaryEntry> {
        let parts = ["Letters were lost.", "They are missed.", "The postman is on holiday.", "Ring twice."];
        let outcome = GlossaryEntry::new(GlossaryKind::Outcome, "recoverable-but-missing", parts);
        let mark =
            |mark: &MarkName| GlossaryEntry::mark(*mark, ["It shows a day's work.", "A strike.", "Wait."]);
        std::iter::once(outcome).chain(marks::ALL.iter().map(mark)).collect()
    }

    fn phrase(invariant: &str, kind: &str) -> Option<&'static str> {
        (invariant == "W1" && kind == "missing").then_some("letters missing")
    }

    fn check(scenario: &Scenario<Config>) -> Vec<ScenarioProblem> {
        let config = &scenario.config;
        let mut problems = Vec::new();
        for (index, tenant) in config.tenants.iter().enumerate().filter(|(_, t)| !t.zone.contains('/')) {
            let message = format!("'{}' is not a zone", tenant.zone);
            problems.push(ScenarioProblem::at(
                format!("/tenants/{index}/zone"),
                message,
                "write one such as Europe/Paris",
            ));
        }
        if config.copies > config.disks {
            let message = format!("{} copies do not fit on {} disks", config.copies, config.disks);
            problems.push(ScenarioProblem::at("/copies", message, format!("at most {}", config.disks)));
        }
        problems
    }

    fn expand(_scenario: &Scenario<Config>, seed: u64) -> u64 {
        seed
    }

    fn start<'a>(
        plan: &'a u64,
        scenario: &'a Scenario<Config>,
        world: World,
        progress: PhaseReporter,
    ) -> TestRun<'a> {
        let disks = scenario.config.disks;
        world.add_node(NodeSpec::named("postman"), move |env: SimEnv| async move {
            assert!(disks != 13, "a toy with 13 disks breaks");
            env.clock().sleep(std::time::Duration::from_secs(u64::from(disks))).await;
            env.mark(Mark { name: marks::TOY_DELIVERED, subject: "" });
        });
        progress.phase("delivering");
        TestRun { plan, scenario, world }
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        screen.item("letters", format!("{} sent", report.findings.sent));
    }
}

impl SystemRun for TestRun<'_> {
    type Findings = Findings;

    async fn execute(&mut self) {
        self.world.sleep_until(self.scenario.end().0).await;
    }

    async fn finish(self) -> Verdict<Findings> {
        let (facts, findings) = (OutcomeFacts::default(), Findings { sent: *self.plan });
        Verdict {
            items: 1,
            violations: Vec::new(),
            facts,
            detections: Vec::new(),
            marks: [(format!("fork:{}", marks::TOY_REHEARSED), 2)].into(),
            findings,
        }
    }
}
