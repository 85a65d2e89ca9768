//! What a sweep came to, for people and for programs: failures by fingerprint, and the lines to paste.

use super::screen::{Screen, Text};
use super::words::{count, counted, span_ms};
use crate::case::finding::is_no_verdict;
use crate::exit;
use crate::sweep::results::Ran;
use crate::sweep::summary::{Group, Summary};
use crate::target::shell_word;
use latent_verdict::Outcome;
use serde_json::{Value, json};

/// Kinds of failures shown without `-v`.
const MOST_KINDS: usize = 6;

/// Everything that is printed of a sweep.
pub(crate) struct Printed<'a> {
    pub summary: &'a Summary,
    /// The program as it was called.
    pub program: &'a str,
    /// Real time of all sittings, and cases side by side; `None` for slices that were put together.
    pub took: Option<(u64, usize)>,
    /// Where the results stand.
    pub file: &'a str,
}

/// The screen for people.
pub(crate) fn text(printed: &Printed<'_>, verbose: bool) -> Screen {
    let summary = printed.summary;
    let mut screen = Screen::new(verbose);
    screen.heading(heading(summary));
    screen.item("cases", cases(summary));
    if summary.cases > 0 {
        screen.item("outcomes", outcomes(summary));
        screen.item("simulated", simulated(printed));
        screen.item("twice", format!("{} run twice, in two processes", counted(summary.twice, "cases")));
    }
    failures(printed, &mut screen);
    marks(summary, &mut screen);
    // A case that shows nothing is no evidence.
    let telling = summary.cases - summary.idle;
    if summary.exit_code() == exit::CLEAN && telling > RULE_OF {
        screen.item("bound", bound(telling));
    }
    screen.uncut("results", printed.file);
    if summary.is_slice() {
        let (program, slice) = (shell_word(printed.program), summary.order.slice);
        screen
            .item("", Text::new().dim(format!("{slice}: judged by '{program} merge FILES' with the others")));
    }
    screen
}

fn heading(summary: &Summary) -> Text {
    let names: Vec<&str> = summary.order.scenarios.iter().map(|swept| swept.given.as_str()).collect();
    let names = Text::new().plain(format!("{}: ", names.join(", ")));
    match (summary.cases, summary.failed()) {
        (0, _) => names.bad("nothing ran, so nothing is shown"),
        (cases, 0) if summary.shows_nothing() => {
            names.bad(format!("{} showed nothing", counted(cases, "cases")))
        }
        (cases, 0) if !summary.is_slice() && !summary.unreached.is_empty() => {
            names.bad(format!("{} passed and showed less than required", counted(cases, "cases")))
        }
        (cases, 0) => names.good(format!("{} as expected", counted(cases, "cases"))),
        (cases, failed) => names.bad(format!("{} of {} failed", count(failed), counted(cases, "cases"))),
    }
}

fn cases(summary: &Summary) -> String {
    let release =
        summary.order.release.as_ref().map_or(String::new(), |name| format!(", all on release {name}"));
    let slice = if summary.is_slice() { format!(", {}", summary.order.slice) } else { String::new() };
    let all = summary.order.count().unwrap_or(summary.cases);
    let left = match all.saturating_sub(summary.cases) {
        0 => String::new(),
        left => format!(", no time for {} more", count(left)),
    };
    format!("{} of {}{release}{slice}{left}", count(summary.cases), summary.order.seeds)
}

fn outcomes(summary: &Summary) -> String {
    let told = summary.outcomes.iter().map(|(outcome, times)| format!("{} {outcome}", count(*times)));
    let other = (summary.without_verdict > 0)
        .then(|| format!("{} without a verdict", count(summary.without_verdict)));
    let idle = (summary.idle > 0)
        .then(|| format!("{} clean with nothing acknowledged, which shows nothing", count(summary.idle)));
    told.chain(other).chain(idle).collect::<Vec<_>>().join(", ")
}

fn simulated(printed: &Printed<'_>) -> String {
    let summary = printed.summary;
    let simulated = span_ms(summary.sim_ms);
    match printed.took {
        Some((wall_ms, jobs)) => {
            let speed = summary.sim_ms / wall_ms.max(1);
            format!(
                "{simulated} in {}, {jobs} side by side, {} times real time",
                span_ms(wall_ms),
                count(speed)
            )
        }
        None => {
            let speed = summary.sim_ms / summary.busy_ms.max(1);
            format!("{simulated} in {} of work, {} times real time", span_ms(summary.busy_ms), count(speed))
        }
    }
}

