//! Report of a sweep, for people and for programs: failures by fingerprint, and the commands that reproduce them.

use super::humanize::{self, count, counted, span_ms};
use super::screen::{Screen, StyledText};
use crate::case::end_cause::has_no_verdict;
use crate::case_source::shell_word;
use crate::exit;
use crate::sweep::results::CaseRecord;
use crate::sweep::summary::{FailureGroup, SweepSummary};
use latent_sim::OpKind;
use latent_verdict::Outcome;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Number of kinds of failures shown without `-v`.
const MAX_KINDS: usize = 6;

/// Everything that is printed of a sweep.
pub(crate) struct SweepReport<'a> {
    pub summary: &'a SweepSummary,
    /// The program as it was called.
    pub program: &'a str,
    /// Real time of all sessions, and the number of jobs; `None` for merged slices.
    pub took: Option<(u64, usize)>,
    /// Path of the results.
    pub file: &'a str,
    /// Puts a fingerprint in words.
    pub describe: fn(&str) -> String,
}

/// Returns the screen for people.
pub(crate) fn text(printed: &SweepReport<'_>, verbose: bool) -> Screen {
    let summary = printed.summary;
    let mut screen = Screen::new(verbose);
    screen.heading(heading(summary));
    screen.item("cases", cases(summary));
    if summary.cases > 0 {
        screen.item("outcomes", outcomes(summary));
        screen.item("simulated", simulated(printed));
        screen.item("determinism", format!("{} checked", counted(summary.determinism_checked, "cases")));
    }
    failures(printed, &mut screen);
    marks(summary, &mut screen);
    strikes(summary, &mut screen);
    // A vacuous case does not count as evidence.
    let telling = summary.cases - summary.vacuous;
    if summary.exit_code() == exit::CLEAN && telling > RULE_OF {
        screen.item("bound", bound(telling));
    }
    screen.verbatim("results", printed.file);
    if summary.is_slice() {
        let (program, slice) = (shell_word(printed.program), summary.spec.slice);
        screen.item(
            "",
            StyledText::new().dim(format!("{slice}: merge it with the others by '{program} merge FILES'")),
        );
    }
    screen
}

fn heading(summary: &SweepSummary) -> StyledText {
    let names: Vec<&str> = summary.spec.scenarios.iter().map(|swept| swept.given.as_str()).collect();
    let names = StyledText::new().plain(format!("{}: ", names.join(", ")));
    match (summary.cases, summary.failed()) {
        (0, _) => names.bad("0 cases ran"),
        (cases, 0) if summary.is_vacuous() => names.bad(format!("{} vacuous", counted(cases, "cases"))),
        (cases, 0) if !summary.is_slice() && !summary.marks_not_reached.is_empty() => {
            names.bad(format!("{} passed, required marks not reached", counted(cases, "cases")))
        }
        (cases, 0) => names.good(format!("{} as expected", counted(cases, "cases"))),
        (cases, failed) => names.bad(format!("{} of {} failed", count(failed), counted(cases, "cases"))),
    }
}

fn cases(summary: &SweepSummary) -> String {
    let release =
        summary.spec.release.as_ref().map_or(String::new(), |name| format!(", all on release {name}"));
    let slice = if summary.is_slice() { format!(", {}", summary.spec.slice) } else { String::new() };
    let all = summary.spec.count().unwrap_or(summary.cases);
    let left = match all.saturating_sub(summary.cases) {
        0 => String::new(),
        left => format!(", no time for {} more", count(left)),
    };
    format!("{} of {}{release}{slice}{left}", count(summary.cases), summary.spec.seeds)
}

fn outcomes(summary: &SweepSummary) -> String {
    let told = summary.outcomes.iter().map(|(outcome, times)| format!("{} {outcome}", count(*times)));
    let other = (summary.without_verdict > 0)
        .then(|| format!("{} without a verdict", count(summary.without_verdict)));
    let vacuous = (summary.vacuous > 0)
        .then(|| format!("{} vacuous (clean, nothing acknowledged)", count(summary.vacuous)));
    told.chain(other).chain(vacuous).collect::<Vec<_>>().join(", ")
}

