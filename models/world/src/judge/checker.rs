//! The checker: reads copies of disks, compares them with the ledger, and collects violations.
//!
//! It decodes bytes with the oracle's own readers and trusts no statement of the pipeline. Of Arb's disks it reads
//! the durable bytes: those that a power cut at that instant would leave. Checks run between steps of the world's
//! main task: no task, timer or draw of the world is affected. A violation that several checks find counts once, at
//! its worst.
//!
//! - `production`: disks of production. `protection`: backups, tee and drills. `backlogs`: late work after faults
//!   ended. `deadlines`: work that is late although no fault kept it from being done. `reports`: what guards must
//!   report. `exports`: exports that customers read.
//! - `disk_state`: replaced, absent and compromised disks. `smallest_loss`: the loss that a report shows. `results`:
//!   the judgement.

mod backlogs;
mod check_sets;
mod deadlines;
mod disk_state;
mod exports;
mod production;
mod protection;
mod reports;
mod results;
mod smallest_loss;

use crate::actors::operator::OperatorState;
use crate::cluster::node_ids::NodeIds;
use crate::cluster::store_faults::StoreLog;
use crate::judge::bad_release::BadReleases;
use crate::judge::compacted_days::CompactedDays;
use crate::judge::corrupt_days::CorruptDays;
use crate::judge::disk_views::day_of;
use crate::judge::excuses::Excuses;
use crate::judge::inputs::{JudgeInputs, OperatorProgress};
use crate::judge::job_dependencies::DependencyMap;
use crate::judge::judgement::SmallestLossKeys;
use crate::judge::liveness::LivenessTracker;
use crate::judge::removal_watcher::RemovalWatcher;
use crate::judge::tee_retention::longer_tee_retention;
use crate::mutex::lock;
use crate::observe::alarm_calls::AlarmCalls;
use crate::observe::client_state::ClientState;
use crate::observe::disk_activity::ManifestId;
use crate::observe::fault_log::{FaultLog, FaultLogEntry};
use crate::observe::observed_reads::ObservedReads;
use crate::plan::time_limits::BACKUP_SLACK;
use crate::scenario::{SCRUB_AFTER_MIDNIGHT, TeeFailurePolicy};
use deadlines::Deadlines;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::invariants::i8_compaction::CompactionChecker;
use latent_oracle::invariants::i9_manifests::ManifestChecker;
use latent_oracle::invariants::i10_backup::BackupPolicy;
use latent_oracle::invariants::i10_retained::RetainedBackups;
use latent_oracle::invariants::i11_tee::TeeRetention;
use latent_oracle::invariants::i13_corruption::CorruptionChecker;
use latent_oracle::invariants::i13_holds::HoldChecker;
use latent_oracle::invariants::i13_reports::ReportChecker;
use latent_oracle::invariants::i13_scrub::ScrubChecker;
use latent_oracle::invariants::i13_tee_scrub::TeeScrubChecker;
use latent_oracle::invariants::i16_space::{SpaceChecker, SpaceLimits};
use latent_oracle::invariants::i17_copies::CopyChecker;
use latent_oracle::invariants::l2_compaction::DirtySegmentChecker;
use latent_oracle::loss::LossTracker;
use latent_oracle::violation_kinds::violation_kind;
use latent_oracle::{CheckContext, DecodeCache, ExcusedPeriods, ProjectDay, day};
use latent_ports::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Tolerance for early expiry: a request may wait for its file, and the file expires by clocks that are slightly off.
const TEE_EARLY_MS: i64 = 10 * 60_000;
/// Maximum time by which the name of a tee file may make it expire early: a file that the keeper first sees later than
/// this after its hour is kept from when it was seen.
const TEE_NAME_TRUSTED_MS: i64 = 12 * 3_600_000;
/// Tolerance for late expiry: the store checks every 6 h, and a request's file covers an hour.
const TEE_SLACK: Duration = Duration::from_secs(8 * 3600);

