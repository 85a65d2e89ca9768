//! Nemesis configuration: kinds of faults that the seed may draw, their number, and the fault budget.

use super::schema::pair_maximum;
use latent_nemesis::FaultKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Faults drawn from the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NemesisConfig {
    /// Number of faults per week, all kinds together, minimum and maximum.
    #[schemars(transform = pair_maximum::<10_000>)]
    pub per_week: (u32, u32),
    /// Kinds of faults that may be drawn. Absent: all. Each run enables about half of them.
    #[serde(default)]
    pub kinds: Option<Vec<FaultKind>>,
    /// Maximum number of nodes that are damaged and not yet repaired at a time.
    #[serde(default)]
    pub budget: FaultBudget,
}

/// Maximum number of nodes that are damaged at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FaultBudget {
    /// Disks of Arb: one less than the number that hold an acknowledged event.
    #[schemars(range(max = 16))]
    pub disks: u16,
    /// Data centers: each alone is sufficient for a restore.
    #[schemars(range(max = 16))]
    pub data_centers: u16,
    /// Edges and tee store together: each request is on two of them.
    #[schemars(range(max = 16))]
    pub tee: u16,
}

impl Default for FaultBudget {
    fn default() -> Self {
        FaultBudget { disks: 3, data_centers: 1, tee: 1 }
    }
}
