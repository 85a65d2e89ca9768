//! Taking a backup.
//!
//! What the newest backups hold is learned first, from the data centers (`memory`). Then each project is copied to all
//! data centers (`project`); days of which production has fewer events than at the last backup keep the last backup's
//! segments besides (`shrunk`). What a data center lacks of all that is copied from the others (`data_center`), and the
//! catalog is written last, where everything that it names was read back. Old catalogs then expire, and with them the
//! segments that no catalog needs (`expire`).
//!
//! What fails, fails alone: a project that cannot be copied stays at its last position, a data center that cannot take
//! its part has no new catalog; both are tried again, and nothing else is done twice. Without any data center that
//! says what the newest backup holds, none is finished.

use super::catalog::{CATALOGS, Catalog, CatalogDay, CatalogSegment, FORMAT};
use super::data_center::{DataCenter, complete};
use super::error::BackupError;
use super::expire::Expiry;
use super::memory::{Memory, Round, Written};
use super::project;
use super::restore::Backups;
use super::shrunk::{Changed, Found, Kept, Lacking};
use crate::alarms::{Alarm, Alarms, Retained};
use crate::arb::api::ArbFailure;
use crate::arb::log::{Distrusted, DurableLog};
use crate::common_time::common_time;
use crate::config::{BackupConfig, Boot};
use crate::record::Key;
use crate::recovery::expire::refuse;
use crate::schedule::{MOST_SLEEP, MedianClock};
use bytes::Bytes;
use latent_edge::object_api::{ObjectStore, Patience};
use latent_ports::{Clock, Disk, Env, Mark, NodeId, UnixMs};
use std::collections::BTreeSet;
use std::time::Duration;

/// Requests in flight when the backup starts may still arrive: its position lies this far back.
pub const POSITION_SLACK: Duration = Duration::from_secs(5 * 60);
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
const RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

