//! Scenario configuration of this system: the part of a scenario file that describes the world to simulate.
//!
//! Shares are given in parts per million (`_ppm`), so that no decision depends on a float. Fields with a default are
//! off by default: no fault, deploy or drill happens unless the scenario names it.

use super::credentials::Credentials;
use super::load::LoadPattern;
use super::nemesis::NemesisConfig;
use super::operations::Operation;
use super::schema::pair_maximum;
use latent_engine::{Span, Timestamp, Variant};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use strum::VariantArray;

/// A world of edges, ingest nodes, Arb, compaction, backup and replay, with their clients.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {
    /// Number of nodes of each kind.
    #[serde(default)]
    pub topology: Topology,
    /// Time zones of the customers, in the order of their offsets. Each class of tenants is distributed over the
    /// zones in proportion to their weights.
    pub zones: Vec<ZoneShare>,
    /// Classes of customers.
    pub tenants: Vec<TenantClass>,
    /// Thresholds of compaction, scaled down with the event volumes.
    #[serde(default)]
    pub compaction: CompactionThresholds,
    /// Protection against the loss of production: tee, backups and audit.
    #[serde(default)]
    pub protection: Protection,
    /// What is checked.
    #[serde(default, skip_serializing_if = "CheckSet::is_full")]
    pub checks: CheckSet,
    /// Releases other than `good`, each with its planted bugs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseConfig>,
    /// Deploys: which nodes move to which release, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deploys: Vec<Deploy>,
    /// Faults drawn from the seed, in addition to the faults that the scenario names. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nemesis: Option<NemesisConfig>,
    /// Load patterns: bursts, offline devices, retry storms, wrong device clocks, client backlogs. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<LoadPattern>,
    /// Changes of time zones by customers. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zone_edits: Vec<ZoneEdit>,
    /// The operator who answers alarms. Absent: alarms are not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<OperatorConfig>,
    /// Planned operator actions in addition to answering alarms: recoveries and mistakes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Number of recovery drills on copies of backups and tee, at times drawn from the seed.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub drills: u32,
    /// Number of exports that each customer reads, at times drawn from the seed.
    #[serde(default)]
    #[schemars(range(max = 1_000))]
    pub exports_per_project: u32,
    /// Duration of the healing phase: the time without clients and faults before the final check. It must be more
    /// than 27 h, so that backlogs drain, ended days are compacted and copies are compared.
    #[serde(default = "default_healing")]
    pub healing: Span,
    /// A disk that stays unavailable when faults end: the other nodes must heal without it. Absent: all disks come
    /// back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal_without: Option<AbsentDisk>,
}

/// A disk, by name (`disk-3`), that stays unavailable during healing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AbsentDisk {
    /// The disk's process is down.
    Down(String),
    /// The disk's process runs, but it has no network link to any other node.
    CutOff(String),
}

impl AbsentDisk {
    /// Returns the name of the disk.
    pub(crate) fn disk(&self) -> &str {
        match self {
            AbsentDisk::Down(disk) | AbsentDisk::CutOff(disk) => disk,
        }
    }
}

/// Number of nodes of each kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Number of load balancers, 1 to 5. Each has a tee if the scenario has one. The second copy of a request is on
    /// another edge; with a single edge there is no second copy until the request is in the tee store.
    #[schemars(range(min = 1, max = 5))]
    pub edges: u16,
    /// Number of ingest nodes.
    #[schemars(range(min = 1, max = 16))]
    pub ingest: u16,
    /// Number of Arb disks. Each disk holds a copy of every event; half of the disks form one replica set.
    #[schemars(range(min = 1, max = 16))]
    pub copies: u16,
    /// Number of disks that must hold a request durably before it is acknowledged. At least 2: with a single copy,
    /// any damage could destroy acknowledged events without a copy to show it.
    #[schemars(range(min = 2, max = 16))]
    pub ack_copies: u16,
    /// Number of compaction workers. Each worker is the first choice for its share of the disks.
    #[schemars(range(min = 1, max = 16))]
    pub workers: u16,
    /// Number of data centers that store backups.
    #[schemars(range(min = 1, max = 4))]
    pub data_centers: u16,
    /// Maximum number of keys in one page of an object store's listing, 1 to 1,000.
    #[schemars(range(min = 1, max = 1_000))]
    pub list_page_keys: u32,
    /// Permissions of each role at the object stores. Default: the least that each role needs.
    #[serde(skip_serializing_if = "Credentials::is_default")]
    pub credentials: Credentials,
}