fn failures(printed: &Printed<'_>, screen: &mut Screen) {
    let groups = &printed.summary.failures;
    for (index, group) in groups.iter().enumerate() {
        if index == MOST_KINDS && !screen.verbose() {
            // What programs read of a sweep stands in a file: `--json` shows nothing here.
            screen.item("", Text::new().dim(format!("and {} more (-v shows all)", groups.len() - index)));
            break;
        }
        let times = counted(group.cases.len() as u64, "cases");
        let expected = printed.summary.order.expected(&group.cases[0].scenario);
        let is_better = expected.is_some_and(|expected| exit::is_better(group.outcome, expected));
        let ended = if is_better {
            format!("better than expected: {}", group.ended())
        } else {
            group.ended().to_owned()
        };
        let head = Text::new().bad(ended);
        let head = if group.fingerprint.is_empty() || group.fingerprint == group.ended() {
            head.plain(format!("  {times}"))
        } else {
            head.plain(format!(" {}  {times}", group.fingerprint))
        };
        screen.item(if index == 0 { "failures" } else { "" }, head);
        let fastest = &group.cases[0];
        for line in fastest.finding.detail.lines() {
            // Of two that differ, the end of the lines is what matters.
            if group.outcome == Outcome::Nondeterministic {
                screen.uncut("", line);
            } else {
                screen.item("", Text::new().dim(line));
            }
        }
        screen.uncut("again", &again(printed, fastest, "repro"));
        if let Some(smaller) = smaller(printed, group).filter(|_| !is_better) {
            screen.uncut("smaller", &smaller);
        }
        if screen.verbose() && group.cases.len() > 1 {
            screen.item("others", group.cases.iter().skip(1).map(name_of).collect::<Vec<_>>().join(" "));
        }
    }
}

/// The line that makes it smaller. What one run shows and another does not has nothing that stays while it shrinks.
fn smaller(printed: &Printed<'_>, group: &Group) -> Option<String> {
    let comes_and_goes = group.outcome == Outcome::Nondeterministic || is_no_verdict(&group.fingerprint);
    (!comes_and_goes).then(|| again(printed, &group.cases[0], "shrink"))
}

fn name_of(ran: &Ran) -> String {
    format!("{}@{}", ran.scenario, ran.seed)
}

fn again(printed: &Printed<'_>, ran: &Ran, command: &str) -> String {
    let mut line = format!("{} {command} {}", shell_word(printed.program), shell_word(&name_of(ran)));
    if let Some(release) = &printed.summary.order.release {
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

fn marks(summary: &Summary, screen: &mut Screen) {
    if summary.is_slice() || summary.cases == 0 {
        return;
    }
    let row = |(mark, of): &(String, Option<String>)| {
        let whose = of.as_ref().map_or("the sweep".to_owned(), |given| format!("scenario {given}"));
        Text::new().bad(mark).plain(format!("  required by {whose}, reached by no case"))
    };
    screen.rows("unreached", summary.unreached.iter().map(row), MOST_KINDS);
    if screen.verbose() {
        let row = |(name, (times, cases)): (&String, &(u64, u64))| {
            format!("{name} {} in {}", count(*times), counted(*cases, "cases"))
        };
        screen.rows("marks", summary.marks.iter().map(row), usize::MAX);
    }
}

/// With no failure in N, fewer than 3 in N fail, at 95% confidence: the rule of three. Of 3 cases or fewer it says
/// nothing.
const RULE_OF: u64 = 3;

/// What a clean sweep proves.
fn bound(cases: u64) -> String {
    format!("0 of {} failed: fewer than {RULE_OF} in {} do, at 95% confidence", count(cases), count(cases))
}

/// The object for programs: nothing in it depends on the machine, nor on how the sweep was cut up.
pub(crate) fn json(summary: &Summary, program: &str) -> Value {
    let printed = Printed { summary, program, took: None, file: "" };
    let group = |group: &Group| {
        let fastest = &group.cases[0];
        json!({
            "outcome": group.ended(),
            "fingerprint": group.fingerprint,
            "cases": group.cases.iter().map(name_of).collect::<Vec<_>>(),
            "detail": fastest.finding.detail,
            "again": again(&printed, fastest, "repro"),
            "smaller": smaller(&printed, group),
        })
    };
    let outcomes: serde_json::Map<String, Value> =
        summary.outcomes.iter().map(|(outcome, times)| (outcome.name().to_owned(), json!(times))).collect();
    let marks: serde_json::Map<String, Value> =
        summary.marks.iter().map(|(name, (times, cases))| (name.clone(), json!([times, cases]))).collect();
    json!({
        "sweep": summary.order,
        "cases": summary.cases,
        "failed": summary.failed(),
        "sim_ms": summary.sim_ms,
        "twice": summary.twice,
        "outcomes": outcomes,
        "without_verdict": summary.without_verdict,
        "without_items": summary.idle,
        "failures": summary.failures.iter().map(group).collect::<Vec<_>>(),
        "unreached": summary.unreached.iter().map(|(mark, of)| json!({ "mark": mark, "required_by": of })).collect::<Vec<_>>(),
        "marks": marks,
    })
}
