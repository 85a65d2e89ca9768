//! The judge: looks at copies of disks, compares them with the ledger, and remembers what it found.
//!
//! It reads bytes with the oracle's own readers and trusts nothing that the pipeline says. What it reads of Arb's
//! disks is what is durable, which is what a power cut at that instant would leave. Looks happen between
//! steps of the world's main task: no task, timer or draw of the world is touched. A finding that is seen at
//! several looks counts once, at its worst.
//!
//! - `protection`: backups, tee and drills. `backlogs`: what still waits when trouble is over. `deadlines`: what is late
//!   though nothing was in its way.

mod backlogs;
mod deadlines;
mod protection;

use crate::chronicle::{Chronicle, Happened};
use crate::clients::{ClientSide, Exported};
use crate::lock;
use crate::needs::Needs;
use crate::operations::{self, Operation};
use crate::scenario::Topic;
use crate::settled::Settling;
use crate::store_faults::StoreLog;
use crate::topology::{Nodes, SCRUB_AFTER_MIDNIGHT};
use deadlines::Deadlines;
use latent_engine::Scenario;
use latent_engine::sim::World;
use latent_engine::verdict::Violation;
use latent_oracle::invariants::i8_compaction::CompactionWatch;
use latent_oracle::invariants::i9_manifests::ManifestWatch;
use latent_oracle::invariants::i10_backup::Promise;
use latent_oracle::invariants::i11_tee::Retention;
use latent_oracle::invariants::i16_space::{Limits, SpaceWatch};
use latent_oracle::invariants::{i1_readable, i2_sent, i3_once, i4_right_day, i5_content, i6_replicas};
use latent_oracle::loss::{Episode, LossBook, LossSummary};
use latent_oracle::reader::export;
use latent_oracle::{DiskView, Excused, FileView, Ledger, Memo, Moment, ProjectDay, Sight, Snapshot, day};
use latent_ports::NodeId;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A backup may take so long, and a failed one is tried again, on top of its interval.
pub(crate) const BACKUP_SLACK: Duration = Duration::from_secs(3 * 3600);
/// A file is named by its edge's clock and expires by those of others, each a little off.
const TEE_EARLY_MS: i64 = 10 * 60_000;
/// A tee file lives until the store looks (every 6 h), a request stands in a file of an hour.
const TEE_SLACK: Duration = Duration::from_secs(8 * 3600);

/// An export is tried at each edge twice, for some minutes each time.
const EXPORT_LASTS_MS: i64 = 30 * 60_000;

/// The memo forgets what a day's looks did not meet: bytes of removed files are not kept alive.
const LOOKS_PER_ROUND: u64 = 24;

/// The judge of one run.
pub(crate) struct Judge {
    side: Arc<ClientSide>,
    read_disks: usize,
    needs: Needs,
    deadlines: Deadlines,
    backup: Option<Promise>,
    tee: Option<Retention>,
    /// While somebody has typed a longer retention of the tee, what is past its own stays.
    tee_kept_longer: Excused,
    limits: Limits,
    memo: Memo,
    runs: CompactionWatch,
    manifests: ManifestWatch,
    space: SpaceWatch,
    loss: LossBook,
    found: BTreeMap<(String, String, Option<String>), Violation>,
    /// Compaction runs that were compared with their inputs.
    pub runs_compared: u64,
    /// Looks at production.
    pub looks: u64,
    /// Records on all disks at the last whole look.
    pub copies_held: u64,
    /// Recoveries begun in production so far.
    pub replays: u32,
    /// Disks that a hostile release has in its hands: what they hold is looked at as what readers see of it, but
    /// nobody answers for how it got there.
    destroyed: BTreeSet<String>,
    /// What production did to the object stores: one into which it wrote is destroyed as well.
    pub store_log: Arc<StoreLog>,
    /// The disk that does not come back.
    left_behind: Option<NodeId>,
    backups_looked_at_ms: i64,
    faults_planned: bool,
    chronicle: Arc<Mutex<Chronicle>>,
    /// What is known about coming to rest.
    pub settling: Settling,
    /// Where days were set aside to.
    asides: Vec<(NodeId, String)>,
    /// How many of these are in the scope of a check.
    asides_checked: usize,
    /// Days of which an alarm since the end of faults said that copies differ.
    pub alarmed: BTreeSet<ProjectDay>,
    tee_store_emptied_ms: Option<i64>,
    /// The most events that a drill lacked because their requests are in open gaps of the tee.
    pub missing_by_design: u64,
    smallest: Option<(u64, DaySets)>,
}

