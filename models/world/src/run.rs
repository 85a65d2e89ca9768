//! The course of a run: build, trouble, healing, last judgement.
//!
//! One main task steps through what the plan says (deploys, drills) and looks at production every hour, at the
//! days that were compacted or ended since. Clients stop when the scenario ends; the world goes on to heal; then
//! everything is looked at once more. Marks are heard by an observer, which only writes down.

use crate::acks::Acks;
use crate::chronicle::{self, Chronicle};
use crate::clients::{self, ClientSide};
use crate::credentials::StoreKind;
use crate::drill;
use crate::findings::{Counts, Drill, Findings, Loss, Recovered, Work};
use crate::judge::Judge;
use crate::lock;
use crate::operations::{Order, What};
use crate::operator::{self, Desk};
use crate::plan::WorldPlan;
use crate::scenario::Topic;
use crate::topology::{Builder, Images, Nodes, Switchboard, deploy_targets, releases};
use crate::trouble::budget;
use latent_engine::sim::{Action, Anchor, Event, Fault, NodeSpec, Observer, Record, SimEnv, World};
use latent_engine::verdict::{Facts, Recovery};
use latent_engine::{Judged, Notice, Progress, Scenario, words};
use latent_oracle::loss::LossSummary;
use latent_oracle::{Ledger, ProjectDay, Settings, Sight, Zones, day};
use latent_pipeline::access::Permission;
use latent_pipeline::audit::{Alarm, Retained};
use latent_pipeline::config::Cluster;
use latent_pipeline::release::{Bug, Release};
use latent_pipeline::zone::ZoneHistory;
use latent_ports::{NodeId, UnixMs};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;
/// Clients begin when every node has had time to boot.
pub(crate) const WARM_UP_MS: i64 = 60_000;

/// What the main task does at an instant. Ordered: of one instant, in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// A node moves to a release.
    Deploy(NodeId, String),
    /// An operator does what the plan says at this place.
    Operate(usize),
    /// What he did there is mended.
    Mend(usize),
    /// The oracle looks at what changed.
    Look,
    /// Recovery on copies.
    Drill,
    /// Clients have stopped; faults are over.
    Heal,
}

/// What the observer wrote down.
#[derive(Default)]
struct Heard {
    /// Compacted since the last look.
    compacted: BTreeSet<ProjectDay>,
    /// When runs of a day were committed, ms since 1970.
    commits: BTreeMap<ProjectDay, BTreeSet<i64>>,
    runs: u64,
    backup_since_look: bool,
    /// Under way now: a backup, and compaction runs.
    backup_under_way: bool,
    /// With the number of looks since they began.
    runs_under_way: BTreeMap<(NodeId, ProjectDay), u32>,
}

impl Heard {
    /// Days to look at: those compacted since the last look, and those whose run was under way when its disk crashed:
    /// it may be committed and nobody have said so. They are looked at until the disk has been up for a whole look.
    fn due(&mut self, is_up: impl Fn(NodeId) -> bool) -> BTreeSet<ProjectDay> {
        let mut due = std::mem::take(&mut self.compacted);
        due.extend(self.runs_under_way.keys().map(|(_, of)| *of));
        self.runs_under_way.retain(|(node, _), looks| {
            *looks += u32::from(is_up(*node));
            *looks < 2
        });
        due
    }
}

struct Ear {
    start: UnixMs,
    heard: Arc<Mutex<Heard>>,
}

