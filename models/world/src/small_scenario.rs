//! A small scenario with all kinds of protection, run in this process, for tests.

use crate::Latent;
use crate::cluster::node_env::MarkPolicy;
use crate::run::WorldRun;
use crate::run::findings::Findings;
use latent_engine::sim::{World, WorldSpec, run_fork};
use latent_engine::{PhaseReporter, Verdict};

/// Two days, three customers, a planted bug, and all detectors.
pub(crate) const SMALL: &str = r#"{
    "name": "small", "about": "Two days of three customers under everything that watches.",
    "start": "2016-02-20T00:00:00Z", "run_for": "2d",
    "zones": [{ "zone": "Asia/Tokyo", "weight": 1 }, { "zone": "America/New_York", "weight": 1 }],
    "tenants": [{ "name": "any", "count": 3, "events_per_day": [110, 150], "requests_per_day": 6,
                  "late_ppm": [50000, 200000], "repeated_ppm": 20000 }],
    "protection": {
        "tee": { "retention": "7d" },
        "backup": { "interval": "1d", "first_after": "6h", "retention": "10d" },
        "audit": { "after_midnight": "3h" }
    },
    "releases": [{ "name": "bad", "bugs": ["recompaction-overwrites"] }],
    "deploys": [{ "at": "2016-02-20T03:00:00Z", "release": "bad", "to": "all" }],
    "drills": 2, "exports_per_project": 1, "healing": "30h", "expect": "recovered"
}"#;

/// Runs the altered small scenario and returns its result; `first` runs before the first step.
pub(crate) fn judged(
    alter: impl Fn(&str) -> String,
    first: impl Fn(&WorldRun<'_>) + Sync,
) -> Verdict<Findings> {
    let scenario = latent_engine::parse::<Latent>("small.json", &alter(SMALL)).unwrap();
    let plan = crate::plan::expand(&scenario, 7);
    let spec = WorldSpec { start: scenario.start.0, ..WorldSpec::seeded(7) };
    let run = async |world: World| {
        for fault in &scenario.faults {
            world.arm(fault.clone());
        }
        let mut run = WorldRun::new(&plan, &scenario, world, PhaseReporter::silent(), MarkPolicy::Record);
        first(&run);
        run.execute_and_heal().await;
        run.verdict()
    };
    run_fork(spec, run).output
}

/// Returns the small scenario without its bug and with these faults.
pub(crate) fn with_faults(small: &str, faults: &str) -> String {
    let sound = small.replace("recompaction-overwrites", "").replace(r#""bugs": [""]"#, r#""bugs": []"#);
    sound.replace(r#""expect": "recovered""#, &format!(r#""expect": "clean", "faults": [{faults}]"#))
}
