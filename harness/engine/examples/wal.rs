//! A write-ahead log under the harness, in one file: the system, its world, its judge, and a planted bug.
//!
//!     cargo run --example wal -- run correct@12          # power fails at the 12th disk operation: nothing is lost
//!     cargo run --example wal -- run missing-sync@12     # the same, but the log answers before it syncs
//!
//! The log must keep every acknowledged record. The seed is the disk operation at which the
//! power fails, so the seeds 1, 2, 3 … cover every operation; in the scenario `rough` it draws many faults. Read from top
//! to bottom.
//!
//!     cargo run --example wal -- sweep missing-sync --seeds 1..17    # which seeds find the bug
//!     cargo run --example wal -- shrink missing-sync@12              # and the smallest case that shows it

use latent_engine::explain::GlossaryEntry;
use latent_engine::verdict::{Expectation, OutcomeFacts, PendingWork, Violation};
use latent_engine::{
    Generator, NamedScenario, PhaseReporter, Problem, Reduction, ReductionOf, Report, Scenario, Screen,
    System, SystemRun, Verdict, humanize, parse,
};
use latent_nemesis::{Budget, FaultKind, FaultTargets, Profile, Role, RunWindow, crash_at_each_operation};
use latent_ports::{Clock, Disk, DiskError, Env, File, Mark, MarkName, NodeId, OpenMode, read_full};
use latent_sim::{Fault, NodeSpec, World};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// The client has records 0, 1, 2 … to store, one at a time. It counts the acknowledged ones, and since it is not on
/// the machine that loses power, the count survives: it is the ledger.
type Client = Arc<AtomicU64>;

/// Number of errors of the disk in a row after which the log gives up.
const MAX_ERRORS: u32 = 20;

/// **The system under test.** It uses ports only, so it would run on a real disk as well. After an error it opens the
/// file again, a second later.
async fn write_ahead_log<E: Env>(env: E, client: Client, config: Config) {
    let (mut failed, mut durable_bytes) = (0, None);
    while let Err(error) = open_and_append(&env, &client, &config, &mut durable_bytes).await {
        failed += 1;
        assert!(failed < MAX_ERRORS, "the disk fails again and again: {error}");
        env.clock().sleep(Duration::from_secs(1)).await;
    }
}