fn simulated(printed: &SweepReport<'_>) -> String {
    let summary = printed.summary;
    let simulated = span_ms(summary.sim_ms);
    match printed.took {
        Some((wall_ms, jobs)) => {
            let speed = humanize::speed(summary.sim_ms / wall_ms.max(1));
            format!("{simulated} in {}, {}, {speed}", span_ms(wall_ms), counted(jobs as u64, "jobs"))
        }
        None => {
            let speed = humanize::speed(summary.sim_ms / summary.busy_ms.max(1));
            format!("{simulated} in {} of case time, {speed}", span_ms(summary.busy_ms))
        }
    }
}

fn failures(printed: &SweepReport<'_>, screen: &mut Screen) {
    let groups = &printed.summary.failures;
    for (index, group) in groups.iter().enumerate() {
        if index == MAX_KINDS && !screen.verbose() {
            // The results file has the rest; `--json` does not print it here.
            screen
                .item("", StyledText::new().dim(format!("and {} more (-v shows all)", groups.len() - index)));
            break;
        }
        let times = counted(group.cases.len() as u64, "cases");
        let expected = printed.summary.spec.expected(&group.cases[0].scenario);
        let is_better = expected.is_some_and(|expected| expected.is_exceeded_by(group.outcome));
        let ended = if is_better {
            format!("better than expected: {}", group.ended())
        } else {
            group.ended().to_owned()
        };
        let head = StyledText::new().bad(ended);
        let head = if group.fingerprint.is_empty() || group.fingerprint == group.ended() {
            head.plain(format!("  {times}"))
        } else {
            let words = (printed.describe)(&group.fingerprint);
            let is_same = words == group.fingerprint;
            head.plain(format!("{}{words}  {times}", if is_same { " " } else { ": " }))
        };
        screen.item(if index == 0 { "failures" } else { "" }, head);
        let fastest = &group.cases[0];
        for line in fastest.finding.detail.lines() {
            // Of two differing records, the end of the lines is relevant.
            if group.outcome == Outcome::Nondeterministic {
                screen.verbatim("", line);
            } else {
                screen.item("", StyledText::new().dim(line));
            }
        }
        screen.verbatim("reproduce", &command(printed, fastest, "repro"));
        if let Some(shrink_command) = shrink_command(printed, group).filter(|_| !is_better) {
            screen.verbatim("shrink", &shrink_command);
        }
        if (printed.describe)(&group.fingerprint) != group.fingerprint {
            let program = shell_word(printed.program);
            screen.verbatim("explain", &format!("{program} explain {}", group.fingerprint));
        }
        if screen.verbose() && group.cases.len() > 1 {
            screen.item("others", group.cases.iter().skip(1).map(name_of).collect::<Vec<_>>().join(" "));
        }
    }
}

/// Returns the shrink command. A nondeterministic failure, or one without a verdict, cannot be shrunk.
fn shrink_command(printed: &SweepReport<'_>, group: &FailureGroup) -> Option<String> {
    let comes_and_goes = group.outcome == Outcome::Nondeterministic || has_no_verdict(&group.fingerprint);
    (!comes_and_goes).then(|| command(printed, &group.cases[0], "shrink"))
}

fn name_of(ran: &CaseRecord) -> String {
    format!("{}@{}", ran.scenario, ran.seed)
}

fn command(printed: &SweepReport<'_>, ran: &CaseRecord, command: &str) -> String {
    let mut line = format!("{} {command} {}", shell_word(printed.program), shell_word(&name_of(ran)));
    if let Some(release) = &printed.summary.spec.release {
        line = format!("{line} --release {}", shell_word(release));
    }
    if let Some(limit) = ran.finding.limit {
        line = format!("{line} {}", limit.flag());
    }
    match ran.finding.trace_hash.get(..8) {
        Some(hash) if command == "repro" => format!("{line} --trace {hash}"),
        _ => line,
    }
}

