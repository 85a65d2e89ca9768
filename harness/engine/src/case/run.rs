//! Runs one plan in one world on the current thread, which must be new. Independent of processes.

use super::ipc::{self, CaseResult, LogRecord, SerializedOp};
use super::node_stats::NodeStatsRecorder;
use super::strikes::StrikeRecorder;
use crate::plan::Plan;
use crate::report::FaultReport;
use crate::scenario::{Scenario, fault_at_unknown_node};
use crate::{PhaseReporter, ScenarioError, System, run_system};
use latent_sim::{
    FaultOutcome, Observer, Record, RecordedOp, WORLD_NODE, World, WorldOutcome, WorldSpec, run_world,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Receives the trace's hash and its number of records when a run stops early.
pub(super) type OnStop = fn(String, u64);

/// Callbacks of a run: progress of virtual time, phases, the event log.
pub(super) struct RunHooks {
    pub on_time: Arc<dyn Fn(u64) + Send + Sync>,
    pub on_phase: Arc<dyn Fn(&str) + Send + Sync>,
    /// Whether to record every operation.
    pub survey: bool,
    /// Receives the event log, if requested.
    pub on_log: Option<fn(LogRecord)>,
    /// Ends the process at this time, milliseconds since 1970.
    pub until: Option<(i64, OnStop)>,
}

impl RunHooks {
    /// No callbacks.
    pub(super) fn none() -> RunHooks {
        RunHooks {
            on_time: Arc::new(|_| ()),
            on_phase: Arc::new(|_| ()),
            survey: false,
            on_log: None,
            until: None,
        }
    }
}

/// Reason why a completed run has no verdict.
#[derive(Debug)]
pub(super) enum RunError {
    /// The scenario names a node that its world does not have.
    ScenarioError(ScenarioError),
    /// The findings cannot be written as JSON.
    Findings(serde_json::Error),
}

/// Runs `plan` and judges it. `file` and `text` are the scenario's, for errors that only a run can show; the first
/// `of_case` faults of the plan are its own, the others come from an option.
pub(super) fn run_plan<S: System>(
    (file, text): (&str, &str),
    scenario: &Scenario<S::Config>,
    plan: &Plan<S::Plan>,
    of_case: usize,
    listener: RunHooks,
) -> Result<CaseResult, RunError> {
    let spec = WorldSpec {
        scheduler_seed: plan.scheduler_seed,
        draw_seed: plan.draw_seed,
        start: scenario.start.0,
        keep_log: false,
    };
    let strike_recorder = StrikeRecorder::default();
    let tally = NodeStatsRecorder::new(scenario.run_for.0, listener.on_time);
    let WorldOutcome {
        output,
        trace_hash,
        record_count: records,
        mark_counts: marks,
        end_time: end,
        fault_outcomes: faults,
        ..
    } = run_world(spec, |world| {
        let (tally, strike_recorder) = (tally.clone(), strike_recorder.clone());
        async move {
            if listener.survey {
                world.start_op_recording();
            }
            for fault in &plan.faults {
                world.arm(fault.clone());
            }
            if let Some(on_log) = listener.on_log {
                world.observe(Box::new(LogObserver { on_log }));
            }
            if let Some((until_ms, on_stop)) = listener.until {
                let until_ns = until_ms.saturating_sub(scenario.start.0.0).max(0).unsigned_abs() * 1_000_000;
                world.observe(Box::new(StopObserver { until_ns, on_stop }));
            }
            world.observe(tally.observer());
            let until_ns = u64::try_from(scenario.run_for.0.as_nanos()).unwrap_or(u64::MAX);
            world.observe(strike_recorder.observer(until_ns));
            let progress = PhaseReporter(listener.on_phase);
            let judged = run_system::<S>(&plan.system, scenario, world.clone(), progress).await;
            let names = world.nodes().into_iter().map(|node| world.node_name(node).to_string());
            let start_ms = scenario.start.0.0;
            let ops = world.recorded_ops().into_iter().map(|op| op_line(op, &world, start_ms));
            (judged, names.collect::<Vec<_>>(), ops.collect::<Vec<_>>())
        }
    });
    let (judged, names, ops) = output;
    if let Some(bad) = fault_at_unknown_node::<S>(file, text, &faults, of_case, &names) {
        return Err(RunError::ScenarioError(bad));
    }
    Ok(CaseResult {
        sim_ms: u64::try_from(end.since(scenario.start.0).as_millis()).unwrap_or(u64::MAX),
        trace_hash: trace_hash.to_string(),
        trace_records: records,
        items: judged.items,
        outcome: latent_verdict::outcome(&judged.violations, &judged.facts),
        restoration: judged.facts.restoration,
        shortfall: judged.facts.shortfall,
        hung: judged.facts.hung,
        beyond_budget: judged.facts.beyond_budget,
        detections: judged.detections,
        violations: judged.violations,
        marks: all_marks(marks.into_iter().map(|(name, count)| (name.to_owned(), count)), judged.marks),
        exhausted: (0..faults.len()).filter(|index| faults[*index].is_exhausted).collect(),
        faults: faults.into_iter().map(fault_report).collect(),
        nodes: tally.nodes(&names),
        strikes: strike_recorder.strikes(),
        addresses_fixed: addresses_fixed(),
        ops,
        findings: serde_json::to_value(&judged.findings).map_err(RunError::Findings)?,
    })
}

/// Adds the marks of forked worlds to those of the run.
fn all_marks(
    own: impl Iterator<Item = (String, u64)>,
    mut forked: BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    for (name, count) in own {
        *forked.entry(name).or_default() += count;
    }
    forked
}

/// Describes every trace record for the event log.
struct LogObserver {
    on_log: fn(LogRecord),
}

impl Observer for LogObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        let node = if record.node == WORLD_NODE {
            ipc::WORLD.to_owned()
        } else {
            world.node_name(record.node).to_string()
        };
        let what = record.event.describe(|node| world.node_name(node));
        (self.on_log)(LogRecord { time_ns: record.time_ns, node, what });
    }
}

/// Stops the run at a given time.
struct StopObserver {
    until_ns: u64,
    on_stop: OnStop,
}

impl Observer for StopObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        if record.time_ns >= self.until_ns {
            (self.on_stop)(world.trace_hash().to_string(), world.record_count());
        }
    }
}

fn fault_report(outcome: FaultOutcome) -> FaultReport {
    let FaultOutcome { fault, triggered_at, match_count, .. } = outcome;
    FaultReport { fault, triggered_ms: triggered_at.map(|at| at.0), match_count }
}

fn op_line(seen: RecordedOp, world: &World, start_ms: i64) -> SerializedOp {
    let RecordedOp { node_name, op, op_index, time_ns, path, peer, leaves_unsynced, .. } = seen;
    let at_ms = start_ms.saturating_add_unsigned(time_ns / 1_000_000);
    let peer = peer.map(|peer| world.node_name(peer).to_string());
    SerializedOp { node: node_name.to_string(), op, n: op_index, at_ms, path, peer, leaves_unsynced }
}

/// Whether this process runs without address randomisation, according to Linux; `false` on other systems.
fn addresses_fixed() -> bool {
    const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;
    let personality = std::fs::read_to_string("/proc/self/personality").unwrap_or_default();
    u64::from_str_radix(personality.trim(), 16).is_ok_and(|bits| bits & ADDR_NO_RANDOMIZE != 0)
}