/// Keeps the complete records at the start of the file and truncates the rest; then appends what the client sends.
/// `durable_bytes` is the length that this process has made durable: a failed sync may have marked later bytes as written
/// that are not, so they are written again.
async fn open_and_append<E: Env>(
    env: &E,
    client: &Client,
    config: &Config,
    durable_bytes: &mut Option<u64>,
) -> Result<(), DiskError> {
    let file = env.disk().open("wal", OpenMode::Create).await?;
    env.disk().sync_dir("").await?;
    let found = read_full(&file, 0, file.size_bytes().await?).await?;
    let mut whole_bytes = (decode(&found).len() as u64 * 16).min(durable_bytes.unwrap_or(u64::MAX));
    if whole_bytes > 0 {
        env.mark(Mark { name: marks::WAL_RECOVERED, subject: "" });
    }
    if client.load(SeqCst) == config.records {
        env.mark(Mark { name: marks::WAL_COMPLETE, subject: "" });
    }
    file.truncate(whole_bytes).await?;
    file.sync().await?;
    *durable_bytes = Some(whole_bytes);
    while client.load(SeqCst) < config.records {
        let record = client.load(SeqCst);
        file.append(encode(record).to_vec().into()).await?;
        if !config.missing_sync {
            file.sync().await?; // the planted bug leaves this out
        }
        whole_bytes += 16;
        *durable_bytes = Some(whole_bytes);
        client.store(record + 1, SeqCst); // the answer: "record is safe"
        env.clock().sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// **Its marks**: the places that a scenario can require and a fault can wait for. The doc comments are what `wal marks`
/// prints.
mod marks {
    latent_ports::marks! {
        /// The log was started when the client had no record left to store: no drawn crash comes that late.
        WAL_COMPLETE = "wal.complete";
        /// The log had records when it was started.
        WAL_RECOVERED = "wal.recovered";
    }
}

/// A record is its number and the number's complement, so that a torn or empty piece of file is not a record.
fn encode(record: u64) -> [u8; 16] {
    (u128::from(record) | u128::from(!record) << 64).to_le_bytes()
}

fn decode(bytes: &[u8]) -> Vec<u64> {
    let pieces = bytes.as_chunks::<16>().0.iter();
    let records = pieces.map(|piece| (u128::from_le_bytes(*piece) as u64, piece));
    records.take_while(|(record, piece)| encode(*record) == **piece).map(|(record, _)| record).collect()
}

/// **The scenario's fields** for this system. The engine adds its own: name, start, run_for, faults, expect …
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Config {
    /// Number of records that the client stores.
    records: u64,
    /// The planted bug: acknowledges without a sync.
    #[serde(default)]
    missing_sync: bool,
    /// Number of faults of many kinds that the seed draws, minimum and maximum. Absent: the power fails once, at the
    /// operation whose number is the seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drawn_faults: Option<(u32, u32)>,
}

/// **The seed's choices**: the faults.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    drawn: Vec<Fault>,
}

/// **What faults can strike**: one node with one file. Which faults strike when is not the example's business.
struct Targets {
    roles: [Role; 1],
    window: RunWindow,
}

impl Targets {
    fn of(scenario: &Scenario<Config>) -> Targets {
        let (first_ms, last_ms) = (scenario.start.0.0, scenario.start.0.0 + 1_000);
        let window =
            RunWindow { start_ms: first_ms, first_ms, last_ms, last_damage_ms: first_ms, longest_ms: 5_000 };
        Targets { roles: [Role::of(vec!["log".into()])], window }
    }
}

impl FaultTargets for Targets {
    fn roles(&self) -> &[Role] {
        &self.roles
    }

    fn window(&self) -> RunWindow {
        self.window
    }

    fn marks(&self) -> &[MarkName] {
        &[marks::WAL_RECOVERED]
    }
}

/// Kinds of faults that the log survives: those of one node that lose no durable bytes.
const SURVIVED: [FaultKind; 8] = [
    FaultKind::Crash,
    FaultKind::CrashLoop,
    FaultKind::Pause,
    FaultKind::DiskError,
    FaultKind::SyncFailure,
    FaultKind::DiskFull,
    FaultKind::SlowDisk,
    FaultKind::ShortRead,
];

/// **The findings of a run**, besides violations.
#[derive(Debug, Serialize, Deserialize)]
struct Findings {
    told_safe: u64,
    kept: u64,
}

struct Wal;

/// A run: what is looked at when it ends.
struct WalRun<'a> {
    scenario: &'a Scenario<Config>,
    world: World,
    log: NodeId,
    ledger: Client,
}

/// Time that the log has when the faults have ended.
const HEALING: Duration = Duration::from_secs(10);

/// Builds a scenario from bytes.
fn generate(bytes: &[u8]) -> Scenario<Config> {
    let byte = |place| u64::from(bytes.get(place).copied().unwrap_or(0));
    let config = Config { records: 1 + byte(0) % 20, missing_sync: byte(1) % 4 == 3, drawn_faults: None };
    let like = parse::<Wal>("correct", CORRECT).expect("a test runs the scenario");
    Scenario { name: "generated".into(), about: "Drawn by a seed.".into(), config, ..like }
}

impl System for Wal {
    const NAME: &'static str = "wal";
    const SUBJECT: &'static str = "file";
    const ITEMS: &'static str = "records";
    type Config = Config;
    type Plan = Plan;
    type Run<'a> = WalRun<'a>;
    type Findings = Findings;