impl Default for Topology {
    fn default() -> Self {
        Topology {
            edges: 3,
            ingest: 2,
            copies: 8,
            ack_copies: 4,
            workers: 2,
            data_centers: 2,
            list_page_keys: 1_000,
            credentials: Credentials::default(),
        }
    }
}

/// A time zone and its share of the customers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneShare {
    /// Name in the IANA database, such as `Asia/Kathmandu`.
    pub zone: String,
    /// Weight relative to the other zones.
    #[schemars(range(max = 1_000_000))]
    pub weight: u32,
}

/// A customer's change of its time zone. It applies to events that arrive from then on; the days of earlier ones stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneEdit {
    /// Time from which the new zone applies.
    pub at: Timestamp,
    /// Number of the project, from 1.
    #[schemars(range(min = 1, max = 10_000))]
    pub project: u32,
    /// The new zone: a name in the IANA database, such as `Asia/Kathmandu`.
    pub zone: String,
}

/// A class of customers with the same traffic profile.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantClass {
    /// Name of the class in reports.
    pub name: String,
    /// Number of customers in the class.
    #[schemars(range(min = 1, max = 2_000))]
    pub count: u32,
    /// Events per customer and day, minimum and maximum.
    #[schemars(transform = pair_maximum::<100_000>)]
    pub events_per_day: (u32, u32),
    /// Number of times per day at which a customer's clients send.
    #[schemars(range(min = 1, max = 86_400))]
    pub requests_per_day: u32,
    /// Share of events that arrive 2 h or more after their event time, minimum and maximum. Each customer draws its
    /// own share.
    #[serde(default)]
    #[schemars(transform = pair_maximum::<1_000_000>)]
    pub late_ppm: (u32, u32),
    /// Share of the late events that arrive before the end of their local day.
    #[serde(default = "default_same_day")]
    #[schemars(range(max = 1_000_000))]
    pub late_same_day_ppm: u32,
    /// Share of the late events that arrive days later.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub very_late_ppm: u32,
    /// Share of events that are sent a second time, byte for byte.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub repeated_ppm: u32,
    /// Share of events without `$insert_id`.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub no_insert_id_ppm: u32,
    /// Share of events without `time`.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub no_time_ppm: u32,
    /// Share of events that are invalid and must be rejected.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub invalid_ppm: u32,
    /// Share of imported events whose device clock is ahead by up to 50 minutes, which is legal.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 1_000_000))]
    pub ahead_ppm: u32,
    /// Share of events whose time is on a border that the system knows, or a millisecond or a second beside it.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(range(max = 1_000_000))]
    pub border_ppm: u32,
    /// Weights of the request formats.
    #[serde(default)]
    pub api: ApiWeights,
}

fn is_zero(share_ppm: &u32) -> bool {
    *share_ppm == 0
}

/// Relative weights of the request formats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ApiWeights {
    /// `POST /track`, raw JSON.
    #[schemars(range(max = 1_000_000))]
    pub track_raw: u32,
    /// `POST /track`, form encoding.
    #[schemars(range(max = 1_000_000))]
    pub track_form: u32,
    /// `GET /track`.
    #[schemars(range(max = 1_000_000))]
    pub track_get: u32,
    /// `POST /import`, a JSON array.
    #[schemars(range(max = 1_000_000))]
    pub import_json: u32,
    /// `POST /import`, newline-delimited JSON.
    #[schemars(range(max = 1_000_000))]
    pub import_ndjson: u32,
    /// Share of the imports that are compressed with gzip.
    #[schemars(range(max = 1_000_000))]
    pub gzip_ppm: u32,
}

impl Default for ApiWeights {
    fn default() -> Self {
        ApiWeights {
            track_raw: 2,
            track_form: 1,
            track_get: 0,
            import_json: 4,
            import_ndjson: 3,
            gzip_ppm: 100_000,
        }
    }
}

/// Thresholds of compaction.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CompactionThresholds {
    /// Number of events at which a day's late tier is sealed and gets a run of its own.
    #[schemars(range(max = 1_000_000_000))]
    pub late_seal_events: u64,
    /// A day with fewer events than this is merged in one run.
    #[schemars(range(max = 1_000_000_000))]
    pub two_runs_from_events: u64,
    /// Grace time: how long replaced files are kept.
    pub grace: Span,
    /// Approximate size of output files, in bytes. A small one splits the output of a small day.
    #[schemars(range(min = 256, max = 1_073_741_824))]
    pub output_max_bytes: u64,
}

