//! Report of an enumeration: a table by kind of operation, the failures, and the commands that reproduce them.

use super::humanize::{self, count, counted, moment_ms, span_ms};
use super::screen::{Screen, StyledText};
use crate::case::ipc::RecordedOp;
use crate::enumerate::{EnumerationFailure, EnumerationPlan, EnumerationStats, OpKindStats};
use crate::sweep::sweep_spec::Slice;
use latent_sim::OpKind;
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
    pub outline: &'a EnumerationPlan,
    /// The results.
    pub tally: &'a EnumerationStats,
    /// Real time of the enumeration.
    pub wall: Duration,
    /// Number of runs in parallel.
    pub jobs: usize,
    /// The command that runs the case without injection.
    pub repeat: String,
    /// The command that repeats the enumeration.
    pub again: String,
    /// The slice, if it is only a part.
    pub slice: Option<Slice>,
}

/// Returns the screen for people.
pub(crate) fn text(summary: &EnumerationReport<'_>, verbose: bool) -> Screen {
    let tally = summary.tally;
    let mut screen = Screen::new(verbose);
    let name = StyledText::new().plain(format!("{}@{}: ", summary.name, summary.seed));
    let expected = latent_verdict::Outcome::from(tally.expected());
    let all = summary.outline.strikes.len() as u64;
    screen.heading(if tally.runs < all {
        let failed = match tally.failed_runs() {
            0 => "none of them failed".to_owned(),
            failed => format!("{} of them failed", count(failed)),
        };
        name.bad("interrupted").plain(format!(
            ", {} of {} done, {failed}",
            count(tally.runs),
            counted(all, "runs")
        ))
    } else if tally.as_expected() {
        name.good(expected.name()).plain(" after every injection")
    } else {
        let failed =
            format!("{} of {} not {expected}", count(tally.failed_runs()), counted(tally.runs, "runs"));
        name.bad(failed)
    });
    screen.item("operations", operations(summary.outline));
    screen.item("", between(summary.outline));
    table(tally, &mut screen);
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

fn operations(outline: &EnumerationPlan) -> String {
    let net = outline.ops.iter().filter(|op| op.op.is_net()).count() as u64;
    let mut nodes: Vec<&str> = outline.ops.iter().map(|op| op.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let disk = outline.ops.len() as u64 - net;
    let nodes = counted(nodes.len() as u64, "nodes");
    format!("{} on disks, {} on the network, of {nodes}", count(disk), count(net))
}

fn between(outline: &EnumerationPlan) -> String {
    let moment = |op: Option<&RecordedOp>| op.map_or_else(String::new, |op| moment_ms(op.at_ms));
    format!("from {} to {}", moment(outline.ops.first()), moment(outline.ops.last()))
}

fn table(tally: &EnumerationStats, screen: &mut Screen) {
    screen.item(
        "",
        StyledText::new().dim(format!("{:<12}{:>8}{:>18}{:>18}", "", "count", "crashes", "errors")),
    );
    let cell = |struck: u64, good: u64| match (struck, struck - good) {
        (0, _) => "-".to_owned(),
        (_, 0) => format!("{} passed", count(struck)),
        (_, bad) => format!("{} of {} failed", count(bad), count(struck)),
    };
    for (kind, of) in &tally.kinds {
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
    let of = match summary.outline.strikes.len() as u64 {
        all if all == summary.tally.runs => String::new(),
        all => format!(" of {}", count(all)),
    };
    format!(
        "{}{of} for {}, in {}, {}, {}",
        count(summary.tally.runs),
        counted(summary.tally.faults, "faults"),
        span_ms(wall_ms),
        counted(summary.jobs as u64, "jobs"),
        humanize::speed(summary.tally.sim_ms / wall_ms)
    )
}

fn failures(summary: &EnumerationReport<'_>, screen: &mut Screen) {
    let groups = summary.tally.failures();
    if groups.is_empty() {
        let none = StyledText::new().good(if summary.tally.runs > 0 { "none" } else { "0 runs" });
        screen.item("failures", none);
        screen.verbatim("reproduce", &summary.again);
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
            screen.item("", StyledText::new().dim(words(failure)));
            screen.verbatim("reproduce", &format!("{} --strike {}", summary.repeat, failure.strike));
        }
    }
}

fn words(failure: &EnumerationFailure) -> String {
    let EnumerationFailure { op, path, at_ms, detail, .. } = failure;
    let path = if path.is_empty() { String::new() } else { format!(" '{path}'") };
    let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
    format!("{} {}{path}{detail}", moment_ms(*at_ms), op_name(*op))
}

fn op_name(op: OpKind) -> String {
    serde_json::to_value(op).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the JSON object for programs.
pub(crate) fn json(summary: &EnumerationReport<'_>) -> String {
    let tally = summary.tally;
    let kinds: serde_json::Map<String, serde_json::Value> =
        tally.kinds.iter().map(|(kind, of)| (op_name(*kind), json!(of))).collect();
    let failures: Vec<&EnumerationFailure> =
        tally.failures().into_iter().flat_map(|(_, failures)| failures).collect();
    let object = json!({
        "scenario": summary.name,
        "seed": summary.seed,
        "expected": tally.expected(),
        "as_expected": tally.as_expected(),
        "operations": summary.outline.ops.len(),
        "runs": tally.runs,
        "planned_runs": summary.outline.strikes.len(),
        "partition": summary.slice.map(|slice| slice.to_string()),
        "faults": summary.outline.strikes.iter().map(|one| one.stands_for).sum::<u64>(),
        "sim_seconds": tally.sim_ms / 1000,
        "wall_seconds": summary.wall.as_secs_f64(),
        "jobs": summary.jobs,
        "by_operation": kinds,
        "failures": failures,
        "repeat": summary.repeat,
    });
    format!("{object}\n")
}
