//! The pipeline as the nemesis sees it: its nodes by role, the paths on their disks, the marks of its jobs, and the
//! times of the nightly ones.

use crate::plan::time_limits::REPAIRED_AFTER_MS;
use crate::scenario::{NodeNames, SCRUB_AFTER_MIDNIGHT, TeeFailurePolicy, WorldConfig, store_conditions};
use latent_engine::Scenario;
use latent_engine::sim::RemoveDirectory;
use latent_nemesis::{ConditionRange, Conditions, FaultTargets, PartDraws, Role, RunWindow};
use latent_pipeline::marks;
use latent_pipeline::zone::{Day, ZoneHistory};
use latent_ports::{MarkName, UnixMs};

const DAY_MS: i64 = 86_400_000;
/// No fault strikes before every node has booted for the first time.
const WARM_UP_MS: i64 = 600_000;

/// Marks of the jobs of disks and workers.
const MARKS: [MarkName; 12] = [
    marks::COMPACTION_MERGING,
    marks::COMPACTION_OUTPUT_DURABLE,
    marks::COMPACTION_COMMITTED,
    marks::ARB_SEGMENT_OPENED,
    marks::ARB_DAY_QUARANTINED,
    marks::REPAIR_COMPARED,
    marks::REPAIR_COPIES_DIFFER,
    marks::INGEST_HINTED,
    marks::HINTS_HANDED_OFF,
    marks::BACKUP_STARTED,
    marks::BACKUP_COPIED,
    marks::RECOVERY_STARTED,
];

/// The nodes of a scenario.
pub(crate) struct PipelineTargets<'a> {
    scenario: &'a Scenario<WorldConfig>,
    names: NodeNames,
    roles: Vec<Role>,
    data_role: usize,
    conditions: Option<Conditions>,
}

impl<'a> PipelineTargets<'a> {
    pub fn new(scenario: &'a Scenario<WorldConfig>) -> PipelineTargets<'a> {
        let names = NodeNames::new(&scenario.config);
        let roles: Vec<Role> =
            names.roles().into_iter().map(|nodes| role(nodes, &names, &scenario.config)).collect();
        let data_role = roles.iter().position(|role| role.nodes == names.disks).unwrap_or(0);
        let stores = names.stores();
        let conditions = (!stores.is_empty()).then(|| Conditions { nodes: stores, kinds: conditions() });
        PipelineTargets { scenario, names, roles, data_role, conditions }
    }
}

fn role(nodes: Vec<String>, names: &NodeNames, config: &WorldConfig) -> Role {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    let is_store = names.tee_store.iter().any(|store| nodes.contains(store)) || nodes == names.data_centers;
    let paths: &[&str] = match () {
        () if nodes == names.disks => &["arb/"],
        () if nodes == names.ingest => &["hints/"],
        () if nodes == names.edges => &["tee/", "tee-peer/"],
        () if is_store => &["incoming/", "objects/", "objects/segments/", "objects/catalogs/"],
        () => &[],
    };
    let damaged: &[&str] = match () {
        () if nodes == names.disks => &["arb/"],
        () if nodes == names.data_centers => &["objects/segments/", "objects/"],
        () => &[],
    };
    let is_edge = nodes == names.edges;
    // Only an edge knows of its open gaps, and a single one has no peer.
    let tee = config.protection.tee.as_ref();
    let has_gaps = tee.is_some_and(|tee| tee.on_failure == TeeFailurePolicy::AcceptAndRecordGap);
    Role {
        path_prefixes: owned(paths),
        damaged_paths: owned(damaged),
        is_disk_replaceable: !is_edge || (!has_gaps && nodes.len() > 1),
        // Customers reach an edge over connections, which never duplicate: a duplicated request would be a new one.
        may_duplicate: !is_edge,
        ..Role::of(nodes)
    }
}

/// Conditions of object stores. Short pages have a number of keys, the others a share of the calls in millionths.
fn conditions() -> Vec<ConditionRange> {
    let levels = |name: &'static str| match name {
        store_conditions::SHORT_PAGES => 1..=20,
        _ => 100_000..=900_000,
    };
    store_conditions::STORE_CONDITIONS.map(|name| ConditionRange { name, levels: levels(name) }).to_vec()
}

/// Returns the times within which faults strike. Damage must leave time for the scrub before the final check.
pub(super) fn run_window(scenario: &Scenario<WorldConfig>) -> RunWindow {
    let (start_ms, last_ms) = (scenario.start.0.0, scenario.end().0.0);
    let healing_ms = i64::try_from(scenario.config.healing.0.as_millis()).unwrap_or(i64::MAX);
    let last_damage_ms = last_ms - (REPAIRED_AFTER_MS - healing_ms).max(0);
    RunWindow { start_ms, first_ms: start_ms + WARM_UP_MS, last_ms, last_damage_ms, longest_ms: u64::MAX }
}

impl FaultTargets for PipelineTargets<'_> {
    fn roles(&self) -> &[Role] {
        &self.roles
    }

    fn data_role(&self) -> usize {
        self.data_role
    }

    fn window(&self) -> RunWindow {
        run_window(self.scenario)
    }

    fn marks(&self) -> &[MarkName] {
        &MARKS
    }

    fn conditions(&self) -> Option<&Conditions> {
        self.conditions.as_ref()
    }

    /// The nightly compaction or the comparison of a zone.
    fn next_job_ms(&self, draws: PartDraws<'_>, at_ms: i64) -> Option<i64> {
        let zone = draws.pick(96, &self.scenario.config.zones).zone;
        let midnight = ZoneHistory::constant(&zone).ok()?.next_midnight(UnixMs(at_ms));
        let job = if draws.within(97, 0, 2) == 0 { midnight + SCRUB_AFTER_MIDNIGHT } else { midnight };
        Some(job.0)
    }

    fn has_removable_directories(&self) -> bool {
        true
    }

    /// What a data center or a disk holds: all of it, that of a project, or a recent project-day.
    fn removed_directory(&self, draws: PartDraws<'_>, at_ms: i64) -> Option<RemoveDirectory> {
        if !self.names.data_centers.is_empty() && draws.within(4, 0, 3) == 0 {
            let node = draws.pick(0, &self.names.data_centers);
            let path = draws.pick(3, &["objects/segments", "objects/catalogs", "objects"]).to_owned();
            return Some(RemoveDirectory { node, path });
        }
        let projects: u32 = self.scenario.config.tenants.iter().map(|class| class.count).sum();
        let project = draws.within(2, 1, u64::from(projects.max(1)));
        let back = draws.within(5, 0, 3);
        let day = Day(i32::try_from(at_ms.div_euclid(DAY_MS)).unwrap_or(0) - back as i32);
        let paths = ["arb".to_owned(), format!("arb/{project}"), format!("arb/{project}/{day}")];
        let path = draws.pick(3, &paths);
        let node = draws.pick(0, &self.names.disks);
        Some(RemoveDirectory { node, path })
    }
}
