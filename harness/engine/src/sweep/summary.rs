//! The summary of a sweep, from its results alone.

use super::results::{CaseRecord, SweepResults};
use super::sweep_spec::{CaseKey, Slice, SweepSpec};
use crate::case::end_cause::{ended, has_no_verdict};
use crate::case::strikes::{self, Strikes};
use crate::exit;
use latent_verdict::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Failures that share a fingerprint.
#[derive(Clone, Debug)]
pub(crate) struct FailureGroup {
    pub fingerprint: String,
    pub outcome: Outcome,
    /// The cases, the one with the shortest trace first, because it is the fastest to debug.
    pub cases: Vec<CaseRecord>,
}

impl FailureGroup {
    /// Name of the result.
    pub fn ended(&self) -> &'static str {
        ended(self.outcome, &self.fingerprint)
    }
}

/// The summary of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct SweepSummary {
    pub spec: SweepSpec,
    pub cases: u64,
    pub sim_ms: u64,
    /// Number of cases that were checked for determinism.
    pub determinism_checked: u64,
    /// Number of cases by outcome, without those that have none.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Number of cases without a verdict: their process was killed from outside, or this program panicked.
    pub without_verdict: u64,
    /// Number of clean cases without an item that could have been lost.
    pub vacuous: u64,
    /// The most frequent first.
    pub failures: Vec<FailureGroup>,
    /// Number of times that each mark was reached, and in how many cases.
    pub marks: BTreeMap<String, (u64, u64)>,
    /// Operations that faults struck, by phase.
    pub strikes: Strikes,
    /// Required marks that no case reached, with the scenario that requires them, if it is one.
    pub marks_not_reached: Vec<(String, Option<String>)>,
    /// Real time of all cases together, in milliseconds.
    pub busy_ms: u64,
}

impl SweepSummary {
    /// Summarises the cases of a sweep, in any order.
    pub fn of(spec: &SweepSpec, records: &[CaseRecord]) -> SweepSummary {
        let mut marks: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut by_scenario: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
        let mut groups: BTreeMap<(Outcome, &str), Vec<CaseRecord>> = BTreeMap::new();
        let (mut without_verdict, mut vacuous) = (0, 0);
        let mut strikes = Strikes::new();
        for one in records {
            if has_no_verdict(&one.finding.fingerprint) {
                without_verdict += 1;
            } else {
                *outcomes.entry(one.finding.outcome).or_default() += 1;
            }
            vacuous += u64::from(one.finding.is_vacuous());
            for (name, times) in &one.marks {
                let counts = marks.entry(name.clone()).or_default();
                *counts = (counts.0.saturating_add(*times), counts.1 + 1);
                by_scenario.entry(&one.scenario).or_default().insert(name);
            }
            strikes::add(&mut strikes, &one.strikes);
            if !one.as_expected {
                let key = (one.finding.outcome, one.finding.fingerprint.as_str());
                groups.entry(key).or_default().push(one.clone());
            }
        }
        let mut failures: Vec<FailureGroup> = groups
            .into_iter()
            .map(|((outcome, fingerprint), mut cases)| {
                cases.sort_by(|a, b| fastest(a).cmp(&fastest(b)));
                FailureGroup { fingerprint: fingerprint.to_owned(), outcome, cases }
            })
            .collect();
        failures.sort_by_key(|group| std::cmp::Reverse((group.cases.len(), group.outcome)));
        let of_all = spec.required_marks.iter().filter(|mark| !marks.contains_key(*mark));
        let of_one = spec.scenarios.iter().flat_map(|swept| {
            let reached = by_scenario.get(swept.given.as_str());
            let missed = swept
                .required_marks
                .iter()
                .filter(move |mark| reached.is_none_or(|reached| !reached.contains(mark.as_str())));
            missed.map(|mark| (mark.clone(), Some(swept.given.clone())))
        });
        let marks_not_reached = of_all.map(|mark| (mark.clone(), None)).chain(of_one).collect();
        SweepSummary {
            spec: spec.clone(),
            cases: records.len() as u64,
            sim_ms: sum(records.iter().map(|one| one.finding.sim_ms)),
            determinism_checked: records.iter().filter(|one| one.determinism_checked).count() as u64,
            outcomes,
            without_verdict,
            vacuous,
            failures,
            marks,
            strikes,
            marks_not_reached,
            busy_ms: sum(records.iter().map(|one| one.wall_ms)),
        }
    }

