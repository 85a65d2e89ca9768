//! The verdict for people: simulated time, the system's own lines, detections, violations, the comparison with the
//! expectation, and the command that reproduces the run.

use super::finding::fingerprint_text;
use super::humanize::{self, count, counted, moment_ms, span_ms};
use super::screen::{Screen, StyledText};
use crate::report::{FaultReport, Report};
use crate::system::System;
use crate::{exit, explain};
use latent_verdict::{Outcome, ViolationGroup, group_by_fingerprint};

const BY_DESIGN: Outcome = Outcome::UnrecoverableByDesign;

/// Number of detections and kinds of violations shown without `-v`, so that with a system's twelve lines the verdict
/// still fits one screen.
const MAX_ROWS: usize = 3;

/// Returns the complete screen.
pub(crate) fn render<S: System>(report: &Report<S::Findings>, verbose: bool) -> Screen {
    let mut screen = Screen::new(verbose);
    screen.heading(heading::<S>(report));
    expectation(report, &mut screen);
    screen.item("simulated", simulated(report));
    S::render(report, &mut screen);
    noticed(report, &mut screen);
    violated::<S>(report, &mut screen);
    marks(report, &mut screen);
    faults(report, &mut screen);
    if verbose {
        details(report, &mut screen);
    }
    let records = format!("  {} records", count(report.trace_records));
    screen.item("trace", StyledText::new().plain(&report.trace_hash).dim(records));
    screen.verbatim("reproduce", &report.repeat);
    if let Some(words) = explain_arguments::<S>(report) {
        let program = report.repeat.split_once(" run ").or_else(|| report.repeat.split_once(" repro "));
        let program = program.map_or(S::NAME, |(program, _)| program);
        screen.verbatim("explain", &format!("{program} explain {words}"));
    }
    screen
}

/// The most useful term to explain: none for a clean run that was expected.
fn explain_arguments<S: System>(report: &Report<S::Findings>) -> Option<String> {
    if report.outcome == Outcome::Hung {
        let property = report.hung.first().map(|work| work.property.as_str()).unwrap_or_default();
        let is_known = explain::find::<S>(property).is_ok();
        return Some(if is_known { property.to_owned() } else { report.outcome.to_string() });
    }
    let worst = group_by_fingerprint(&report.violations).into_iter().next().map(|group| group.fingerprint);
    worst.or_else(|| {
        if !report.expected.is_met_by(report.outcome) {
            Some(if report.expected.is_exceeded_by(report.outcome) {
                exit::BETTER_THAN_EXPECTED.to_string()
            } else {
                report.outcome.to_string()
            })
        } else if let Some(mark) = report.marks_not_reached.first() {
            Some(mark.clone())
        } else {
            S::caveat(report).and_then(|message| Some(message.split_once(':')?.0.replace(' ', "-")))
        }
    })
}

/// Returns the choices of the seed, for `-v`.
pub(crate) fn choices(choices: &[String]) -> Screen {
    let mut screen = Screen::new(true);
    screen.rows("choices", choices.iter().map(String::as_str), usize::MAX);
    screen
}

fn heading<S: System>(report: &Report<S::Findings>) -> StyledText {
    let name = StyledText::new().plain(format!("{}@{}: ", report.scenario, report.seed));
    let outcome = report.outcome.name();
    let by_release = match &report.release {
        Some(release) if release.expected_as_written != report.expected => {
            format!(" with --release {}", release.name)
        }
        _ => String::new(),
    };
    let heading = if report.as_expected() {
        name.good(outcome).plain(format!(", as expected{by_release}"))
    } else if report.is_vacuous() {
        name.bad("vacuous").plain(format!(", 0 {} acknowledged", S::ITEMS))
    } else if report.expected.is_met_by(report.outcome) && !report.unfulfilled.is_empty() {
        name.bad(outcome).plain(", requested fault not triggered")
    } else if report.expected.is_met_by(report.outcome) {
        name.bad(outcome)
            .plain(format!(", required marks not reached: {}", report.marks_not_reached.join(", ")))
    } else if report.expected.is_exceeded_by(report.outcome) {
        name.bad(outcome).plain(format!(", better than expected ({})", report.expected))
    } else {
        name.bad(outcome).plain(format!(", expected {}{by_release}", report.expected))
    };
    match S::caveat(report) {
        Some(caveat) => heading.plain(", ").bad(caveat),
        None => heading,
    }
}

/// Shows that a release overrides the scenario's own expectation, which `as expected` would otherwise hide.
fn expectation<F>(report: &Report<F>, screen: &mut Screen) {
    let Some(release) = &report.release else { return };
    if release.expected_as_written != report.expected {
        let (now, own) = (report.expected, release.expected_as_written);
        screen.item("expected", format!("{now}, by --release {}; the scenario expects {own}", release.name));
    }
}

fn simulated<F>(report: &Report<F>) -> StyledText {
    let speed = report.sim_seconds / report.wall_seconds.max(1e-9);
    StyledText::new().plain(format!(
        "{} from {} in {}, {}",
        span_ms(whole(report.sim_seconds * 1000.0)),
        moment_ms(report.start_ms),
        span_ms(whole(report.wall_seconds * 1000.0)),
        humanize::speed(whole(speed)),
    ))
}

fn whole(number: f64) -> u64 {
    // A float beyond u64 saturates, and not-a-number becomes zero: both are only printed.
    number.round() as u64
}

fn noticed<F>(report: &Report<F>, screen: &mut Screen) {
    if report.detections.is_empty() && !report.violations.is_empty() {
        screen.item("detected by", StyledText::new().bad("nothing"));
    }
    let row = |notice: &crate::Detection| {
        StyledText::new().plain(format!("{} {}: {}", moment_ms(notice.at_ms), notice.by, notice.what))
    };
    screen.rows("detected by", report.detections.iter().map(row), MAX_ROWS);
}