/// The state of the liveness checks after healing.
pub(super) struct HealedState<'a> {
    pub liveness: &'a mut LivenessTracker,
    /// Days for which an alarm since the end of faults reported differing copies.
    pub alarmed: &'a BTreeSet<ProjectDay>,
}

/// The checker of one run. Its methods are the steps of the phases of the judge.
pub(super) struct OracleChecker {
    client_state: Arc<ClientState>,
    read_disks: usize,
    job_dependencies: DependencyMap,
    /// Times at which faults kept jobs from working.
    excuses: Excuses,
    deadlines: Deadlines,
    backup: Option<BackupPolicy>,
    retained_backups: RetainedBackups,
    tee: Option<TeeRetention>,
    /// Whether every acknowledged request is in the tee.
    is_tee_complete: bool,
    /// Times during which an operator has configured a longer tee retention: older files may stay.
    extended_tee_retention: ExcusedPeriods,
    limits: SpaceLimits,
    decode_cache: DecodeCache,
    runs: CompactionChecker,
    /// Compactions that manifests show.
    compactions: CompactedDays,
    manifests: ManifestChecker,
    copies: CopyChecker,
    corruption: CorruptionChecker,
    scrubs: ScrubChecker,
    tee_scrubs: TeeScrubChecker,
    holds: HoldChecker,
    reports: ReportChecker,
    corrupt_days: CorruptDays,
    space: SpaceChecker,
    loss: LossTracker,
    found: BTreeMap<(String, String, Option<String>), Violation>,
    /// Number of compaction runs that were compared with their inputs.
    runs_compared: u64,
    /// Number of checks of production.
    checks: u64,
    /// Number of records on all disks at the last complete check.
    copies_held: u64,
    operator: OperatorProgress,
    /// Disks run by a hostile release: their contents are checked as readers see them, but the system is not
    /// accountable for them.
    compromised: BTreeSet<String>,
    store_log: Arc<StoreLog>,
    /// The disk that stays unavailable.
    abandoned_disk: Option<NodeId>,
    backups_checked_at_ms: i64,
    /// Data centers and positions of backups that were found too old.
    stale_backups: BTreeSet<(NodeId, i64)>,
    /// Paths of the catalogs that were checked when they were new.
    catalogs_seen: BTreeSet<(NodeId, String)>,
    /// Whether some release of the run has a planted bug.
    has_planted_bugs: bool,
    bad_releases: BadReleases,
    faults_planned: bool,
    fault_log: Arc<Mutex<FaultLog>>,
    observed_reads: Arc<Mutex<ObservedReads>>,
    alarm_calls: Arc<Mutex<AlarmCalls>>,
    operator_state: Arc<Mutex<OperatorState>>,
    removal_watcher: Arc<Mutex<RemovalWatcher>>,
    /// Number of disks that hold an event when it is acknowledged.
    ack_disks: usize,
    /// Uncompacted segments of ended days.
    dirty: DirtySegmentChecker,
    /// Directories of quarantined days.
    quarantined_dirs: Vec<(NodeId, String)>,
    /// Number of these directories that were in the scope of a check.
    quarantined_dirs_checked: usize,
    /// Time at which a fault removed contents of a node, by name.
    emptied_ms: BTreeMap<String, i64>,
    /// Maximum number of events that a drill lacked because their requests are in open gaps of the tee.
    missing_by_design: u64,
    smallest: Option<(u64, SmallestLossKeys)>,
}