impl Default for CompactionThresholds {
    fn default() -> Self {
        CompactionThresholds {
            late_seal_events: 2,
            two_runs_from_events: 100,
            grace: Span(Duration::from_secs(3 * 3600)),
            output_max_bytes: 1 << 20,
        }
    }
}

/// Time from a project's midnight to the comparison of its copies.
pub(crate) const SCRUB_AFTER_MIDNIGHT: Duration = Duration::from_secs(6 * 3_600);

/// Protection against the loss of production: tee, backups and audit.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// The raw copy of all requests, taken at the edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tee: Option<TeeProtection>,
    /// Backups to the data centers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSchedule>,
    /// The nightly audit, which compares exports with the tee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditSchedule>,
}

/// Settings of the tee.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TeeProtection {
    /// Retention of a request, counted from its arrival.
    pub retention: Span,
    /// Behavior of an edge when it cannot write a request to the tee.
    #[serde(default)]
    pub on_failure: TeeFailurePolicy,
}

/// Behavior of an edge when it cannot write a request to the tee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TeeFailurePolicy {
    /// Answers 503; the client keeps the request.
    #[default]
    Reject,
    /// Accepts the request and records a gap of the tee.
    AcceptAndRecordGap,
}

/// Schedule of the backups.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSchedule {
    /// Interval between two backups.
    pub interval: Span,
    /// Time from the start of the scenario to the first backup.
    pub first_after: Span,
    /// Retention of a backup.
    pub retention: Span,
}

/// Schedule of the audit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditSchedule {
    /// Time from a project's local midnight to its audit.
    pub after_midnight: Span,
}

/// A set of checks. The limited ones are parts of the full one: the tests that the company had in 2016.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum CheckSet {
    /// Every invariant.
    #[default]
    Full,
    /// Only that the files exist which the manifests name, however often compaction has run over their day.
    Existence,
    /// Only the contents of days over which compaction has run once.
    SingleRun,
}

impl CheckSet {
    /// Whether every invariant is checked.
    #[must_use]
    pub fn is_full(&self) -> bool {
        *self == CheckSet::Full
    }

    /// Returns the sets, the default first.
    pub(crate) fn variants() -> Vec<Variant> {
        let about = |set: &CheckSet| match set {
            CheckSet::Full => "Every invariant.",
            CheckSet::Existence => "Only that the files exist which the manifests name.",
            CheckSet::SingleRun => "Only the contents of days over which compaction has run once.",
        };
        CheckSet::VARIANTS.iter().map(|set| Variant { name: set.into(), about: about(set) }).collect()
    }
}

/// A release and its planted bugs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseConfig {
    /// Name of the release.
    pub name: String,
    /// Names of planted bugs, as `latent bugs` prints them; or `hostile`, an adversary beside the node's tasks.
    pub bugs: Vec<String>,
    /// Whether the release is one of the run's faults: what its merges do to production counts as a loss, which the run
    /// must notice and restore, and not as a violation. Without it, the release is what is tested.
    #[serde(default, rename = "fault", skip_serializing_if = "std::ops::Not::not")]
    pub is_fault: bool,
}

/// A deploy of a release.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Time of the deploy.
    pub at: Timestamp,
    /// Name of the release: `good` or one of the scenario's releases.
    pub release: String,
    /// Nodes that the deploy moves, and the order in which it moves them.
    pub to: DeployTarget,
}

/// Nodes that a deploy moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeployTarget {
    /// All nodes of production at once.
    All,
    /// The nodes that protect production, all at once: object stores, backup, audit, operator.
    Protection,
    /// One node after another, with a pause between two nodes.
    Rolling {
        /// Pause between two nodes.
        pause: Span,
    },
    /// One replica set (0 or 1) and the worker that is the first choice for it.
    Canary {
        /// Number of the replica set.
        #[schemars(range(max = 1))]
        replica_set: u16,
    },
    /// The nodes with these names.
    Nodes(Vec<String>),
}

/// Settings of the operator.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OperatorConfig {
    /// Time from an alarm to the start of a recovery. The operator also waits until production runs `good` again.
    pub reaction: Span,
}

fn default_healing() -> Span {
    Span(Duration::from_secs(2 * 86_400))
}

fn default_same_day() -> u32 {
    800_000
}