fn marks(summary: &SweepSummary, screen: &mut Screen) {
    if summary.is_slice() || summary.cases == 0 {
        return;
    }
    let row = |(mark, of): &(String, Option<String>)| {
        let whose = of.as_ref().map_or("the sweep".to_owned(), |given| format!("scenario {given}"));
        StyledText::new().bad(mark).plain(format!("  not reached, required by {whose}"))
    };
    screen.rows("marks", summary.marks_not_reached.iter().map(row), MAX_KINDS);
    if screen.verbose() {
        let row = |(name, (times, cases)): (&String, &(u64, u64))| {
            format!("{name} {} in {}", count(*times), counted(*cases, "cases"))
        };
        screen.rows("marks", summary.marks.iter().map(row), usize::MAX);
    }
}

/// Adds how many combinations of a phase, an operation in it and a fault were struck, and per phase the number of faults
/// that struck each operation. The JSON object has the numbers of strikes.
fn strikes(summary: &SweepSummary, screen: &mut Screen) {
    let ops = || summary.strikes.values().flat_map(|ops| ops.values());
    let faults: BTreeSet<&String> = ops().flat_map(BTreeMap::keys).collect();
    if faults.is_empty() {
        return;
    }
    let struck: usize = ops().map(BTreeMap::len).sum();
    let all = ops().count() * faults.len();
    let more = if screen.verbose() { "" } else { " (-v shows each phase)" };
    let (struck, all) = (count(struck as u64), count(all as u64));
    screen.item("struck", format!("{struck} of {all} combinations of phase, operation and fault{more}"));
    if screen.verbose() {
        let of = faults.len();
        let row = |(phase, ops): (&String, &BTreeMap<OpKind, BTreeMap<String, u64>>)| {
            let ops =
                ops.iter().map(|(op, faults)| format!("{} {}/{of}", humanize::op_name(*op), faults.len()));
            format!("{phase}: {}", ops.collect::<Vec<_>>().join(", "))
        };
        screen.rows("", summary.strikes.iter().map(row), usize::MAX);
    }
}

/// The rule of three: with no failure in N cases, the failure rate is below 3/N, at 95% confidence. With 3 cases or
/// fewer it gives no bound.
const RULE_OF: u64 = 3;

/// Upper bound of the failure rate of a clean sweep.
fn bound(cases: u64) -> String {
    format!("failure rate below {} (95% confidence)", percent_rounded_up(RULE_OF, cases))
}

/// Returns a part of a whole as a percentage, rounded up to hundredths: `15%`, `11.54%`.
fn percent_rounded_up(part: u64, whole: u64) -> String {
    let hundredths = (u128::from(part) * 10_000).div_ceil(u128::from(whole));
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Returns the JSON object for programs, which depends neither on the machine nor on the slices.
pub(crate) fn json(summary: &SweepSummary, program: &str) -> Value {
    let printed = SweepReport { summary, program, took: None, file: "", describe: str::to_owned };
    let group = |group: &FailureGroup| {
        let fastest = &group.cases[0];
        json!({
            "outcome": group.ended(),
            "fingerprint": group.fingerprint,
            "cases": group.cases.iter().map(name_of).collect::<Vec<_>>(),
            "detail": fastest.finding.detail,
            "reproduce": command(&printed, fastest, "repro"),
            "shrink": shrink_command(&printed, group),
        })
    };
    let outcomes: serde_json::Map<String, Value> =
        summary.outcomes.iter().map(|(outcome, times)| (outcome.name().to_owned(), json!(times))).collect();
    let marks: serde_json::Map<String, Value> =
        summary.marks.iter().map(|(name, (times, cases))| (name.clone(), json!([times, cases]))).collect();
    json!({
        "sweep": summary.spec,
        "cases": summary.cases,
        "failed": summary.failed(),
        "sim_ms": summary.sim_ms,
        "determinism_checked": summary.determinism_checked,
        "outcomes": outcomes,
        "without_verdict": summary.without_verdict,
        "without_items": summary.vacuous,
        "failures": summary.failures.iter().map(group).collect::<Vec<_>>(),
        "marks_not_reached": summary.marks_not_reached.iter().map(|(mark, of)| json!({ "mark": mark, "required_by": of })).collect::<Vec<_>>(),
        "marks": marks,
        "strikes": summary.strikes,
    })
}
