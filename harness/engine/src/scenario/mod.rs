//! Scenarios: parsing and validation.
//!
//! A scenario is one JSON object. Some fields belong to the engine ([`Scenario`]'s own), all others to the system under
//! test ([`crate::System::Config`]). Both parts refuse unknown fields. The two are read from the same text, each with
//! the other's fields blanked out, because serde's `flatten` would lose the line of every error.

mod bounds;
mod diagnostic;
mod engine_fields;
mod faults;
mod model;
mod parse;
mod schema;
mod serde_errors;
mod source;
mod spanned_json;
pub(crate) mod suggest;
mod values;

pub use diagnostic::ScenarioError;
pub(crate) use diagnostic::SourceSpan;
pub(crate) use faults::fault_at_unknown_node;
pub use model::{Scenario, ScenarioProblem};
pub use parse::parse;
pub(crate) use parse::{check_cost, parse_trusted};
pub(crate) use schema::merged as merged_schema;
pub use source::NamedScenario;
pub(crate) use source::{error_without_position, find, parse_target, with_seed};
pub use values::{Span, Timestamp};

#[cfg(test)]
mod tests;
