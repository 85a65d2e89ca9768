//! Runs a world to its end, on a thread that has run no other world.

use crate::faults::FaultOutcome;
use crate::panic_guard::PanicGuard;
use crate::trace::{LogLine, TraceHash};
use crate::world::{World, WorldSpec};
use latent_ports::UnixMs;
use madsim::runtime::Runtime;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Outcome of a world that has ended.
#[derive(Clone, Debug)]
pub struct WorldOutcome<T> {
    /// Return value of `main`.
    pub output: T,
    /// Identity of the run.
    pub trace_hash: TraceHash,
    /// Number of trace records.
    pub record_count: u64,
    /// Number of times that each mark was reached.
    pub mark_counts: BTreeMap<&'static str, u64>,
    /// True time at the end.
    pub end_time: UnixMs,
    /// Outcome of each fault, in the order of arming.
    pub fault_outcomes: Vec<FaultOutcome>,
    /// Every record as text; empty if the log was not kept.
    pub log_lines: Vec<LogLine>,
}

thread_local! {
    static USED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a world to its end on the current thread, which must not have run one before: the order of std's hash maps is
/// seeded per thread. Panics of a node, and a world in which no event is left, panic here.
///
/// All processes are killed and their tasks dropped before this returns.
///
/// # Panics
/// If this thread has already run a world. [`run_fork`] uses a new thread.
pub fn run_world<T, F>(spec: WorldSpec, main: impl FnOnce(World) -> F) -> WorldOutcome<T>
where
    F: Future<Output = T>,
{
    let used = USED.replace(true);
    assert!(!used, "this thread has already run a world: run each world on its own thread (run_fork does)");
    let mut runtime = Runtime::with_seed_and_config(spec.scheduler_seed, madsim::Config::default());
    // Lets a fork start its thread. The timers detect an idle world.
    runtime.set_allow_system_thread(true);
    runtime.block_on(async move {
        let _guard = PanicGuard::for_world();
        let world = World::new(&spec);
        let pump = madsim::task::spawn(world.clone().pump());
        let output = main(world.clone()).await;
        let finished = WorldOutcome {
            output,
            trace_hash: world.trace_hash(),
            record_count: world.record_count(),
            mark_counts: world.marks(),
            end_time: world.now(),
            fault_outcomes: world.fault_outcomes(),
            log_lines: world.take_log(),
        };
        world.shut_down();
        pump.abort();
        // The executor drops killed tasks when it next schedules them.
        madsim::time::sleep(Duration::from_millis(1)).await;
        world.kernel().timers().clear();
        finished
    })
}

/// Runs a world to its end on a new thread, while the caller waits. Inside a world, no virtual time passes meanwhile
/// and the outer world's trace does not change. Drills read copies of disks this way.
///
/// # Panics
/// If the fork panics: the panic is passed on.
pub fn run_fork<T, F>(spec: WorldSpec, main: impl FnOnce(World) -> F + Send) -> WorldOutcome<T>
where
    T: Send,
    F: Future<Output = T>,
{
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("fork".to_owned());
        let fork = thread.spawn_scoped(scope, || run_world(spec, main)).expect("the system starts a thread");
        fork.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
