//! Data that the run supplies to the judge, phase by phase.

use crate::actors::operator::OperatorState;
use crate::cluster::store_faults::StoreLog;
use crate::judge::removal_watcher::RemovalWatcher;
use crate::observe::alarm_calls::AlarmCalls;
use crate::observe::client_state::ClientState;
use crate::observe::disk_activity::ManifestId;
use crate::observe::fault_log::FaultLog;
use crate::observe::observed_reads::ObservedReads;
use crate::scenario::{Operation, WorldConfig};
use latent_engine::Scenario;
use latent_engine::sim::World;
use latent_oracle::ProjectDay;
use latent_oracle::invariants::l4_recovery::UnfinishedRecovery;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// Inputs of a judge: everything that it needs before the first check.
pub(crate) struct JudgeInputs<'a> {
    pub scenario: &'a Scenario<WorldConfig>,
    /// Operations of the plan: a shrunk case has them only there.
    pub operations: &'a [Operation],
    pub world: &'a World,
    pub client_state: Arc<ClientState>,
    pub fault_log: Arc<Mutex<FaultLog>>,
    pub observed_reads: Arc<Mutex<ObservedReads>>,
    pub alarm_calls: Arc<Mutex<AlarmCalls>>,
    pub operator_state: Arc<Mutex<OperatorState>>,
    pub removal_watcher: Arc<Mutex<RemovalWatcher>>,
    /// Changes that production made at the object stores; a changed store counts as compromised too.
    pub store_log: Arc<StoreLog>,
}

/// Production's recoveries, as the operator started them.
#[derive(Default)]
pub(crate) struct OperatorProgress {
    /// Number of recoveries started.
    pub started: u32,
    /// Whether a recovery writes to the disks, one copy after another.
    pub is_recovering: bool,
    /// Recoveries that have not ended.
    pub unfinished: Vec<UnfinishedRecovery>,
}

/// Observations since the last hourly check.
pub(crate) struct HourlyObservations {
    /// Times of writes of each manifest.
    pub written: BTreeMap<ManifestId, Vec<i64>>,
    /// Days whose local day ended an hour ago.
    pub ended_days: BTreeSet<ProjectDay>,
    /// True if a backup stored its catalog.
    pub is_catalog_stored: bool,
    pub operator: OperatorProgress,
}

/// Observations that are complete only after healing.
pub(crate) struct FinalObservations {
    pub operator: OperatorProgress,
    /// Days for which an alarm since the end of faults reported differing copies.
    pub alarmed: BTreeSet<ProjectDay>,
}
