//! A system that misbehaves: it does what no sound system does, and what a harness must survive and tell.
//!
//! One node writes a few files. With one seed, or with every one, it does what its scenario's `trouble` says. All of
//! this is outside the simulated world, which would not let it happen: real processes, real memory, real time.

use latent_engine::verdict::{Facts, Violation};
use latent_engine::{Judged, Progress, Report, Scenario, Screen, System};
use latent_ports::{Disk, Env, File, Mark, OpenMode};
use latent_sim::{NodeSpec, SimEnv, World};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Nothing.
    #[default]
    Nothing,
    /// A file bears the number of the process.
    ProcessInTrace,
    /// What is found depends on the process, and the trace does not.
    ProcessInFindings,
    /// It takes more and more memory.
    Hungry,
    /// It waits in real time until this file is there, and says so on its output before.
    WaitsFor(String),
    /// The same for ever, but only if this file is there, which it leaves: so only from its second run on.
    WaitsIfThere(String),
    /// A node of it panics.
    Panics,
    /// Its judge panics.
    JudgePanics,
    /// Printing its verdict panics.
    PrintingPanics,
    /// It confirms nothing.
    Idle,
    /// It breaks a promise, and says so in these words.
    Violates(String),
    /// The same, after it waited in real time for half a second and said so on its output.
    ViolatesLate(String),
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    #[serde(default)]
    trouble: Trouble,
    /// With this seed; without one, with every seed.
    #[serde(default)]
    only_with: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Findings {
    process: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cannot_be_printed: bool,
}

pub struct Odd;

impl System for Odd {
    const NAME: &'static str = "odd";
    const SUBJECT: &'static str = "file";
    const ITEMS: &'static str = "files";
    type Topic = Topic;
    type Plan = Trouble;
    type Findings = Findings;

    fn expand(scenario: &Scenario<Topic>, seed: u64) -> Trouble {
        let Topic { trouble, only_with } = &scenario.topic;
        if only_with.is_none_or(|only| only == seed) { trouble.clone() } else { Trouble::Nothing }
    }

    async fn run(
        trouble: &Trouble,
        scenario: &Scenario<Topic>,
        world: World,
        _: Progress,
    ) -> Judged<Findings> {
        let of_node = trouble.clone();
        world.add_node(NodeSpec::named("clerk"), move |env| clerk(env, of_node.clone()));
        world.sleep_until(scenario.end().0).await;
        let mut violations = Vec::new();
        if let Trouble::Violates(why) | Trouble::ViolatesLate(why) = trouble {
            violations
                .push(Violation::new("O1", "untidy", "at-once").of("desk", 1).at(world.now().0).because(why));
        }
        assert!(*trouble != Trouble::JudgePanics, "the judge has had enough");
        let cannot_be_printed = *trouble == Trouble::PrintingPanics;
        let process = (*trouble == Trouble::ProcessInFindings).then(std::process::id);
        Judged {
            items: u64::from(*trouble != Trouble::Idle),
            violations,
            facts: Facts::default(),
            noticed: vec![],
            marks: BTreeMap::new(),
            findings: Findings { process, cannot_be_printed },
        }
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        assert!(!report.findings.cannot_be_printed, "the printer has had enough");
        screen.item("process", report.findings.process.map_or("not told".to_owned(), |id| id.to_string()));
    }
}

async fn clerk(env: SimEnv, trouble: Trouble) {
    write(&env, "first").await;
    match &trouble {
        Trouble::ProcessInTrace => write(&env, &format!("of-{}", std::process::id())).await,
        Trouble::Hungry => eat(),
        Trouble::WaitsFor(file) => wait_for(Path::new(file)),
        Trouble::WaitsIfThere(file) if Path::new(file).exists() => wait_for(Path::new("never")),
        Trouble::WaitsIfThere(file) => std::fs::write(file, "").expect("the folder can be written"),
        Trouble::Panics => panic!("the clerk has had enough"),
        Trouble::ViolatesLate(_) => {
            println!("waiting");
            wait(500);
        }
        Trouble::Nothing
        | Trouble::Idle
        | Trouble::ProcessInFindings
        | Trouble::Violates(_)
        | Trouble::JudgePanics
        | Trouble::PrintingPanics => {}
    }
    write(&env, "last").await;
    env.mark(Mark { name: "odd.done", subject: "" });
    if trouble != Trouble::Nothing {
        env.mark(Mark { name: "odd.survived", subject: "" });
    }
}

async fn write(env: &SimEnv, path: &str) {
    let file = env.disk().open(path, OpenMode::Create).await.expect("nothing breaks this disk");
    file.append(path.as_bytes().to_vec().into()).await.expect("nothing breaks this disk");
}

/// Holds 16 MB more every 10 ms, up to 1 GB: whoever is to end it must do so by its limit.
fn eat() {
    let mut held = Vec::new();
    while held.len() < 64 {
        held.push(vec![1_u8; 16 << 20]);
        wait(10);
    }
    panic!("nobody minded {} MB", held.iter().map(Vec::len).sum::<usize>() >> 20);
}

/// Waits for at most a minute: whoever forgets to end it shall not wait for ever.
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
    latent_engine::main::<Odd>(&[], "odd 1")
}
