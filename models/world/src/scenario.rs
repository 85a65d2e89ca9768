//! The system's own part of a scenario: what a person writes to say which world is to be simulated.
//!
//! Shares are written in parts per million (`_ppm`), so that no float decides anything. Everything that a field's
//! default leaves out is off: no fault, no deploy, no drill unless the scenario names it.

use crate::credentials::Credentials;
use crate::load::Load;
use crate::operations::Operation;
use crate::topology::Names;
use crate::trouble::Trouble;
use crate::workload::{ApiMix, LawError};
use latent_engine::{Scenario, ScenarioProblem, Span, Timestamp};
use latent_pipeline::release::Bug;
use latent_pipeline::zone::ZoneHistory;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A world of edges, ingest, Arb, compaction, backup, replay, and their clients.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// How many nodes of each kind.
    #[serde(default)]
    pub topology: Topology,
    /// Where customers are: time zones around the globe, in the order of their offsets. Every class of tenants is
    /// dealt over them in proportion to their weights.
    pub zones: Vec<ZoneShare>,
    /// The customers, by class.
    pub tenants: Vec<TenantClass>,
    /// Thresholds of compaction, scaled down with the volumes.
    #[serde(default)]
    pub compaction: Compaction,
    /// What guards against losing everything.
    #[serde(default)]
    pub protection: Protection,
    /// Releases besides `good`, with the bugs planted in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<ReleaseTopic>,
    /// Which nodes move to which release, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deploys: Vec<Deploy>,
    /// Faults that the seed draws, besides those that the scenario names; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// Bursts, devices out of reach, retry storms, wrong clocks; absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub load: Vec<Load>,
    /// The operator who answers alarms; absent: nobody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Operator>,
    /// What operators do besides answering alarms: planned recoveries, and mistakes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
    /// Recovery drills on copies of backups and tee, at instants that the seed draws.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub drills: u32,
    /// Exports that each customer reads, at instants that the seed draws.
    #[serde(default)]
    #[schemars(range(max = 1_000))]
    pub exports_per_project: u32,
    /// How long the world goes on without clients and faults before the last judgement: long enough for backlogs to
    /// drain, ended days to be compacted, and copies to be compared, more than 27 h.
    #[serde(default = "default_healing")]
    pub healing: Span,
    /// A disk that does not come back when trouble is over: the rest must heal without it. Absent: all come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heal_without: Option<HealWithout>,
}

/// A disk without which the rest heals, by name: `disk-3`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HealWithout {
    /// Its process is down.
    Down(String),
    /// It runs, and no other node reaches it or is reached by it.
    CutOff(String),
}

impl HealWithout {
    /// The disk.
    pub(crate) fn disk(&self) -> &str {
        match self {
            HealWithout::Down(disk) | HealWithout::CutOff(disk) => disk,
        }
    }
}

/// How many nodes of each kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Topology {
    /// Load balancers, 1 to 5, each with a tee if there is one. The second copy of a request is on any other edge; where
    /// there is only one, none is until the request is in the tee store.
    #[schemars(range(min = 1, max = 5))]
    pub edges: u16,
    /// Ingest nodes.
    #[schemars(range(min = 1, max = 16))]
    pub ingest: u16,
    /// Disks of Arb: each holds a copy of every event. Half of them are one replica set.
    #[schemars(range(min = 1, max = 16))]
    pub copies: u16,
    /// A request is acknowledged when this many disks hold it. With a single one, any damage could take what was
    /// acknowledged, and no other copy could say so.
    #[schemars(range(min = 2, max = 16))]
    pub ack_copies: u16,
    /// Compaction workers; each is first on its share of the disks.
    #[schemars(range(min = 1, max = 16))]
    pub workers: u16,
    /// Data centers that take backups.
    #[schemars(range(min = 1, max = 4))]
    pub data_centers: u16,
    /// Who may do what at the object stores: by default as little as each role needs.
    #[serde(skip_serializing_if = "Credentials::is_usual")]
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

/// A time zone and how many customers live in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneShare {
    /// A name of the IANA database, such as `Asia/Kathmandu`.
    pub zone: String,
    /// Relative to the other zones' weights.
    #[schemars(range(max = 1_000_000))]
    pub weight: u32,
}

