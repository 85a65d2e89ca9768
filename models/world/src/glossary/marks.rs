//! Marks: points that the code under test reports as reached. Scenarios and sweeps can require them, faults can be
//! triggered by them.
//!
//! The names and their meanings are declared by the crates that report them (`marks.rs` of each); the reasons of a group
//! are here.

use latent_engine::explain::GlossaryEntry;
use latent_ports::MarkName;

/// Marks of each crate that reports some.
const LISTS: [&[MarkName]; 3] = [latent_edge::marks::ALL, latent_pipeline::marks::ALL, crate::marks::ALL];

/// Returns, by the part before the dot, why a mark matters and what keeps it from being reached.
fn group(prefix: &str) -> [&'static str; 2] {
    match prefix {
        "alarms" | "jobs" => {
            ["Alarms are what starts a recovery.", "No cause for an alarm, or an operator within reach."]
        }
        "arb" => [
            "The event store's files are what everything else relies on.",
            "No damage, no late data, or a run that ends before the grace time.",
        ],
        "audit" => [
            "The audit is the detector that compares production with the tee.",
            "No `audit` or `tee` in `protection`, or a run of less than a day.",
        ],
        "backup" => [
            "Backups are what is left when production is gone.",
            "No `backup` in `protection`, a run shorter than the interval, or no such failure.",
        ],
        "client" => [
            "It shows how clients behave under faults.",
            "Links and nodes without faults, or a workload without such clients.",
        ],
        "compaction" => [
            "Compaction rewrites everything that is stored; its later runs are where the 2016 loss happened.",
            "A run that ends before the project's next midnight, or no late events (`late_same_day_ppm`, \
             `very_late_ppm`).",
        ],
        "edge" | "ingest" | "hints" => [
            "It shows the way of a request from the client to the disks.",
            "No fault on that way: edges, ingest nodes, disks, links.",
        ],
        "hold" | "retention" => [
            "What could answer an alarm must not expire before it is used.",
            "No open alarm, or retentions that are long enough.",
        ],
        "adversary" => [
            "It shows that the destructive release did what it can.",
            "No deploy of a release with the bug `hostile`.",
        ],
        "operator" | "recovery" => [
            "Recovery is what brings lost events back.",
            "No alarm, no operator and no planned recovery in the scenario; in a drill the mark begins with `drill:`.",
        ],
        "release" => [
            "It shows that a run says something about a planted bug.",
            "A release without planted bugs, or a condition that the run does not create.",
        ],
        "repair" => [
            "Comparison and repair keep the copies equal.",
            "A run that ends before the nightly comparison, or copies that never differ.",
        ],
        "tee" => [
            "The tee covers what came after the newest backup.",
            "No `tee` in `protection`, a run of less than an hour, or no such failure.",
        ],
        "objects" => ["Object stores hold backups and the tee.", "No crash or damage of an object store."],
        _ => ["It shows that this code ran.", "A run that does not get there."],
    }
}

pub(super) fn entries() -> Vec<GlossaryEntry> {
    let entry = |mark: MarkName| {
        let [why, causes] = group(mark.name().split('.').next().unwrap_or(mark.name()));
        let next =
            "`run -v` shows how often each mark was reached; `repro … --log` shows when, and at which node.";
        GlossaryEntry::mark(mark, [why, causes, next])
    };
    LISTS.into_iter().flatten().copied().map(entry).collect()
}
