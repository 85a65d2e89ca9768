//! Reports for people and for programs.

use super::{json, text};
use crate::test_system::{Findings, TestSystem};
use crate::{Detection, FaultReport, ReleaseOverride, Report, Screen, exit};
use latent_sim::{Fault, FaultAction, Pause, Trigger};
use latent_verdict::{Outcome, PendingWork, Restoration, Violation};
use serde_json::Value;

/// A run with many failures.
fn failed_run() -> Report<Findings> {
    let lost = |tenant: &str, day: &str, items: u64| {
        Violation::new("I4", "missing", "after-compaction")
            .of(tenant, items)
            .labelled("day", day)
            .keys((0..items).map(|item| format!("e{item}")))
            .at(1_456_219_260_000)
            .losing()
            .because("in no export")
    };
    let other =
        |invariant: &str| Violation::new(invariant, "unequal", "scrub").of("t1", 1).at(1_456_219_260_000);
    let notice = |hour: i64| Detection {
        by: "audit".into(),
        at_ms: 1_456_219_260_000 + hour * 3_600_000,
        what: format!("t{hour} is short of 2016-02-22 by 812 letters"),
    };
    let fault = Fault {
        trigger: Trigger::Mark { name: "compaction.output-durable".into(), n: 3, node: None, after_ms: 0 },
        action: FaultAction::Pause(Pause { node: "arb-1".into(), for_ms: 60_000 }),
    };
    Report {
        scenario: "bad-week".into(),
        seed: 7,
        outcome: Outcome::UnrecoverableLoss,
        expected: Outcome::Clean.into(),
        release: None,
        start_ms: 1_456_012_800_000,
        sim_seconds: 432_000.0,
        wall_seconds: 0.61,
        trace_hash: "0123456789abcdef0123456789abcdef".into(),
        trace_records: 612_345,
        items: 20_000,
        unfulfilled: Vec::new(),
        restoration: Restoration::Partial,
        shortfall: None,
        hung: Vec::new(),
        beyond_budget: None,
        detections: (0..5).map(notice).collect(),
        violations: vec![
            lost("t17", "2016-02-22", 812),
            lost("t3", "2016-02-23", 2),
            other("I5"),
            other("I6"),
            other("I9"),
        ],
        marks: [("compaction.second-run".to_owned(), 12)].into(),
        marks_not_reached: vec!["tee.expired".into()],
        faults: vec![FaultReport { fault, triggered_ms: None, match_count: 2 }],
        nodes: vec![crate::NodeStats {
            name: "arb-1".into(),
            boots: 1,
            disk_ops: 81_234,
            messages: 4_567,
            marks: 3,
        }],
        choices: vec!["12 tenants in 7 zones".into()],
        addresses_fixed: true,
        repeat: "latent run bad-week@7".into(),
        findings: Findings { sent: 20_000 },
    }
}

fn clean_run() -> Report<Findings> {
    let clean = Outcome::Clean;
    Report {
        outcome: clean,
        restoration: Restoration::Complete,
        detections: Vec::new(),
        violations: Vec::new(),
        marks_not_reached: Vec::new(),
        faults: Vec::new(),
        ..failed_run()
    }
}

fn shown(report: &Report<Findings>, verbose: bool) -> String {
    anstream::adapter::strip_str(&text::render::<TestSystem>(report, verbose).to_string()).to_string()
}

