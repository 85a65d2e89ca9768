//! The specification of a sweep: its cases and their order. All scenarios run with the first seed, then all with the
//! next.

use latent_verdict::Expectation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Version of the results format, the only one that this program reads and writes.
pub(crate) const FORMAT: u32 = 3;

/// Limit of the number of slices.
const MAX_SLICES: u64 = 100_000;

/// One of this many passing cases is checked for determinism, in a second process. Every failing case is.
pub(crate) const DETERMINISM_CHECK_ONE_IN: u64 = 50;

/// The specification of a sweep. Two files whose specifications differ in more than the slice are of different sweeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweepSpec {
    /// Version of the file format.
    pub format: u32,
    /// The program: version and commit.
    pub build: String,
    /// The scenarios.
    pub scenarios: Vec<SweptScenario>,
    /// Their seeds.
    pub seeds: Seeds,
    /// The slice that this process runs.
    pub slice: Slice,
    /// The release that overrides those of the scenarios, if any.
    pub release: Option<String>,
    /// Marks that some case must reach, in addition to those that the scenarios require.
    pub required_marks: Vec<String>,
    /// Limits, which `--resume` without settings keeps.
    pub limits: Limits,
}

/// Limits of a sweep. Slices may differ in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// Real time after which no case starts, in milliseconds.
    pub for_ms: Option<u64>,
    /// Limit of a case's real time, in milliseconds.
    pub case_time_ms: u64,
    /// Limit of a case's memory, in megabytes.
    pub case_memory_mb: u64,
}

/// A scenario of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SweptScenario {
    /// The name or path as given on the command line.
    pub given: String,
    /// XXH3 of its text; of a generated scenario, whose text differs for each seed, that of the first.
    pub digest: String,
    /// Expected outcome of its cases.
    pub expect: Expectation,
    /// Marks that some case of it must reach.
    pub required_marks: Vec<String>,
}

/// The seeds of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Seeds {
    /// From the first to before the second, if there is a second.
    Range(u64, Option<u64>),
    /// Derived from a text.
    From {
        /// A date, for example: the same text gives the same seeds.
        text: String,
        /// Number of seeds; `None`: as many as the time limit allows.
        count: Option<u64>,
    },
}

impl Seeds {
    /// Returns the seed at an index, counted from 0.
    fn at(&self, place: u64) -> Option<u64> {
        match self {
            Seeds::Range(from, to) => from.checked_add(place).filter(|seed| to.is_none_or(|to| *seed < to)),
            // 48 bits, short enough to type.
            Seeds::From { text, count } => count
                .is_none_or(|count| place < count)
                .then(|| xxh3_64_with_seed(text.as_bytes(), place) >> 16),
        }
    }

    /// Number of seeds; `None` if unlimited.
    pub fn count(&self) -> Option<u64> {
        match self {
            Seeds::Range(from, to) => to.map(|to| to.saturating_sub(*from)),
            Seeds::From { count, .. } => *count,
        }
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seeds::Range(from, Some(to)) => write!(f, "seeds {from}..{to}"),
            Seeds::Range(from, None) => write!(f, "seeds from {from}"),
            Seeds::From { text, count: Some(count) } => write!(f, "{count} seeds from '{text}'"),
            Seeds::From { text, count: None } => write!(f, "seeds from '{text}'"),
        }
    }
}

/// Parses `A..B`, B excluded, as in Rust.
pub(crate) fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("invalid range of seeds '{text}': write it like 1..101, which ends before 101");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let (from, to) = (from.parse().map_err(|_| wrong())?, to.parse().map_err(|_| wrong())?);
    if from < to { Ok((from, to)) } else { Err(format!("empty range of seeds {text}: the end is excluded")) }
}

/// A slice of a sweep: every n-th case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Slice {
    /// From 1.
    pub index: u64,
    /// Number of slices.
    pub of: u64,
}

impl Slice {
    /// The whole sweep.
    pub const WHOLE: Slice = Slice { index: 1, of: 1 };

