//! Complete runs of small scenarios for tests: the result and the marks.

use latent_engine::sim::{Event, Observer, Record, TraceHash, World, WorldSpec, run_fork};
use latent_engine::{PhaseReporter, Scenario, System, Verdict, run_system};
use latent_ports::{MarkName, UnixMs};
use latent_world::{Findings, Latent, WorldConfig};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// Two days, three customers, all detectors, no faults.
pub(crate) const CALM: &str = r#"{
    "name": "calm", "about": "Two days of three customers under everything that watches.",
    "start": "2016-02-20T00:00:00Z", "run_for": "2d",
    "zones": [{ "zone": "Asia/Kathmandu", "weight": 1 }, { "zone": "America/New_York", "weight": 1 }],
    "tenants": [{ "name": "any", "count": 3, "events_per_day": [110, 150], "requests_per_day": 12,
                  "late_ppm": [50000, 200000], "repeated_ppm": 20000, "no_insert_id_ppm": 20000,
                  "no_time_ppm": 10000, "invalid_ppm": 10000 }],
    "protection": {
        "tee": { "retention": "7d" },
        "backup": { "interval": "1d", "first_after": "6h", "retention": "10d" },
        "audit": { "after_midnight": "3h" }
    },
    "drills": 1, "exports_per_project": 1, "healing": "30h", "expect": "clean"
}"#;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a test that panics ends")
}

/// A recorded mark.
pub(crate) struct RecordedMark {
    pub name: MarkName,
    pub subject: String,
    pub at_ms: i64,
}

/// Result of a test run.
pub(crate) struct TestRun {
    pub judged: Verdict<Findings>,
    pub marks: Vec<RecordedMark>,
    /// Node boots with their times, in milliseconds since 1970.
    pub boots: Vec<(String, i64)>,
    pub trace_hash: TraceHash,
}

#[derive(Clone)]
struct MarkObserver {
    start: UnixMs,
    marks: Arc<Mutex<Vec<RecordedMark>>>,
    boots: Arc<Mutex<Vec<(String, i64)>>>,
}

impl Observer for MarkObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        let at_ms = (self.start + Duration::from_nanos(record.time_ns)).0;
        match record.event {
            Event::Mark { name, subject } => {
                let marked = RecordedMark { name, subject: subject.to_owned(), at_ms };
                lock(&self.marks).push(marked);
            }
            Event::Boot => lock(&self.boots).push((world.node_name(record.node).to_string(), at_ms)),
            _ => {}
        }
    }
}

impl TestRun {
    /// Runs the scenario with its faults.
    pub fn execute(scenario: &Scenario<WorldConfig>, seed: u64) -> TestRun {
        let plan = Latent::expand(scenario, seed);
        let start = scenario.start.0;
        let ear = MarkObserver { start, marks: Arc::default(), boots: Arc::default() };
        let spec = WorldSpec { start, ..WorldSpec::seeded(seed) };
        let finished = run_fork(spec, |world| {
            world.observe(Box::new(ear.clone()));
            for fault in scenario.faults.iter().chain(&plan.faults) {
                world.arm(fault.clone());
            }
            run_system::<Latent>(&plan, scenario, world, PhaseReporter::silent())
        });
        let marks = std::mem::take(&mut *lock(&ear.marks));
        let boots = std::mem::take(&mut *lock(&ear.boots));
        TestRun { judged: finished.output, marks, boots, trace_hash: finished.trace_hash }
    }

    /// Asserts that no violation was found and no work is late.
    pub fn assert_sound(&self) {
        assert_eq!(self.judged.violations, [], "{:?}", self.judged.facts);
        assert_eq!(self.judged.facts.hung, []);
    }

    /// Asserts also that no detector fired.
    pub fn assert_clean(&self) {
        self.assert_sound();
        let noticed = self.judged.detections.iter().map(|notice| format!("{}: {}", notice.by, notice.what));
        assert_eq!(noticed.collect::<Vec<_>>(), [""; 0]);
    }

    /// Returns the number of times that the mark was reached.
    pub fn marks(&self, mark: MarkName) -> u64 {
        self.marks.iter().filter(|marked| marked.name == mark).count() as u64
    }

    /// Returns the times at which the mark was reached for this subject, in order.
    pub fn when_ms(&self, mark: MarkName, subject: &str) -> Vec<i64> {
        let of = |marked: &&RecordedMark| marked.name == mark && marked.subject == subject;
        self.marks.iter().filter(of).map(|marked| marked.at_ms).collect()
    }
}
