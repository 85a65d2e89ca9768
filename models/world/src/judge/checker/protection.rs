//! Checks of backups, the tee, and the results of drills.

use super::OracleChecker;
use crate::actors::drill::DrillResult;
use crate::cluster::node_ids::NodeIds;
use crate::judge::disk_views::{days_of, store_view, view_of};
use crate::mutex::lock;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::invariants::{i1_readable, i10_backup, i11_tee, i12_drill, i13_holds, i13_read_back};
use latent_oracle::reader::catalog;
use latent_oracle::reader::gaps::OpenGaps;
use latent_oracle::{CheckContext, ClusterSnapshot, DiskView, ProjectDay, ReadView, day};
use latent_ports::NodeId;
use std::collections::BTreeSet;

const DAY_MS: i64 = 86_400_000;
const CATALOGS: &str = "objects/catalogs/";

/// Returns the position of a data center's newest backup, by the names of its catalogs, in milliseconds since 1970.
pub(super) fn newest_position_ms(world: &World, data_center: NodeId) -> Option<i64> {
    let image = world.disk_image_under(data_center, std::iter::once("objects/catalogs"));
    let keys = image.files().filter_map(|(path, _)| path.strip_prefix("objects/"));
    keys.filter_map(catalog::position_of_key).max()
}

/// Events of requests in open gaps of the tee, as production holds them: by design, only production has them until
/// the next backup.
struct OpenGapEvents(BTreeSet<(ProjectDay, String)>);

impl OpenGapEvents {
    fn new(production: &ReadView, gaps: &OpenGaps) -> OpenGapEvents {
        let mut events = BTreeSet::new();
        if gaps.is_empty() {
            return OpenGapEvents(events);
        }
        for (project_day, seen) in &production.days {
            let blocks = seen.contents.iter().flat_map(|content| &content.blocks);
            for record in blocks.flat_map(|block| &block.records) {
                let arrival = record.arrival();
                if gaps.contains(arrival.edge, arrival.sequence) {
                    let key = if record.is_anonymous() {
                        record.content.to_string()
                    } else {
                        record.key.to_string()
                    };
                    events.insert((*project_day, key));
                }
            }
        }
        OpenGapEvents(events)
    }

    /// Removes these events from the violations; returns the rest and the number of removed events.
    fn without(&self, found: Vec<Violation>) -> (Vec<Violation>, u64) {
        let mut by_design = 0;
        let is_left = |mut violation: Violation| {
            if violation.kind == "missing"
                && let Some(project_day) = project_day(&violation)
            {
                let before = violation.keys.len();
                violation.keys.retain(|key| !self.0.contains(&(project_day, key.clone())));
                let excused = (before - violation.keys.len()) as u64;
                by_design += excused;
                violation.items = violation.items.saturating_sub(excused);
            }
            (violation.items > 0).then_some(violation)
        };
        let left = found.into_iter().filter_map(is_left).collect();
        (left, by_design)
    }
}

pub(super) fn project_day(found: &Violation) -> Option<ProjectDay> {
    let project = found.subject.strip_prefix('p')?.parse().ok()?;
    Some(ProjectDay { project, day: day::parse_day(found.label(day::DAY_LABEL)?)? })
}

impl OracleChecker {
    /// Returns true if backups must be checked: a catalog was stored, or none for too long, or the newest backup of a
    /// data center has become too old since the last call.
    pub fn are_backups_due(&mut self, world: &World, nodes: &NodeIds, is_catalog_stored: bool) -> bool {
        let Some(promise) = &self.backup else { return is_catalog_stored };
        let (now_ms, within_ms) = (world.now().0, promise.interval_ms + promise.slack_ms);
        let mut is_due =
            is_catalog_stored || now_ms - self.backups_checked_at_ms.max(promise.since_ms) > within_ms;
        // A data center that is too old does not put off the check of all of them: it may be excused for now.
        if is_due {
            self.backups_checked_at_ms = now_ms;
        }
        for node in &nodes.data_centers {
            let since_ms = newest_position_ms(world, *node).unwrap_or(promise.since_ms);
            let excused = self.excuses.for_job(&self.job_dependencies.backup(&world.node_name(*node)));
            if now_ms > excused.due_ms(since_ms, within_ms) {
                is_due |= self.stale_backups.insert((*node, since_ms));
            }
        }
        is_due
    }

    /// Returns the days of which production lacked events at the last check.
    pub fn lacking(&self) -> BTreeSet<ProjectDay> {
        self.loss.days_with_missing_events()
    }

