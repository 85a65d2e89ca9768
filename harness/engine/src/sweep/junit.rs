//! A sweep as a JUnit file: one suite a scenario, one test case a seed.
//!
//! Uses only the elements and attributes that the two common schemas (Ant's and Jenkins's) share, in their order.
//! quick-junit adds counts to `testsuites`, which Ant's schema refuses, and lets U+FFFE through, which XML refuses.

use super::results::CaseRecord;
use super::summary::{SweepSummary, sum};
use super::sweep_spec::SweepSpec;
use crate::case::end_cause::has_no_verdict;
use crate::case::finding::Finding;
use latent_verdict::Outcome;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use std::io;

/// Returns the file's text. `now` is the end of the sweep, an ISO 8601 time without a zone.
///
/// # Errors
/// None in practice: it is written to memory.
pub(crate) fn render(summary: &SweepSummary, records: &[CaseRecord], now: &str) -> io::Result<String> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = writer.create_element("testsuites");
    suites.write_inner_content(|writer| {
        for (index, swept) in summary.spec.scenarios.iter().enumerate() {
            let cases: Vec<&CaseRecord> = records.iter().filter(|one| one.scenario == swept.given).collect();
            suite(writer, index, (&summary.spec, &swept.given), &cases, now)?;
        }
        Ok(())
    })?;
    let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    text.push('\n');
    Ok(text)
}

fn suite(
    writer: &mut Writer<Vec<u8>>,
    index: usize,
    (spec, name): (&SweepSpec, &str),
    cases: &[&CaseRecord],
    now: &str,
) -> io::Result<()> {
    let failed: Vec<&&CaseRecord> = cases.iter().filter(|records| !records.as_expected).collect();
    let errors = failed.iter().filter(|records| is_error(&records.finding)).count();
    let mut properties = vec![("build", clean(&spec.build)), ("seeds", clean(&spec.seeds.to_string()))];
    properties.extend(spec.release.as_ref().map(|release| ("release", clean(release))));
    let counts = [("tests", cases.len()), ("failures", failed.len() - errors), ("errors", errors)];
    let time = seconds(sum(cases.iter().map(|records| records.wall_ms)));
    let mut element = writer
        .create_element("testsuite")
        .with_attribute(("id", index.to_string().as_str()))
        .with_attribute(("package", "latent"))
        .with_attribute(("name", name))
        .with_attribute(("hostname", "localhost"))
        .with_attribute(("timestamp", now))
        .with_attribute(("time", time.as_str()));
    for (name, number) in counts {
        element = element.with_attribute((name, number.to_string().as_str()));
    }
    element.write_inner_content(|writer| {
        // Some versions of the schemas require at least one.
        writer.create_element("properties").write_inner_content(|writer| {
            for (name, value) in &properties {
                let property = writer.create_element("property").with_attribute(("name", *name));
                property.with_attribute(("value", value.as_str())).write_empty()?;
            }
            Ok(())
        })?;
        for records in cases {
            case(writer, records)?;
        }
        writer.create_element("system-out").write_empty()?;
        writer.create_element("system-err").write_empty()?;
        Ok(())
    })?;
    Ok(())
}

fn case(writer: &mut Writer<Vec<u8>>, records: &CaseRecord) -> io::Result<()> {
    let (name, time) = (format!("{}@{}", records.scenario, records.seed), seconds(records.wall_ms));
    let element = writer
        .create_element("testcase")
        .with_attribute(("name", name.as_str()))
        .with_attribute(("classname", records.scenario.as_str()))
        .with_attribute(("time", time.as_str()));
    if records.as_expected {
        element.write_empty()?;
        return Ok(());
    }
    let finding = &records.finding;
    let kind = if is_error(finding) { "error" } else { "failure" };
    let what = clean(&format!("{} {}", finding.ended(), finding.fingerprint));
    element.write_inner_content(|writer| {
        writer
            .create_element(kind)
            .with_attribute(("type", finding.ended()))
            .with_attribute(("message", what.trim_end()))
            .write_text_content(BytesText::new(&clean(&finding.detail)))?;
        Ok(())
    })?;
    Ok(())
}

/// Whether a case counts as a JUnit error (it was not judged) rather than a failure.
fn is_error(finding: &Finding) -> bool {
    has_no_verdict(&finding.fingerprint)
        || matches!(finding.outcome, Outcome::Hung | Outcome::Nondeterministic)
}

/// Replaces each character that XML 1.0 does not allow, escaped or not (its production 2, `Char`), by a blank.
fn clean(text: &str) -> String {
    let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if is_allowed(c) { c } else { ' ' }).collect()
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}
