//! A system that misbehaves in ways that a harness must survive and report.
//!
//! One node writes a few files. With one seed, or with every seed, it misbehaves as its scenario's `misbehaviour` says. All
//! of this is outside the simulated world, which would prevent it: real processes, real memory, real time.

use latent_engine::verdict::{OutcomeFacts, Violation};
use latent_engine::{PhaseReporter, Report, Scenario, Screen, System, SystemRun, Verdict};
use latent_ports::{Disk, Env, File, Mark, OpenMode};
use latent_sim::{NodeSpec, SimEnv, World};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Kind of misbehaviour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Misbehaviour {
    /// None.
    #[default]
    Nothing,
    /// A file name contains the process id.
    ProcessInTrace,
    /// The findings depend on the process, the trace does not.
    ProcessInFindings,
    /// It allocates more and more memory.
    Hungry,
    /// It waits in real time until this file exists, and prints `waiting` before.
    WaitsFor(String),
    /// It waits forever if this file exists, and creates it otherwise: only the second run hangs.
    WaitsIfThere(String),
    /// A node panics.
    Panics,
    /// The judge panics.
    JudgePanics,
    /// Printing the verdict panics.
    PrintingPanics,
    /// It acknowledges nothing.
    Idle,
    /// It violates an invariant, with this detail.
    Violates(String),
    /// The same, after printing `waiting` and half a second of real time.
    ViolatesLate(String),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    misbehaviour: Misbehaviour,
    /// Misbehaves with this seed only; without one, with every seed.
    #[serde(default)]
    only_with: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Findings {
    process: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cannot_be_printed: bool,
}

pub struct Misbehaving;

pub struct MisbehavingRun<'a> {
    misbehaviour: &'a Misbehaviour,
    scenario: &'a Scenario<Config>,
    world: World,
}

impl System for Misbehaving {
    const NAME: &'static str = "odd";
    const SUBJECT: &'static str = "file";
    const ITEMS: &'static str = "files";
    type Config = Config;
    type Plan = Misbehaviour;
    type Run<'a> = MisbehavingRun<'a>;
    type Findings = Findings;

    fn expand(scenario: &Scenario<Config>, seed: u64) -> Misbehaviour {
        let Config { misbehaviour, only_with } = &scenario.config;
        if only_with.is_none_or(|only| only == seed) { misbehaviour.clone() } else { Misbehaviour::Nothing }
    }

    fn start<'a>(
        misbehaviour: &'a Misbehaviour,
        scenario: &'a Scenario<Config>,
        world: World,
        _: PhaseReporter,
    ) -> MisbehavingRun<'a> {
        let of_node = misbehaviour.clone();
        world.add_node(NodeSpec::named("clerk"), move |env| clerk(env, of_node.clone()));
        MisbehavingRun { misbehaviour, scenario, world }
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        assert!(!report.findings.cannot_be_printed, "the printer has had enough");
        screen.item("process", report.findings.process.map_or("not told".to_owned(), |id| id.to_string()));
    }
}

impl SystemRun for MisbehavingRun<'_> {
    type Findings = Findings;

    async fn execute(&mut self) {
        self.world.sleep_until(self.scenario.end().0).await;
    }

    async fn finish(self) -> Verdict<Findings> {
        let MisbehavingRun { misbehaviour, world, .. } = self;
        let mut violations = Vec::new();
        if let Misbehaviour::Violates(why) | Misbehaviour::ViolatesLate(why) = misbehaviour {
            violations
                .push(Violation::new("O1", "untidy", "at-once").of("desk", 1).at(world.now().0).because(why));
        }
        assert!(*misbehaviour != Misbehaviour::JudgePanics, "judge panics");
        let cannot_be_printed = *misbehaviour == Misbehaviour::PrintingPanics;
        let process = (*misbehaviour == Misbehaviour::ProcessInFindings).then(std::process::id);
        Verdict {
            items: u64::from(*misbehaviour != Misbehaviour::Idle),
            violations,
            facts: OutcomeFacts::default(),
            detections: vec![],
            marks: BTreeMap::new(),
            findings: Findings { process, cannot_be_printed },
        }
    }
}

async fn clerk(env: SimEnv, misbehaviour: Misbehaviour) {
    write(&env, "first").await;
    match &misbehaviour {
        Misbehaviour::ProcessInTrace => write(&env, &format!("of-{}", std::process::id())).await,
        Misbehaviour::Hungry => eat(),
        Misbehaviour::WaitsFor(file) => wait_for(Path::new(file)),
        Misbehaviour::WaitsIfThere(file) if Path::new(file).exists() => wait_for(Path::new("never")),
        Misbehaviour::WaitsIfThere(file) => std::fs::write(file, "").expect("the folder can be written"),
        Misbehaviour::Panics => panic!("the clerk has had enough"),
        Misbehaviour::ViolatesLate(_) => {
            println!("waiting");
            wait(500);
        }
        Misbehaviour::Nothing
        | Misbehaviour::Idle
        | Misbehaviour::ProcessInFindings
        | Misbehaviour::Violates(_)
        | Misbehaviour::JudgePanics
        | Misbehaviour::PrintingPanics => {}
    }
    write(&env, "last").await;
    env.mark(Mark { name: marks::ODD_DONE, subject: "" });
    if misbehaviour != Misbehaviour::Nothing {
        env.mark(Mark { name: marks::ODD_SURVIVED, subject: "" });
    }
}

async fn write(env: &SimEnv, path: &str) {
    let file = env.disk().open(path, OpenMode::Create).await.expect("nothing breaks this disk");
    file.append(path.as_bytes().to_vec().into()).await.expect("nothing breaks this disk");
}

/// Allocates 16 MB every 10 ms, up to 1 GB: the memory limit must end it.
fn eat() {
    let mut held = Vec::new();
    while held.len() < 64 {
        held.push(vec![1_u8; 16 << 20]);
        wait(10);
    }
    panic!("no limit stopped {} MB", held.iter().map(Vec::len).sum::<usize>() >> 20);
}

/// Waits for at most a minute, so that a missing kill does not block the test.
fn wait_for(file: &Path) {
    println!("waiting");
    for _ in 0..6_000 {
        if file.exists() {
            return;
        }
        wait(10);
    }
    panic!("{} never came", file.display());
}

#[expect(clippy::disallowed_methods, reason = "this system misbehaves: it stops the world in real time")]
fn wait(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// The program.
pub fn main() -> ExitCode {
    latent_engine::main::<Misbehaving>(&[], "odd 1")
}

mod marks {
    latent_ports::marks! {
        /// The clerk has written its files.
        ODD_DONE = "odd.done";
        /// The clerk has written its files although it misbehaved.
        ODD_SURVIVED = "odd.survived";
    }
}