impl OracleChecker {
    pub fn new(inputs: JudgeInputs<'_>) -> OracleChecker {
        let JudgeInputs {
            scenario,
            operations,
            world,
            client_state,
            fault_log,
            observed_reads,
            alarm_calls,
            operator_state,
            removal_watcher,
            store_log,
        } = inputs;
        let (config, first_ms) = (&scenario.config, scenario.start.0.0);
        let ms = |duration: Duration| duration.as_millis() as i64;
        let backup = config.protection.backup.as_ref().map(|backup| BackupPolicy {
            since_ms: first_ms + ms(backup.first_after.0) - ms(backup.interval.0),
            interval_ms: ms(backup.interval.0),
            slack_ms: ms(BACKUP_SLACK),
            retention_ms: ms(backup.retention.0),
            excused: ExcusedPeriods::default(),
            emptied_ms: None,
        });
        let edge_skew_ms = lock(&client_state.ledger).config().clock_skew_ms;
        let tee = config.protection.tee.as_ref().map(|tee| TeeRetention {
            retention_ms: ms(tee.retention.0),
            tolerance_ms: edge_skew_ms.min(TEE_NAME_TRUSTED_MS) + TEE_EARLY_MS,
            name_tolerance_ms: edge_skew_ms + TEE_EARLY_MS,
            undisturbed_since_ms: i64::MIN / 2,
        });
        let grace_ms = ms(config.compaction.grace.0);
        let limits = SpaceLimits {
            // A backup may pin a file for an hour, and the clean-up runs every ten minutes.
            orphan_age_ms: grace_ms + 2 * 3_600_000,
            // Filled again on one night, found equal on the next.
            quarantine_age_ms: grace_ms + 50 * 3_600_000,
            used_per_live_percent: 400,
            allowance_bytes: 16 << 20,
            tee_age_ms: tee.map_or(i64::MAX / 2, |tee| tee.retention_ms + ms(TEE_SLACK)),
        };
        let job_dependencies = DependencyMap::new(config);
        let excuses = Excuses::new(scenario, job_dependencies.repairer());
        let read_disks = usize::from(config.topology.copies - config.topology.ack_copies) + 1;
        OracleChecker {
            client_state,
            read_disks,
            job_dependencies,
            excuses,
            deadlines: Deadlines::new(SCRUB_AFTER_MIDNIGHT),
            backup,
            retained_backups: RetainedBackups::default(),
            tee,
            is_tee_complete: config
                .protection
                .tee
                .as_ref()
                .is_some_and(|tee| tee.on_failure == TeeFailurePolicy::Reject),
            extended_tee_retention: longer_tee_retention(operations, scenario),
            limits,
            decode_cache: DecodeCache::default(),
            runs: CompactionChecker::default(),
            compactions: CompactedDays::default(),
            manifests: ManifestChecker::default(),
            copies: CopyChecker::default(),
            corruption: CorruptionChecker::default(),
            scrubs: ScrubChecker::default(),
            tee_scrubs: TeeScrubChecker::default(),
            holds: HoldChecker::default(),
            reports: ReportChecker::default(),
            corrupt_days: CorruptDays::default(),
            space: SpaceChecker::default(),
            loss: LossTracker::default(),
            found: BTreeMap::new(),
            runs_compared: 0,
            checks: 0,
            copies_held: 0,
            operator: OperatorProgress::default(),
            compromised: BTreeSet::new(),
            store_log,
            abandoned_disk: None,
            backups_checked_at_ms: i64::MIN / 2,
            stale_backups: BTreeSet::new(),
            catalogs_seen: BTreeSet::new(),
            has_planted_bugs: config.releases.iter().any(|release| !release.bugs.is_empty()),
            bad_releases: BadReleases::new(config),
            // Read from the world: a shrunk case has its faults only in its plan.
            faults_planned: !world.fault_outcomes().is_empty() || !config.deploys.is_empty(),
            smallest: None,
            fault_log,
            observed_reads,
            alarm_calls,
            operator_state,
            removal_watcher,
            ack_disks: usize::from(config.topology.ack_copies),
            dirty: DirtySegmentChecker::default(),
            quarantined_dirs: Vec::new(),
            quarantined_dirs_checked: 0,
            emptied_ms: BTreeMap::new(),
            missing_by_design: 0,
        }
    }