    /// Checks each data center's newest backup. A data center that production changed guarantees nothing; its losses
    /// show in the drill. Events that production already lacked (`lacking`) when the backup was taken are a loss of
    /// production, not of the backup, even if a customer has sent them again since.
    pub fn check_backups(
        &mut self,
        world: &World,
        nodes: &NodeIds,
        production: &ReadView,
        lacking: &BTreeSet<ProjectDay>,
        stage: &str,
    ) {
        let was_lacking =
            |found: &Violation| project_day(found).is_some_and(|project_day| lacking.contains(&project_day));
        let Some(mut promise) = self.backup.clone() else { return };
        self.apply_fault_log(world, nodes);
        let now = self.check_context(world, stage, false);
        for node in &nodes.data_centers {
            if self.store_log.is_tampered(*node) {
                continue;
            }
            let store = store_view(world, *node, &self.store_log);
            promise.emptied_ms = self.emptied_ms.get(&store.name).copied();
            promise.excused = self.excuses.for_job(&self.job_dependencies.backup(&store.name));
            let client_state = self.client_state.clone();
            let ledger = lock(&client_state.ledger);
            let checked =
                i10_backup::check(&mut self.decode_cache, &ledger, &store, production, &promise, &now);
            drop(ledger);
            self.check_read_back(*node, nodes.backup, &store, &now);
            let retained = self.retained_backups.check(&mut self.decode_cache, &store, &promise, &now);
            self.report(retained);
            let charged = checked.violations.into_iter().map(|found| {
                if found.kind == "not-backed-up" && was_lacking(&found) { found.losing() } else { found }
            });
            self.report(charged.collect());
        }
    }

    /// Checks that the segments of new catalogs were read back before these were stored.
    fn check_read_back(
        &mut self,
        data_center: NodeId,
        backup: Option<NodeId>,
        store: &DiskView,
        now: &CheckContext,
    ) {
        let mut found = Vec::new();
        for file in store.files.iter().filter(|file| file.path.starts_with(CATALOGS)) {
            if !self.catalogs_seen.insert((data_center, file.path.clone())) {
                continue;
            }
            let Ok(catalog) = catalog::read(file) else { continue };
            let reads = lock(&self.observed_reads);
            // A catalog whose write was not seen is held to the last boot, rather than not at all.
            let stored_ms = reads.object(data_center, &file.path).written_ms.unwrap_or(now.at_ms);
            let booted_ms =
                backup.and_then(|node| lock(&self.fault_log).last_boot_before_ms(node, stored_ms));
            let is_read_back = |hash: &str| {
                let times = reads.object(data_center, &format!("objects/segments/{hash}"));
                let since_ms = times.written_ms.max(booted_ms);
                times.read_ms.is_some_and(|read_ms| since_ms.is_none_or(|since_ms| read_ms >= since_ms))
            };
            found.extend(i13_read_back::unread_segments(&store.name, &catalog, is_read_back, now));
        }
        self.report(found);
    }

    /// Compares the tee with the answers that clients received. A tee store that production changed guarantees
    /// nothing, as with backups.
    pub fn check_tee(&mut self, world: &World, nodes: &NodeIds, stage: &str) {
        let Some(mut retention) = self.tee else { return };
        self.apply_fault_log(world, nodes);
        let now = self.check_context(world, stage, false);
        let forget_before_ms = now.at_ms - retention.retention_ms - DAY_MS;
        let store_name = nodes.tee_store.map(|store| world.node_name(store));
        if let Some(emptied_ms) = store_name.as_deref().and_then(|name| self.emptied_ms.get(name)) {
            // The plan removed the contents of the store.
            retention.retention_ms = retention.retention_ms.min(now.at_ms - emptied_ms);
        }
        let disks: Vec<DiskView> = nodes
            .edges
            .iter()
            .chain(&nodes.tee_store)
            .map(|node| store_view(world, *node, &self.store_log))
            .collect();
        retention.undisturbed_since_ms = self.tee_disturbed_until_ms(&now, &disks).unwrap_or(i64::MIN / 2);
        let store = disks.iter().find(|disk| store_name.as_deref() == Some(disk.name.as_str()));
        if let (Some(view), Some(node)) = (store, nodes.tee_store) {
            self.check_tee_scrub(node, view, &now);
            self.check_holds(world, nodes, view, &now);
        }
        let client_state = self.client_state.clone();
        let mut ledger = lock(&client_state.ledger);
        let mut found = match nodes.tee_store {
            Some(store) if self.store_log.is_tampered(store) => Vec::new(),
            _ => i11_tee::check(&mut self.decode_cache, &ledger, &disks, retention, &now),
        };
        let excused = |disk: &str| {
            let is_store = store_name.as_deref() == Some(disk);
            let excused = self.excuses.for_job(&if is_store {
                self.job_dependencies.tee_expiry()
            } else {
                self.job_dependencies.tee_upload(disk)
            });
            excused.union(&self.extended_tee_retention)
        };
        found.extend(self.space.check_tee(&disks, self.limits, excused, &now));
        ledger.prune_acked_requests(forget_before_ms);
        drop(ledger);
        self.report(found);
    }

    /// Checks that the tee store reads its objects again.
    fn check_tee_scrub(&mut self, node: NodeId, store: &DiskView, now: &CheckContext) {
        if self.store_log.is_tampered(node) {
            return;
        }
        let excused = self.excuses.for_job(&self.job_dependencies.tee_expiry());
        let unread = {
            let reads = lock(&self.observed_reads);
            self.tee_scrubs.check(store, |path| reads.object_since_ms(node, path), &excused, now)
        };
        self.report(unread.into_iter().collect());
    }