fn violated<S: System>(report: &Report<S::Findings>, screen: &mut Screen) {
    screen.rows("hung", report.hung.iter().map(|work| StyledText::new().bad(&work.what)), MAX_ROWS);
    let shortfall = report.shortfall.iter().filter(|_| report.outcome == Outcome::RecoverableButMissing);
    let reasons = shortfall.flat_map(|shortfall| shortfall.lines());
    screen.rows("shortfall", reasons.map(|reason| StyledText::new().bad(reason)), MAX_ROWS);
    // Shown only if it decided the outcome.
    if let Some(exceeded) = report.beyond_budget.as_ref().filter(|_| report.outcome == BY_DESIGN) {
        screen.item("by design", StyledText::new().plain(exceeded));
    }
    let groups = group_by_fingerprint(&report.violations);
    if groups.is_empty() {
        screen.item("violated", StyledText::new().good("nothing"));
    }
    for (index, group) in groups.iter().enumerate() {
        if index == MAX_ROWS && !screen.verbose() {
            screen.left_out("", groups.len() - index);
            break;
        }
        let row = violated_row::<S>(group, screen.verbose());
        screen.item(if index == 0 { "violated" } else { "" }, row);
        screen.item("", worst(group));
    }
}

fn violated_row<S: System>(group: &ViolationGroup<'_>, verbose: bool) -> StyledText {
    let times = match group.count {
        1 => "once".to_owned(),
        more => format!("{} times", count(more as u64)),
    };
    let name = fingerprint_text::<S>(&group.fingerprint);
    let fingerprint =
        if verbose && name != group.fingerprint { format!("  {}", group.fingerprint) } else { String::new() };
    StyledText::new()
        .bad(name)
        .plain(format!(
            "  {times}, {}, first {}",
            counted(group.items, S::ITEMS),
            moment_ms(group.first.at_ms)
        ))
        .dim(fingerprint)
}

/// Describes the worst violation of a group: subject, labelled fields, detail, items.
fn worst(group: &ViolationGroup<'_>) -> StyledText {
    let worst = group.worst;
    let labels = worst.labels.iter().map(|label| label.value.as_str());
    let whose = std::iter::once(worst.subject.as_str()).chain(labels).collect::<Vec<_>>().join(" ");
    let mut parts = vec![worst.detail.clone()];
    if !worst.detail.contains(&worst.subject) || worst.subject.is_empty() {
        parts.insert(0, whose.trim().to_owned());
    }
    if !worst.keys.is_empty() {
        let more = if worst.items > worst.keys.len() as u64 { ", …" } else { "" };
        parts.push(format!("{}{more}", worst.keys.join(", ")));
    }
    parts.retain(|part| !part.is_empty());
    let of_many = if group.count > 1 { "worst: " } else { "" };
    StyledText::new().dim(format!("{of_many}{}", parts.join(": ")))
}

fn marks<F>(report: &Report<F>, screen: &mut Screen) {
    if !report.marks_not_reached.is_empty() {
        let missing = report.marks_not_reached.join(", ");
        screen.item("marks", StyledText::new().bad(format!("not reached: {missing}")));
    }
}

/// A fault that was not triggered tests nothing. It is not a failure (some faults are random, some triggers do not
/// occur), but the verdict mentions it.
fn faults<F>(report: &Report<F>, screen: &mut Screen) {
    let idle: Vec<String> =
        report.faults.iter().filter(|fault| fault.triggered_ms.is_none()).map(short_name).collect();
    if !idle.is_empty() && !screen.verbose() {
        let (some, all) = (idle.len(), counted(report.faults.len() as u64, "faults"));
        screen.item(
            "faults",
            format!("not triggered: {some} of {all} (-v shows details): {}", idle.join(", ")),
        );
    }
}

/// `pause arb-1`: kind and node of a fault.
fn short_name(fault: &FaultReport) -> String {
    let action = serde_json::to_value(&fault.fault.action).unwrap_or_default();
    let Some((kind, fields)) = action.as_object().and_then(|action| action.iter().next()) else {
        return action.as_str().unwrap_or_default().to_owned();
    };
    let node = ["node", "from"].iter().find_map(|name| fields.get(*name)?.as_str()).unwrap_or_default();
    format!("{kind} {node}").trim_end().to_owned()
}

fn fault_words(fault: &FaultReport) -> String {
    let words = serde_json::to_string(&fault.fault).unwrap_or_default();
    match fault.triggered_ms {
        Some(at_ms) => format!("{} {words}", moment_ms(at_ms)),
        None => format!("not triggered, {} counted: {words}", count(fault.match_count)),
    }
}

/// Adds the lines of `-v`.
fn details<F>(report: &Report<F>, screen: &mut Screen) {
    screen.rows("faults", report.faults.iter().map(fault_words), usize::MAX);
    let mark = |(name, times): (&String, &u64)| format!("{name} {}", count(*times));
    screen.rows("marks", report.marks.iter().map(mark), usize::MAX);
    let node = |node: &crate::NodeStats| {
        format!(
            "{:<16} {}, {}, {}, {}",
            node.name,
            counted(node.boots, "boots"),
            counted(node.disk_ops, "disk operations"),
            counted(node.messages, "messages"),
            counted(node.marks, "marks")
        )
    };
    screen.rows("nodes", report.nodes.iter().map(node), usize::MAX);
    if !report.addresses_fixed {
        screen.item("addresses", "random: personality(2) was refused, or --keep-randomisation was given");
    }
}