impl Observer for Ear {
    fn on_record(&mut self, record: &Record<'_>, _: &World) {
        let Event::Mark { name, subject } = record.event else { return };
        match name {
            "compaction.committed" => {
                let Some(of) = project_day(subject) else { return };
                let at = self.start + Duration::from_nanos(record.time_ns);
                let mut heard = lock(&self.heard);
                heard.runs += 1;
                heard.compacted.insert(of);
                heard.commits.entry(of).or_default().insert(at.0);
                heard.runs_under_way.remove(&(record.node, of));
            }
            "compaction.merging" => {
                let Some(of) = project_day(subject) else { return };
                lock(&self.heard).runs_under_way.insert((record.node, of), 0);
            }
            "backup.started" => lock(&self.heard).backup_under_way = true,
            "backup.failed" => lock(&self.heard).backup_under_way = false,
            "backup.catalog-durable" => {
                let mut heard = lock(&self.heard);
                heard.backup_since_look = true;
                heard.backup_under_way = false;
            }
            _ => {}
        }
    }
}

/// Parses `p17/2016-02-22`.
fn project_day(subject: &str) -> Option<ProjectDay> {
    let (project, date) = subject.strip_prefix('p')?.split_once('/')?;
    Some(ProjectDay { project: project.parse().ok()?, day: day::parse_day(date)? })
}

/// One run of the world.
pub(crate) struct Course<'a> {
    plan: &'a WorldPlan,
    scenario: &'a Scenario<Topic>,
    pub(crate) world: World,
    progress: Progress,
    switchboard: Arc<Switchboard>,
    pub(crate) nodes: Nodes,
    desk: Arc<Mutex<Desk>>,
    side: Arc<ClientSide>,
    heard: Arc<Mutex<Heard>>,
    chronicle: Arc<Mutex<Chronicle>>,
    releases: BTreeMap<String, Arc<Release>>,
    zones: Vec<ZoneHistory>,
    judge: Judge,
    drills: Vec<Drill>,
    last_look: UnixMs,
    watched: bool,
}

pub(crate) async fn run(
    plan: &WorldPlan,
    scenario: &Scenario<Topic>,
    world: World,
    progress: Progress,
) -> Judged<Findings> {
    let mut course = Course::begin(plan, scenario, world, progress);
    course.pass().await;
    course.last_judgement()
}

