//! Takes backups.
//!
//! First the contents of the newest backups are read from the data centers (`state`). Then each project is copied to
//! all data centers (`project_copy`). Days with fewer events in production than at the last backup also keep the last
//! backup's segments (`shrink_guard`). Segments that a data center lacks are copied from the others (`data_center`),
//! and the catalog is written last, to the data centers where all its segments were read back. Old catalogs then
//! expire, and with them the segments that no catalog needs (`expire`).
//!
//! Failures are isolated: a project that cannot be copied stays at its last position, a data center that fails has no
//! new catalog, and only these are retried. A backup needs at least one data center that knows the newest backup.

use super::catalog::{CATALOGS, Catalog, FORMAT};
use super::data_center::{DataCenter, replicate_segments};
use super::error::BackupError;
use super::expire::CatalogExpiry;
use super::first_boot::first_boot;
use super::missing_keys::missing_keys;
use super::project_copy;
use super::restore::BackupReader;
use super::shrink_guard::{BackupBaseline, MissingKeys, ProductionDays};
use super::state::{BackupRound, BackupState, WrittenCatalog};
use crate::alarms::{Alarm, AlarmSender, RetentionTarget, report_refused_retention};
use crate::config::{BackupConfig, BootConfig};
use crate::marks;
use crate::median_clock::median_time;
use crate::release::Bug;
use crate::schedule::{MAX_SLEEP, MedianClock};
use bytes::Bytes;
use latent_ports::{Clock, Env, Mark, NodeId, UnixMs};
use latent_storekit::object_store::{ObjectStore, StoreRetryPolicy};
use std::collections::BTreeSet;
use std::time::Duration;

/// Distance of a backup's position from its start: requests in flight may still arrive.
pub const POSITION_SLACK: Duration = Duration::from_secs(5 * 60);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_AFTER: Duration = Duration::from_secs(30 * 60);
/// Number of failed attempts after which a backup is taken without the segments that only a data center has that does
/// not respond.
const MAX_ATTEMPTS_WITH_ALL_SEGMENTS: u32 = 3;

/// Boots the backup node: takes a backup at each interval, until the node dies.
pub async fn run<E: Env>(env: E, boot: BootConfig) {
    let Some(config) = boot.cluster.backup.clone() else { return };
    let alarms = AlarmSender::new(&env, &boot.cluster);
    report_refused_retention(
        &env,
        &alarms,
        RetentionTarget::Backups,
        config.retention,
        config.effective_retention(),
    );
    let clock = MedianClock::new(&env, &boot.cluster);
    let mut state = BackupState::default();
    let mut due = first_boot(&env, clock.now().await).await + config.first_after;
    if let Some(newest) = newest_position(&env, &config).await {
        due = UnixMs(newest) + POSITION_SLACK + config.interval;
    }
    // Limits the delay caused by a time that was recorded while a clock was ahead.
    let mut most_wait = config.interval.max(config.first_after);
    loop {
        let now = clock.now().await;
        due = due.min(now + most_wait);
        if now < due {
            env.clock().sleep(due.since(now).min(MAX_SLEEP)).await;
            continue;
        }
        match take(&env, &boot, &config, &alarms, &mut state).await {
            Ok(begun_ago) => {
                due = clock.now().await - begun_ago + config.interval;
                most_wait = config.interval;
            }
            Err(error) => {
                env.mark(Mark { name: marks::BACKUP_FAILED, subject: &error.to_string() });
                if boot.release.has(Bug::BackupSilentlyDead) {
                    boot.release.reached(&env, Bug::BackupSilentlyDead);
                    state.consecutive_failures = 0;
                    due = clock.now().await + config.interval;
                    continue;
                }
                env.clock().sleep(RETRY_AFTER).await;
            }
        }
    }
}

fn stores<E: Env>(env: &E, config: &BackupConfig) -> Vec<ObjectStore<E>> {
    let store = |node: &NodeId| {
        ObjectStore::new(env.clone(), *node, CALL_TIMEOUT).with_retries(StoreRetryPolicy::LONG)
    };
    config.data_centers.iter().map(store).collect()
}

/// Returns the position that every data center has reached; `None` when one has no backup yet or cannot be queried.
async fn newest_position<E: Env>(env: &E, config: &BackupConfig) -> Option<i64> {
    let mut newest = None;
    for store in stores(env, config) {
        let listed = store.list(CATALOGS).await.ok()?;
        let position = listed.iter().filter_map(|info| Catalog::position_of_key(&info.key)).max()?;
        newest = Some(newest.map_or(position, |n: i64| n.min(position)));
    }
    newest
}

