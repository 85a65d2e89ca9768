//! What a sweep came to, from its results alone.

use super::order::{Order, Place, Slice};
use super::results::{Ran, Results};
use crate::case::finding::{ended, is_no_verdict};
use crate::exit;
use latent_verdict::Outcome;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Failures that share a fingerprint.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub fingerprint: String,
    pub outcome: Outcome,
    /// Each case, the one with the shortest trace first: whoever looks into it waits least.
    pub cases: Vec<Ran>,
}

impl Group {
    /// How its cases ended, in words.
    pub fn ended(&self) -> &'static str {
        ended(self.outcome, &self.fingerprint)
    }
}

/// What a sweep came to.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub order: Order,
    pub cases: u64,
    pub sim_ms: u64,
    /// Cases that ran twice.
    pub twice: u64,
    /// By outcome, of those that have one.
    pub outcomes: BTreeMap<Outcome, u64>,
    /// Cases without a verdict: something outside killed their processes, or this program panicked.
    pub without_verdict: u64,
    /// Clean cases in which nothing was there to be judged.
    pub idle: u64,
    /// The most frequent first.
    pub failures: Vec<Group>,
    /// How often each mark was reached in all, and in how many cases.
    pub marks: BTreeMap<String, (u64, u64)>,
    /// Required marks that no case reached, with the scenario that names them, if it is one.
    pub unreached: Vec<(String, Option<String>)>,
    /// Real time of all cases together, in milliseconds.
    pub busy_ms: u64,
}

impl Summary {
    /// Of cases that ran under one order, in whatever order they are told.
    pub fn of(order: &Order, ran: &[Ran]) -> Summary {
        let mut marks: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut by_scenario: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
        let mut groups: BTreeMap<(Outcome, &str), Vec<Ran>> = BTreeMap::new();
        let (mut without_verdict, mut idle) = (0, 0);
        for one in ran {
            if is_no_verdict(&one.finding.fingerprint) {
                without_verdict += 1;
            } else {
                *outcomes.entry(one.finding.outcome()).or_default() += 1;
            }
            idle += u64::from(one.finding.shows_nothing());
            for (name, times) in &one.marks {
                let counts = marks.entry(name.clone()).or_default();
                *counts = (counts.0.saturating_add(*times), counts.1 + 1);
                by_scenario.entry(&one.scenario).or_default().insert(name);
            }
            if !one.as_expected {
                let key = (one.finding.outcome(), one.finding.fingerprint.as_str());
                groups.entry(key).or_default().push(one.clone());
            }
        }
        let mut failures: Vec<Group> = groups
            .into_iter()
            .map(|((outcome, fingerprint), mut cases)| {
                cases.sort_by(|a, b| fastest(a).cmp(&fastest(b)));
                Group { fingerprint: fingerprint.to_owned(), outcome, cases }
            })
            .collect();
        failures.sort_by_key(|group| std::cmp::Reverse((group.cases.len(), group.outcome)));
        let of_all = order.required_marks.iter().filter(|mark| !marks.contains_key(*mark));
        let of_one = order.scenarios.iter().flat_map(|swept| {
            let reached = by_scenario.get(swept.given.as_str());
            let missed = swept
                .required_marks
                .iter()
                .filter(move |mark| reached.is_none_or(|reached| !reached.contains(mark.as_str())));
            missed.map(|mark| (mark.clone(), Some(swept.given.clone())))
        });
        let unreached = of_all.map(|mark| (mark.clone(), None)).chain(of_one).collect();
        Summary {
            order: order.clone(),
            cases: ran.len() as u64,
            sim_ms: sum(ran.iter().map(|one| one.finding.sim_ms)),
            twice: ran.iter().filter(|one| one.twice).count() as u64,
            outcomes,
            without_verdict,
            idle,
            failures,
            marks,
            unreached,
            busy_ms: sum(ran.iter().map(|one| one.wall_ms)),
        }
    }

