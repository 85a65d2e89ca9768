//! Named variants of a part of a scenario, to put in place of the scenario's own on the command line.

use std::fmt::{self, Display};

/// A part of a scenario that has named variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VariantAxis {
    /// What is checked.
    Checks,
    /// What protects the system's data.
    Protection,
}

impl VariantAxis {
    /// Returns the option of the command line: `--checks`.
    #[must_use]
    pub fn option(self) -> &'static str {
        match self {
            VariantAxis::Checks => "--checks",
            VariantAxis::Protection => "--protection",
        }
    }
}

impl Display for VariantAxis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VariantAxis::Checks => "set of checks",
            VariantAxis::Protection => "protection",
        })
    }
}

/// A named variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// Lower-case words joined by hyphens.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub about: &'static str,
}

/// Variants as options of a command.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct VariantArgs {
    /// Judge by this set of checks, not by all; a wrong name lists them
    #[arg(long, value_name = "NAME")]
    checks: Option<String>,
    /// Replace the scenario's protection by this one; a wrong name lists them
    #[arg(long, value_name = "NAME")]
    protection: Option<String>,
}

impl VariantArgs {
    /// A protection, and nothing else.
    pub fn protection(name: &str) -> VariantArgs {
        VariantArgs { protection: Some(name.to_owned()), ..VariantArgs::default() }
    }

    /// Returns the given names, in the order in which they apply.
    pub fn given(&self) -> impl Iterator<Item = (VariantAxis, &str)> {
        let all = [(VariantAxis::Protection, &self.protection), (VariantAxis::Checks, &self.checks)];
        all.into_iter().filter_map(|(axis, name)| Some((axis, name.as_deref()?)))
    }
}