/// Customers of one kind.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantClass {
    /// What they are called in reports.
    pub name: String,
    /// How many there are.
    #[schemars(range(min = 1, max = 2_000))]
    pub count: u32,
    /// Events a day, least and most.
    #[schemars(transform = most::<100_000>)]
    pub events_per_day: (u32, u32),
    /// At how many moments of a day clients send.
    #[schemars(range(min = 1, max = 86_400))]
    pub requests_per_day: u32,
    /// Share of events that arrive 2 h or more after their time: least and most; each customer draws its own.
    #[serde(default)]
    #[schemars(transform = most::<1_000_000>)]
    pub late_ppm: (u32, u32),
    /// Of the late ones, the share that arrives before the local day is over.
    #[serde(default = "default_same_day")]
    #[schemars(range(max = 1_000_000))]
    pub late_same_day_ppm: u32,
    /// Of the late ones, the share that arrives after days.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub very_late_ppm: u32,
    /// Events that are sent a second time, byte for byte.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub repeated_ppm: u32,
    /// Events without `$insert_id`.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub no_insert_id_ppm: u32,
    /// Events without `time`.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub no_time_ppm: u32,
    /// Events that must be rejected.
    #[serde(default)]
    #[schemars(range(max = 1_000_000))]
    pub invalid_ppm: u32,
    /// How requests travel.
    #[serde(default)]
    pub api: Api,
}

/// Relative weights of the ways in which a request travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Api {
    /// `POST /track`, raw JSON.
    #[schemars(range(max = 1_000_000))]
    pub track_raw: u32,
    /// `POST /track`, a form.
    #[schemars(range(max = 1_000_000))]
    pub track_form: u32,
    /// `GET /track`.
    #[schemars(range(max = 1_000_000))]
    pub track_get: u32,
    /// `POST /import`, a JSON array.
    #[schemars(range(max = 1_000_000))]
    pub import_json: u32,
    /// `POST /import`, one event a line.
    #[schemars(range(max = 1_000_000))]
    pub import_ndjson: u32,
    /// The share of imports that is gzipped.
    #[schemars(range(max = 1_000_000))]
    pub gzip_ppm: u32,
}

impl Default for Api {
    fn default() -> Self {
        Api { track_raw: 2, track_form: 1, track_get: 0, import_json: 4, import_ndjson: 3, gzip_ppm: 100_000 }
    }
}

impl From<&Api> for ApiMix {
    fn from(api: &Api) -> ApiMix {
        ApiMix {
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
pub struct Compaction {
    /// A day's late tier with this many events is sealed and gets a run of its own.
    #[schemars(range(max = 1_000_000_000))]
    pub late_seal_events: u64,
    /// A day with fewer events is merged in one run.
    #[schemars(range(max = 1_000_000_000))]
    pub two_runs_from_events: u64,
    /// Replaced files stay for this long.
    pub grace: Span,
}

impl Default for Compaction {
    fn default() -> Self {
        Compaction {
            late_seal_events: 2,
            two_runs_from_events: 100,
            grace: Span(Duration::from_secs(3 * 3600)),
        }
    }
}

/// What guards against losing everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// The raw copy of all requests, taken at the edges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tee: Option<Tee>,
    /// Backups to the data centers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// The nightly audit of exports against the tee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
}

/// The tee.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tee {
    /// How long a request is kept, by arrival.
    pub retention: Span,
    /// What an edge does with a request that it cannot tee.
    #[serde(default)]
    pub on_failure: OnTeeFailure,
}

/// What an edge does with a request that it cannot tee.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnTeeFailure {
    /// Answers 503: the client keeps it.
    #[default]
    Reject,
    /// Lets it through, and writes down that the tee has a gap.
    AcceptAndRecordGap,
}

/// Backups.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// From one to the next.
    pub interval: Span,
    /// The first starts this long after the scenario does.
    pub first_after: Span,
    /// How long one is kept.
    pub retention: Span,
}

/// The audit.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// It looks at a project this long after the project's midnight.
    pub after_midnight: Span,
}

/// A release and the bugs planted in it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseTopic {
    /// Its name.
    pub name: String,
    /// Names of planted bugs: `recompaction-overwrites`, `compaction-alters-event`, `hostile`.
    pub bugs: Vec<String>,
}

/// A deploy.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// When.
    pub at: Timestamp,
    /// To which release.
    pub release: String,
    /// Which nodes, and in which manner.
    pub to: DeployTo,
}