    /// **Generated scenarios**, as in `generated@7`.
    const GENERATORS: &'static [Generator<Config>] = &[Generator {
        name: "generated",
        about: "up to 20 records, and one log in four has the bug",
        expect: Expectation::CLEAN,
        generate,
    }];

    /// **The explanations** of `wal explain` and `wal marks`.
    fn glossary() -> Vec<GlossaryEntry> {
        let parts = [
            "It shows that the log was read after a crash.",
            "No crash at such a moment.",
            "`run -v` shows how often each mark was reached.",
        ];
        marks::ALL.iter().map(|mark| GlossaryEntry::mark(*mark, parts)).collect()
    }

    /// Selects a release on the command line.
    fn set_release(scenario: &mut Scenario<Config>, name: &str) -> Result<(), Problem> {
        let known = [("good", false), ("hasty", true)].into_iter().find(|(known, _)| *known == name);
        let unknown = || Problem::new(format!("no release is called '{name}'"), "there are: good, hasty");
        scenario.config.missing_sync = known.ok_or_else(unknown)?.1;
        Ok(())
    }

    /// Shrinks a failing case, in addition to removing faults.
    fn reductions() -> Vec<ReductionOf<Wal>> {
        vec![Reduction::Remove {
            what: "records",
            count: |case| case.scenario.config.records as usize,
            without: |case, places| {
                let mut smaller = case.clone();
                smaller.scenario.config.records -= places.len() as u64;
                Some(smaller)
            },
        }]
    }

    fn expand(scenario: &Scenario<Config>, seed: u64) -> Plan {
        let Config { records, missing_sync, drawn_faults } = scenario.config;
        let Some((min, max)) = drawn_faults else {
            // Six operations to open the log, then an append (and a sync) for each record.
            let operations = 6 + records * if missing_sync { 1 } else { 2 };
            return Plan { drawn: vec![crash_at_each_operation("log", operations, seed)] };
        };
        let profile = Profile { count: (min.into(), max.into()), kinds: SURVIVED.to_vec() };
        let budget = Budget { groups: vec![], repaired_after_ms: 0 };
        Plan { drawn: latent_nemesis::draw(&Targets::of(scenario), &profile, &budget, seed) }
    }

    fn faults(plan: &Plan) -> Vec<Fault> {
        plan.drawn.clone()
    }

    fn start<'a>(_: &'a Plan, scenario: &'a Scenario<Config>, world: World, _: PhaseReporter) -> WalRun<'a> {
        let (client, config) = (Client::default(), scenario.config.clone());
        let ledger = client.clone();
        let log = world.add_node(NodeSpec::named("log"), move |env| {
            write_ahead_log(env, client.clone(), config.clone())
        });
        WalRun { scenario, world, log, ledger }
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        let Findings { told_safe, kept } = report.findings;
        screen.item("records", format!("{} told safe, {kept} kept", humanize::count(told_safe)));
    }
}

impl SystemRun for WalRun<'_> {
    type Findings = Findings;

    async fn execute(&mut self) {
        self.world.sleep_until(self.scenario.end().0).await;
    }

    async fn finish(self) -> Verdict<Findings> {
        let WalRun { scenario, world, log, ledger } = self;
        if ledger.load(SeqCst) < scenario.config.records {
            // The faults have ended: the log has time for what is left.
            world.sleep(HEALING).await;
        }
        let file = world.disk_image(log).read("wal").unwrap_or_default();
        let kept: BTreeSet<u64> = decode(&file).into_iter().collect();
        let told_safe = ledger.load(SeqCst);
        let lost: Vec<u64> = (0..told_safe).filter(|record| !kept.contains(record)).collect();
        let mut violations = Vec::new();
        if !lost.is_empty() {
            let missing =
                Violation::new("W1", "missing", "after-crash").of("wal", lost.len() as u64).losing();
            violations.push(missing.at(world.now().0).keys(lost.iter().map(u64::to_string)));
        }
        let stuck = told_safe < scenario.config.records;
        let hung = stuck.then(|| PendingWork::new("W2", format!("the log stopped at record {told_safe}")));
        let facts = OutcomeFacts { hung: hung.into_iter().collect(), ..OutcomeFacts::default() };
        let findings = Findings { told_safe, kept: kept.len() as u64 };
        Verdict { items: told_safe, violations, facts, detections: vec![], marks: BTreeMap::new(), findings }
    }
}

const CORRECT: &str = r#"{ "name": "correct", "about": "The power fails; nothing that was told safe is lost.",
  "start": "2016-02-22T00:00:00Z", "run_for": "1m", "records": 10 }"#;
const MISSING_SYNC: &str = r#"{ "name": "missing-sync", "about": "The same, with the planted bug.",
  "start": "2016-02-22T00:00:00Z", "run_for": "1m", "records": 10, "missing_sync": true }"#;

const ROUGH: &str = r#"{ "name": "rough", "about": "Faults of many kinds, and none that loses durable bytes.",
  "start": "2016-02-22T00:00:00Z", "run_for": "1m", "records": 50, "drawn_faults": [1, 8] }"#;

/// The program is one call. Try `scenarios`, `schema`, `run correct -v`, `run missing-sync@12 --json`.
pub fn main() -> ExitCode {
    let named = [("correct", CORRECT), ("missing-sync", MISSING_SYNC), ("rough", ROUGH)];
    let named = named.map(|(name, text)| NamedScenario { name, text });
    latent_engine::main::<Wal>(&named, concat!("wal ", env!("CARGO_PKG_VERSION")))
}