/// Takes one backup to every data center, or completes the last one. An incomplete backup is continued at the next
/// call, for up to the interval: with the projects that could not be copied and the data centers that lack it. Returns
/// the age of the backup that is now complete.
///
/// # Errors
/// The backup is not complete in all data centers. The ones that it reached keep it.
pub async fn take<E: Env>(
    env: &E,
    boot: &BootConfig,
    config: &BackupConfig,
    alarms: &AlarmSender<E>,
    state: &mut BackupState,
) -> Result<Duration, BackupError> {
    env.mark(Mark { name: marks::BACKUP_STARTED, subject: "" });
    let taken = attempt(env, boot, config, alarms, state).await;
    let failed = match &taken {
        Err(error) if !matches!(error, BackupError::Incomplete { .. }) => {
            state.consecutive_failures += 1;
            vec![Alarm::BackupFailed { why: error.to_string() }]
        }
        _ => {
            state.consecutive_failures = 0;
            Vec::new()
        }
    };
    // One attempt may coincide with a restart of all disks for a release; the next one, half an hour later, does not.
    let failed = if state.consecutive_failures == 1 { Vec::new() } else { failed };
    for alarm in state.new_alarms(failed, |alarm| matches!(alarm, Alarm::BackupFailed { .. })) {
        alarms.raise(alarm);
    }
    taken
}

async fn attempt<E: Env>(
    env: &E,
    boot: &BootConfig,
    config: &BackupConfig,
    alarms: &AlarmSender<E>,
    state: &mut BackupState,
) -> Result<Duration, BackupError> {
    let now = median_time(env, &boot.cluster).await?;
    let (mut data_centers, unopened) = state.open(env, &boot.release, stores(env, config)).await;
    let catalogs_read = match (data_centers.is_empty(), &unopened) {
        (true, Some(error)) => Err(error.clone()),
        _ => state.read_newest_catalogs(env, &boot.cluster, &data_centers, now).await,
    };
    let failures = unopened.into_iter().collect();
    let mut attempt =
        BackupAttempt { env, boot, config, alarms, state, now, failures, postponed: BTreeSet::new() };
    if let Err(error) = catalogs_read {
        attempt.state.close(data_centers);
        return Err(error);
    }
    let round = attempt.copy_and_write(&mut data_centers).await;
    attempt.maintain_catalogs(&data_centers).await;
    attempt.state.close(data_centers);
    round
}

/// Attempt of a backup.
pub(super) struct BackupAttempt<'a, E> {
    pub(super) env: &'a E,
    pub(super) boot: &'a BootConfig,
    pub(super) config: &'a BackupConfig,
    alarms: &'a AlarmSender<E>,
    pub(super) state: &'a mut BackupState,
    now: UnixMs,
    /// Errors so far, in order.
    failures: Vec<BackupError>,
    /// Projects with segments of earlier backups that this one leaves out.
    postponed: BTreeSet<u32>,
}

