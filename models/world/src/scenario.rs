//! Scenario configuration of this system: the part of a scenario file that describes the world to simulate.
//!
//! Shares are given in parts per million (`_ppm`), so that no decision depends on a float. Fields with a default are
//! off by default: no fault, deploy or drill happens unless the scenario names it.

use crate::credentials::Credentials;
use crate::load::LoadPattern;
use crate::nemesis::NemesisConfig;
use crate::operations::Operation;
use crate::topology::NodeNames;
use crate::workload::{RequestMix, WorkloadSpecError};
use latent_engine::{Moment, Problem, Scenario, Span};
use latent_pipeline::release::Bug;
use latent_pipeline::zone::ZoneHistory;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::time::Duration;

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
    /// Releases other than `good`, each with its planted bugs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseConfig>,
    /// Deploys: which nodes move to which release, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deploys: Vec<Deploy>,
    /// Faults drawn from the seed, in addition to the faults that the scenario names. Absent: none.
    #[serde(rename = "trouble", default, skip_serializing_if = "Option::is_none")]
    pub nemesis: Option<NemesisConfig>,
    /// Load patterns: bursts, offline devices, retry storms, wrong device clocks, client backlogs. Empty: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<LoadPattern>,
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
    #[schemars(transform = max::<100_000>)]
    pub events_per_day: (u32, u32),
    /// Number of times per day at which a customer's clients send.
    #[schemars(range(min = 1, max = 86_400))]
    pub requests_per_day: u32,
    /// Share of events that arrive 2 h or more after their event time, minimum and maximum. Each customer draws its
    /// own share.
    #[serde(default)]
    #[schemars(transform = max::<1_000_000>)]
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
    /// Weights of the request formats.
    #[serde(default)]
    pub api: ApiWeights,
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

impl From<&ApiWeights> for RequestMix {
    fn from(api: &ApiWeights) -> RequestMix {
        RequestMix {
            track_raw: api.track_raw,
            track_form: api.track_form,
            track_get: api.track_get,
            import_json: api.import_json,
            import_ndjson: api.import_ndjson,
            gzip_ppm: api.gzip_ppm,
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
}

impl Default for CompactionThresholds {
    fn default() -> Self {
        CompactionThresholds {
            late_seal_events: 2,
            two_runs_from_events: 100,
            grace: Span(Duration::from_secs(3 * 3600)),
        }
    }
}

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

/// A release and its planted bugs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseConfig {
    /// Name of the release.
    pub name: String,
    /// Names of planted bugs: `recompaction-overwrites`, `compaction-alters-event`, `hostile`.
    pub bugs: Vec<String>,
}

/// A deploy of a release.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// Time of the deploy.
    pub at: Moment,
    /// Name of the release: `good` or one of the scenario's releases.
    pub release: String,
    /// Nodes that the deploy moves, and the order in which it moves them.
    pub to: DeployTarget,
}

/// Production nodes that a deploy moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeployTarget {
    /// All nodes at once.
    All,
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

/// The checker reads a day's files once an hour, so replaced files must stay at least as long.
const MIN_GRACE: Duration = Duration::from_secs(3_600);
/// A backup may take this long: it waits for slow links, and a failed backup is retried.
const MIN_INTERVAL: Duration = Duration::from_secs(3_600);
/// Maximum number of customers in all classes together.
const MAX_CUSTOMERS: u64 = 2_000;

/// Sets the maximum of both numbers of a pair in the schema: schemars has no attribute for the items of a tuple.
pub(crate) fn max<const MOST: u32>(pair: &mut Schema) {
    let items = pair.get_mut("prefixItems").and_then(|items| items.as_array_mut());
    for item in items.into_iter().flatten().filter_map(|item| item.as_object_mut()) {
        item.insert("maximum".to_owned(), MOST.into());
    }
}

fn default_healing() -> Span {
    Span(Duration::from_secs(2 * 86_400))
}