    /// Applies the events of the fault log since the last check.
    fn apply_fault_log(&mut self, world: &World, nodes: &NodeIds) {
        let now_ms = world.now().0;
        let (happened, troubled) = {
            let mut fault_log = lock(&self.fault_log);
            self.excuses.update(world, |name, since_ms| fault_log.first_boot_ms(world, name, since_ms));
            (fault_log.take(), fault_log.has_active_faults())
        };
        self.faults_planned |= troubled;
        for one in happened {
            match one {
                FaultLogEntry::Booted(node, at_ms) => self.space.record_boot(&world.node_name(node), at_ms),
                FaultLogEntry::TeeFileCreated(node, path, at_ms) => {
                    self.space.record_tee_file(&world.node_name(node), &path, at_ms);
                }
                FaultLogEntry::SegmentCreated(node, project_day, id, at_ms) => {
                    self.segment_created(&world.node_name(node), project_day, id, at_ms);
                }
                FaultLogEntry::HintCreated(node, path, at_ms) => {
                    self.deadlines.hint_created(node, path, at_ms)
                }
                FaultLogEntry::Quarantined(node, path) => self.quarantined_dirs.push((node, path)),
                FaultLogEntry::DiskReplaced(name) => {
                    self.disk_emptied(&name);
                    self.emptied_ms.insert(name, now_ms);
                }
            }
        }
        for down in nodes.disks.iter().filter(|node| !world.is_up(**node)) {
            self.space.record_boot(&world.node_name(*down), now_ms);
        }
    }

    /// Returns the days quarantined since the last call. They are checked while the quarantined directory exists: it
    /// shows that the day was restarted, and is removed within a day or two.
    pub fn newly_quarantined_days(&mut self, world: &World, nodes: &NodeIds) -> BTreeSet<ProjectDay> {
        self.apply_fault_log(world, nodes);
        let new = &self.quarantined_dirs[self.quarantined_dirs_checked..];
        self.quarantined_dirs_checked = self.quarantined_dirs.len();
        new.iter().filter_map(|(_, path)| day_of(path.split(".corrupt-").next()?)).collect()
    }

    /// Returns the days to check because their written manifests show it.
    pub fn changed_days(
        &mut self,
        world: &World,
        nodes: &NodeIds,
        written: &BTreeMap<ManifestId, Vec<i64>>,
    ) -> BTreeSet<ProjectDay> {
        // A replaced disk is forgotten first.
        self.apply_fault_log(world, nodes);
        self.compactions.update(world, nodes, &mut self.decode_cache, written)
    }

    /// Reports what was removed against the laws of removals since the last call.
    pub fn report_removals(&mut self, world: &World) {
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        let found = lock(&self.removal_watcher).take_found(&ledger, self.ack_disks, world);
        drop(ledger);
        self.report(found);
    }

    fn check_context(&self, world: &World, stage: &str, healed: bool) -> CheckContext {
        let at_ms = world.now().0;
        CheckContext {
            at_ms,
            stage: stage.to_owned(),
            settled_before_ms: at_ms,
            faults_active: self.faults_planned && !healed,
            replays: self.operator.started,
            damaged_disks: lock(&self.fault_log).damaged.clone(),
        }
    }

    /// Adds violations, keeping the worst of each fingerprint.
    pub fn report(&mut self, found: Vec<Violation>) {
        for violation in found {
            let Some(violation) = self.bad_releases.judge(violation) else { continue };
            debug_assert!(
                violation_kind(&violation.invariant, &violation.kind).is_some(),
                "{} is not among the listed kinds of violations",
                violation.fingerprint()
            );
            let key = (
                violation.fingerprint(),
                violation.subject.clone(),
                violation.label(day::DAY_LABEL).map(str::to_owned),
            );
            match self.found.get_mut(&key) {
                Some(known) if known.items >= violation.items => {}
                Some(known) => *known = Violation { at_ms: known.at_ms, ..violation },
                None => drop(self.found.insert(key, violation)),
            }
        }
    }
}