    /// Number of cases that did not end as expected.
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|group| group.cases.len() as u64).sum()
    }

    /// Exit code. A slice leaves required marks to the merge: other slices may have reached them.
    pub fn exit_code(&self) -> u8 {
        if self.cases == 0 {
            return exit::NOTHING_RAN;
        }
        let worst = self.failures.iter().flat_map(|group| &group.cases).map(|one| self.code_of(one));
        match worst.reduce(exit::worse) {
            Some(code) => code,
            None if self.is_vacuous() => exit::NOTHING_RAN,
            None if !self.is_slice() && !self.marks_not_reached.is_empty() => exit::MARK_NOT_REACHED,
            None => exit::CLEAN,
        }
    }

    /// Exit code of a case that did not end as its scenario expects.
    fn code_of(&self, one: &CaseRecord) -> u8 {
        // Results contain no case of a scenario that the header does not name.
        let expected = self.spec.expected(&one.scenario).unwrap_or_default();
        exit::of_finding(one.finding.outcome, expected, &one.finding.fingerprint)
    }

    /// Whether no case had an item that could have been lost.
    pub fn is_vacuous(&self) -> bool {
        self.cases > 0 && self.vacuous == self.cases
    }

    /// Whether it is only one slice of a sweep.
    pub fn is_slice(&self) -> bool {
        self.spec.slice.of > 1
    }
}

/// Saturating sum: the numbers come from a file and may be arbitrary.
pub(crate) fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn fastest(record: &CaseRecord) -> (u64, &str, u64) {
    // A run that did not end has no records, and takes longest.
    let records = if record.finding.trace_records == 0 { u64::MAX } else { record.finding.trace_records };
    (records, &record.scenario, record.seed)
}

/// Merges slices. Returns the specification of the whole sweep.
///
/// # Errors
/// The slices that are missing, duplicated, truncated or foreign, each in a sentence.
pub(crate) fn merge_slices(
    files: &[(PathBuf, SweepResults)],
) -> Result<(SweepSpec, Vec<CaseRecord>), Vec<String>> {
    let Some((first_path, first)) = files.first() else { return Err(vec!["no slice was given".to_owned()]) };
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<u64, &PathBuf> = BTreeMap::new();
    let mut records = Vec::new();
    for (path, results) in files {
        let name = path.display();
        if let Some(why) = results.spec.sweep_difference(&first.spec) {
            wrong.push(format!("{name}: of another sweep than {}: {why}", first_path.display()));
            continue;
        }
        let index = results.spec.slice.index;
        if let Some(other) = seen.insert(index, path) {
            wrong.push(format!("{name}: slice {index} is also in {}", other.display()));
            continue;
        }
        match &results.end {
            None => wrong
                .push(format!("{name}: truncated after {} cases: resume it first", results.records.len())),
            Some(end) if end.cases != results.records.len() as u64 => {
                let there = results.records.len();
                wrong.push(format!("{name}: {there} cases, but its footer counts {}", end.cases));
            }
            Some(_) => wrong.extend(not_as_ordered(results).map(|message| format!("{name}: {message}"))),
        }
        records.extend(results.records.iter().cloned());
    }
    let of = first.spec.slice.of;
    let missing: Vec<String> =
        (1..=of).filter(|index| !seen.contains_key(index)).map(|index| index.to_string()).collect();
    match missing.as_slice() {
        [] => {}
        [one] => wrong.push(format!("of {of} slices, number {one} is missing")),
        several => wrong.push(format!("of {of} slices, numbers {} are missing", several.join(", "))),
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Ok((SweepSpec { slice: Slice::WHOLE, ..first.spec.clone() }, records))
}

/// Describes a mismatch between the cases of a file and its header.
fn not_as_ordered(results: &SweepResults) -> Option<String> {
    let spec = &results.spec;
    let mut there: Vec<(&str, u64)> =
        results.records.iter().map(|one| (one.scenario.as_str(), one.seed)).collect();
    there.sort_unstable();
    if let Some(twice) = there.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("{}@{} appears twice", twice[0].0, twice[0].1));
    }
    let of_place = |place: CaseKey| (spec.scenarios[place.scenario].given.as_str(), place.seed);
    // A sweep that reached its time limit has a prefix of the cases.
    let mut ordered: Vec<(&str, u64)> = spec.cases().take(there.len()).map(of_place).collect();
    ordered.sort_unstable();
    if spec.count().is_some_and(|count| count < there.len() as u64) || ordered != there {
        return Some("its cases are not those of its header".to_owned());
    }
    None
}
