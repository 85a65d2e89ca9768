//! What all cases of each variant show, and where two variants show no difference.

use super::journal::ColumnHeader;
use super::record::{ComparedCase, MeasureValue};
use super::statistics::{differ, median_interval, share_interval};
use std::collections::BTreeMap;

/// A measure over all seeds of a variant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum SummaryValue {
    /// Share of cases in which it happened, with its 95% interval, as fractions.
    Share { share: f64, low: f64, high: f64 },
    /// Median and its 95% interval.
    Count { median: u64, low: u64, high: u64 },
    /// Median and its 95% interval, in seconds.
    Seconds { median: u64, low: u64, high: u64 },
    /// There was nothing to measure in any case.
    Nothing,
}

/// One measure of one variant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub value: SummaryValue,
    /// Number of cases in which there was something to measure.
    pub cases: u64,
    /// Whether the same seeds show no difference from the column on the left.
    pub is_tie: bool,
}

/// A variant: its cells stand in the order of the table's measures.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Column {
    pub scenario: String,
    pub variant: String,
    pub cases: u64,
    pub cells: Vec<Cell>,
}

/// A table: one column for each scenario and variant, in the order of the first case of each.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CompareTable {
    pub measures: Vec<String>,
    pub columns: Vec<Column>,
}

/// Values by seed; cases with nothing to measure are absent.
type BySeed = BTreeMap<u64, MeasureValue>;

impl CompareTable {
    /// Builds the table of these cases; `headers` gives the order of the columns.
    pub fn of(cases: &[ComparedCase], headers: &[ColumnHeader]) -> CompareTable {
        let mut measures: Vec<String> = Vec::new();
        for measure in cases.iter().flat_map(|case| &case.measures) {
            if !measures.contains(&measure.name) {
                measures.push(measure.name.clone());
            }
        }
        let mut columns: Vec<Column> = Vec::new();
        let mut left: Option<Vec<BySeed>> = None;
        for ColumnHeader { scenario, variant, .. } in headers {
            let of_column: Vec<&ComparedCase> =
                cases.iter().filter(|case| case.scenario == *scenario && case.variant == *variant).collect();
            let values: Vec<BySeed> = measures.iter().map(|name| by_seed(&of_column, name)).collect();
            let cell = |(index, values): (usize, &BySeed)| Cell {
                value: summary(values),
                cases: values.len() as u64,
                is_tie: left.as_ref().is_some_and(|left| {
                    pairs(&left[index], values).next().is_some() && !differ(pairs(&left[index], values))
                }),
            };
            let cells = values.iter().enumerate().map(cell).collect();
            columns.push(Column {
                scenario: scenario.clone(),
                variant: variant.clone(),
                cases: of_column.len() as u64,
                cells,
            });
            left = Some(values);
        }
        CompareTable { measures, columns }
    }
}

fn by_seed(cases: &[&ComparedCase], name: &str) -> BySeed {
    let measured = |case: &&ComparedCase| {
        let value = case.measures.iter().find(|measure| measure.name == name)?.value;
        number(value).is_some().then_some((case.seed, value))
    };
    cases.iter().filter_map(measured).collect()
}

fn number(value: MeasureValue) -> Option<u64> {
    match value {
        MeasureValue::Happened(happened) => happened.map(u64::from),
        MeasureValue::Count(number) | MeasureValue::Seconds(number) => number,
    }
}

/// Returns the values of the seeds that both have.
fn pairs<'a>(one: &'a BySeed, other: &'a BySeed) -> impl Iterator<Item = (u64, u64)> + 'a {
    one.iter().filter_map(|(seed, value)| Some((number(*value)?, number(*other.get(seed)?)?)))
}

fn summary(values: &BySeed) -> SummaryValue {
    let mut sorted: Vec<u64> = values.values().filter_map(|value| number(*value)).collect();
    sorted.sort_unstable();
    let (Some(first), Some((median, (low, high)))) = (values.values().next(), median_interval(&sorted))
    else {
        return SummaryValue::Nothing;
    };
    match first {
        MeasureValue::Happened(_) => {
            let (hits, of) = (sorted.iter().sum::<u64>(), sorted.len() as u64);
            let (low, high) = share_interval(hits, of);
            SummaryValue::Share { share: hits as f64 / of as f64, low, high }
        }
        MeasureValue::Count(_) => SummaryValue::Count { median, low, high },
        MeasureValue::Seconds(_) => SummaryValue::Seconds { median, low, high },
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::RecordedMeasure;
    use super::*;
    use latent_verdict::Outcome;

    fn header(variant: &str) -> ColumnHeader {
        let (scenario, variant) = ("incident".to_owned(), variant.to_owned());
        ColumnHeader { scenario, variant, digest: String::new() }
    }

    fn case(variant: &str, seed: u64, lost: Option<u64>) -> ComparedCase {
        let measure = |name: &str, value| RecordedMeasure { name: name.to_owned(), value };
        ComparedCase {
            scenario: "incident".to_owned(),
            variant: variant.to_owned(),
            seed,
            outcome: Outcome::Clean,
            trace_hash: String::new(),
            measures: vec![
                measure("whole", MeasureValue::Happened(Some(lost.is_none()))),
                measure("lost", MeasureValue::Count(lost)),
            ],
        }
    }

    #[test]
    fn columns_are_compared_seed_by_seed_with_the_one_on_their_left() {
        let lost = |variant: &'static str, lost: u64| {
            (0..10).map(move |seed| case(variant, seed, Some(lost + seed)))
        };
        let cases: Vec<ComparedCase> =
            lost("weak", 100).chain(lost("same", 100)).chain(lost("strong", 5)).collect();
        let columns = ["weak", "same", "strong"].map(header);
        let table = CompareTable::of(&cases, &columns);
        assert_eq!(table.measures, ["whole", "lost"]);
        let ties: Vec<bool> = table.columns.iter().map(|column| column.cells[1].is_tie).collect();
        assert_eq!(ties, [false, true, false]);
        assert_eq!(table.columns[2].cells[1].value, SummaryValue::Count { median: 9, low: 6, high: 13 });
    }

    #[test]
    fn what_was_never_measured_is_nothing_and_not_zero() {
        let cases: Vec<ComparedCase> = (0..3).map(|seed| case("none", seed, None)).collect();
        let table = CompareTable::of(&cases, &[header("none")]);
        let [whole, lost] = &table.columns[0].cells[..] else { panic!("two measures") };
        assert!(matches!(whole.value, SummaryValue::Share { share: 1.0, .. }));
        assert_eq!((&lost.value, lost.cases), (&SummaryValue::Nothing, 0));
    }
}
