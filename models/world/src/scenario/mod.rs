//! Scenario configuration: everything that a person writes about the world to simulate.
//!
//! - `world_config`: the configuration and its smaller parts. `credentials`: permissions at the object stores.
//!   `load`: load patterns. `operations`: planned operator actions. `nemesis`: faults that the seed may draw.
//! - `protections`: named protections, to put in place of a scenario's own.
//! - `node_names`, `store_conditions`: names that a scenario may use. `schema`: parts of the JSON schema.

pub(crate) mod bug_names;
mod credentials;
pub(crate) mod load;
mod nemesis;
mod node_names;
mod operations;
pub(crate) mod protections;
mod schema;
pub(crate) mod store_conditions;
mod world_config;

pub use credentials::{Credentials, RoleGrants};
pub use load::{ClockError, LoadPattern};
pub use nemesis::FaultBudget;
pub(crate) use node_names::NodeNames;
pub use operations::{
    MistakeDuration, Operation, OperatorAction, ProjectDate, RecoverAction, RetentionTarget, RetentionTypo,
};
pub(crate) use world_config::SCRUB_AFTER_MIDNIGHT;
pub use world_config::{
    AbsentDisk, ApiWeights, AuditSchedule, BackupSchedule, CheckSet, CompactionThresholds, Deploy,
    DeployTarget, OperatorConfig, Protection, ReleaseConfig, TeeFailurePolicy, TeeProtection, TenantClass,
    Topology, WorldConfig, ZoneEdit, ZoneShare,
};