    /// Checks that holds stand until their days are whole. The audit knows only what the tee holds: it is not judged
    /// where requests are let through without the tee, nor after a fault damaged the tee, nor for days that are partly
    /// older than the tee.
    fn check_holds(&mut self, world: &World, nodes: &NodeIds, store: &DiskView, now: &CheckContext) {
        let Some(tee) = &self.tee else { return };
        let oldest_day = (now.at_ms - tee.retention_ms).div_euclid(DAY_MS) + 2;
        let mut ended = self.holds.ended(store.files.iter().map(|file| file.path.as_str()), now.at_ms);
        ended.retain(|hold| i64::from(hold.day) > oldest_day);
        // What was lost after the hold ended is not its fault.
        let lacked = self.lacking();
        ended.retain(|hold| lacked.contains(&i13_holds::project_day(hold)));
        let is_damaged = {
            let fault_log = lock(&self.fault_log);
            let mut tee = nodes.edges.iter().chain(&nodes.tee_store);
            tee.any(|node| fault_log.unsound.contains_key(&*world.node_name(*node)))
        };
        if ended.is_empty() || is_damaged || !self.is_tee_complete {
            return;
        }
        let days = ended.iter().map(i13_holds::project_day).collect();
        self.check_days(world, nodes, days, "day-end");
        let lacking = self.lacking();
        let early = ended.iter().filter(|hold| lacking.contains(&i13_holds::project_day(hold)));
        let found = early.map(|hold| i13_holds::released_early(hold, now)).collect();
        self.report(found);
    }

    /// Returns the last time at which a fault kept a tee node from its work.
    fn tee_disturbed_until_ms(&self, now: &CheckContext, disks: &[DiskView]) -> Option<i64> {
        let excused_ms = disks.iter().filter_map(|disk| {
            let needs = [self.job_dependencies.tee_expiry(), self.job_dependencies.tee_upload(&disk.name)];
            needs.iter().filter_map(|needs| self.excuses.for_job(needs).last_excused_ms(now.at_ms)).max()
        });
        excused_ms.max()
    }

    /// Returns true if faults kept backups from every data center for so long that the tee has dropped requests that no
    /// backup holds: only production has these.
    fn has_excused_gap(&self, newest_backup_ms: Option<i64>, now_ms: i64) -> bool {
        let (Some(tee), Some(backup)) = (&self.tee, &self.backup) else { return false };
        let newest_ms = newest_backup_ms.unwrap_or(backup.since_ms);
        let was_kept_from_working = |data_center: &String| {
            let excused = self.excuses.for_job(&self.job_dependencies.backup(data_center));
            excused.available_ms(newest_ms, now_ms) <= backup.interval_ms + backup.slack_ms
        };
        newest_ms < now_ms - tee.retention_ms
            && self.job_dependencies.data_centers().iter().all(was_kept_from_working)
    }

    /// Checks a drill. If the scenario promises full recovery, missing events are a violation; otherwise they only
    /// show which losses are unrecoverable.
    pub fn check_drill(
        &mut self,
        drilled: &DrillResult,
        production: &ReadView,
        now_ms: i64,
        promised: bool,
    ) -> u64 {
        let promised = promised && !self.has_excused_gap(drilled.newest_backup_ms(), now_ms);
        let views: Vec<DiskView> =
            drilled.disks.iter().map(|(name, image)| view_of(name, image.files())).collect();
        let restored = ClusterSnapshot::of_days(&mut self.decode_cache, &views, days_of(&views))
            .read_view(self.read_disks);
        let restored = ReadView { scope: None, ..restored };
        let now = CheckContext {
            at_ms: now_ms,
            stage: "drill".to_owned(),
            settled_before_ms: now_ms,
            faults_active: false,
            replays: self.operator.started + 1,
            damaged_disks: BTreeSet::new(),
        };
        let client_state = self.client_state.clone();
        let ledger = lock(&client_state.ledger);
        let edges: Vec<DiskView> =
            drilled.edges.iter().map(|(name, image)| view_of(name, image.files())).collect();
        let in_gaps = OpenGapEvents::new(production, &OpenGaps::of(&edges));
        let found = if promised { i12_drill::check(&ledger, &restored, &now) } else { Vec::new() };
        let (found, by_design) = in_gaps.without(found);
        self.missing_by_design = self.missing_by_design.max(by_design);
        let (missing, _) = in_gaps.without(i1_readable::check(&ledger, &restored, &now));
        let missing = missing.iter().filter(|v| v.kind == "missing").map(|v| v.items).sum();
        self.loss.record_drill(&ledger, production, drilled.report.as_ref().map(|_| &restored), &now);
        drop(ledger);
        self.report(found);
        if promised && drilled.report.is_none() {
            let hung = Violation::new("I12", "did-not-finish", "drill").at(now_ms).losing();
            self.report(vec![hung.because("the recovery did not end within a week")]);
        }
        missing
    }
}
