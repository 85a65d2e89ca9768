//! Comparisons: the same seeds of a scenario with several variants of one of its parts, side by side.
//!
//! - `statistics`: intervals and the test for ties. `record`: the result of one case. `journal`: the results file.
//!   `table`: what all cases of a variant show.

mod journal;
mod record;
mod statistics;
mod table;

pub(crate) use journal::{ColumnHeader, CompareHeader};
pub(crate) use record::{ComparedCase, RecordedMeasure};
pub use record::{Measure, MeasureValue};
pub(crate) use table::{Cell, Column, CompareTable, SummaryValue};
