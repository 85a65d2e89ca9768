//! A log with a bug that no single fault shows: its recovery rewrites the file in place.
//!
//! A writer sends records over the network; the log answers each once it is durable. Recovery shortens the file to
//! nothing, appends the records that it read, and syncs. It loses them if it is interrupted in between. Its first run
//! has nothing to lose, so this takes a fault that makes it run again, and one more at that moment.

use latent_engine::verdict::{OutcomeFacts, PendingWork, Violation};
use latent_engine::{NamedScenario, PhaseReporter, Report, Scenario, Screen, System, SystemRun, Verdict};
use latent_ports::{
    Clock, Disk, DiskError, Env, File, Mark, Message, Net, NodeId, OpenMode, Request, read_full,
};
use latent_sim::{NodeSpec, SimEnv, SimFile, World};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod marks {
    latent_ports::marks! {
        /// The log read records and wrote them again.
        LOG_REWRITTEN = "log.rewritten";
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    records: u8,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Findings {
    kept: u8,
}

pub struct RewritingLog;

/// A record is its number and the number's complement, so that an empty piece of file is not a record.
fn encode(records: u8) -> Vec<u8> {
    (0..records).flat_map(|record| [record, !record]).collect()
}

/// Returns the whole records at the start of the file. Repeated ones are kept: the writer sends a record again if it
/// has no answer.
fn whole_records(bytes: &[u8]) -> &[u8] {
    let whole = bytes.as_chunks::<2>().0.iter().take_while(|[record, check]| *check == !*record).count();
    &bytes[..whole * 2]
}

async fn recover(env: &SimEnv) -> Result<SimFile, DiskError> {
    let file = env.disk().open("log", OpenMode::Create).await?;
    env.disk().sync_dir("").await?;
    let found = read_full(&file, 0, file.size_bytes().await?).await?;
    let records = whole_records(&found).to_vec();
    // The bug: the records are on the disk in neither place until the sync.
    file.truncate(0).await?;
    file.append(records.clone().into()).await?;
    file.sync().await?;
    if !records.is_empty() {
        env.mark(Mark { name: marks::LOG_REWRITTEN, subject: "" });
    }
    Ok(file)
}

/// The open file; `None` after an error, until the next recovery.
type OpenLog = Arc<Mutex<Option<SimFile>>>;

async fn log(env: SimEnv) {
    let open: OpenLog = Arc::new(Mutex::new(recover(&env).await.ok()));
    let (net, env) = (env.net().clone(), env.clone());
    net.serve(1, move |request| answer(env.clone(), open.clone(), request)).await;
}

/// Stores a record. Answers with it, or with nothing after a disk error.
async fn answer(env: SimEnv, open: OpenLog, request: Request) -> Message {
    let file = open.lock().expect("no thread panicked").take();
    let stored = async {
        let file = match file {
            Some(file) => file,
            None => recover(&env).await?,
        };
        file.append(request.message.head.clone()).await?;
        file.sync().await?;
        Ok::<SimFile, DiskError>(file)
    };
    let Ok(file) = stored.await else { return Message::default() };
    *open.lock().expect("no thread panicked") = Some(file);
    request.message
}

/// Sends the records that are not acknowledged, one at a time, until each is. The count survives the writer.
async fn writer(env: SimEnv, log: NodeId, acknowledged: Arc<AtomicU8>, records: u8) {
    while acknowledged.load(SeqCst) < records {
        let record = acknowledged.load(SeqCst);
        let message = Message { head: vec![record, !record].into(), ..Message::default() };
        match env.net().call(log, message.clone(), Duration::from_secs(1)).await {
            Ok(answer) if answer == message => acknowledged.store(record + 1, SeqCst),
            _ => env.clock().sleep(Duration::from_millis(100)).await,
        }
    }
}

/// A run: what is looked at when it ends.
pub struct RewritingRun<'a> {
    scenario: &'a Scenario<Config>,
    world: World,
    node: NodeId,
    ledger: Arc<AtomicU8>,
}

impl System for RewritingLog {
    const NAME: &'static str = "rewriting";
    const SUBJECT: &'static str = "file";
    const ITEMS: &'static str = "records";
    type Config = Config;
    type Plan = ();
    type Run<'a> = RewritingRun<'a>;
    type Findings = Findings;

    fn expand(_: &Scenario<Config>, _: u64) {}

    fn start<'a>(
        (): &'a (),
        scenario: &'a Scenario<Config>,
        world: World,
        _: PhaseReporter,
    ) -> RewritingRun<'a> {
        let (records, acknowledged) = (scenario.config.records, Arc::new(AtomicU8::new(0)));
        let ledger = acknowledged.clone();
        let node = world.add_node(NodeSpec::named("log"), log);
        world
            .add_node(NodeSpec::named("writer"), move |env| writer(env, node, acknowledged.clone(), records));
        RewritingRun { scenario, world, node, ledger }
    }

    fn render(report: &Report<Findings>, screen: &mut Screen) {
        screen.item("records", format!("{} kept", report.findings.kept));
    }
}

impl SystemRun for RewritingRun<'_> {
    type Findings = Findings;

    async fn execute(&mut self) {
        self.world.sleep_until(self.scenario.end().0).await;
    }

    async fn finish(self) -> Verdict<Findings> {
        let RewritingRun { scenario, world, node, ledger } = self;
        let records = scenario.config.records;
        let file = world.disk_image(node).read("log").unwrap_or_default();
        let (kept, told_safe) = (whole_records(&file), ledger.load(SeqCst));
        let lost =
            encode(told_safe).chunks(2).filter(|record| !kept.chunks(2).any(|it| it == *record)).count();
        let missing = Violation::new("R1", "missing", "after-recovery").of("log", lost as u64).losing();
        let violations = if lost > 0 { vec![missing.at(world.now().0)] } else { Vec::new() };
        let stuck = told_safe < records;
        let hung = stuck.then(|| PendingWork::new("R2", format!("the writer stopped at record {told_safe}")));
        let facts = OutcomeFacts { hung: hung.into_iter().collect(), ..OutcomeFacts::default() };
        let (findings, items) = (Findings { kept: kept.len() as u8 / 2 }, u64::from(told_safe));
        Verdict { items, violations, facts, detections: vec![], marks: BTreeMap::new(), findings }
    }
}

const REWRITE: &str = r#"{ "name": "rewrite", "about": "Two records.",
  "start": "2016-02-22T00:00:00Z", "run_for": "1m", "records": 2 }"#;

/// The program.
pub fn main() -> ExitCode {
    latent_engine::main::<RewritingLog>(&[NamedScenario { name: "rewrite", text: REWRITE }], "rewriting 1")
}
