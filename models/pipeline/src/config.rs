//! What every node of a cluster knows: its projects, its nodes and its thresholds.
//!
//! Handed to a node at boot, as a configuration service would. Thresholds are scaled down with the volumes.

use crate::release::Release;
use crate::zone::ZoneHistory;
use latent_ports::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A customer's project.
#[derive(Clone, Debug)]
pub struct Project {
    /// Its number, which is its name in paths.
    pub id: u32,
    /// Stands in `properties.token` of tracked events.
    pub token: String,
    /// User name of Basic auth on imports and exports.
    pub secret: String,
    /// The zones that decided its days, and since when.
    pub zones: ZoneHistory,
}

/// When and how compaction works.
#[derive(Clone, Debug)]
pub struct CompactionConfig {
    /// The nightly job starts this long after the project's midnight at the latest (0 to 7 minutes in the incident).
    pub start_within: Duration,
    /// The second worker looks again this long after the first, and works only where something is left.
    pub standby_after: Duration,
    /// A late tier with at least this many events is sealed, and gets a run of its own.
    pub late_seal_events: u64,
    /// A day with fewer events is merged in one run, whatever its tiers.
    pub two_runs_from_events: u64,
    /// Output is split into files of about this size.
    pub output_max_bytes: u64,
    /// A lease not renewed for this long may be taken over.
    pub lease: Duration,
    /// Replaced files stay readable for this long.
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

/// How copies are written and read.
#[derive(Clone, Debug)]
pub struct CopiesConfig {
    /// A request is acknowledged when this many disks hold it durably.
    pub ack_disks: usize,
    /// Reads merge this many disks, or trust one of this many that agree; with `ack_disks` it covers all copies.
    pub read_disks: usize,
    /// How long one disk may take to answer a write.
    pub write_timeout: Duration,
    /// A later arrival than this after an event's time puts it into the late tier (2 h).
    pub late_after: Duration,
    /// Hand-offs kept for one disk; above it anti-entropy must repair.
    pub hints_per_disk: usize,
}

impl Default for CopiesConfig {
    fn default() -> Self {
        CopiesConfig {
            ack_disks: 4,
            read_disks: 5,
            write_timeout: Duration::from_secs(10),
            late_after: Duration::from_secs(2 * 3600),
            hints_per_disk: 10_000,
        }
    }
}

/// How backups are taken and kept.
#[derive(Clone, Debug)]
pub struct BackupConfig {
    /// From one backup to the next.
    pub interval: Duration,
    /// The first backup starts this long after the node's first boot.
    pub first_after: Duration,
    /// Catalogs older than this are removed, the newest never.
    pub retention: Duration,
    /// A shorter retention is refused: somebody typed it wrong.
    pub least_retention: Duration,
    /// The data centers' object stores; each alone is enough to restore.
    pub data_centers: Vec<NodeId>,
}

/// How the nightly audit and anti-entropy are timed.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The audit of a project runs this long after its midnight.
    pub after_midnight: Duration,
    /// Where alarms go.
    pub operator: NodeId,
    /// The node that audits; `None` where none does, as in a drill.
    pub node: Option<NodeId>,
}

/// The tee store and how long it keeps a request, by arrival.
#[derive(Clone, Debug)]
pub struct TeeStoreConfig {
    /// The object store.
    pub store: NodeId,
    /// 7 days by arrival.
    pub retention: Duration,
    /// A shorter retention is refused: somebody typed it wrong.
    pub least_retention: Duration,
}

impl BackupConfig {
    /// How long a catalog is kept at least, whatever was configured.
    #[must_use]
    pub fn kept(&self) -> Duration {
        self.retention.max(self.least_retention)
    }
}

impl TeeStoreConfig {
    /// How long a request is kept at least, whatever was configured.
    #[must_use]
    pub fn kept(&self) -> Duration {
        self.retention.max(self.least_retention)
    }
}

/// One cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// By number.
    pub projects: BTreeMap<u32, Project>,
    /// Number by token.
    pub by_token: BTreeMap<String, u32>,
    /// The disks of Arb: both replica sets, in order.
    pub disks: Vec<NodeId>,
    /// Ingest nodes.
    pub ingest: Vec<NodeId>,
    /// Compaction workers.
    pub workers: Vec<NodeId>,
    /// Edges, in the order of their numbers.
    pub edges: Vec<NodeId>,
    /// Writing and reading copies.
    pub copies: CopiesConfig,
    /// Compaction.
    pub compaction: CompactionConfig,
    /// Backups, if any are taken.
    pub backup: Option<BackupConfig>,
    /// The tee store, if there is a tee.
    pub tee: Option<TeeStoreConfig>,
    /// The audit, if there is one (it needs the tee).
    pub audit: Option<AuditConfig>,
    /// Anti-entropy compares a project's copies this long after its midnight.
    pub scrub_after_midnight: Duration,
}

/// What a node is booted with.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The cluster it belongs to.
    pub cluster: Arc<Cluster>,
    /// The release it runs.
    pub release: Arc<Release>,
}