impl<E: Env> BackupAttempt<'_, E> {
    async fn copy_and_write(&mut self, data_centers: &mut [DataCenter<E>]) -> Result<Duration, BackupError> {
        let monotonic = self.env.clock().monotonic();
        let position = self.now - POSITION_SLACK;
        let mut round = self.state.round(&self.boot.cluster, self.config, position, monotonic);
        if self.boot.release.has(Bug::PositionBeforeData) && round.catalog.is_none() {
            self.write_position(round.position_ms, data_centers).await?;
        }
        let found = self.copy(&mut round, data_centers).await;
        let written = match round.catalog.take() {
            Some(mut written) if found.is_empty() => {
                self.write(&mut written, data_centers).await;
                self.state.reached(&written.reached);
                written
            }
            None if found.is_empty() && !round.todo.is_empty() => {
                return Err(self.first_failure(data_centers));
            }
            before => {
                let (mut written, baseline) = self.plan(&round, before, &found, data_centers).await?;
                self.write(&mut written, data_centers).await;
                if written.reached.is_empty() {
                    return Err(self.first_failure(data_centers));
                }
                self.state.committed(baseline, &written.reached);
                written
            }
        };
        self.raise_lagging(&round);
        let lacking = self.config.data_centers.len() - written.reached.len();
        let left = round.todo.len();
        let is_done = lacking == 0 && left == 0;
        let begun = round.started;
        round.catalog = Some(written);
        self.state.round = (!is_done).then_some(round);
        if is_done {
            return Ok(self.env.clock().monotonic().saturating_sub(begun));
        }
        let why = self.first_failure(data_centers).to_string();
        Err(BackupError::Incomplete { projects: left, data_centers: lacking, why })
    }

    fn first_failure(&self, data_centers: &[DataCenter<E>]) -> BackupError {
        let of_data_centers = data_centers.iter().filter_map(|one| one.failed.as_ref());
        let first = self.failures.iter().chain(of_data_centers).next();
        first.cloned().unwrap_or(BackupError::NoBaseline)
    }

    /// Copies the outstanding projects. Projects that could not be copied stay in `todo`.
    async fn copy(&mut self, round: &mut BackupRound, data_centers: &mut [DataCenter<E>]) -> ProductionDays {
        let mut found = ProductionDays::new();
        let cut_ms = (self.now - POSITION_SLACK).0;
        for project in round.todo.clone() {
            if !data_centers.iter().any(DataCenter::is_up) {
                break;
            }
            let copied = match self.boot.cluster.projects.contains_key(&project) {
                true => project_copy::copy(self.env, self.boot, project, cut_ms, data_centers).await,
                false => Ok(Vec::new()),
            };
            match copied {
                Ok(mut days) => {
                    if self.boot.release.has(Bug::CursorOnEventTime) {
                        days = self.since_last_event(project, days).await;
                    }
                    found.insert(project, days);
                    round.todo.remove(&project);
                }
                Err(error) => {
                    self.env.mark(Mark { name: marks::BACKUP_PROJECT_FAILED, subject: &error.to_string() });
                    self.failures.push(error);
                    let is_before_others = round.todo.iter().any(|behind| *behind > project);
                    if self.boot.release.has(Bug::OneErrorStopsThoseBehind) && is_before_others {
                        self.boot.release.reached(self.env, Bug::OneErrorStopsThoseBehind);
                        break;
                    }
                }
            }
        }
        self.env.mark(Mark { name: marks::BACKUP_COPIED, subject: "" });
        found
    }

    /// Plans the catalog, and copies all its segments to every data center that is up.
    async fn plan(
        &mut self,
        round: &BackupRound,
        before: Option<WrittenCatalog>,
        found: &ProductionDays,
        data_centers: &mut [DataCenter<E>],
    ) -> Result<(WrittenCatalog, BackupBaseline), BackupError> {
        let missing_keys = self.compare(found).await;
        let all = data_centers.len() == self.config.data_centers.len();
        let is_obtainable = |hash: &str| !all || data_centers.iter().any(|one| one.lists(hash));
        self.state.baseline.add_projects(round.todo.iter().copied());
        let mut plan = self.state.baseline.plan(round.position_ms, found, &missing_keys, is_obtainable);
        let mut lacking = replicate_segments(data_centers, all, &plan.days).await;
        for (project, day) in plan.drop_segments(&lacking.gone, found) {
            self.env.mark(Mark { name: marks::BACKUP_SEGMENT_LOST, subject: "" });
            self.alarms.raise(Alarm::BackupDamaged { project, day });
        }
        if !lacking.waiting.is_empty() && self.state.consecutive_failures >= MAX_ATTEMPTS_WITH_ALL_SEGMENTS {
            self.postponed = plan.postpone_segments(&lacking.take_waiting(), found);
            self.env.mark(Mark { name: marks::BACKUP_SEGMENTS_POSTPONED, subject: "" });
        }
        lacking.fail(data_centers);
        for alarm in std::mem::take(&mut plan.alarms) {
            self.env.mark(Mark { name: marks::BACKUP_PRODUCTION_SHRANK, subject: "" });
            self.alarms.raise(alarm);
        }
        let before_ms = before.map_or(i64::MIN, |before| before.catalog.taken_ms);
        let catalog = Catalog {
            format: FORMAT,
            position_ms: round.position_ms,
            taken_ms: self.env.clock().wall().0.max(before_ms.saturating_add(1)),
            behind: plan.behind,
            days: plan.days,
        };
        let (key, text) = catalog.to_object().map_err(|e| BackupError::Text(e.to_string()))?;
        Ok((WrittenCatalog { catalog, key, text, reached: BTreeSet::new() }, plan.baseline))
    }

    /// Writes the catalog to the data centers that lack it and where all its segments were read back.
    async fn write(&mut self, written: &mut WrittenCatalog, data_centers: &mut [DataCenter<E>]) {
        let lacks_it = |one: &&mut DataCenter<E>| !written.reached.contains(&one.node());
        if data_centers.iter_mut().filter(lacks_it).count() > 0 {
            // The catalog exists elsewhere already, so a segment that no data center can provide is an error here.
            replicate_segments(data_centers, false, &written.catalog.days).await.fail(data_centers);
        }
        for data_center in data_centers.iter_mut() {
            if data_center.is_up() && !written.reached.contains(&data_center.node()) {
                let text = Bytes::from(written.text.clone());
                match data_center.store.put_verified(&written.key, text).await {
                    Ok(()) => {
                        self.env.mark(Mark { name: marks::BACKUP_CATALOG_DURABLE, subject: &written.key });
                        written.reached.insert(data_center.node());
                    }
                    Err(error) => data_center.failed = Some(error.into()),
                }
            }
        }
    }

    /// Compares, key by key, the days of earlier backups that differ in production.
    async fn compare(&self, found: &ProductionDays) -> MissingKeys {
        let backups = BackupReader::new(self.env, &self.config.data_centers);
        let mut lacking = MissingKeys::new();
        for changed in self.state.baseline.changed(found) {
            match missing_keys(&backups, &changed).await {
                Ok(keys) => drop(lacking.insert(changed.before, keys)),
                // The day is kept until it can be compared.
                Err(why) => self.env.mark(Mark { name: marks::BACKUP_BASE_UNREADABLE, subject: &why }),
            }
        }
        lacking
    }

    /// Raises an alarm once for each project that stays behind.
    fn raise_lagging(&mut self, round: &BackupRound) {
        let behind = round.todo.union(&self.postponed).map(|project| {
            let failure = self.failures.iter().find(|failure| failure.project() == Some(*project));
            let why = match self.postponed.contains(project) {
                true => {
                    "segments of earlier backups are only in a data center that does not respond".to_owned()
                }
                false => failure.map(ToString::to_string).unwrap_or_default(),
            };
            Alarm::BackupLagging {
                project: *project,
                position_ms: self.state.baseline.position_of(*project),
                why,
            }
        });
        let behind = behind.collect();
        for alarm in self.state.new_alarms(behind, |alarm| matches!(alarm, Alarm::BackupLagging { .. })) {
            self.alarms.raise(alarm);
        }
    }

    /// Repairs and expires the catalogs of each data center independently.
    async fn maintain_catalogs(&mut self, data_centers: &[DataCenter<E>]) {
        let written = self.state.round.as_ref().and_then(|round| round.catalog.as_ref());
        let pending_segments: BTreeSet<String> =
            written.iter().flat_map(|it| it.catalog.hashes()).map(str::to_owned).collect();
        let retention = self.config.effective_retention();
        let promised_ms = (self.now - retention).0;
        let oldest_ms = match self.boot.release.has(Bug::RetentionUnit) {
            true => (self.now - retention / 24).0,
            false => promised_ms,
        };
        let release = &self.boot.release;
        let expiry = CatalogExpiry { now: self.now, oldest_ms, promised_ms, release, pending_segments };
        let (mut damaged, mut checked) = (Vec::new(), BTreeSet::new());
        for data_center in data_centers {
            let others = data_centers.iter().filter(|other| other.number != data_center.number);
            let others: Vec<&ObjectStore<E>> = others.map(|other| &other.store).collect();
            let known = &mut self.state.catalogs;
            match expiry.run(self.env, data_center, &others, known, &mut damaged).await {
                Ok(()) => drop(checked.insert(data_center.number)),
                Err(error) => {
                    self.env.mark(Mark { name: marks::BACKUP_EXPIRE_FAILED, subject: &error.to_string() });
                }
            }
        }
        self.state.catalogs.retain(|_, catalog| catalog.position_ms >= oldest_ms);
        let is_of = |alarm: &Alarm| match alarm {
            Alarm::CatalogDamaged { data_center, .. } => checked.contains(data_center),
            _ => false,
        };
        for alarm in self.state.new_alarms(damaged, is_of) {
            self.alarms.raise(alarm);
        }
    }
}
