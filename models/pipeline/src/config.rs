//! Configuration of a cluster: its projects, its nodes and its thresholds.
//!
//! Passed to a node at boot, as from a configuration service. Thresholds are scaled down with the volumes.

use crate::release::Release;
use crate::zone::ZoneHistory;
use latent_ports::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A customer's project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Project number, used in paths.
    pub id: u32,
    /// Value of `properties.token` in tracked events.
    pub token: String,
    /// User name of Basic auth for imports and exports.
    pub secret: String,
    /// Time zones that determine the project's days.
    pub zones: ZoneHistory,
}

/// Configuration of compaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompactionConfig {
    /// Maximum delay from the project's midnight to the nightly job (0 to 7 minutes in the incident).
    pub start_within: Duration,
    /// Delay of the second worker after the first. It works only where something is left to do.
    pub standby_after: Duration,
    /// Number of events from which a late tier is sealed and gets a run of its own.
    pub late_seal_events: u64,
    /// Number of events below which a day is merged in one run, whatever its tiers.
    pub two_runs_from_events: u64,
    /// Approximate size of output files, in bytes.
    pub output_max_bytes: u64,
    /// Duration of a lease. It may be taken over when it was not renewed for this long.
    pub lease: Duration,
    /// Grace period during which replaced files stay readable.
    pub grace: Duration,
}

impl Default for CompactionConfig {
    fn default() -> Self {
        CompactionConfig {
            start_within: Duration::from_secs(7 * 60),
            standby_after: Duration::from_secs(30 * 60),
            late_seal_events: 2,
            two_runs_from_events: 100,
            output_max_bytes: 1 << 20,
            lease: Duration::from_secs(10 * 60),
            grace: Duration::from_secs(60 * 60),
        }
    }
}

/// Configuration of writes to and reads from the copies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationConfig {
    /// Number of disks that must hold a request durably before it is acknowledged.
    pub ack_disks: usize,
    /// Number of disks that a read merges, or that must agree for one of them to be read. Together with `ack_disks` it
    /// exceeds the number of copies.
    pub read_disks: usize,
    /// Timeout of one disk for a write.
    pub write_timeout: Duration,
    /// Delay of arrival after an event's time from which it goes to the late tier (2 h).
    pub late_after: Duration,
    /// Maximum number of hints for one disk. Above it anti-entropy must repair.
    pub hints_per_disk: usize,
}

impl Default for ReplicationConfig {
    fn default() -> Self {
        ReplicationConfig {
            ack_disks: 4,
            read_disks: 5,
            write_timeout: Duration::from_secs(10),
            late_after: Duration::from_secs(2 * 3600),
            hints_per_disk: 10_000,
        }
    }
}

/// Configuration of backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupConfig {
    /// Interval between backups.
    pub interval: Duration,
    /// Delay from the node's first boot to the first backup.
    pub first_after: Duration,
    /// Age at which catalogs are removed. The newest is never removed.
    pub retention: Duration,
    /// Minimum retention. A shorter configured retention is treated as a mistake and not applied.
    pub min_retention: Duration,
    /// Object stores of the data centers; each is enough to restore.
    #[serde(with = "node_ids")]
    pub data_centers: Vec<NodeId>,
}

/// Schedule of the nightly audit and anti-entropy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditConfig {
    /// Delay from a project's midnight to its audit.
    pub after_midnight: Duration,
    /// Node that receives alarms.
    #[serde(with = "NodeNumber")]
    pub operator: NodeId,
    /// Node that runs the audit; `None` if there is none, as in a drill.
    #[serde(with = "optional_node_id")]
    pub node: Option<NodeId>,
}

/// Tee store and its retention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeStoreConfig {
    /// The object store.
    #[serde(with = "NodeNumber")]
    pub store: NodeId,
    /// Retention by arrival (7 days).
    pub retention: Duration,
    /// Minimum retention. A shorter configured retention is treated as a mistake and not applied.
    pub min_retention: Duration,
}

impl BackupConfig {
    /// Returns the applied retention: at least the minimum.
    #[must_use]
    pub fn effective_retention(&self) -> Duration {
        self.retention.max(self.min_retention)
    }
}

impl TeeStoreConfig {
    /// Returns the applied retention: at least the minimum.
    #[must_use]
    pub fn effective_retention(&self) -> Duration {
        self.retention.max(self.min_retention)
    }
}

/// Configuration of one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Projects by number.
    pub projects: BTreeMap<u32, Project>,
    /// Project number by token.
    pub by_token: BTreeMap<String, u32>,
    /// Disks of Arb: both replica sets, in order.
    #[serde(with = "node_ids")]
    pub disks: Vec<NodeId>,
    /// Ingest nodes.
    #[serde(with = "node_ids")]
    pub ingest: Vec<NodeId>,
    /// Compaction workers.
    #[serde(with = "node_ids")]
    pub workers: Vec<NodeId>,
    /// Edges, in the order of their numbers.
    #[serde(with = "node_ids")]
    pub edges: Vec<NodeId>,
    /// Configuration of writes and reads.
    pub replication: ReplicationConfig,
    /// Configuration of compaction.
    pub compaction: CompactionConfig,
    /// Configuration of backups, if any are taken.
    pub backup: Option<BackupConfig>,
    /// The tee store, if there is a tee.
    pub tee: Option<TeeStoreConfig>,
    /// The audit, if there is one. It needs the tee.
    pub audit: Option<AuditConfig>,
    /// Delay from a project's midnight to the comparison of its copies.
    pub scrub_after_midnight: Duration,
}

/// Boot configuration of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootConfig {
    /// Cluster of the node.
    pub cluster: Arc<Cluster>,
    /// Release that the node runs.
    pub release: Arc<Release>,
}

/// Encoding of a node's number; the ports know no encoding.
#[derive(Serialize, Deserialize)]
#[serde(remote = "NodeId")]
struct NodeNumber(u16);

mod node_ids {
    use super::NodeId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(nodes: &[NodeId], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(nodes.iter().map(|node| node.0))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<NodeId>, D::Error> {
        Ok(Vec::<u16>::deserialize(deserializer)?.into_iter().map(NodeId).collect())
    }
}

mod optional_node_id {
    use super::NodeId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(node: &Option<NodeId>, serializer: S) -> Result<S::Ok, S::Error> {
        node.map(|node| node.0).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodeId>, D::Error> {
        Ok(Option::<u16>::deserialize(deserializer)?.map(NodeId))
    }
}