    /// Whether the slice contains the item of this number, counted from 0.
    pub fn contains(self, number: u64) -> bool {
        number % self.of == self.index - 1
    }
}

impl fmt::Display for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slice:{}/{}", self.index, self.of)
    }
}

impl FromStr for Slice {
    type Err = String;
    fn from_str(text: &str) -> Result<Slice, String> {
        let wrong = || format!("invalid slice '{text}': write it like slice:1/4, the first of four");
        let (index, of) =
            text.strip_prefix("slice:").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
        let slice =
            Slice { index: index.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        slice.check().map(|()| slice).map_err(|message| format!("'{text}': {message}"))
    }
}

impl Slice {
    /// Checks that the slice is valid.
    fn check(self) -> Result<(), String> {
        let Slice { index, of } = self;
        if of == 0 || of > MAX_SLICES {
            return Err(format!("a sweep has from 1 to {MAX_SLICES} slices, not {of}"));
        }
        let is_there = (1..=of).contains(&index);
        if is_there { Ok(()) } else { Err(format!("slices are numbered from 1 to {of}, not {index}")) }
    }
}

/// Key of a case: the scenario's index, counted from 0, and the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CaseKey {
    pub scenario: usize,
    pub seed: u64,
}

impl SweepSpec {
    /// Checks a specification that was read from a file.
    ///
    /// # Errors
    /// The first invalid field.
    pub fn check(&self) -> Result<(), String> {
        self.slice.check()?;
        if self.scenarios.is_empty() {
            return Err("its header names no scenario".to_owned());
        }
        match self.seeds {
            Seeds::Range(from, Some(to)) if to <= from => Err(format!("{} are none", self.seeds)),
            _ => Ok(()),
        }
    }

    /// Expected outcome of a scenario's cases; `None` if the scenario is not in this sweep.
    pub fn expected(&self, given: &str) -> Option<Expectation> {
        self.scenarios.iter().find(|swept| swept.given == given).map(|swept| swept.expect)
    }

    /// Describes the difference to another slice or sweep; `None` if they are the same.
    pub fn difference(&self, other: &SweepSpec) -> Option<String> {
        let slice = || (self.slice != other.slice).then(|| format!("{}, not {}", self.slice, other.slice));
        self.sweep_difference(other).or_else(slice)
    }

