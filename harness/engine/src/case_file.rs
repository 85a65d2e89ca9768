//! Case files: scenario, plan, and the result of the run. A case does not depend on the generator: it stays the same
//! when the code that generated it changes.
//!
//! One JSON object, `{"case": …, "scenario": …, "plan": …}`, formatted for people to read and edit. The scenario has
//! the format of a scenario file, without faults: those are in the plan, which is what runs.
//!
//! A checksum covers everything except the layout of the text and `about`, which is prose. A case with another checksum
//! was edited: it runs as a new case, and its run is not compared with the recorded one.

use crate::case::end_cause::has_no_trace;
use crate::print::humanize;
use crate::scenario::{ScenarioError, error_without_position};
use crate::{CaseOf, Plan, System};
use latent_verdict::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

/// Number of digits of a trace hash.
pub(crate) const HASH_DIGITS: usize = 32;

/// Version of the file format, the only one that this program reads and writes.
const FORMAT: u32 = 3;
/// A case that was written or changed by hand, without a checksum: `corpus seal` adds it.
const UNSEALED: u32 = 1;

/// Header of a case file: the recorded run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaseHeader {
    /// Version of the file format.
    pub format: u32,
    /// XXH3 of the whole case, 32 hexadecimal digits.
    pub checksum: String,
    /// Description of the failure, in a sentence.
    pub about: String,
    /// Origin of the case: `generated@7`.
    pub found: String,
    /// Outcome of the run.
    pub outcome: Outcome,
    /// Fingerprint of the failure; empty if there was none.
    pub fingerprint: String,
    /// Trace hash of the run: 32 hexadecimal digits; empty for a run that did not end.
    pub trace_hash: String,
    /// The program that recorded it: version and commit.
    pub build: String,
}

/// A parsed case file.
#[derive(Clone, Debug)]
pub(crate) struct CaseFile {
    pub recorded: CaseHeader,
    /// The scenario's text at its original position in the file, so that errors name the right line.
    pub scenario: String,
    pub plan: Value,
    /// Whether it was edited since it was recorded.
    pub is_edited: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseParts<'a> {
    case: Value,
    #[serde(borrow)]
    scenario: &'a RawValue,
    #[serde(borrow)]
    plan: &'a RawValue,
}

impl CaseFile {
    /// Reads a case; `None` if `text` is not a case, but perhaps a scenario.
    ///
    /// # Errors
    /// It is a case, but damaged or of another format.
    pub fn read(file: &str, text: &str) -> Result<Option<CaseFile>, ScenarioError> {
        #[derive(Deserialize)]
        struct CaseProbe {
            case: Option<serde::de::IgnoredAny>,
        }
        // The scenario parser reports the position of invalid JSON.
        if !serde_json::from_str::<CaseProbe>(text).is_ok_and(|probe| probe.case.is_some()) {
            return Ok(None);
        }
        let parts = parts(file, text)?;
        let format = format_of(&parts.case);
        if format != u64::from(FORMAT) {
            let message = format!("a case of format {format}; this program reads format {FORMAT}");
            let hint = if format == u64::from(UNSEALED) {
                "'corpus seal' adds the checksum that format 3 has"
            } else {
                "run it with the program that wrote it, or shrink its seed again"
            };
            return Err(error_without_position(file, message, hint.to_owned()));
        }
        let damaged = |what: &str, error: &serde_json::Error| damaged(file, &format!("{what}: {error}"));
        let recorded: CaseHeader =
            serde_json::from_value(parts.case).map_err(|error| damaged("'case'", &error))?;
        recorded.check().map_err(|message| self::damaged(file, &message))?;
        let plan: Value =
            serde_json::from_str(parts.plan.get()).map_err(|error| damaged("'plan'", &error))?;
        let is_edited = checksum(&recorded, parts.scenario.get(), parts.plan.get())
            .map_err(|error| damaged("its parts", &error))?
            != recorded.checksum;
        let scenario = at_original_position(text, parts.scenario.get());
        Ok(Some(CaseFile { recorded, scenario, plan, is_edited }))
    }
}

fn damaged(file: &str, message: &str) -> ScenarioError {
    let hint = "take it from version control again, or shrink its seed again".to_owned();
    error_without_position(file, format!("a damaged case: {message}"), hint)
}