/// Title, and the keys of a day's events before and after a loss, sorted.
pub(crate) type DaySets = (String, Vec<String>, Vec<String>);

impl Judge {
    pub fn new(
        scenario: &Scenario<Topic>,
        world: &World,
        side: Arc<ClientSide>,
        first_ms: i64,
        chronicle: Arc<Mutex<Chronicle>>,
        operations: &[Operation],
    ) -> Judge {
        let topic = &scenario.config;
        let ms = |duration: Duration| duration.as_millis() as i64;
        let backup = topic.protection.backup.as_ref().map(|backup| Promise {
            since_ms: first_ms + ms(backup.first_after.0) - ms(backup.interval.0),
            interval_ms: ms(backup.interval.0),
            slack_ms: ms(BACKUP_SLACK),
            excused: Excused::default(),
        });
        let tee = topic.protection.tee.as_ref().map(|tee| Retention {
            kept_ms: ms(tee.retention.0),
            early_ms: lock(&side.ledger).settings().clock_skew_ms + TEE_EARLY_MS,
            undisturbed_since_ms: i64::MIN / 2,
        });
        let grace_ms = ms(topic.compaction.grace.0);
        let limits = Limits {
            // A backup may have it pinned for an hour, and the clean-up looks every ten minutes.
            orphan_age_ms: grace_ms + 2 * 3_600_000,
            // Filled anew on one night, found equal on the next.
            aside_age_ms: grace_ms + 50 * 3_600_000,
            held_per_live_percent: 400,
            allowance_bytes: 16 << 20,
            tee_age_ms: tee.map_or(i64::MAX / 2, |tee| tee.kept_ms + ms(TEE_SLACK)),
        };
        let needs = Needs::of(topic);
        lock(&chronicle).excuses.repairer = needs.repairer();
        let read_disks = usize::from(topic.topology.copies - topic.topology.ack_copies) + 1;
        Judge {
            side,
            read_disks,
            needs,
            deadlines: Deadlines::new(SCRUB_AFTER_MIDNIGHT),
            backup,
            tee,
            tee_kept_longer: operations::longer_tee_retention(operations, scenario),
            limits,
            memo: Memo::default(),
            runs: CompactionWatch::default(),
            manifests: ManifestWatch::default(),
            space: SpaceWatch::default(),
            loss: LossBook::default(),
            found: BTreeMap::new(),
            runs_compared: 0,
            looks: 0,
            copies_held: 0,
            replays: 0,
            destroyed: BTreeSet::new(),
            store_log: Arc::default(),
            left_behind: None,
            backups_looked_at_ms: i64::MIN / 2,
            // Wherever they stand: a case that was made smaller has them in its plan alone.
            faults_planned: !world.fault_outcomes().is_empty() || !topic.deploys.is_empty(),
            smallest: None,
            chronicle,
            settling: Settling::default(),
            asides: Vec::new(),
            asides_checked: 0,
            alarmed: BTreeSet::new(),
            tee_store_emptied_ms: None,
            missing_by_design: 0,
        }
    }

    /// Takes in what happened since the last look.
    fn hear(&mut self, world: &World, nodes: &Nodes) {
        let now_ms = world.now().0;
        let (happened, troubled) = {
            let mut chronicle = lock(&self.chronicle);
            chronicle.hear_of_faults(world);
            (chronicle.take(), chronicle.is_troubled())
        };
        self.faults_planned |= troubled;
        for one in happened {
            match one {
                Happened::Booted(node, at_ms) => self.space.booted(&world.node_name(node), at_ms),
                Happened::TeeFileCame(node, path, at_ms) => {
                    self.space.tee_file_came(&world.node_name(node), &path, at_ms);
                }
                Happened::SegmentCame(node, of, id, at_ms) => {
                    self.segment_came(&world.node_name(node), of, id, at_ms);
                }
                Happened::HintCame(node, path, at_ms) => self.deadlines.hint_came(node, path, at_ms),
                Happened::SetAside(node, path) => self.asides.push((node, path)),
                Happened::NewDisk(name) => {
                    self.disk_emptied(&name);
                    if nodes.tee_store.is_some_and(|store| *world.node_name(store) == *name) {
                        self.tee_store_emptied_ms = Some(now_ms);
                    }
                }
            }
        }
        for down in nodes.disks.iter().filter(|node| !world.is_up(**node)) {
            self.space.booted(&world.node_name(*down), now_ms);
        }
    }

