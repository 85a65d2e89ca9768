//! The nemesis: draws the faults of a run from a seed or from bytes, for any system of nodes with roles.
//!
//! A system describes itself as [`FaultTargets`]: the roles of its nodes, the paths that they use, the marks that its
//! jobs reach, and the times within which faults strike. A [`Profile`] says how many faults of which kinds are drawn. Each
//! run enables a random subset of the kinds, because in a run with all kinds one fault hides another (swarm testing:
//! Groce and others, ISSTA 2012). Half of the faults are triggered by an operation or a mark instead of a time, which
//! reaches narrow windows, and a third of them are followed by a second one. A [`Budget`] limits how many nodes are
//! damaged at once.
//!
//! Not modelled: what a fault does (`latent-sim`), and whether the system survives it, which its own checks decide.
//!
//! - `fault_kind`: the kinds. `targets`: the system as the nemesis sees it. `profile`: how many of which kinds.
//! - `fault_sampler`: target and size of one fault; `triggers`: when it strikes; `follow_up`: the second fault of a pair.
//! - `fault_budget`: the maximum damage at a time. `part_draws`: draws of the parts of a fault. `choices`: choices from
//!   bytes.
//!
//! Draws from a seed are keyed by (kind, number of the fault, drawn part). Removing a kind from a scenario therefore does
//! not change the faults of the other kinds.

mod choices;
mod fault_budget;
mod fault_kind;
mod fault_sampler;
mod follow_up;
mod part_draws;
mod profile;
mod targets;
#[cfg(test)]
mod tests;
mod triggers;

pub use choices::Choices;
pub use fault_budget::{Budget, BudgetExcess, BudgetGroup, add_within_budget, damages, excesses, struck};
pub use fault_kind::FaultKind;
pub use part_draws::{PartDraws, between};
pub use profile::{Profile, crash_at_each_operation, draw, draw_from_bytes, enabled_kinds};
pub use targets::{ConditionRange, Conditions, FaultTargets, Role, RunWindow};