fn parts<'a>(file: &str, text: &'a str) -> Result<CaseParts<'a>, ScenarioError> {
    serde_json::from_str(text).map_err(|error| damaged(file, &format!("its parts: {error}")))
}

fn format_of(case: &Value) -> u64 {
    case.get("format").and_then(Value::as_u64).unwrap_or_default()
}

/// Returns the text of an unsealed case file with its checksum; `None` if it has one, or is not a case.
///
/// # Errors
/// It is damaged.
pub(crate) fn sealed(file: &str, text: &str) -> Result<Option<String>, ScenarioError> {
    #[derive(Deserialize)]
    struct CaseProbe {
        case: Option<Value>,
    }
    let probe = serde_json::from_str::<CaseProbe>(text).ok().and_then(|probe| probe.case);
    if probe.is_none_or(|case| format_of(&case) != u64::from(UNSEALED)) {
        return Ok(None);
    }
    let CaseParts { mut case, scenario, plan } = parts(file, text)?;
    case["format"] = FORMAT.into();
    case["checksum"] = "".into();
    let mut recorded: CaseHeader =
        serde_json::from_value(case).map_err(|error| damaged(file, &format!("'case': {error}")))?;
    recorded.check().map_err(|message| damaged(file, &message))?;
    recorded.checksum = checksum(&recorded, scenario.get(), plan.get())
        .map_err(|error| damaged(file, &format!("its parts: {error}")))?;
    Ok(Some(whole(&recorded, scenario.get(), plan.get())))
}