    /// How many cases did not end as expected.
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|group| group.cases.len() as u64).sum()
    }

    /// The exit code. A slice leaves the question of marks to the merge: the others may have reached them.
    pub fn exit_code(&self) -> u8 {
        if self.cases == 0 {
            return exit::NOTHING_RAN;
        }
        let worst = self.failures.iter().flat_map(|group| &group.cases).map(|one| self.code_of(one));
        match worst.reduce(exit::worse) {
            Some(code) => code,
            None if self.shows_nothing() => exit::NOTHING_RAN,
            None if !self.is_slice() && !self.unreached.is_empty() => exit::UNREACHED,
            None => exit::CLEAN,
        }
    }

    /// The code of a case that did not end as its scenario expects.
    fn code_of(&self, one: &Ran) -> u8 {
        // Results hold no case of a scenario that the header does not name.
        let expected = self.order.expected(&one.scenario).unwrap_or(Outcome::Clean);
        exit::of_finding(one.finding.outcome(), expected, &one.finding.fingerprint)
    }

    /// Whether all cases ended clean with nothing to be judged.
    pub fn shows_nothing(&self) -> bool {
        self.cases > 0 && self.idle == self.cases
    }

    /// Whether it is a part of a sweep only.
    pub fn is_slice(&self) -> bool {
        self.order.slice.of > 1
    }
}

/// A sum of what a file says: it may say anything.
pub(crate) fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

fn fastest(ran: &Ran) -> (u64, &str, u64) {
    // A run that never ended has no records, and takes longest.
    let records = if ran.finding.trace_records == 0 { u64::MAX } else { ran.finding.trace_records };
    (records, &ran.scenario, ran.seed)
}

/// Puts slices together. The order that comes back is that of the whole.
///
/// # Errors
/// What is missing, doubled, cut off or foreign, each in a sentence.
pub(crate) fn put_together(files: &[(PathBuf, Results)]) -> Result<(Order, Vec<Ran>), Vec<String>> {
    let Some((first_path, first)) = files.first() else { return Err(vec!["no slice was given".to_owned()]) };
    let mut wrong = Vec::new();
    let mut seen: BTreeMap<u64, &PathBuf> = BTreeMap::new();
    let mut ran = Vec::new();
    for (path, results) in files {
        let name = path.display();
        if let Some(why) = results.order.foreign_by(&first.order) {
            wrong.push(format!("{name}: of another sweep than {}: {why}", first_path.display()));
            continue;
        }
        let index = results.order.slice.index;
        if let Some(other) = seen.insert(index, path) {
            wrong.push(format!("{name}: slice {index} again, which {} holds already", other.display()));
            continue;
        }
        match &results.end {
            None => wrong.push(format!("{name}: cut off after {} cases: resume it first", results.ran.len())),
            Some(end) if end.cases != results.ran.len() as u64 => {
                let there = results.ran.len();
                wrong.push(format!("{name}: {there} cases, but its footer counts {}", end.cases));
            }
            Some(_) => wrong.extend(not_as_ordered(results).map(|said| format!("{name}: {said}"))),
        }
        ran.extend(results.ran.iter().cloned());
    }
    let of = first.order.slice.of;
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
    Ok((Order { slice: Slice::WHOLE, ..first.order.clone() }, ran))
}

/// What is wrong with the cases of a file, if they are not those that its order says.
fn not_as_ordered(results: &Results) -> Option<String> {
    let order = &results.order;
    let mut there: Vec<(&str, u64)> =
        results.ran.iter().map(|one| (one.scenario.as_str(), one.seed)).collect();
    there.sort_unstable();
    if let Some(twice) = there.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(format!("{}@{} stands there twice", twice[0].0, twice[0].1));
    }
    let of_place = |place: Place| (order.scenarios[place.scenario].given.as_str(), place.seed);
    // A sweep that ended with its time has as many of the first cases as there was time for.
    let mut ordered: Vec<(&str, u64)> = order.cases().take(there.len()).map(of_place).collect();
    ordered.sort_unstable();
    if order.count().is_some_and(|count| count < there.len() as u64) || ordered != there {
        return Some("its cases are not those that its header orders".to_owned());
    }
    None
}
