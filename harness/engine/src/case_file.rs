//! A case in a file: scenario, plan, and what its run came to. It depends on no generator: whatever becomes of the code
//! that drew it, the case stays what it was.
//!
//! One JSON object, `{"case": …, "scenario": …, "plan": …}`, written to be read and edited by people. The scenario is
//! what a scenario's file holds, without faults: those stand in the plan, which is all that is run.

use crate::print::words;
use crate::scenario::{AsWritten, BadScenario, unplaced};
use crate::{Case, Plan, System};
use latent_verdict::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Which layout of case files this program writes, and the only one that it reads.
const FORMAT: u32 = 1;

/// What a case says of its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// The layout of the file.
    pub format: u32,
    /// What was seen, in a sentence.
    pub about: String,
    /// Where it was found: `generated@7`.
    pub found: String,
    /// How the run ended.
    pub outcome: AsWritten,
    /// What makes two findings the same; empty if nothing was found.
    pub fingerprint: String,
    /// The run's identity: 32 hexadecimal digits.
    pub trace_hash: String,
    /// The program that recorded it: version and commit.
    pub build: String,
}

/// A case as it stands in a file.
#[derive(Clone, Debug)]
pub(crate) struct CaseFile {
    pub recorded: Recorded,
    /// The scenario's text, standing where it stands in the file, so that errors name the right line.
    pub scenario: String,
    pub plan: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts<'a> {
    case: Value,
    #[serde(borrow)]
    scenario: &'a RawValue,
    plan: Value,
}

impl CaseFile {
    /// Reads a case; `None` if `text` is no case's, but perhaps a scenario's.
    ///
    /// # Errors
    /// It is a case's, and damaged, or of another format.
    pub fn read(file: &str, text: &str) -> Result<Option<CaseFile>, BadScenario> {
        #[derive(Deserialize)]
        struct Probe {
            case: Option<serde::de::IgnoredAny>,
        }
        // What is no JSON at all is for the scenario's reader to place.
        if !serde_json::from_str::<Probe>(text).is_ok_and(|probe| probe.case.is_some()) {
            return Ok(None);
        }
        let damaged = |what: &str, error: &serde_json::Error| {
            let hint = "take it from version control again, or shrink its seed anew".to_owned();
            unplaced(file, format!("a damaged case: {what}: {error}"), hint)
        };
        let parts: Parts<'_> = serde_json::from_str(text).map_err(|error| damaged("its parts", &error))?;
        let format = parts.case.get("format").and_then(Value::as_u64).unwrap_or_default();
        if format != u64::from(FORMAT) {
            let message = format!("a case of format {format}; this program reads format {FORMAT}");
            let hint = "run it with the program that wrote it, or shrink its seed anew";
            return Err(unplaced(file, message, hint.to_owned()));
        }
        let recorded = serde_json::from_value(parts.case).map_err(|error| damaged("'case'", &error))?;
        let scenario = in_its_place(text, parts.scenario.get());
        Ok(Some(CaseFile { recorded, scenario, plan: parts.plan }))
    }
}

/// `part`, a piece of `whole`, with blanks before it in place of what stands before it there.
fn in_its_place(whole: &str, part: &str) -> String {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    let before: String = whole[..start].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
    format!("{before}{part}")
}

/// Reads the plan of a case.
///
/// # Errors
/// It is none that this program's system understands: it is outdated.
pub(crate) fn plan_of<S: System>(file: &str, plan: &Value) -> Result<Plan<S::Plan>, BadScenario> {
    serde_json::from_value(plan.clone()).map_err(|error| {
        let hint = "the program changed since it was recorded: shrink its seed anew, or remove the case";
        unplaced(file, format!("an outdated case: its plan cannot be read: {error}"), hint.to_owned())
    })
}

/// The text of a case's file.
pub(crate) fn to_text<S: System>(recorded: &Recorded, case: &Case<S>) -> String {
    format!(
        "{{\n  \"case\": {},\n  \"scenario\": {},\n  \"plan\": {}\n}}\n",
        pretty(recorded),
        indent(case.scenario.to_text().trim_end()),
        pretty(&case.plan)
    )
}

fn pretty<T: Serialize>(value: &T) -> String {
    indent(&serde_json::to_string_pretty(value).expect("cases hold plain data with text keys"))
}

/// Every line but the first two columns to the right.
fn indent(text: &str) -> String {
    text.replace('\n', "\n  ")
}

impl Recorded {
    /// What a run came to, to be kept.
    pub fn new(
        found: String,
        about: String,
        (outcome, fingerprint): (Outcome, &str),
        trace_hash: String,
        build: &str,
    ) -> Recorded {
        let fingerprint = fingerprint.to_owned();
        let outcome = AsWritten(outcome);
        Recorded { format: FORMAT, about, found, outcome, fingerprint, trace_hash, build: build.to_owned() }
    }

    /// A sentence about what was found, for a case that nobody described.
    pub fn about(fingerprint: &str, items: u64, what: &str, detail: &str) -> String {
        let items = if items == 0 { String::new() } else { format!(", {}", words::counted(items, what)) };
        let detail = detail.lines().next().unwrap_or_default();
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        format!("Once {fingerprint}{items}{detail}")
    }
}
