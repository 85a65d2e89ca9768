//! The worker process: reads one request, runs it on a new thread, sends the result, and exits.

use super::STACK_BYTES;
use super::ipc::{CaseRequest, LogRecord, PREFIX, WorkerMessage};
use super::run::{OnStop, RunError, RunHooks, run_plan};
use crate::{System, exit, expand, scenario};
use latent_sim::panicked_node;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{Read, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Runs the request on standard input.
pub(crate) fn run<S: System>() -> ExitCode {
    let mut input = String::new();
    let request = match std::io::stdin().read_to_string(&mut input) {
        Ok(_) => serde_json::from_str::<CaseRequest>(&input).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let line = match request {
        Ok(request) => judge::<S>(request),
        Err(error) => WorkerMessage::Refused(format!("the work on standard input cannot be read: {error}")),
    };
    send(&line);
    ExitCode::from(exit::CLEAN)
}

/// Runs on a separate thread: madsim and the standard library keep state per thread, and the first thread has parsed
/// arguments and read input.
fn judge<S: System>(request: CaseRequest) -> WorkerMessage {
    let first_panic = Arc::new(Mutex::new(None));
    let hook = Arc::clone(&first_panic);
    panic::set_hook(Box::new(move |info| {
        let message = panic_text(info.payload());
        let trace = Backtrace::capture();
        let mut place = info.location().map_or_else(String::new, ToString::to_string);
        if trace.status() == BacktraceStatus::Captured {
            place = format!("{place}\n{trace}");
        }
        // madsim prints a line on each task that a panic unwinds; the relevant text is in the result, so standard error
        // is closed.
        let _ = File::options().write(true).open("/dev/null").map(rustix::stdio::dup2_stderr);
        // The first panic is the cause; later ones are consequences.
        hook.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert((message, place));
    }));
    let builder = thread::Builder::new().name("case".into()).stack_size(STACK_BYTES);
    let ended = match builder.spawn(move || run_request::<S>(&request)) {
        Ok(thread) => thread.join(),
        Err(error) => return WorkerMessage::Refused(format!("no thread for the case: {error}")),
    };
    match ended {
        Ok(line) => line,
        Err(payload) => {
            let first = first_panic.lock().unwrap_or_else(PoisonError::into_inner).take();
            let (message, place) = first.unwrap_or_else(|| (panic_text(payload.as_ref()), String::new()));
            let node = node_at_fault::<S>(&place);
            WorkerMessage::Panicked { message, place, node }
        }
    }
}

/// Returns the node of the system under test whose code panicked at `place`; `None` if the tool panicked.
fn node_at_fault<S: System>(place: &str) -> Option<String> {
    let of_tool = |dir: &&str| place.starts_with(*dir);
    if (place.starts_with("harness/") && place.contains("/src/")) || S::TOOL_SOURCES.iter().any(of_tool) {
        return None;
    }
    panicked_node().filter(|node| !S::OUTSIDE.contains(&node.as_str()))
}

/// Returns the text of a panic.
pub(crate) fn panic_text(payload: &dyn std::any::Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

fn run_request<S: System>(request: &CaseRequest) -> WorkerMessage {
    let scenario = match scenario::parse_trusted::<S>(&request.file, &request.text) {
        Ok(scenario) => scenario,
        Err(bad) => return WorkerMessage::Refused(bad.to_string()),
    };
    let mut plan = match &request.plan {
        None => expand::<S>(&scenario, request.seed),
        Some(stored) => match serde_json::from_value(stored.clone()) {
            Ok(plan) => plan,
            Err(error) => return WorkerMessage::Refused(format!("the stored plan cannot be read: {error}")),
        },
    };
    let of_case = plan.faults.len();
    plan.faults.extend(request.faults.iter().cloned());
    let listener = RunHooks {
        on_time: Arc::new(|sim_ms| send(&WorkerMessage::Time { sim_ms })),
        on_phase: Arc::new(|phase| send(&WorkerMessage::Phase(phase.to_owned()))),
        survey: request.survey,
        on_log: request.log.then_some(send_log as fn(LogRecord)),
        until: request.until_ms.map(|until_ms| (until_ms, stop as OnStop)),
    };
    match run_plan::<S>((&request.file, &request.text), &scenario, &plan, of_case, listener) {
        Ok(judged) => WorkerMessage::Result(Box::new(judged)),
        Err(RunError::ScenarioError(bad)) => WorkerMessage::ScenarioError(bad.to_string()),
        Err(RunError::Findings(error)) => {
            WorkerMessage::Refused(format!("the findings cannot be written: {error}"))
        }
    }
}

fn send_log(record: LogRecord) {
    send(&WorkerMessage::Log(record));
}

/// Stops the run early and discards the rest.
fn stop(trace_hash: String, trace_records: u64) {
    send(&WorkerMessage::Stopped { trace_hash, trace_records });
    std::process::exit(i32::from(exit::CLEAN));
}

/// Writes one line to the parent. If the parent is gone, the worker exits at once.
fn send(line: &WorkerMessage) {
    let text = serde_json::to_string(line).expect("lines hold plain data with text keys");
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{PREFIX}{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(i32::from(exit::INTERNAL));
    }
}
