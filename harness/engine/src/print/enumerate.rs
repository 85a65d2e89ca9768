//! Report of an enumeration: a table by kind of operation, the failures, and the commands that reproduce them.

use super::enumerate_pairs;
use super::humanize::{self, count, counted, moment_ms, op_name, span_ms};
use super::screen::{Screen, StyledText};
use crate::case::ipc::SerializedOp;
use crate::enumerate::{EnumerationFailure, EnumerationPlan, EnumerationStats, OpKindStats};
use crate::sweep::sweep_spec::Slice;
use serde_json::json;
use std::time::Duration;

/// Number of kinds of failures shown without `-v`.
const MAX_KINDS: usize = 5;

/// Everything that is printed of an enumeration.
pub(crate) struct EnumerationReport<'a> {
    /// The scenario.
    pub name: &'a str,
    /// The seed.
    pub seed: u64,
    /// The plan.
    pub plan: &'a EnumerationPlan,
    /// The results.
    pub stats: &'a EnumerationStats,
    /// Real time of the enumeration.
    pub wall: Duration,
    /// Number of runs in parallel.
    pub jobs: usize,
    /// The command that runs the case without injection.
    pub repeat: String,
    /// The command that repeats the enumeration.
    pub reproduce: String,
    /// The slice, if it is only a part.
    pub slice: Option<Slice>,
}

/// Returns the screen for people.
pub(crate) fn text(summary: &EnumerationReport<'_>, verbose: bool) -> Screen {
    let stats = summary.stats;
    let mut screen = Screen::new(verbose);
    let name = StyledText::new().plain(format!("{}@{}: ", summary.name, summary.seed));
    let expected = stats.expected();
    let all = summary.plan.runs.len() as u64;
    screen.heading(if stats.runs < all {
        let failed = match stats.failed_runs() {
            0 => "none of them failed".to_owned(),
            failed => format!("{} of them failed", count(failed)),
        };
        name.bad("interrupted").plain(format!(
            ", {} of {} done, {failed}",
            count(stats.runs),
            counted(all, "runs")
        ))
    } else if stats.as_expected() {
        let each =
            if summary.plan.distance.is_some() { " after every pair" } else { " after every injection" };
        name.good(expected.to_string()).plain(each)
    } else {
        let failed =
            format!("{} of {} not {expected}", count(stats.failed_runs()), counted(stats.runs, "runs"));
        name.bad(failed)
    });
    screen.item("operations", operations(summary.plan));
    screen.item("", between(summary.plan));
    match summary.plan.distance {
        Some(distance) => enumerate_pairs::table(stats, distance, &mut screen),
        None => table(stats, &mut screen),
    }
    screen.item("runs", runs(summary));
    if let Some(slice) = summary.slice {
        screen.item(
            "",
            StyledText::new()
                .dim(format!("{slice}: the enumeration is clean if every partition exits with 0")),
        );
    }
    failures(summary, &mut screen);
    screen
}