/// XXH3 of a case, independent of the layout of its text: objects are sorted by key, without white space.
fn checksum(recorded: &CaseHeader, scenario: &str, plan: &str) -> serde_json::Result<String> {
    let mut recorded = serde_json::to_value(recorded)?;
    if let Some(fields) = recorded.as_object_mut() {
        fields.remove("checksum");
        fields.remove("about");
    }
    let mut text = String::new();
    for part in [recorded, serde_json::from_str(scenario)?, serde_json::from_str(plan)?] {
        canonical(&part, &mut text);
        text.push('\n');
    }
    Ok(format!("{:032x}", xxh3_128(text.as_bytes())))
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            out.push('{');
            for (name, value) in fields.iter().collect::<BTreeMap<_, _>>() {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

/// Returns `part`, a slice of `whole`, padded with blanks so that it keeps its line and column.
fn at_original_position(whole: &str, part: &str) -> String {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    let before: String = whole[..start].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
    format!("{before}{part}")
}

/// Reads the plan of a case.
///
/// # Errors
/// This program's system cannot read it: damaged if the case was edited, else outdated.
pub(crate) fn plan_of<S: System>(
    file: &str,
    plan: &Value,
    is_edited: bool,
) -> Result<Plan<S::Plan>, ScenarioError> {
    serde_json::from_value(plan.clone()).map_err(|error| {
        if is_edited {
            return damaged(file, &format!("it was edited, and its plan cannot be read: {error}"));
        }
        let hint = "the program changed since it was recorded: shrink its seed again, or remove the case";
        error_without_position(
            file,
            format!("an outdated case: its plan cannot be read: {error}"),
            hint.to_owned(),
        )
    })
}

/// Returns the text of a case file, with its checksum.
pub(crate) fn to_text<S: System>(recorded: &CaseHeader, case: &CaseOf<S>) -> String {
    let (scenario, plan) = (indent(case.scenario.to_text().trim_end()), pretty(&case.plan));
    let checksum = checksum(recorded, &scenario, &plan).expect("what was written as JSON is read as JSON");
    whole(&CaseHeader { checksum, ..recorded.clone() }, &scenario, &plan)
}

fn whole(recorded: &CaseHeader, scenario: &str, plan: &str) -> String {
    let case = pretty(recorded);
    format!("{{\n  \"case\": {case},\n  \"scenario\": {scenario},\n  \"plan\": {plan}\n}}\n")
}

fn pretty<T: Serialize>(value: &T) -> String {
    indent(&serde_json::to_string_pretty(value).expect("cases hold plain data with text keys"))
}

/// Indents every line but the first by two columns.
fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}

impl CaseHeader {
    /// Builds the header for a run.
    pub fn new(
        found: String,
        about: String,
        (outcome, fingerprint): (Outcome, &str),
        trace_hash: String,
        build: &str,
    ) -> CaseHeader {
        let fingerprint = fingerprint.to_owned();
        let (checksum, build) = (String::new(), build.to_owned());
        CaseHeader { format: FORMAT, checksum, about, found, outcome, fingerprint, trace_hash, build }
    }

    /// Checks for headers that no run produces: such a case could not be compared with anything.
    fn check(&self) -> Result<(), String> {
        let (hash, fingerprint) = (&self.trace_hash, &self.fingerprint);
        if hash.is_empty() {
            return if has_no_trace(fingerprint) {
                Ok(())
            } else {
                Err(format!("an empty 'trace_hash', but a run with fingerprint '{fingerprint}' has a trace"))
            };
        }
        if hash.len() == HASH_DIGITS && hash.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(());
        }
        Err(format!("'trace_hash' is '{hash}', and not {HASH_DIGITS} hexadecimal digits"))
    }

    /// Describes the failure in a sentence, for a case without a description.
    pub fn about(fingerprint: &str, items: u64, what: &str, detail: &str) -> String {
        let items = if items == 0 { String::new() } else { format!(", {}", humanize::counted(items, what)) };
        let detail = detail.lines().next().unwrap_or_default();
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        format!("Once {fingerprint}{items}{detail}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSEALED: &str = r#"{
  "case": {
    "format": 1,
    "about": "Once W1",
    "found": "a@1",
    "outcome": "violated",
    "fingerprint": "W1:x",
    "trace_hash": "0123456789abcdef0123456789abcdef",
    "build": "b"
  },
  "scenario": { "a": 1, "b": [1, 2] },
  "plan": { "c": "{\"project\":1}" }
}
"#;

    fn read(text: &str) -> CaseFile {
        CaseFile::read("a.json", text).unwrap().expect("it is a case")
    }

    #[test]
    fn a_checksum_is_added_once_and_changes_nothing_else() {
        let error = CaseFile::read("a.json", UNSEALED).unwrap_err().to_string();
        assert!(error.contains("format 1") && error.contains("'corpus seal'"), "{error}");
        let text = sealed("a.json", UNSEALED).unwrap().expect("it has none yet");
        assert!(!read(&text).is_edited);
        assert_eq!(sealed("a.json", &text).unwrap(), None);
        assert_eq!(sealed("a.json", "{\"name\": \"no-case\"}").unwrap(), None);
        let without: Vec<&str> = text.lines().filter(|line| !line.contains("checksum")).collect();
        assert_eq!(without.join("\n").replace("\"format\": 3", "\"format\": 1"), UNSEALED.trim_end());
    }

    #[test]
    fn an_edited_case_is_detected_and_prose_and_layout_may_change() {
        let text = sealed("a.json", UNSEALED).unwrap().expect("it has none yet");
        for (from, to) in [
            ("\"a\": 1", "\"a\": 2"),
            ("[1, 2]", "[2, 1]"),
            ("project\\\":1", "project\\\":2"),
            ("\"violated\"", "\"clean\""),
            ("0123456789abcdef01", "1123456789abcdef01"),
        ] {
            assert!(text.contains(from), "{from}");
            assert!(read(&text.replacen(from, to, 1)).is_edited, "{to}");
        }
        for (from, to) in [("Once W1", "Once more"), ("[1, 2]", "[\n1,2\n]"), ("\"a\": 1, ", "")] {
            let edited = text.replacen(from, to, 1).replacen(
                "\"b\": [1, 2]",
                "\"b\": [1, 2], \"a\": 1",
                usize::from(to.is_empty()),
            );
            assert!(!read(&edited).is_edited, "{edited}");
        }
    }

    #[test]
    fn a_hash_that_compares_nothing_is_an_error() {
        let text = sealed("a.json", UNSEALED).unwrap().expect("it has none yet");
        let hash = "0123456789abcdef0123456789abcdef";
        for wrong in ["", "xyz", "0123", "0123456789ABCDEF0123456789ABCDEF"] {
            let error = CaseFile::read("a.json", &text.replace(hash, wrong)).unwrap_err().to_string();
            assert!(error.contains("a damaged case: ") && error.contains("trace_hash"), "{error}");
        }
        let panicked = text.replace(hash, "").replace("W1:x", "panicked:src/a.rs:1");
        assert!(read(&panicked).is_edited);
    }
}