fn default_same_day() -> u32 {
    800_000
}

/// Checks constraints that span several fields.
pub(crate) fn check(scenario: &Scenario<WorldConfig>) -> Vec<Problem> {
    let config = &scenario.topic;
    let mut problems = check_topology(config);
    if let Some(without) = config.heal_without.as_ref() {
        let disks = NodeNames::new(config).disks;
        if !disks.iter().any(|disk| disk == without.disk()) {
            let message = format!("no disk is called '{}'", without.disk());
            problems.push(Problem::at("/heal_without", message, "write a disk from disk-1 on"));
        }
        if usize::from(config.topology.copies) <= usize::from(config.topology.ack_copies) {
            let hint = "give the topology more copies, or leave the field out";
            problems.push(Problem::at("/heal_without", "every copy is needed to acknowledge", hint));
        }
    }
    if config.zones.iter().all(|zone| zone.weight == 0) {
        problems.push(Problem::at("/zones", "no zone has a weight", "give at least one zone a weight of 1"));
    }
    for (index, share) in config.zones.iter().enumerate() {
        if ZoneHistory::constant(&share.zone).is_err() {
            let message = format!("no time zone is called '{}'", share.zone);
            let hint = "write a name of the IANA database, such as America/Los_Angeles";
            problems.push(Problem::at(format!("/zones/{index}/zone"), message, hint));
        }
    }
    problems.extend(check_tenants(config));
    problems.extend(check_protection(scenario));
    problems.extend(check_releases(scenario));
    problems.extend(crate::topology::check_fault_nodes(scenario));
    problems.extend(crate::operations::check(scenario));
    problems.extend(crate::nemesis::check(config));
    problems.extend(crate::load::check(scenario));
    problems.extend(crate::liveness::check(config));
    if problems.is_empty() {
        problems.extend((0..config.tenants.len()).filter_map(|index| check_spec(config, index)));
    }
    problems
}

fn check_topology(config: &WorldConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let topology = &config.topology;
    if topology.workers > topology.copies {
        let message = format!("{} workers, but there are {} disks", topology.workers, topology.copies);
        let hint = format!("write a number from 1 to {}", topology.copies);
        problems.push(Problem::at("/topology/workers", message, hint));
    }
    if topology.ack_copies > topology.copies {
        problems.push(Problem::at(
            "/topology/ack_copies",
            format!(
                "an acknowledgement needs {} copies, but there are {} disks",
                topology.ack_copies, topology.copies
            ),
            format!("write a number from 1 to {}", topology.copies),
        ));
    }
    problems
}

fn check_tenants(config: &WorldConfig) -> Vec<Problem> {
    let mut problems = Vec::new();
    let count: u64 = config.tenants.iter().map(|class| u64::from(class.count)).sum();
    if count == 0 || count > MAX_CUSTOMERS {
        let hint = format!("write classes whose counts add up to 1 to {MAX_CUSTOMERS}");
        problems.push(Problem::at("/tenants", format!("{count} customers"), hint));
    }
    for (index, class) in config.tenants.iter().enumerate() {
        for (field, (min, max)) in [("events_per_day", class.events_per_day), ("late_ppm", class.late_ppm)] {
            if min > max {
                let pointer = format!("/tenants/{index}/{field}");
                problems.push(Problem::at(
                    pointer,
                    format!("from {min} to {max}"),
                    "write the minimum first",
                ));
            }
        }
        let of_late_ppm = class.late_same_day_ppm + class.very_late_ppm;
        if of_late_ppm > 1_000_000 {
            let message = format!(
                "late_same_day_ppm and very_late_ppm are shares of one whole: {of_late_ppm} together"
            );
            let hint =
                "write two numbers of 1000000 together; late_same_day_ppm is 800000 where it is not written";
            problems.push(Problem::at(format!("/tenants/{index}/very_late_ppm"), message, hint));
        }
    }
    problems
}