/// Boots the backup node: a backup at each interval, until the node dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let Some(config) = boot.cluster.backup.clone() else { return };
    let alarms = Alarms::new(&env, &boot.cluster);
    refuse(&env, &alarms, Retained::Backups, config.retention, config.kept());
    let clock = MedianClock::new(&env, &boot.cluster);
    let mut memory = Memory::default();
    let mut due = first_boot(&env, clock.now().await).await + config.first_after;
    if let Some(newest) = newest_position(&env, &config).await {
        due = UnixMs(newest) + POSITION_SLACK + config.interval;
    }
    // What a clock that was ahead noted puts no backup off for longer than this.
    let mut most_wait = config.interval.max(config.first_after);
    loop {
        let now = clock.now().await;
        due = due.min(now + most_wait);
        if now < due {
            env.clock().sleep(due.since(now).min(MOST_SLEEP)).await;
            continue;
        }
        match take(&env, &boot, &config, &alarms, &mut memory).await {
            Ok(begun_ago) => {
                due = clock.now().await - begun_ago + config.interval;
                most_wait = config.interval;
            }
            Err(error) => {
                env.mark(Mark { name: "backup.failed", subject: &error.to_string() });
                env.clock().sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// When this node booted for the first time, from its disk: restarts must not put the first backup off again and
/// again. A disk that fails puts it off once.
async fn first_boot<E: Env>(env: &E, now: UnixMs) -> UnixMs {
    match noted_first_boot(env, now).await {
        Ok(first) => first,
        Err(error) => {
            env.mark(Mark { name: "backup.first-boot-unknown", subject: &error.to_string() });
            now
        }
    }
}

async fn noted_first_boot<E: Env>(env: &E, now: UnixMs) -> Result<UnixMs, ArbFailure> {
    let (mut log, frames) =
        DurableLog::open(env.disk(), "first-boot", b"LBKPBOT1", &Distrusted::default()).await?;
    let noted = frames.first().and_then(|frame| frame.first_chunk::<8>());
    if noted.is_none() {
        log.append(&now.0.to_le_bytes()).await?;
    }
    // Also when it was there: an earlier boot may have failed at this.
    env.disk().sync_dir("").await?;
    Ok(noted.map_or(now, |noted| UnixMs(i64::from_le_bytes(*noted))))
}

fn stores<E: Env>(env: &E, config: &BackupConfig) -> Vec<ObjectStore<E>> {
    let store = |node: &NodeId| ObjectStore::new(env.clone(), *node, CALL_TIMEOUT).patient(Patience::LONG);
    config.data_centers.iter().map(store).collect()
}

/// The position that every data center has reached; `None` when one has no backup yet or cannot be asked.
async fn newest_position<E: Env>(env: &E, config: &BackupConfig) -> Option<i64> {
    let mut newest = None;
    for store in stores(env, config) {
        let listed = store.list(CATALOGS).await.ok()?;
        let position = listed.iter().filter_map(|info| Catalog::position_of_key(&info.key)).max()?;
        newest = Some(newest.map_or(position, |n: i64| n.min(position)));
    }
    newest
}

/// Takes one backup to every data center, or what is left to do of the last one. A backup that is not complete goes on
/// at the next call, for as long as the interval: with the projects that could not be copied, and with the data centers
/// that lack it. Returns how long ago the backup was begun that is complete now.
///
/// # Errors
/// When it is not complete in all of them; those that it reached keep what they have.
pub async fn take<E: Env>(
    env: &E,
    boot: &Boot,
    config: &BackupConfig,
    alarms: &Alarms<E>,
    memory: &mut Memory,
) -> Result<Duration, BackupError> {
    env.mark(Mark { name: "backup.started", subject: "" });
    let taken = attempt(env, boot, config, alarms, memory).await;
    let failed = match &taken {
        Err(error) if !matches!(error, BackupError::Incomplete { .. }) => {
            memory.failed_in_a_row += 1;
            vec![Alarm::BackupFailed { why: error.to_string() }]
        }
        _ => {
            memory.failed_in_a_row = 0;
            Vec::new()
        }
    };
    // One try may meet disks that all restart for a release: the next one, half an hour later, does not.
    let failed = if memory.failed_in_a_row == 1 { Vec::new() } else { failed };
    for alarm in memory.news(failed, |alarm| matches!(alarm, Alarm::BackupFailed { .. })) {
        alarms.raise(alarm);
    }
    taken
}

async fn attempt<E: Env>(
    env: &E,
    boot: &Boot,
    config: &BackupConfig,
    alarms: &Alarms<E>,
    memory: &mut Memory,
) -> Result<Duration, BackupError> {
    let now = common_time(env, &boot.cluster).await?;
    let (mut data_centers, unopened) = memory.open(stores(env, config)).await;
    let learned = match (data_centers.is_empty(), &unopened) {
        (true, Some(error)) => Err(error.clone()),
        _ => memory.learn(env, &boot.cluster, &data_centers, now).await,
    };
    let mut taking =
        Taking { env, boot, config, alarms, memory, now, failures: unopened.into_iter().collect() };
    if let Err(error) = learned {
        taking.memory.close(data_centers);
        return Err(error);
    }
    let round = taking.copy_and_write(&mut data_centers).await;
    taking.look_after_catalogs(&data_centers).await;
    taking.memory.close(data_centers);
    round
}

/// A backup being taken.
struct Taking<'a, E> {
    env: &'a E,
    boot: &'a Boot,
    config: &'a BackupConfig,
    alarms: &'a Alarms<E>,
    memory: &'a mut Memory,
    now: UnixMs,
    /// What went wrong so far, in order.
    failures: Vec<BackupError>,
}

impl<E: Env> Taking<'_, E> {
    async fn copy_and_write(&mut self, data_centers: &mut [DataCenter<E>]) -> Result<Duration, BackupError> {
        let monotonic = self.env.clock().monotonic();
        let position = self.now - POSITION_SLACK;
        let mut round = self.memory.round(&self.boot.cluster, self.config, position, monotonic);
        let found = self.copy(&mut round, data_centers).await;
        let written = match round.catalog.take() {
            Some(mut written) if found.is_empty() => {
                self.write(&mut written, data_centers).await;
                self.memory.reached(&written.reached);
                written
            }
            None if found.is_empty() && !round.todo.is_empty() => {
                return Err(self.first_failure(data_centers));
            }
            before => {
                let (mut written, kept) = self.plan(&round, before, &found, data_centers).await?;
                self.write(&mut written, data_centers).await;
                if written.reached.is_empty() {
                    return Err(self.first_failure(data_centers));
                }
                self.memory.committed(kept, &written.reached);
                written
            }
        };
        self.raise_behind(&round);
        let lacking = self.config.data_centers.len() - written.reached.len();
        let left = round.todo.len();
        let is_done = lacking == 0 && left == 0;
        let begun = round.started;
        round.catalog = Some(written);
        self.memory.round = (!is_done).then_some(round);
        if is_done {
            return Ok(self.env.clock().monotonic().saturating_sub(begun));
        }
        let why = self.first_failure(data_centers).to_string();
        Err(BackupError::Incomplete { projects: left, data_centers: lacking, why })
    }

    fn first_failure(&self, data_centers: &[DataCenter<E>]) -> BackupError {
        let of_data_centers = data_centers.iter().filter_map(|one| one.failed.as_ref());
        let first = self.failures.iter().chain(of_data_centers).next();
        first.cloned().unwrap_or(BackupError::NothingKnown)
    }

    /// Copies the projects that are still to be copied; those that could not be stay in `todo`.
    async fn copy(&mut self, round: &mut Round, data_centers: &mut [DataCenter<E>]) -> Found {
        let mut found = Found::new();
        let cut_ms = (self.now - POSITION_SLACK).0;
        for project in round.todo.clone() {
            if !data_centers.iter().any(DataCenter::is_up) {
                break;
            }
            let copied = match self.boot.cluster.projects.contains_key(&project) {
                true => project::copy(self.env, self.boot, project, cut_ms, data_centers).await,
                false => Ok(Vec::new()),
            };
            match copied {
                Ok(days) => {
                    found.insert(project, days);
                    round.todo.remove(&project);
                }
                Err(error) => {
                    self.env.mark(Mark { name: "backup.project-failed", subject: &error.to_string() });
                    self.failures.push(error);
                }
            }
        }
        self.env.mark(Mark { name: "backup.copied", subject: "" });
        found
    }

    /// The catalog of what was found, with everything that it names in every data center that is up.
    async fn plan(
        &mut self,
        round: &Round,
        before: Option<Written>,
        found: &Found,
        data_centers: &mut [DataCenter<E>],
    ) -> Result<(Written, Kept), BackupError> {
        let lacking = self.compare(found).await;
        let all = data_centers.len() == self.config.data_centers.len();
        let may_be_had = |hash: &str| !all || data_centers.iter().any(|one| one.lists(hash));
        self.memory.kept.expect(round.todo.iter().copied());
        let mut plan = self.memory.kept.plan(round.position_ms, found, &lacking, may_be_had);
        let gone = complete(data_centers, all, &plan.days).await;
        for (project, day) in plan.let_go(&gone, found) {
            self.env.mark(Mark { name: "backup.segment-gone", subject: "" });
            self.alarms.raise(Alarm::BackupDamaged { project, day });
        }
        for alarm in std::mem::take(&mut plan.alarms) {
            self.env.mark(Mark { name: "backup.production-shrank", subject: "" });
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
        Ok((Written { catalog, key, text, reached: BTreeSet::new() }, plan.kept))
    }

    /// Writes the catalog where it is not yet, and where everything that it names was read back.
    async fn write(&mut self, written: &mut Written, data_centers: &mut [DataCenter<E>]) {
        let lacks_it = |one: &&mut DataCenter<E>| !written.reached.contains(&one.node());
        if data_centers.iter_mut().filter(lacks_it).count() > 0 {
            // What a data center lacks and no other has fails it here: the catalog names it already.
            complete(data_centers, false, &written.catalog.days).await;
        }
        for data_center in data_centers.iter_mut() {
            if data_center.is_up() && !written.reached.contains(&data_center.node()) {
                let text = Bytes::from(written.text.clone());
                match data_center.store.put_verified(&written.key, text).await {
                    Ok(()) => {
                        self.env.mark(Mark { name: "backup.catalog-durable", subject: &written.key });
                        written.reached.insert(data_center.node());
                    }
                    Err(error) => data_center.failed = Some(error.into()),
                }
            }
        }
    }

    /// Compares the days of earlier backups that production has otherwise now, key by key.
    async fn compare(&self, found: &Found) -> Lacking {
        let backups = Backups::new(self.env, &self.config.data_centers);
        let mut lacking = Lacking::new();
        for changed in self.memory.kept.changed(found) {
            match lacks(&backups, &changed).await {
                Ok(keys) => drop(lacking.insert(changed.before, keys)),
                // It is kept until it can be compared.
                Err(why) => self.env.mark(Mark { name: "backup.base-unreadable", subject: &why }),
            }
        }
        lacking
    }

    /// Raises an alarm for each project that stays behind, once.
    fn raise_behind(&mut self, round: &Round) {
        let behind = round.todo.iter().map(|project| {
            let failure = self.failures.iter().find(|failure| failure.project() == Some(*project));
            Alarm::BackupBehind {
                project: *project,
                position_ms: self.memory.kept.position_of(*project),
                why: failure.map(ToString::to_string).unwrap_or_default(),
            }
        });
        let behind = behind.collect();
        for alarm in self.memory.news(behind, |alarm| matches!(alarm, Alarm::BackupBehind { .. })) {
            self.alarms.raise(alarm);
        }
    }

    /// Repairs and expires the catalogs of each data center, each on its own.
    async fn look_after_catalogs(&mut self, data_centers: &[DataCenter<E>]) {
        let written = self.memory.round.as_ref().and_then(|round| round.catalog.as_ref());
        let needed_besides: BTreeSet<String> =
            written.iter().flat_map(|it| it.catalog.hashes()).map(str::to_owned).collect();
        let oldest_ms = (self.now - self.config.kept()).0;
        let expiry = Expiry { now: self.now, oldest_ms, needed_besides };
        let (mut damaged, mut looked_at) = (Vec::new(), BTreeSet::new());
        for data_center in data_centers {
            let others = data_centers.iter().filter(|other| other.number != data_center.number);
            let others: Vec<&ObjectStore<E>> = others.map(|other| &other.store).collect();
            let known = &mut self.memory.known;
            match expiry.look(self.env, data_center, &others, known, &mut damaged).await {
                Ok(()) => drop(looked_at.insert(data_center.number)),
                Err(error) => {
                    self.env.mark(Mark { name: "backup.expire-failed", subject: &error.to_string() });
                }
            }
        }
        self.memory.known.retain(|_, catalog| catalog.position_ms >= oldest_ms);
        let is_of = |alarm: &Alarm| match alarm {
            Alarm::CatalogDamaged { data_center, .. } => looked_at.contains(data_center),
            _ => false,
        };
        for alarm in self.memory.news(damaged, is_of) {
            self.alarms.raise(alarm);
        }
    }
}

/// How many keys of a backup's day were not found. What both have is read last, and only if it is needed.
async fn lacks<E: Env>(backups: &Backups<E>, changed: &Changed) -> Result<u64, String> {
    let (before, now) = (&changed.before, &changed.now);
    let part = |of: &CatalogDay, is_wanted: &dyn Fn(&CatalogSegment) -> bool| CatalogDay {
        segments: of.segments.iter().filter(|segment| is_wanted(segment)).cloned().collect(),
        ..*of
    };
    let gone = part(before, &|segment| !now.segments.contains(segment));
    let came = part(now, &|segment| !before.segments.contains(segment));
    let stayed = part(now, &|segment| before.segments.contains(segment));
    let mut keys = keys_of(backups, &gone).await?;
    for part in [came, stayed] {
        if keys.is_empty() {
            break;
        }
        let held = keys_of(backups, &part).await?;
        keys.retain(|key| !held.contains(key));
    }
    Ok(keys.len() as u64)
}

async fn keys_of<E: Env>(backups: &Backups<E>, day: &CatalogDay) -> Result<BTreeSet<Key>, String> {
    Ok(backups.day(day).await?.iter().map(|record| record.key).collect())
}