    /// The cases of the slice, in order; unlimited if the seeds are.
    pub fn cases(&self) -> impl Iterator<Item = CaseKey> + '_ {
        let scenarios = self.scenarios.len() as u64;
        let skipped = self.slice.index - 1;
        let numbers = (0_u64..).map_while(move |nth| nth.checked_mul(self.slice.of)?.checked_add(skipped));
        numbers.map_while(move |number| {
            let seed = self.seeds.at(number.checked_div(scenarios)?)?;
            Some(CaseKey { scenario: usize::try_from(number % scenarios).ok()?, seed })
        })
    }

    /// Number of cases of the slice; `None` if unlimited.
    pub fn count(&self) -> Option<u64> {
        let all = self.seeds.count()?.saturating_mul(self.scenarios.len() as u64);
        Some(all.saturating_add(self.slice.of - self.slice.index) / self.slice.of)
    }

    /// Whether a passing case is checked for determinism: a property of the case, independent of the machine.
    pub fn is_checked_for_determinism(&self, place: CaseKey) -> bool {
        let name = self.scenarios[place.scenario].given.as_bytes();
        xxh3_64_with_seed(name, place.seed).is_multiple_of(DETERMINISM_CHECK_ONE_IN)
    }

    /// Describes the first difference to another sweep, ignoring the slice; `None` if they are the same.
    pub fn sweep_difference(&self, other: &SweepSpec) -> Option<String> {
        let SweepSpec { format, build, scenarios, seeds, slice, release, required_marks, limits: _ } = self;
        let names = |scenarios: &[SweptScenario]| {
            scenarios.iter().map(|swept| swept.given.as_str()).collect::<Vec<_>>().join(", ")
        };
        let release_of =
            |release: &Option<String>| release.clone().unwrap_or_else(|| "as written".to_owned());
        if *format != other.format || *build != other.build {
            return Some(format!("program {build}, not {}", other.build));
        }
        if names(scenarios) != names(&other.scenarios) {
            return Some(format!("scenarios {}, not {}", names(scenarios), names(&other.scenarios)));
        }
        // Before the texts: another release changes the text too.
        if *release != other.release {
            return Some(format!("release {}, not {}", release_of(release), release_of(&other.release)));
        }
        if let Some((changed, _)) =
            scenarios.iter().zip(&other.scenarios).find(|(one, another)| one != another)
        {
            return Some(format!("the text of scenario {} differs", changed.given));
        }
        if *seeds != other.seeds {
            return Some(format!("{seeds}, not {}", other.seeds));
        }
        if slice.of != other.slice.of {
            return Some(format!("one of {} slices, not of {}", slice.of, other.slice.of));
        }
        (*required_marks != other.required_marks).then(|| "the required marks differ".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn spec(seeds: Seeds, slice: Slice) -> SweepSpec {
        let swept = |given: &str| SweptScenario {
            given: given.into(),
            digest: String::new(),
            expect: Expectation::CLEAN,
            required_marks: vec![],
        };
        SweepSpec {
            format: FORMAT,
            build: "test".into(),
            scenarios: vec![swept("a"), swept("b"), swept("c")],
            seeds,
            slice,
            release: None,
            required_marks: vec![],
            limits: Limits { for_ms: None, case_time_ms: 1000, case_memory_mb: 100 },
        }
    }

    #[test]
    fn slices_are_the_whole_and_share_nothing() {
        let whole = spec(Seeds::Range(5, Some(12)), Slice::WHOLE);
        let cases: Vec<CaseKey> = whole.cases().collect();
        assert_eq!((cases.len() as u64, whole.count()), (21, Some(21)));
        for of in 1..=25 {
            let mut seen = BTreeSet::new();
            for index in 1..=of {
                let slice = spec(Seeds::Range(5, Some(12)), Slice { index, of });
                let part: Vec<CaseKey> = slice.cases().collect();
                assert_eq!(Some(part.len() as u64), slice.count(), "{index}/{of}");
                assert!(part.into_iter().all(|place| seen.insert(place)));
            }
            assert_eq!(seen.len(), cases.len());
        }
    }

    #[test]
    fn seeds_derived_from_a_text_are_distinct_and_repeatable() {
        let seeds = |text: &str| -> Vec<u64> {
            let seeds = Seeds::From { text: text.into(), count: Some(100) };
            spec(seeds, Slice::WHOLE).cases().map(|place| place.seed).collect()
        };
        assert_eq!(seeds("2026-11-25"), seeds("2026-11-25"));
        let (one, next) = (seeds("2026-11-25"), seeds("2026-11-26"));
        assert!(one.iter().all(|seed| !next.contains(seed)));
    }

    #[test]
    fn ranges_and_slices_are_read_as_written_or_refused() {
        assert_eq!(parse_range("1..101"), Ok((1, 101)));
        for wrong in ["1", "1..", "..5", "5..5", "6..5", "a..b", "1..=5"] {
            parse_range(wrong).unwrap_err();
        }
        assert_eq!("slice:2/4".parse(), Ok(Slice { index: 2, of: 4 }));
        for wrong in ["2/4", "slice:0/4", "slice:5/4", "slice:1/0", "slice:a/b", "count:1/2"] {
            wrong.parse::<Slice>().unwrap_err();
        }
    }

    #[test]
    fn a_different_release_is_reported_before_the_different_text() {
        let as_written = spec(Seeds::Range(1, Some(3)), Slice::WHOLE);
        let mut planted = as_written.clone();
        planted.release = Some("planted".into());
        planted.scenarios[0].digest = "of another text".into();
        assert_eq!(as_written.sweep_difference(&planted).as_deref(), Some("release as written, not planted"));
        planted.release = None;
        assert_eq!(as_written.sweep_difference(&planted).as_deref(), Some("the text of scenario a differs"));
    }
}