/// Checks that a class's workload specification is valid, after all other checks have passed.
fn check_spec(config: &WorldConfig, index: usize) -> Option<Problem> {
    let error = crate::plan::largest_spec(config, &config.tenants[index]).check().err()?;
    let field = match &error {
        WorkloadSpecError::NoImport { .. } | WorkloadSpecError::Zero { field: "api", .. } => "/api",
        WorkloadSpecError::Share { .. }
        | WorkloadSpecError::Range { .. }
        | WorkloadSpecError::Zero { .. } => "",
    };
    Some(Problem::at(format!("/tenants/{index}{field}"), error.to_string(), "change the class or its load"))
}

fn check_protection(scenario: &Scenario<WorldConfig>) -> Vec<Problem> {
    let config = &scenario.topic;
    let mut problems = Vec::new();
    let protection = &config.protection;
    if config.compaction.grace.0 < MIN_GRACE {
        let message = format!("replaced files are removed after {}", config.compaction.grace);
        let hint =
            format!("write at least {}: until then each run is compared with its inputs", Span(MIN_GRACE));
        problems.push(Problem::at("/compaction/grace", message, hint));
    }
    if let Some(backup) = &protection.backup {
        if backup.interval.0 < MIN_INTERVAL {
            let message = format!("a backup every {}", backup.interval);
            let hint = format!("write at least {}: one may take as long", Span(MIN_INTERVAL));
            problems.push(Problem::at("/protection/backup/interval", message, hint));
        }
        if backup.first_after.0 >= scenario.run_for.0 {
            let message = format!(
                "the first backup comes {} after the start, and the run lasts {}",
                backup.first_after, scenario.run_for
            );
            problems.push(Problem::at(
                "/protection/backup/first_after",
                message,
                "write a shorter time, or leave backups out",
            ));
        }
    }
    if protection.audit.is_some() && protection.tee.is_none() {
        let hint = "give the scenario a tee, or leave the audit out";
        problems.push(Problem::at("/protection/audit", "an audit compares exports with the tee", hint));
    }
    if let (Some(tee), Some(backup)) = (&protection.tee, &protection.backup)
        && backup.retention.0 < tee.retention.0 + backup.interval.0
    {
        problems.push(Problem::at(
            "/protection/backup/retention",
            "the last backup before the oldest request of the tee could expire",
            "write at least the tee's retention plus the interval",
        ));
    }
    if config.operator.is_some() && protection.audit.is_none() {
        let hint = "give the scenario an audit, or leave the operator out";
        problems.push(Problem::at(
            "/operator",
            "without an audit there are no alarms for the operator",
            hint,
        ));
    }
    problems
}

fn check_releases(scenario: &Scenario<WorldConfig>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let config = &scenario.topic;
    let known: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
    for (index, release) in config.releases.iter().enumerate() {
        for (bug, name) in release.bugs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let hint = format!("write one of: {}", known.join(", "));
                let pointer = format!("/releases/{index}/bugs/{bug}");
                problems.push(Problem::at(pointer, format!("no planted bug is called '{name}'"), hint));
            }
        }
    }
    for (index, deploy) in config.deploys.iter().enumerate() {
        let exists = deploy.release == "good" || config.releases.iter().any(|r| r.name == deploy.release);
        if !exists {
            let hint = "write good, or the name of one of the scenario's releases";
            let message = format!("no release is called '{}'", deploy.release);
            problems.push(Problem::at(format!("/deploys/{index}/release"), message, hint));
        }
        if deploy.at.0 < scenario.start.0 || deploy.at.0 > scenario.end().0 {
            let message = format!("the deploy at {} is outside the run", deploy.at);
            let hint = format!("write an instant from {} to {}", scenario.start, scenario.end());
            problems.push(Problem::at(format!("/deploys/{index}/at"), message, hint));
        }
    }
    problems
}