    /// The days that were set aside since the last call. They are checked while what was set aside is still there: the
    /// directory says that the day begins again, and goes within a day or two.
    pub fn set_aside_since(&mut self, world: &World, nodes: &Nodes) -> BTreeSet<ProjectDay> {
        self.hear(world, nodes);
        let new = &self.asides[self.asides_checked..];
        self.asides_checked = self.asides.len();
        new.iter().filter_map(|(_, path)| day_of(path.split(".corrupt-").next()?)).collect()
    }

    /// Somebody outside of the system emptied or replaced a disk: what it held binds it no more.
    pub fn disk_emptied(&mut self, disk: &str) {
        self.manifests.forget(disk);
        self.runs.forget(disk);
        self.space.forget(disk);
        self.deadlines.nights.forget(disk);
    }

    /// A disk does not come back: what it holds is not judged any more, nor what waits for it.
    pub fn disk_left_behind(&mut self, node: NodeId, disk: &str) {
        self.left_behind = Some(node);
        self.disk_emptied(disk);
        self.settling.dirty.forget(disk);
    }

    /// A disk is in hostile hands from now on.
    pub fn disk_destroyed(&mut self, disk: &str) {
        self.destroyed.insert(disk.to_owned());
    }

    /// A disk is in good hands from now on. If it was in hostile ones, it begins anew with whatever is left.
    /// True when it was the last one.
    pub fn disk_good(&mut self, disk: &str) -> bool {
        let was_destroyed = self.destroyed.remove(disk);
        if was_destroyed {
            self.disk_emptied(disk);
        }
        was_destroyed && self.destroyed.is_empty()
    }