#[test]
fn a_clean_run_in_a_few_lines() {
    insta::assert_snapshot!(shown(&clean_run(), false), @"
    bad-week@7: clean, as expected
      simulated   5 d from 2016-02-21 00:00:00Z in 610 ms, 708.2k x real time
      letters     20000 sent
      violated    nothing
      trace       0123456789abcdef0123456789abcdef  612,345 records
      reproduce   latent run bad-week@7
    ");
}

#[test]
fn a_failed_run_on_one_screen() {
    insta::assert_snapshot!(shown(&failed_run(), false), @"
    bad-week@7: unrecoverable-loss, expected clean
      simulated   5 d from 2016-02-21 00:00:00Z in 610 ms, 708.2k x real time
      letters     20000 sent
      detected by 2016-02-23 09:21:00Z audit: t0 is short of 2016-02-22 by 812 letters
                  2016-02-23 10:21:00Z audit: t1 is short of 2016-02-22 by 812 letters
                  2016-02-23 11:21:00Z audit: t2 is short of 2016-02-22 by 812 letters
                  and 2 more (-v or --json shows all)
      violated    I4:missing:after-compaction:loss  2 times, 814 letters, first 2016-02-23 09:21:00Z
                  worst: t17 2016-02-22: in no export: e0, e1, e2, e3, e4, e5, e6, e7, …
                  I5:unequal:scrub:breach  once, 1 letter, first 2016-02-23 09:21:00Z
                  t1
                  I6:unequal:scrub:breach  once, 1 letter, first 2016-02-23 09:21:00Z
                  t1
                  and 1 more (-v or --json shows all)
      marks       not reached: tee.expired
      faults      not triggered: 1 of 1 fault (-v shows details): pause arb-1
      trace       0123456789abcdef0123456789abcdef  612,345 records
      reproduce   latent run bad-week@7
      explain     latent explain I4:missing:after-compaction:loss
    ");
}

#[test]
fn a_failed_run_in_full() {
    insta::assert_snapshot!(shown(&failed_run(), true), @r#"
    bad-week@7: unrecoverable-loss, expected clean
      simulated   5 d from 2016-02-21 00:00:00Z in 610 ms, 708.2k x real time
      letters     20000 sent
      detected by 2016-02-23 09:21:00Z audit: t0 is short of 2016-02-22 by 812 letters
                  2016-02-23 10:21:00Z audit: t1 is short of 2016-02-22 by 812 letters
                  2016-02-23 11:21:00Z audit: t2 is short of 2016-02-22 by 812 letters
                  2016-02-23 12:21:00Z audit: t3 is short of 2016-02-22 by 812 letters
                  2016-02-23 13:21:00Z audit: t4 is short of 2016-02-22 by 812 letters
      violated    I4:missing:after-compaction:loss  2 times, 814 letters, first 2016-02-23 09:21:00Z
                  worst: t17 2016-02-22: in no export: e0, e1, e2, e3, e4, e5, e6, e7, …
                  I5:unequal:scrub:breach  once, 1 letter, first 2016-02-23 09:21:00Z
                  t1
                  I6:unequal:scrub:breach  once, 1 letter, first 2016-02-23 09:21:00Z
                  t1
                  I9:unequal:scrub:breach  once, 1 letter, first 2016-02-23 09:21:00Z
                  t1
      marks       not reached: tee.expired
      faults      not triggered, 2 counted: {"trigger":{"mark":{"name":"compaction.output-durable","n":3,"node":null,"after_ms":0}},"action":{"pause":{"node":"arb-1","for_ms":60000}}}
      marks       compaction.second-run 12
      nodes       arb-1            1 boot, 81,234 disk operations, 4,567 messages, 3 marks
      trace       0123456789abcdef0123456789abcdef  612,345 records
      reproduce   latent run bad-week@7
      explain     latent explain I4:missing:after-compaction:loss
    "#);
}

#[test]
fn a_hung_run_names_the_pending_work() {
    let report = Report {
        outcome: Outcome::Hung,
        hung: vec![PendingWork::new("L9", "hand-offs of node arb-3 after 2 days of healing")],
        ..clean_run()
    };
    insta::assert_snapshot!(shown(&report, false), @"
    bad-week@7: hung, expected clean
      simulated   5 d from 2016-02-21 00:00:00Z in 610 ms, 708.2k x real time
      letters     20000 sent
      hung        hand-offs of node arb-3 after 2 days of healing
      violated    nothing
      trace       0123456789abcdef0123456789abcdef  612,345 records
      reproduce   latent run bad-week@7
      explain     latent explain hung
    ");
}

#[test]
fn a_run_that_hung_for_several_reasons_lists_the_worst() {
    let reasons = ["L1: one", "L1: two", "L2: three", "L5: four", "L5: five"];
    let report = Report {
        outcome: Outcome::Hung,
        hung: reasons.map(|reason| PendingWork::new(&reason[..2], reason)).into(),
        ..clean_run()
    };
    let shown = shown(&report, false);
    let hung = shown.lines().skip_while(|line| !line.starts_with("  hung")).take(4);
    insta::assert_snapshot!(hung.collect::<Vec<_>>().join("\n"), @"
      hung        L1: one
                  L1: two
                  L2: three
                  and 2 more (-v or --json shows all)
    ");
}

#[test]
fn loss_by_design_names_what_exceeded_the_budget() {
    let beyond_budget = Some("4 disks damaged at once at 2016-02-22 10:00:00Z, the budget is 3".to_owned());
    let outcome = Outcome::UnrecoverableByDesign;
    let report = Report {
        outcome,
        expected: outcome.into(),
        beyond_budget,
        marks_not_reached: Vec::new(),
        ..failed_run()
    };
    let text = shown(&report, false);
    assert!(text.starts_with("bad-week@7: unrecoverable-by-design, as expected\n"), "{text}");
    assert!(
        text.contains("\n  by design   4 disks damaged at once at 2016-02-22 10:00:00Z, the budget is 3\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&json::render::<TestSystem>(&report, false).unwrap()).unwrap();
    assert_eq!(json["outcome"], "unrecoverable-by-design");
    assert_eq!(json["beyond_budget"], "4 disks damaged at once at 2016-02-22 10:00:00Z, the budget is 3");
    let recovered = Report { outcome: Outcome::Recovered, ..report };
    assert!(!shown(&recovered, false).contains("by design"), "it decided nothing");
}

#[test]
fn loss_that_was_not_restored_names_the_shortfall() {
    let shortfall = "58 events are missing at the end\nno detector reported the loss of t17 2016-02-22";
    let outcome = Outcome::RecoverableButMissing;
    let report = Report { outcome, shortfall: Some(shortfall.to_owned()), ..failed_run() };
    assert_eq!(report.exit_code(), exit::NOT_RECOVERED);
    let text = shown(&report, false);
    assert!(text.starts_with("bad-week@7: recoverable-but-missing, expected clean\n"), "{text}");
    assert!(
        text.contains(
            "\n  shortfall   58 events are missing at the end\n              no detector reported the loss"
        ),
        "{text}"
    );
    let json: Value = serde_json::from_str(&json::render::<TestSystem>(&report, false).unwrap()).unwrap();
    assert_eq!(
        (json["outcome"].as_str(), json["shortfall"].as_str()),
        (Some(outcome.name()), Some(shortfall))
    );
    let for_good = Report { outcome: Outcome::UnrecoverableLoss, ..report };
    assert!(!shown(&for_good, false).contains("shortfall"), "it decided nothing");
}

#[test]
fn undetected_loss_is_reported_as_detected_by_nothing() {
    let report = Report { detections: Vec::new(), ..failed_run() };
    assert!(shown(&report, false).contains("detected by nothing"));
}

/// With any failure, the engine's own lines leave room for a system's twelve.
#[test]
fn the_engine_leaves_a_system_a_dozen_lines() {
    let of_the_engine = shown(&failed_run(), false).lines().count() - 1;
    assert!(of_the_engine + 12 <= Screen::LINES, "{of_the_engine} lines");
}

#[test]
fn json_has_the_systems_words() {
    let line = json::render::<TestSystem>(&failed_run(), false).unwrap();
    assert_eq!(line.matches('\n').count(), 1);
    let report: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(report["sent"], 20_000);
    assert_eq!(report["expected"], "clean");
    assert_eq!(report["violations"][0]["tenant"], "t17");
    assert_eq!(report["violations"][0]["letters"], 812);
    assert_eq!(report["violations"][0]["day"], "2016-02-22");
    assert!(report["violations"][2].get("day").is_none(), "it has no such label");
    assert_eq!(report["marks_not_reached"][0], "tee.expired");
    assert_eq!(report["faults"][0]["triggered_ms"], Value::Null);
    assert!(report.get("nodes").is_none());
    let report: Value =
        serde_json::from_str(&json::render::<TestSystem>(&failed_run(), true).unwrap()).unwrap();
    assert_eq!(report["nodes"][0]["disk_ops"], 81_234);
    assert_eq!(report["choices"][0], "12 tenants in 7 zones");
}

/// A new field of the report must be reserved, or a system's finding could hide it.
#[test]
fn every_field_of_the_report_is_reserved() {
    let report: Value =
        serde_json::from_str(&json::render::<TestSystem>(&failed_run(), true).unwrap()).unwrap();
    let fields = report.as_object().unwrap().keys().filter(|key| *key != "sent");
    let mut reserved = json::RESERVED.to_vec();
    reserved.sort_unstable();
    assert_eq!(fields.collect::<Vec<_>>(), reserved);
}

/// A new field of a violation must be reserved, or a system's label could hide it.
#[test]
fn every_field_of_a_violation_is_reserved() {
    let report: Value =
        serde_json::from_str(&json::render::<TestSystem>(&failed_run(), true).unwrap()).unwrap();
    let named = ["tenant", "letters", "day"];
    let fields = report["violations"][0].as_object().unwrap().keys().map(String::as_str);
    let mut reserved = json::RESERVED_IN_VIOLATIONS.to_vec();
    reserved.sort_unstable();
    assert_eq!(fields.filter(|field| !named.contains(field)).collect::<Vec<_>>(), reserved);
}

#[test]
fn a_report_is_valid_by_its_schema_and_an_altered_one_is_not() {
    let validator = jsonschema::validator_for(&json::schema()).unwrap();
    for (report, verbose) in [(failed_run(), true), (failed_run(), false), (clean_run(), true)] {
        let mut report: Value =
            serde_json::from_str(&json::render::<TestSystem>(&report, verbose).unwrap()).unwrap();
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert_eq!(errors, [""; 0]);
        report["outcome"] = "lost".into();
        assert!(!validator.is_valid(&report));
    }
    let fields = json::schema()["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let mut reserved = json::RESERVED.to_vec();
    reserved.sort_unstable();
    assert_eq!(fields, reserved, "the schema has every field");
}

#[test]
fn a_requested_fault_that_is_not_triggered_is_named_in_the_heading() {
    let unfulfilled = vec!["--inject crash-nothing@arb-1:9: the operation did not occur".to_owned()];
    let report = Report { unfulfilled, ..clean_run() };
    let text = shown(&report, false);
    assert!(text.starts_with("bad-week@7: clean, requested fault not triggered\n"), "{text}");
    assert_eq!((report.as_expected(), report.exit_code()), (false, exit::MARK_NOT_REACHED));
}

#[test]
fn a_release_override_replaces_the_expectation_and_is_shown() {
    let on = |expected_as_written| Some(ReleaseOverride { name: "good".into(), expected_as_written });
    let report = Report { release: on(Outcome::UnrecoverableLoss.into()), ..clean_run() };
    let text = shown(&report, false);
    assert!(text.starts_with("bad-week@7: clean, as expected with --release good\n"), "{text}");
    assert!(
        text.contains("\n  expected    clean, by --release good; the scenario expects unrecoverable-loss\n")
    );
    let json: Value = serde_json::from_str(&json::render::<TestSystem>(&report, false).unwrap()).unwrap();
    assert_eq!(
        (&json["release"], &json["expected_as_written"]),
        (&"good".into(), &"unrecoverable-loss".into())
    );
    // A release that keeps the expectation needs no note.
    let same = shown(&Report { release: on(Outcome::Clean.into()), ..clean_run() }, false);
    assert!(same.starts_with("bad-week@7: clean, as expected\n") && !same.contains("\n  expected"), "{same}");
}

#[test]
fn better_than_expected_has_words_and_a_code_of_its_own() {
    let report = Report { expected: Outcome::UnrecoverableLoss.into(), ..clean_run() };
    let text = shown(&report, false);
    assert!(text.starts_with("bad-week@7: clean, better than expected (unrecoverable-loss)\n"), "{text}");
    assert!(text.ends_with("explain     latent explain 106\n"), "{text}");
    assert_eq!(report.exit_code(), exit::BETTER_THAN_EXPECTED);
}
