//! The worker: reads one piece of work, runs it on a fresh thread, says what it found, ends.

use super::tally::Tally;
use super::wire::{Judged, Line, PREFIX, RecoveryLine, ViolationLine, Work};
use crate::plan::{self, Plan};
use crate::report::FaultReport;
use crate::scenario::{self, Scenario};
use crate::{Progress, System, exit};
use latent_sim::{FaultOutcome, Finished, WorldSpec, run_world};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{Read, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A world's main future may be deep: a system's recursion runs on this stack.
const STACK_BYTES: usize = 64 << 20;

/// Runs the work that stands on the standard input.
pub(crate) fn run<S: System>() -> ExitCode {
    let mut input = String::new();
    let work = match std::io::stdin().read_to_string(&mut input) {
        Ok(_) => serde_json::from_str::<Work>(&input).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let line = match work {
        Ok(work) => judge::<S>(work),
        Err(error) => Line::Refused(format!("the work on standard input cannot be read: {error}")),
    };
    say(&line);
    ExitCode::from(exit::AS_EXPECTED)
}

/// Runs on a thread of its own: madsim and the standard library keep state per thread, and the first thread has
/// parsed arguments and read input.
fn judge<S: System>(work: Work) -> Line {
    let caught = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&caught);
    panic::set_hook(Box::new(move |info| {
        let message = panic_text(info.payload());
        let trace = Backtrace::capture();
        let mut place = info.location().map_or_else(String::new, ToString::to_string);
        if trace.status() == BacktraceStatus::Captured {
            place = format!("{place}\n{trace}");
        }
        // The first panic is the cause; those that follow come from what it tore down.
        hook.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((message, place));
    }));
    let builder = thread::Builder::new().name("case".into()).stack_size(STACK_BYTES);
    let ended = match builder.spawn(move || run_work::<S>(&work)) {
        Ok(thread) => thread.join(),
        Err(error) => return Line::Refused(format!("no thread for the case: {error}")),
    };
    match ended {
        Ok(line) => line,
        Err(payload) => {
            let first = caught.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (message, place) = first.unwrap_or_else(|| (panic_text(payload.as_ref()), String::new()));
            Line::Panicked { message, place }
        }
    }
}

fn panic_text(payload: &dyn std::any::Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").to_owned()
}

fn run_work<S: System>(work: &Work) -> Line {
    let scenario = match scenario::parse::<S>(&work.file, &work.text) {
        Ok(scenario) => scenario,
        Err(bad) => return Line::Refused(bad.to_string()),
    };
    let plan = match &work.plan {
        None => plan::expand::<S>(&scenario, work.seed),
        Some(stored) => match serde_json::from_value(stored.clone()) {
            Ok(plan) => plan,
            Err(error) => return Line::Refused(format!("the stored plan cannot be read: {error}")),
        },
    };
    run_plan::<S>(work, &scenario, &plan)
}

fn run_plan<S: System>(work: &Work, scenario: &Scenario<S::Topic>, plan: &Plan<S::Plan>) -> Line {
    let spec = WorldSpec {
        scheduler_seed: plan.scheduler_seed,
        draw_seed: plan.draw_seed,
        start: scenario.start.0,
        keep_log: false,
    };
    let progress = Progress(Arc::new(|phase: &str| say(&Line::Phase(phase.to_owned()))));
    let tally = Tally::new(scenario.run_for.0);
    let Finished { output, trace_hash, records, marks, end, faults, .. } = run_world(spec, |world| {
        let tally = tally.clone();
        async move {
            for fault in &plan.faults {
                world.arm(fault.clone());
            }
            world.observe(tally.observer());
            let judged = S::run(&plan.system, scenario, world.clone(), progress).await;
            let names = world.nodes().into_iter().map(|node| world.node_name(node).to_string());
            (judged, names.collect::<Vec<_>>())
        }
    });
    let (judged, names) = output;
    if let Some(bad) = scenario::fault_at_nobody::<S>(&work.file, &work.text, &faults, &names) {
        return Line::BadScenario(bad.to_string());
    }
    let findings = match serde_json::to_value(&judged.findings) {
        Ok(findings) => findings,
        Err(error) => return Line::Refused(format!("the findings cannot be written: {error}")),
    };
    Line::Judged(Box::new(Judged {
        sim_ms: u64::try_from(end.since(scenario.start.0).as_millis()).unwrap_or(u64::MAX),
        trace_hash: trace_hash.to_string(),
        trace_records: records,
        outcome: latent_verdict::outcome(&judged.violations, &judged.facts).into(),
        recovery: RecoveryLine(judged.facts.recovery),
        hung: judged.facts.hung,
        noticed: judged.noticed,
        violations: judged.violations.into_iter().map(ViolationLine).collect(),
        marks: marks.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        faults: faults.into_iter().map(fault_report).collect(),
        nodes: tally.nodes(&names),
        choices: S::choices(&plan.system),
        addresses_fixed: addresses_fixed(),
        findings,
    }))
}

fn fault_report(outcome: FaultOutcome) -> FaultReport {
    let FaultOutcome { fault, struck, counted, .. } = outcome;
    FaultReport { fault, struck_ms: struck.map(|at| at.0), counted }
}

/// Whether this process runs without address randomisation, as Linux tells it. Where it does not tell: no.
fn addresses_fixed() -> bool {
    const ADDR_NO_RANDOMIZE: u64 = 0x0004_0000;
    let personality = std::fs::read_to_string("/proc/self/personality").unwrap_or_default();
    u64::from_str_radix(personality.trim(), 16).is_ok_and(|bits| bits & ADDR_NO_RANDOMIZE != 0)
}

/// Writes one line to the parent. A parent that is gone wants no answer: the worker ends at once.
pub(super) fn say(line: &Line) {
    let text = serde_json::to_string(line).expect("lines hold plain data with text keys");
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{PREFIX}{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(i32::from(exit::INTERNAL));
    }
}