    /// What the system answers for: without the disks that are destroyed.
    fn answered_for<'s>(&self, snapshot: &'s Snapshot) -> Cow<'s, Snapshot> {
        if self.destroyed.is_empty() {
            return Cow::Borrowed(snapshot);
        }
        let mut left = snapshot.clone();
        left.disks.retain(|disk| !self.destroyed.contains(&disk.name));
        Cow::Owned(left)
    }

    fn moment(&self, world: &World, stage: &str, healed: bool) -> Moment {
        let at_ms = world.now().0;
        Moment {
            at_ms,
            stage: stage.to_owned(),
            settled_before_ms: at_ms,
            faults_active: self.faults_planned && !healed,
            replays: self.replays,
            damaged: lock(&self.chronicle).damaged.clone(),
        }
    }

    /// Looks at some project-days on all disks: after compactions, at the end of local days.
    pub fn look_at(&mut self, world: &World, nodes: &Nodes, scope: BTreeSet<ProjectDay>, stage: &str) {
        self.hear(world, nodes);
        let now = self.moment(world, stage, false);
        let days: Vec<String> =
            scope.iter().map(|of| format!("arb/{}/{}", of.project, day::day_text(of.day))).collect();
        let dirs = |node: NodeId| {
            let aside = self.asides.iter().filter(move |(at, _)| *at == node).map(|(_, path)| path);
            days.iter().chain(aside).map(String::as_str)
        };
        let view = |node: &NodeId| {
            let image = world.durable_image_below(*node, dirs(*node));
            view_of(&world.node_name(*node), image.files())
        };
        let views: Vec<DiskView> = nodes.disks.iter().map(view).collect();
        if self.looks.is_multiple_of(LOOKS_PER_ROUND) {
            self.memo.next_round();
        }
        let snapshot = Snapshot::of_days(&mut self.memo, &views, scope);
        self.judge_production(&snapshot, &now, false);
    }

    /// Looks at everything on all disks, once nothing is under way any more.
    pub fn look_at_all(&mut self, world: &World, nodes: &Nodes, stage: &str, healed: bool) -> Sight {
        self.hear(world, nodes);
        let now = self.moment(world, stage, healed);
        let views: Vec<DiskView> = nodes.disks.iter().map(|node| durable_view(world, *node)).collect();
        let snapshot = Snapshot::of(&mut self.memo, &views);
        let sight = self.judge_production(&snapshot, &now, healed);
        self.copies_held =
            snapshot.disks.iter().flat_map(|disk| disk.days.values()).map(|day| day.content.records).sum();
        let answered_for = self.answered_for(&snapshot);
        if let Some(at_ms) = lock(&self.chronicle).last_fault_ms() {
            self.space.disturbed(at_ms);
        }
        let space = self.space.check(&answered_for, self.limits, &now);
        self.note(space);
        if healed {
            let differ = i6_replicas::check(&snapshot, now.at_ms, &now);
            self.note(differ);
            self.settling.note(self.settling.divergence.waiting(&self.alarmed, &snapshot, &now));
        }
        sight
    }

    fn judge_production(&mut self, snapshot: &Snapshot, now: &Moment, healed: bool) -> Sight {
        self.looks += 1;
        let sight = snapshot.seen_by(self.read_disks);
        let side = self.side.clone();
        let mut ledger = lock(&side.ledger);
        let mut found = i1_readable::check(&ledger, &sight, now);
        found.extend(i2_sent::check(&ledger, &sight, now));
        found.extend(i4_right_day::check(&ledger, &sight, now));
        found.extend(i5_content::check(&ledger, &sight, now));
        if healed {
            found.extend(i3_once::check(&ledger, &sight, now));
        }
        let answered_for = self.answered_for(snapshot);
        let runs = self.runs.check(&mut self.memo, &answered_for, now);
        self.runs_compared += runs.compared;
        found.extend(runs.violations);
        found.extend(not_compared(&runs.not_compared, now));
        found.extend(self.manifests.check(&answered_for, now));
        self.settling.dirty.look(&answered_for, ledger.zones(), now.at_ms);
        self.deadlines.nights.look(&answered_for, ledger.zones(), now.at_ms);
        let is_altered = |violation: &Violation| {
            (violation.invariant.as_str(), violation.kind.as_str()) == ("I5", "altered")
        };
        let altered = match found.iter().any(is_altered) {
            true => i5_content::altered(&ledger, &sight),
            false => BTreeSet::new(),
        };
        self.loss.observe(&ledger, &sight, &altered, now);
        ledger.note_seen(&sight);
        drop(ledger);
        self.remember_smallest(&found, &sight);
        self.note(found);
        sight
    }

    /// Keeps the events of the day that lost fewest: only while all that is missing has its name in the finding.
    fn remember_smallest(&mut self, found: &[Violation], sight: &Sight) {
        let named =
            |v: &&Violation| v.invariant == "I1" && v.kind == "missing" && v.items == v.keys.len() as u64;
        for lost in found.iter().filter(named) {
            let known = self.smallest.as_ref().map_or(u64::MAX, |(items, _)| *items);
            let project = lost.subject.strip_prefix('p').and_then(|number| number.parse().ok());
            let day = lost.day.as_deref().and_then(day::parse_day);
            let Some((project, day)) = project.zip(day).filter(|_| lost.items < known) else { continue };
            let held = sight.days.get(&ProjectDay { project, day }).map_or(&[][..], |seen| &seen.held);
            let after: BTreeSet<String> = held.iter().map(|held| held.key.to_string()).collect();
            let before: BTreeSet<String> = after.iter().cloned().chain(lost.keys.iter().cloned()).collect();
            let title = format!(
                "{} {}: keys of {} events, {} lost",
                lost.subject,
                day::day_text(day),
                before.len(),
                lost.items
            );
            self.smallest =
                Some((lost.items, (title, before.into_iter().collect(), after.into_iter().collect())));
        }
    }

    /// The day that lost fewest events, if any lost few enough to be named.
    pub fn smallest_loss(&self) -> Option<&DaySets> {
        self.smallest.as_ref().map(|(_, sets)| sets)
    }

    /// Judges what customers exported.
    pub fn judge_exports(&mut self, world: &World, nodes: &Nodes, exports: Vec<Exported>) {
        if exports.is_empty() {
            return;
        }
        self.hear(world, nodes);
        let excused = lock(&self.chronicle).excuses.of(&self.needs.export());
        for exported in exports {
            let mut now = self.moment(world, "export", false);
            let subject = format!("p{}", exported.project);
            let side = self.side.clone();
            let ledger = lock(&side.ledger);
            let at_ms = now.at_ms;
            let failed = |kind, why: String| {
                Violation::new("I13", kind, "export").of(&subject, 0).at(at_ms).because(why)
            };
            let days = match &exported.body {
                Ok(body) => export::days(&mut self.memo, ledger.zones(), exported.project, "export", body)
                    .map_err(|error| Some(failed("export-malformed", error.to_string()))),
                // While trouble lasts an export may go without an answer, but never with a wrong one.
                Err(_) if !excused.is_free(exported.at_ms, exported.at_ms + EXPORT_LASTS_MS) => Err(None),
                // A check that could not run has failed.
                Err(why) => Err(Some(failed("export-failed", why.clone()))),
            };
            let mut found = Vec::new();
            match days {
                Ok(days) => {
                    now.settled_before_ms = exported.at_ms;
                    let is_asked =
                        |of: &ProjectDay| of.project == exported.project && exported.days.contains(&of.day);
                    let scope = ledger.project_days().filter(is_asked).collect();
                    let sight = Sight::of_one(&days).only(scope);
                    found.extend(i1_readable::check(&ledger, &sight, &now));
                    found.extend(i2_sent::check(&ledger, &sight, &now));
                    found.extend(i3_once::check_export(&days, &now));
                    found.extend(i5_content::check(&ledger, &sight, &now));
                }
                Err(failed) => found.extend(failed),
            }
            drop(ledger);
            self.note(found);
        }
    }

    /// What was found by others, to be told with the rest.
    pub fn note(&mut self, found: Vec<Violation>) {
        for violation in found {
            let key = (violation.fingerprint(), violation.subject.clone(), violation.day.clone());
            match self.found.get_mut(&key) {
                Some(known) if known.items >= violation.items => {}
                Some(known) => *known = Violation { at_ms: known.at_ms, ..violation },
                None => drop(self.found.insert(key, violation)),
            }
        }
    }

    /// What was lost so far.
    pub fn loss(&self, ledger: &Ledger) -> LossSummary {
        self.loss.summary(ledger)
    }

    /// Whether production was short of anything at the last look.
    pub fn is_short_now(&self) -> bool {
        self.loss.is_short_now()
    }

    /// Each time that a project's day fell short of its events.
    pub fn loss_episodes(&self) -> impl Iterator<Item = (ProjectDay, Episode)> {
        self.loss.episodes()
    }

    /// Everything that was found so far.
    pub fn found(&self) -> Vec<Violation> {
        self.found.values().cloned().collect()
    }

    /// Everything that was found, earliest first.
    pub fn into_violations(self) -> Vec<Violation> {
        let mut all: Vec<Violation> = self.found.into_values().collect();
        all.sort_by(|a, b| {
            (a.at_ms, a.fingerprint(), &a.subject).cmp(&(b.at_ms, b.fingerprint(), &b.subject))
        });
        all
    }
}