impl<'a> Course<'a> {
    pub(crate) fn begin(
        plan: &'a WorldPlan,
        scenario: &'a Scenario<Topic>,
        world: World,
        progress: Progress,
    ) -> Course<'a> {
        let switchboard = Arc::new(Switchboard::default());
        let desk: Arc<Mutex<Desk>> = Arc::default();
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let start = scenario.start.0;
        world.observe(Box::new(Ear { start, heard: heard.clone() }));
        let chronicle = chronicle::listen(&world);
        let images = Images::new();
        let builder = Builder {
            world: &world,
            scenario,
            plan,
            switchboard: &switchboard,
            images: &images,
            drill: false,
        };
        let reaction = scenario.topic.operator.as_ref().map(|operator| operator.reaction.0);
        let takes_orders = plan.operations.iter().any(|it| matches!(it.what, What::Recover(_)));
        let (world_of, switch_of, desk_of) = (world.clone(), switchboard.clone(), desk.clone());
        let nodes = builder.build(move |env| {
            let switchboard = switch_of.clone();
            let cluster = move || switchboard.cluster();
            operator::run(env, world_of.clone(), cluster, desk_of.clone(), reaction, takes_orders)
        });
        let side =
            ClientSide::new(Ledger::new(ledger_settings(&world, &nodes, scenario), oracle_zones(plan)));
        let least_disks = u32::from(scenario.topic.topology.ack_copies);
        let acks = Acks::new(world.clone(), nodes.disks.clone(), least_disks, chronicle.clone());
        *lock(&side.acks) = Some(acks);
        let sends_ms = start.0 + WARM_UP_MS..scenario.end().0.0;
        let (side_of, edges, plan_of, world_of) =
            (side.clone(), nodes.edges.clone(), plan.clone(), world.clone());
        world.add_node(NodeSpec::named("clients"), move |env: SimEnv| {
            clients::start(&env, &world_of, &plan_of, &side_of, &edges, sends_ms.clone());
            std::future::ready(())
        });
        let mut judge = Judge::new(scenario, side.clone(), start.0, chronicle.clone());
        judge.store_log = switchboard.store_log.clone();
        let zones = plan
            .tenants
            .iter()
            .map(|tenant| ZoneHistory::constant(&tenant.zone).expect("zones were checked with the scenario"))
            .collect();
        Course {
            plan,
            scenario,
            releases: releases(&scenario.topic),
            last_look: world.now(),
            world,
            progress,
            switchboard,
            nodes,
            desk,
            side,
            heard,
            chronicle,
            zones,
            judge,
            drills: Vec::new(),
            watched: true,
        }
    }

    /// Lets the scenario pass, trouble and healing.
    pub(crate) async fn pass(&mut self) {
        for (at, step) in self.timeline(self.scenario.start.0, self.scenario.end().0) {
            self.world.sleep_until(UnixMs(at)).await;
            match step {
                Step::Look | Step::Drill if !self.watched => {}
                step => self.step(step),
            }
        }
    }

    fn timeline(&self, start: UnixMs, end: UnixMs) -> BTreeSet<(i64, Step)> {
        let mut steps = BTreeSet::new();
        for deploy in &self.scenario.topic.deploys {
            let (targets, pause) = deploy_targets(&deploy.to, &self.world, &self.nodes);
            for (turn, node) in targets.into_iter().enumerate() {
                let at = deploy.at.0 + pause * turn as u32;
                steps.insert((at.0, Step::Deploy(node, deploy.release.clone())));
            }
        }
        for (index, operation) in self.plan.operations.iter().enumerate() {
            steps.insert((operation.at.0.0, Step::Operate(index)));
            if let Some(lasts) = operation.what.lasts() {
                // What lasts longer is mended when trouble is over.
                let mended = (operation.at.0 + lasts.0).min(end);
                steps.insert((mended.0, Step::Mend(index)));
            }
        }
        steps.extend(self.plan.drills_ms.iter().map(|at| (*at, Step::Drill)));
        steps.insert((end.0, Step::Heal));
        let last = end + self.scenario.topic.healing.0;
        // Looks stand beside the full hour: jobs begin at it.
        let mut at = start.0 + HOUR_MS - HOUR_MS / 4;
        while at < last.0 {
            steps.insert((at, Step::Look));
            at += HOUR_MS;
        }
        steps.insert((last.0, Step::Look));
        steps
    }

    fn step(&mut self, step: Step) {
        if self.watched {
            // Before anything is looked at: what a later look sees was perhaps not there to be exported.
            let exports = std::mem::take(&mut *lock(&self.side.exports));
            self.judge.judge_exports(&self.world, exports);
        }
        match step {
            Step::Deploy(node, release) => self.deploy(node, &release),
            Step::Operate(index) => self.operate(index),
            Step::Mend(index) => self.mend(index),
            Step::Look => self.look(),
            Step::Drill => self.drill(),
            Step::Heal => self.heal(),
        }
    }

    /// Trouble is over, and what it left is the system's to bring in order.
    fn heal(&mut self) {
        self.progress.phase("healing");
        self.world.end_faults();
        for node in self.switchboard.configured() {
            self.configure(node, None);
        }
        lock(&self.chronicle).faults_ended_ms = Some(self.world.now().0);
        if self.watched {
            self.judge.faults_ended(&self.world, &self.nodes);
        }
    }

    /// An operator recovers, or makes a mistake.
    fn operate(&mut self, index: usize) {
        let what = &self.plan.operations[index].what;
        self.world.note(&format!("an operator {}", what.in_words()));
        if let What::Recover(recover) = what {
            lock(&self.desk).orders.push(Order::of(recover.clone()));
        } else if let Some((node, cluster)) = what.configure(&self.switchboard.cluster(), &self.nodes) {
            self.configure(node, Some(cluster));
        }
    }

    fn mend(&mut self, index: usize) {
        if let Some((node, _)) =
            self.plan.operations[index].what.configure(&self.switchboard.cluster(), &self.nodes)
        {
            self.configure(node, None);
        }
    }

    /// A node restarts with a configuration of its own, or with that of the rest again.
    fn configure(&mut self, node: NodeId, cluster: Option<Cluster>) {
        self.switchboard.configure(node, cluster);
        self.world.restart(node);
    }

    fn deploy(&mut self, node: NodeId, release: &str) {
        let release = self.releases.get(release).expect("releases of deploys were checked with the scenario");
        let name = self.world.node_name(node);
        self.world.note(&format!("deploy {} to {name}", release.name));
        self.switchboard.set_release(node, release);
        if release.has(Bug::Hostile) {
            self.judge.disk_destroyed(&name);
            lock(&self.chronicle).unsound.insert(name.to_string(), self.world.now().0);
        }
        self.world.restart(node);
        if !release.has(Bug::Hostile) && self.judge.disk_good(&name) && self.watched {
            // What production lacks from here on is no later backup's fault.
            self.judge.look_at_all(&self.world, &self.nodes, "after-destruction", false);
        }
    }

    /// Looks at the project-days that were compacted since the last look, or whose local day ended an hour ago.
    fn look(&mut self) {
        let now = self.world.now();
        let (mut scope, backup) = {
            let mut heard = lock(&self.heard);
            let due = heard.due(|node| self.world.is_up(node));
            (due, std::mem::take(&mut heard.backup_since_look))
        };
        for (index, zones) in self.zones.iter().enumerate() {
            let before = |moment: UnixMs| zones.day(moment - Duration::from_millis(HOUR_MS as u64), moment);
            if before(now) != before(self.last_look) {
                let ended = before(self.last_look);
                scope.insert(ProjectDay { project: index as u32 + 1, day: ended.0 });
            }
        }
        self.judge.replays = lock(&self.desk).begun;
        let lacking = self.judge.lacking();
        if !scope.is_empty() {
            self.judge.look_at(&self.world, &self.nodes, scope, "day-end");
        }
        // Also when none comes any more: that is when it matters.
        if backup || self.judge.backups_overdue(now) {
            let sight = self.judge.look_at_all(&self.world, &self.nodes, "day-end", false);
            self.judge.look_at_backups(&self.world, &self.nodes, &sight, &lacking, "after-backup");
        }
        if now.0.div_euclid(HOUR_MS) % 6 == 0 {
            self.judge.look_at_tee(&self.world, &self.nodes, "hourly");
        }
        let is_due = self.judge.settling.is_due(&self.scenario.topic, &lock(&self.chronicle), now.0);
        if is_due {
            self.judge.look_at_backlogs(&self.world, &self.nodes);
        }
        self.last_look = now;
    }

    /// Whether the scenario promises that everything acknowledged can be had back from backups, the newest of them of
    /// this position, and the tee. What a planned fault took from the tee store is in no tee any more: until the next
    /// backup it is production's copies that the promise rests on, and a drill presumes them gone. Of the data centers
    /// one alone is enough.
    fn is_protected(&self, newest_backup_ms: Option<i64>) -> bool {
        let protection = &self.scenario.topic.protection;
        let chronicle = lock(&self.chronicle);
        let since = |node: &NodeId| chronicle.unsound.get(&*self.world.node_name(*node)).copied();
        let tee_lacks_ms = self.nodes.tee_store.as_ref().and_then(since);
        let tee_is_enough =
            tee_lacks_ms.is_none_or(|since_ms| newest_backup_ms.is_some_and(|ms| ms > since_ms));
        let a_backup_is_sound = self.nodes.data_centers.iter().any(|node| since(node).is_none());
        protection.tee.is_some() && protection.backup.is_some() && tee_is_enough && a_backup_is_sound
    }

    fn drill(&mut self) {
        let sight = self.judge.look_at_all(&self.world, &self.nodes, "day-end", false);
        self.drill_against(&sight);
    }

    fn drill_against(&mut self, production: &Sight) {
        let now = self.world.now();
        self.progress.phase("drill");
        let images = drill::survivors(&self.world, &self.nodes);
        let drilled = drill::run(self.scenario, self.plan, &images, now, self.drills.len() as u64);
        let promised = self.is_protected(drilled.newest_backup_ms());
        let missing = self.judge.judge_drill(&drilled, production, now.0, promised);
        let during = {
            let heard = lock(&self.heard);
            let under_way =
                [("backup", heard.backup_under_way), ("compaction", !heard.runs_under_way.is_empty())];
            under_way.into_iter().filter(|(_, is)| *is).map(|(what, _)| what.to_owned()).collect()
        };
        self.drills.push(Drill { during, ..Drill::of(now.0, &drilled, missing) });
    }

    /// What the faults of the run damaged at once beyond the budget, if they did.
    fn beyond_budget(&self) -> Option<String> {
        let budget = self.scenario.topic.trouble.as_ref().map(|trouble| trouble.budget).unwrap_or_default();
        let outcomes = self.world.fault_outcomes();
        let struck = outcomes.iter().filter_map(|outcome| {
            let anchor = Anchor::AtMs(outcome.struck?.0);
            Some(Fault { anchor, action: outcome.fault.action.clone() })
        });
        let struck: Vec<Fault> = struck.collect();
        budget::exceeded(struck.iter(), self.scenario, &budget)
    }

    pub(crate) fn last_judgement(mut self) -> Judged<Findings> {
        self.progress.phase("judging");
        self.judge.replays = lock(&self.desk).begun;
        self.judge.alarmed = self.copies_differ_alarms();
        let lacking = self.judge.lacking();
        let sight = self.judge.look_at_all(&self.world, &self.nodes, "after-healing", true);
        self.judge.look_at_backups(&self.world, &self.nodes, &sight, &lacking, "after-healing");
        self.judge.look_at_tee(&self.world, &self.nodes, "after-healing");
        if self.scenario.topic.protection.backup.is_some() {
            self.drill_against(&sight);
        }
        self.judge.look_at_backlogs(&self.world, &self.nodes);
        let hung = self.judge.settling.hung();
        let acks = lock(&self.side.acks).take();
        let acknowledgements_checked = acks.as_ref().map_or(0, |acks| acks.checked);
        self.judge.note(acks.map_or_else(Vec::new, |acks| acks.found));
        let side = self.side.clone();
        let ledger = lock(&side.ledger);
        let summary = self.judge.loss(&ledger);
        let recovery = self.recovery(&summary);
        let facts = Facts {
            recovery: self.shown(&summary),
            hung,
            nondeterministic: false,
            beyond_budget: self.beyond_budget(),
        };
        let diff = crate::diff::of_smallest_loss(&self.judge);
        let zone_of = |project: u32| self.plan.tenants[project as usize - 1].zone.clone();
        let findings = Findings {
            projects: self.plan.tenants.len() as u64,
            requests: counts(ledger.requests()),
            events: counts(ledger.events()),
            loss: Loss::of(summary, zone_of),
            recovery,
            used_permissions: self.used_permissions(),
            drills: std::mem::take(&mut self.drills),
            work: Work {
                event_copies_held: self.judge.copies_held,
                compaction_runs: lock(&self.heard).runs,
                compaction_runs_checked: self.judge.runs_compared,
                looks: self.judge.looks,
                acknowledgements_checked,
            },
            diff,
        };
        drop(ledger);
        let noticed = self.noticed();
        Judged { violations: self.judge.into_violations(), facts, noticed, findings }
    }

    /// Days of which anti-entropy has said since the end of faults that their copies differ.
    fn copies_differ_alarms(&self) -> BTreeSet<ProjectDay> {
        let Some(ended_ms) = lock(&self.chronicle).faults_ended_ms else { return BTreeSet::new() };
        let desk = lock(&self.desk);
        let alarms = desk.alarms.iter().filter(|(at_ms, _)| *at_ms >= ended_ms);
        let of = |(_, alarm): &(i64, Alarm)| match alarm {
            Alarm::CopiesDiffer { project, day } => Some(ProjectDay { project: *project, day: day.0 }),
            _ => None,
        };
        alarms.filter_map(of).collect()
    }

    /// What was shown about getting lost events back.
    fn shown(&self, summary: &LossSummary) -> Recovery {
        match (self.judge.is_missing_now(), self.drills.last()) {
            (false, _) => Recovery::Complete,
            (true, Some(drill)) if drill.seconds.is_some() && summary.events_unrecoverable == 0 => {
                Recovery::Complete
            }
            (true, Some(drill)) if drill.seconds.is_some() => Recovery::Partial,
            (true, _) => Recovery::NotShown,
        }
    }

    fn recovery(&self, summary: &LossSummary) -> Recovered {
        let desk = lock(&self.desk);
        let missing = |(_, alarm): &&(i64, Alarm)| matches!(alarm, Alarm::EventsMissing { .. });
        let alarm_ms = desk.alarms.iter().find(missing).map(|(at_ms, _)| *at_ms);
        let damage_ms = self.first_damage_ms(summary);
        let seconds = |ms: i64| (ms / 1_000).max(0).unsigned_abs();
        let last = self.drills.last();
        let now = self.world.now().0;
        let point = last.filter(|drill| drill.seconds.is_some()).map(|drill| match drill.events_missing {
            0 => 0,
            _ => seconds(now - drill.position_ms.unwrap_or(self.scenario.start.0.0)),
        });
        let in_production = desk.recoveries.iter().map(|report| report.ended_ms - report.started_ms).max();
        let days = || desk.recoveries.iter().flat_map(|report| &report.days);
        Recovered {
            detected_by: alarm_ms.map(|_| "audit".to_owned()),
            detected_after_seconds: alarm_ms.zip(damage_ms).map(|(alarm, damage)| seconds(alarm - damage)),
            recovery_point_seconds: point,
            recovery_time_seconds: in_production.map(seconds).or(last.and_then(|drill| drill.seconds)),
            recoveries: desk.recoveries.len() as u64,
            days_repaired: days().filter(|day| day.audited && day.written).count() as u64,
            events_restored: days().map(|day| day.restored).sum(),
            events_replayed: days().map(|day| day.replayed).sum(),
        }
    }

    /// What production could do to the object stores, and did.
    fn used_permissions(&self) -> Vec<String> {
        let sentence = |(kind, permission): (StoreKind, Permission)| {
            format!("production may {} {}", permission.name(), kind.place())
        };
        self.switchboard.store_log.used().into_iter().map(sentence).collect()
    }

    /// When the first loss was committed: the last compaction of the day before the oracle saw it.
    fn first_damage_ms(&self, summary: &LossSummary) -> Option<i64> {
        let heard = lock(&self.heard);
        let of_day = |lost: &latent_oracle::loss::LostDay| {
            let of = ProjectDay { project: lost.project, day: day::parse_day(&lost.day)? };
            let commits = heard.commits.get(&of);
            let last =
                commits.and_then(|commits| commits.range(..=lost.first_seen_at_ms).next_back().copied());
            Some(last.unwrap_or(lost.first_seen_at_ms))
        };
        summary.days.iter().filter_map(of_day).min()
    }

    fn noticed(&self) -> Vec<Notice> {
        let desk = lock(&self.desk);
        let mut noticed: Vec<Notice> = Vec::new();
        let mut more: BTreeMap<&str, u64> = BTreeMap::new();
        for (at_ms, alarm) in &desk.alarms {
            let (by, what) = match alarm {
                Alarm::EventsMissing { project, day, keys } => {
                    ("audit", format!("p{project} {day}: {keys} events missing"))
                }
                Alarm::AuditFailed { project, why } => ("audit could not run", format!("p{project}: {why}")),
                Alarm::ProductionShrank { project, day, keys } => {
                    ("the backup", format!("p{project} {day}: {keys} events fewer than before"))
                }
                Alarm::BackupOverdue { data_center, newest_ms } => {
                    let newest = newest_ms.map_or("cannot be asked".to_owned(), |newest_ms| {
                        format!("nothing newer than {}", words::moment_ms(newest_ms))
                    });
                    ("the backup watch", format!("dc-{data_center}: {newest}"))
                }
                Alarm::RetentionRefused { of, asked_ms, kept_ms } => {
                    let of = match of {
                        Retained::Tee => "the tee",
                        Retained::Backups => "backups",
                    };
                    let (asked, kept) = (words::span_ms(*asked_ms), words::span_ms(*kept_ms));
                    ("the retention's check", format!("{of}: {asked} was typed, {kept} is kept"))
                }
                Alarm::CopiesDiffer { project, day } => {
                    ("anti-entropy", format!("p{project} {day}: copies differ"))
                }
            };
            let count = more.entry(by).or_default();
            *count += 1;
            if *count == 1 {
                noticed.push(Notice { by: by.to_owned(), at_ms: *at_ms, what });
            }
        }
        for notice in &mut noticed {
            let others = more.get(notice.by.as_str()).map_or(0, |count| count - 1);
            if others > 0 {
                notice.what = format!("{}, and {others} more", notice.what);
            }
        }
        noticed
    }
}