/// Which nodes of production a deploy moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DeployTo {
    /// All at once.
    All,
    /// One after the other, with this pause between two.
    Rolling {
        /// The pause.
        pause: Span,
    },
    /// One replica set and the worker that is first on it: 0 or 1.
    Canary {
        /// Which set.
        #[schemars(range(max = 1))]
        replica_set: u16,
    },
    /// These nodes.
    Nodes(Vec<String>),
}

/// The operator.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// From an alarm to the begin of a recovery. It waits until production runs `good` again.
    pub reaction: Span,
}

/// The judge looks at a day's files once an hour.
const LEAST_GRACE: Duration = Duration::from_secs(3_600);
/// A backup waits for bad links, and a failed one is tried again, for as long.
const LEAST_INTERVAL: Duration = Duration::from_secs(3_600);
/// All classes together.
const MOST_CUSTOMERS: u64 = 2_000;

/// Bounds both numbers of a pair in the schema: schemars has no attribute for the items of a tuple.
pub(crate) fn most<const MOST: u32>(pair: &mut Schema) {
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

/// What no single field shows.
pub(crate) fn check(scenario: &Scenario<Topic>) -> Vec<ScenarioProblem> {
    let topic = &scenario.config;
    let mut problems = check_topology(topic);
    if let Some(without) = topic.heal_without.as_ref() {
        let disks = Names::of(topic).disks;
        if !disks.iter().any(|disk| disk == without.disk()) {
            let said = format!("no disk is called '{}'", without.disk());
            problems.push(ScenarioProblem::at("/heal_without", said, "write a disk from disk-1 on"));
        }
        if usize::from(topic.topology.copies) <= usize::from(topic.topology.ack_copies) {
            let hint = "give the topology more copies, or leave the field out";
            problems.push(ScenarioProblem::at("/heal_without", "every copy is needed to acknowledge", hint));
        }
    }
    if topic.zones.iter().all(|zone| zone.weight == 0) {
        problems.push(ScenarioProblem::at(
            "/zones",
            "no zone has a weight",
            "give at least one zone a weight of 1",
        ));
    }
    for (index, share) in topic.zones.iter().enumerate() {
        if ZoneHistory::constant(&share.zone).is_err() {
            let said = format!("no time zone is called '{}'", share.zone);
            let hint = "write a name of the IANA database, such as America/Los_Angeles";
            problems.push(ScenarioProblem::at(format!("/zones/{index}/zone"), said, hint));
        }
    }
    problems.extend(check_tenants(topic));
    problems.extend(check_protection(scenario));
    problems.extend(check_releases(scenario));
    problems.extend(crate::topology::check_fault_nodes(scenario));
    problems.extend(crate::operations::check(scenario));
    problems.extend(crate::trouble::check(topic));
    problems.extend(crate::load::check(scenario));
    problems.extend(crate::settled::check(topic));
    if problems.is_empty() {
        problems.extend((0..topic.tenants.len()).filter_map(|index| check_law(topic, index)));
    }
    problems
}

fn check_topology(topic: &Topic) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let topology = &topic.topology;
    if topology.workers > topology.copies {
        let said = format!("{} workers, but there are {} disks", topology.workers, topology.copies);
        let hint = format!("write a number from 1 to {}", topology.copies);
        problems.push(ScenarioProblem::at("/topology/workers", said, hint));
    }
    if topology.ack_copies > topology.copies {
        problems.push(ScenarioProblem::at(
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

fn check_tenants(topic: &Topic) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let count: u64 = topic.tenants.iter().map(|class| u64::from(class.count)).sum();
    if count == 0 || count > MOST_CUSTOMERS {
        let hint = format!("write classes whose counts add up to 1 to {MOST_CUSTOMERS}");
        problems.push(ScenarioProblem::at("/tenants", format!("{count} customers"), hint));
    }
    for (index, class) in topic.tenants.iter().enumerate() {
        for (field, (least, most)) in [("events_per_day", class.events_per_day), ("late_ppm", class.late_ppm)]
        {
            if least > most {
                let pointer = format!("/tenants/{index}/{field}");
                problems.push(ScenarioProblem::at(
                    pointer,
                    format!("from {least} to {most}"),
                    "write the least first",
                ));
            }
        }
        let of_late_ppm = class.late_same_day_ppm + class.very_late_ppm;
        if of_late_ppm > 1_000_000 {
            let said = format!(
                "late_same_day_ppm and very_late_ppm are shares of one whole: {of_late_ppm} together"
            );
            let hint =
                "write two numbers of 1000000 together; late_same_day_ppm is 800000 where it is not written";
            problems.push(ScenarioProblem::at(format!("/tenants/{index}/very_late_ppm"), said, hint));
        }
    }
    problems
}

/// What the streams of a class refuse beyond that: they know best what they can follow.
fn check_law(topic: &Topic, index: usize) -> Option<ScenarioProblem> {
    let error = crate::plan::largest_law(topic, &topic.tenants[index]).check().err()?;
    let field = match &error {
        LawError::NoImport { .. } | LawError::Zero { field: "api", .. } => "/api",
        LawError::Share { .. } | LawError::Range { .. } | LawError::Zero { .. } => "",
    };
    Some(ScenarioProblem::at(
        format!("/tenants/{index}{field}"),
        error.to_string(),
        "change the class or its load",
    ))
}

fn check_protection(scenario: &Scenario<Topic>) -> Vec<ScenarioProblem> {
    let topic = &scenario.config;
    let mut problems = Vec::new();
    let protection = &topic.protection;
    if topic.compaction.grace.0 < LEAST_GRACE {
        let said = format!("files that are replaced are gone after {}", topic.compaction.grace);
        let hint =
            format!("write at least {}: until then each run is compared with its inputs", Span(LEAST_GRACE));
        problems.push(ScenarioProblem::at("/compaction/grace", said, hint));
    }
    if let Some(backup) = &protection.backup {
        if backup.interval.0 < LEAST_INTERVAL {
            let said = format!("a backup every {}", backup.interval);
            let hint = format!("write at least {}: one may take as long", Span(LEAST_INTERVAL));
            problems.push(ScenarioProblem::at("/protection/backup/interval", said, hint));
        }
        if backup.first_after.0 >= scenario.run_for.0 {
            let said = format!(
                "the first backup comes {} after the start, and the run lasts {}",
                backup.first_after, scenario.run_for
            );
            problems.push(ScenarioProblem::at(
                "/protection/backup/first_after",
                said,
                "write a shorter time, or leave backups out",
            ));
        }
    }
    if protection.audit.is_some() && protection.tee.is_none() {
        let hint = "give the scenario a tee, or leave the audit out";
        problems.push(ScenarioProblem::at(
            "/protection/audit",
            "an audit compares exports with the tee",
            hint,
        ));
    }
    if let (Some(tee), Some(backup)) = (&protection.tee, &protection.backup)
        && backup.retention.0 < tee.retention.0 + backup.interval.0
    {
        problems.push(ScenarioProblem::at(
            "/protection/backup/retention",
            "a backup could expire before the tee no longer holds what came before it",
            "write at least the tee's retention plus the interval",
        ));
    }
    if topic.operator.is_some() && protection.audit.is_none() {
        let hint = "give the scenario an audit, or leave the operator out";
        problems.push(ScenarioProblem::at("/operator", "nothing would call the operator", hint));
    }
    problems
}

fn check_releases(scenario: &Scenario<Topic>) -> Vec<ScenarioProblem> {
    let mut problems = Vec::new();
    let topic = &scenario.config;
    let known: Vec<&str> = Bug::ALL.iter().map(|bug| bug.name()).collect();
    for (index, release) in topic.releases.iter().enumerate() {
        for (bug, name) in release.bugs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let hint = format!("write one of: {}", known.join(", "));
                let pointer = format!("/releases/{index}/bugs/{bug}");
                problems.push(ScenarioProblem::at(
                    pointer,
                    format!("no planted bug is called '{name}'"),
                    hint,
                ));
            }
        }
    }
    for (index, deploy) in topic.deploys.iter().enumerate() {
        let exists = deploy.release == "good" || topic.releases.iter().any(|r| r.name == deploy.release);
        if !exists {
            let hint = "write good, or the name of one of the scenario's releases";
            let said = format!("no release is called '{}'", deploy.release);
            problems.push(ScenarioProblem::at(format!("/deploys/{index}/release"), said, hint));
        }
        if deploy.at.0 < scenario.start.0 || deploy.at.0 > scenario.end().0 {
            let said = format!("the deploy at {} lies outside of the run", deploy.at);
            let hint = format!("write an instant from {} to {}", scenario.start, scenario.end());
            problems.push(ScenarioProblem::at(format!("/deploys/{index}/at"), said, hint));
        }
    }
    problems
}