fn operations(plan: &EnumerationPlan) -> String {
    let net = plan.ops.iter().filter(|op| op.op.is_net()).count() as u64;
    let mut nodes: Vec<&str> = plan.ops.iter().map(|op| op.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let disk = plan.ops.len() as u64 - net;
    let nodes = counted(nodes.len() as u64, "nodes");
    format!("{} on disks, {} on the network, of {nodes}", count(disk), count(net))
}

fn between(plan: &EnumerationPlan) -> String {
    let moment = |op: Option<&SerializedOp>| op.map_or_else(String::new, |op| moment_ms(op.at_ms));
    format!("from {} to {}", moment(plan.ops.first()), moment(plan.ops.last()))
}

fn table(stats: &EnumerationStats, screen: &mut Screen) {
    screen.item(
        "",
        StyledText::new().dim(format!("{:<12}{:>8}{:>18}{:>18}", "", "count", "crashes", "errors")),
    );
    let cell = |struck: u64, good: u64| match (struck, struck - good) {
        (0, _) => "-".to_owned(),
        (_, 0) => format!("{} passed", count(struck)),
        (_, bad) => format!("{} of {} failed", count(bad), count(struck)),
    };
    for (kind, of) in &stats.kinds {
        let OpKindStats { operations, crashes, crashes_as_expected, errors, errors_as_expected } = *of;
        let row = format!(
            "{:<12}{:>8}{:>18}{:>18}",
            op_name(*kind),
            count(operations),
            cell(crashes, crashes_as_expected),
            cell(errors, errors_as_expected)
        );
        let bad = crashes > crashes_as_expected || errors > errors_as_expected;
        screen.item("", if bad { StyledText::new().bad(row) } else { StyledText::new().plain(row) });
    }
}

fn runs(summary: &EnumerationReport<'_>) -> String {
    let wall_ms = u64::try_from(summary.wall.as_millis()).unwrap_or(u64::MAX).max(1);
    let of = match summary.plan.runs.len() as u64 {
        all if all == summary.stats.runs => String::new(),
        all => format!(" of {}", count(all)),
    };
    format!(
        "{}{of} for {}, in {}, {}, {}",
        count(summary.stats.runs),
        counted(summary.stats.faults, if summary.plan.distance.is_some() { "pairs" } else { "faults" }),
        span_ms(wall_ms),
        counted(summary.jobs as u64, "jobs"),
        humanize::speed(summary.stats.sim_ms / wall_ms)
    )
}

fn failures(summary: &EnumerationReport<'_>, screen: &mut Screen) {
    let groups = summary.stats.failures();
    if groups.is_empty() {
        let none = StyledText::new().good(if summary.stats.runs > 0 { "none" } else { "0 runs" });
        screen.item("failures", none);
        screen.verbatim("reproduce", &summary.reproduce);
        return;
    }
    for (index, (what, failures)) in groups.iter().enumerate() {
        if index == MAX_KINDS && !screen.verbose() {
            screen.left_out("", groups.len() - index);
            break;
        }
        let head = StyledText::new().bad(what).plain(format!("  {}", counted(failures.len() as u64, "runs")));
        screen.item(if index == 0 { "failures" } else { "" }, head);
        let shown = if screen.verbose() { failures.len() } else { 1 };
        for failure in failures.iter().take(shown) {
            screen.item("", StyledText::new().dim(describe(failure)));
            screen.verbatim("reproduce", &format!("{} {}", summary.repeat, failure.injections()));
        }
    }
}

fn describe(failure: &EnumerationFailure) -> String {
    let EnumerationFailure { op, path, at_ms, detail, .. } = failure;
    let path = if path.is_empty() { String::new() } else { format!(" '{path}'") };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    format!("{} {}{path}{detail}", moment_ms(*at_ms), op_name(*op))
}

/// Returns the JSON object for programs.
pub(crate) fn json(summary: &EnumerationReport<'_>) -> String {
    let stats = summary.stats;
    let kinds: serde_json::Map<String, serde_json::Value> =
        stats.kinds.iter().map(|(kind, of)| (op_name(*kind), json!(of))).collect();
    let failures: Vec<&EnumerationFailure> =
        stats.failures().into_iter().flat_map(|(_, failures)| failures).collect();
    let pairs = summary
        .plan
        .distance
        .map(|distance| json!({ "distance": distance, "by_kind": enumerate_pairs::by_kind(stats) }));
    let object = json!({
        "scenario": summary.name,
        "seed": summary.seed,
        "expected": stats.expected(),
        "as_expected": stats.as_expected(),
        "operations": summary.plan.ops.len(),
        "runs": stats.runs,
        "planned_runs": summary.plan.runs.len(),
        "partition": summary.slice.map(|slice| slice.to_string()),
        "faults": summary.plan.runs.iter().map(|one| one.stands_for).sum::<u64>(),
        "sim_seconds": stats.sim_ms / 1000,
        "wall_seconds": summary.wall.as_secs_f64(),
        "jobs": summary.jobs,
        "by_operation": kinds,
        "pairs": pairs,
        "failures": failures,
        "reproduce": summary.repeat,
    });
    format!("{object}\n")
}
