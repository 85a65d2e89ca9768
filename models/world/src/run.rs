//! The course of a run: build, trouble, healing, last judgement.
//!
//! One main task steps through what the plan says (deploys, drills) and looks at production every hour, at the
//! days that were compacted or ended since. Clients stop when the scenario ends; the world goes on to heal; then
//! everything is looked at once more.
//!
//! - `heard`: what the main task must know of what goes on. `expectations`: what the oracle is told beforehand.
//! - `notice`: who noticed what was lost. `summing_up`: what the run came to.

mod expectations;
mod heard;
mod notice;
mod summing_up;
#[cfg(test)]
mod tests;

use crate::acks::Acks;
use crate::chronicle::{self, Chronicle};
use crate::clients::{self, ClientSide};
use crate::drill;
use crate::findings::{Drill, Findings};
use crate::judge::Judge;
use crate::lock;
use crate::operations::{Order, What};
use crate::operator::{self, Desk};
use crate::plan::WorldPlan;
use crate::scenario::{HealWithout, Topic};
use crate::topology::{Builder, Images, Nodes, Switchboard, deploy_targets, releases};
use expectations::{ledger_settings, oracle_zones};
use heard::{Ear, Heard};
use latent_engine::sim::{NodeSpec, SimEnv, World};
use latent_engine::{PhaseReporter, Scenario, Verdict};
use latent_oracle::{Ledger, ProjectDay, Sight};
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

/// One run of the world.
pub(crate) struct Course<'a> {
    plan: &'a WorldPlan,
    scenario: &'a Scenario<Topic>,
    pub(crate) world: World,
    progress: PhaseReporter,
    switchboard: Arc<Switchboard>,
    pub(crate) nodes: Nodes,
    desk: Arc<Mutex<Desk>>,
    side: Arc<ClientSide>,
    heard: Arc<Mutex<Heard>>,
    chronicle: Arc<Mutex<Chronicle>>,
    releases: BTreeMap<String, Arc<Release>>,
    zones: Vec<(u32, ZoneHistory)>,
    judge: Judge,
    drills: Vec<Drill>,
    drill_marks: BTreeMap<String, u64>,
    last_look: UnixMs,
    watched: bool,
}

pub(crate) async fn run(
    plan: &WorldPlan,
    scenario: &Scenario<Topic>,
    world: World,
    progress: PhaseReporter,
) -> Verdict<Findings> {
    let mut course = Course::begin(plan, scenario, world, progress);
    course.pass().await;
    course.last_judgement()
}

impl<'a> Course<'a> {
    pub(crate) fn begin(
        plan: &'a WorldPlan,
        scenario: &'a Scenario<Topic>,
        world: World,
        progress: PhaseReporter,
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
        let reaction = scenario.config.operator.as_ref().map(|operator| operator.reaction.0);
        let takes_orders = plan.operations.iter().any(|it| matches!(it.what, What::Recover(_)));
        let (world_of, switch_of, desk_of) = (world.clone(), switchboard.clone(), desk.clone());
        let nodes = builder.build(move |env| {
            let switchboard = switch_of.clone();
            let cluster = move || switchboard.cluster();
            operator::run(env, world_of.clone(), cluster, desk_of.clone(), reaction, takes_orders)
        });
        let side =
            ClientSide::new(Ledger::new(ledger_settings(&world, &nodes, scenario), oracle_zones(plan)));
        let least_disks = u32::from(scenario.config.topology.ack_copies);
        let acks = Acks::new(world.clone(), nodes.disks.clone(), least_disks, chronicle.clone());
        *lock(&side.acks) = Some(acks);
        let sends_ms = clients::sends_ms(scenario);
        let (side_of, edges, plan_of, world_of) =
            (side.clone(), nodes.edges.clone(), plan.clone(), world.clone());
        world.add_node(NodeSpec::named("clients"), move |env: SimEnv| {
            clients::start(&env, &world_of, &plan_of, &side_of, &edges, sends_ms.clone());
            std::future::ready(())
        });
        let mut judge =
            Judge::new(scenario, &world, side.clone(), start.0, chronicle.clone(), &plan.operations);
        judge.store_log = switchboard.store_log.clone();
        let zones = plan
            .tenants
            .iter()
            .map(|tenant| {
                let zones = ZoneHistory::constant(&tenant.zone);
                (tenant.law.project, zones.expect("zones were checked with the scenario"))
            })
            .collect();
        Course {
            plan,
            scenario,
            releases: releases(&scenario.config),
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
            drill_marks: BTreeMap::new(),
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
        for deploy in &self.scenario.config.deploys {
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
        let last = end + self.scenario.config.healing.0;
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
            self.judge.judge_exports(&self.world, &self.nodes, exports);
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
        self.leave_a_disk_behind();
        if self.watched {
            self.judge.faults_ended(&self.world, &self.nodes);
        }
    }

    /// Takes the disk away without which the rest is to heal. It is none of those that are looked at any more.
    fn leave_a_disk_behind(&mut self) {
        let Some(without) = &self.scenario.config.heal_without else { return };
        let disk = self.world.node_named(without.disk()).expect("the disk was checked with the scenario");
        self.world.note(&format!("{} does not come back", without.disk()));
        match without {
            HealWithout::Down(_) => self.world.kill(disk),
            HealWithout::CutOff(_) => {
                for other in self.world.nodes().into_iter().filter(|node| *node != disk) {
                    self.world.cut(disk, other);
                    self.world.cut(other, disk);
                }
            }
        }
        self.nodes.disks.retain(|node| *node != disk);
        lock(&self.chronicle).excuses.gone(without.disk(), self.world.now().0);
        self.judge.disk_left_behind(disk, without.disk());
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
        self.restart(node);
    }

    fn restart(&self, node: NodeId) {
        lock(&self.chronicle).excuses.restarted(&self.world.node_name(node), self.world.now().0);
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
        self.restart(node);
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
        for (project, zones) in &self.zones {
            let before = |moment: UnixMs| zones.day(moment - Duration::from_millis(HOUR_MS as u64), moment);
            if before(now) != before(self.last_look) {
                let ended = before(self.last_look);
                scope.insert(ProjectDay { project: *project, day: ended.0 });
            }
        }
        scope.extend(self.judge.set_aside_since(&self.world, &self.nodes));
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
        self.judge.look_at_deadlines(&self.world, &self.nodes);
        if now.0.div_euclid(HOUR_MS) % 6 == 0 {
            self.judge.look_at_tee(&self.world, &self.nodes, "hourly");
        }
        let is_due = self.judge.settling.is_due(&self.scenario.config, &lock(&self.chronicle), now.0);
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
        let protection = &self.scenario.config.protection;
        let chronicle = lock(&self.chronicle);
        let since = |node: &NodeId| chronicle.unsound.get(&*self.world.node_name(*node)).copied();
        let tee_lacks_ms = self.nodes.tee_store.as_ref().and_then(since);
        let tee_is_enough =
            tee_lacks_ms.is_none_or(|since_ms| newest_backup_ms.is_some_and(|ms| ms > since_ms));
        let a_backup_is_sound = self.nodes.data_centers.iter().any(|node| since(node).is_none());
        // A tee that forgets before a backup has taken over promises nothing.
        let takes_over = protection
            .tee
            .as_ref()
            .zip(protection.backup.as_ref())
            .is_some_and(|(tee, backup)| tee.retention.0 >= backup.interval.0.max(backup.first_after.0));
        takes_over && tee_is_enough && a_backup_is_sound
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
        for (name, times) in &drilled.marks {
            *self.drill_marks.entry(format!("drill:{name}")).or_default() += times;
        }
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
}