fn counts(of: latent_oracle::ledger::Counts) -> Counts {
    Counts { sent: of.sent, acked: of.acked, unknown: of.unknown, rejected: of.rejected }
}

/// How far edges' clocks may be off: what a good time service leaves, and what the plan's faults do to them. And
/// whether they let links to edges double a customer's request.
fn ledger_settings(world: &World, nodes: &Nodes, scenario: &Scenario<Topic>) -> Settings {
    let usual = Settings::default();
    let edges: BTreeSet<String> = nodes.edges.iter().map(|node| world.node_name(*node).to_string()).collect();
    let lasts_ms = (scenario.run_for.0 + scenario.topic.healing.0).as_millis() as u64;
    let skew_ms = |fault: &Fault| match &fault.action {
        Action::ClockStep(step) if edges.contains(&step.node) => step.by_ms.unsigned_abs(),
        Action::ClockDrift(drift) if edges.contains(&drift.node) => {
            let for_ms = drift.for_ms.unwrap_or(lasts_ms).min(lasts_ms);
            u64::from(drift.ppm.unsigned_abs()) * for_ms / 1_000_000 + 1
        }
        _ => 0,
    };
    // Steps may add up: they may all fall on one edge.
    let skew_ms: u64 = world.fault_outcomes().iter().map(|outcome| skew_ms(&outcome.fault)).sum();
    let is_edge = |name: &String| name == "*" || edges.contains(name);
    let doubles = |fault: &Fault| match &fault.action {
        Action::DegradeLink(link) => {
            link.duplicate_ppm > Some(0) && (is_edge(&link.from) || is_edge(&link.to))
        }
        _ => false,
    };
    let doubled = world.fault_outcomes().iter().any(|outcome| doubles(&outcome.fault));
    let deliveries_per_send = usual.deliveries_per_send + u32::from(doubled);
    Settings {
        deliveries_per_send,
        clock_skew_ms: usual.clock_skew_ms + i64::try_from(skew_ms).unwrap_or(i64::MAX / 4),
        ..usual
    }
}

/// The oracle's own knowledge of zones.
fn oracle_zones(plan: &WorldPlan) -> Zones {
    let mut zones = Zones::default();
    for tenant in &plan.tenants {
        let set = zones.set(tenant.law.project, i64::MIN, &tenant.zone);
        set.unwrap_or_else(|error| panic!("zone of p{}: {error}", tenant.law.project));
    }
    zones
}

#[cfg(test)]
mod tests;