/// Runs whose files were gone before anybody looked: a check that could not run has failed.
fn not_compared(paths: &[String], now: &Moment) -> Option<Violation> {
    let first = paths.first()?;
    let violation = Violation::new("I13", "run-not-compared", now.stage.as_str());
    Some(
        violation
            .of("", paths.len() as u64)
            .at(now.at_ms)
            .because(format!("inputs or output are gone: {first}")),
    )
}

/// A node's disk as its processes see it: what waits there, what was removed.
fn view(world: &World, node: NodeId) -> DiskView {
    view_of(&world.node_name(node), world.disk_image(node).files())
}

/// A node's disk as a power cut would leave it.
fn durable_view(world: &World, node: NodeId) -> DiskView {
    view_of(&world.node_name(node), world.durable_image(node).files())
}

/// A disk's image, as the oracle reads it.
pub(crate) fn view_of<'i>(
    name: &str,
    files: impl Iterator<Item = (&'i str, latent_engine::sim::FileImage)>,
) -> DiskView {
    let files = files.map(|(path, file)| FileView {
        path: path.to_owned(),
        chunks: file.chunks().to_vec(),
        unreadable: file.has_unreadable(),
        harmed: file.is_harmed(),
    });
    DiskView { name: name.to_owned(), files: files.collect() }
}

/// The project-days that have a directory on any of these disks.
fn days_of(views: &[DiskView]) -> BTreeSet<ProjectDay> {
    views.iter().flat_map(|view| &view.files).filter_map(|file| day_of(&file.path)).collect()
}

/// The project-day in whose directory a path lies, or that it is.
fn day_of(path: &str) -> Option<ProjectDay> {
    let mut parts = path.strip_prefix("arb/")?.split('/');
    let project = parts.next()?.parse().ok()?;
    Some(ProjectDay { project, day: day::parse_day(parts.next()?)? })
}
