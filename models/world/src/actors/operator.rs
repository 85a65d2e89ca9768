//! The operator: receives alarms, waits for a human reaction time, and recovers the damaged days.
//!
//! The operator knows only alarms and what production reports: a recovery starts once all workers run `good`, and
//! covers the days named by alarms since the last one. Modelled as one person who never sleeps and follows the
//! runbook. Planned actions, mistakes included, arrive as recovery tasks or configuration changes (see
//! `operations` of the scenario). The operator's state survives a restart of the machine.

use crate::actors::recovery_log::RecoveryLog;
use crate::actors::recovery_task::RecoveryTask;
use crate::cluster::node_env::NodeEnv;
use crate::marks;
use crate::mutex::lock;
use latent_engine::sim::{SimEnv, World};
use latent_pipeline::alarms::Alarm;
use latent_pipeline::codec::{self, tag};
use latent_pipeline::compaction::worker::release_of;
use latent_pipeline::config::{BootConfig, Cluster};
use latent_pipeline::recovery::run::{RecoveryReport, RecoveryTargets, recover, recover_with_steps};
use latent_pipeline::recovery::runbook::RecoveryStep;
use latent_pipeline::zone::Day;
use latent_ports::{Clock, Env, Mark, Net};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// Alarms and recovery tasks of the operator, and their progress.
#[derive(Default)]
pub(crate) struct OperatorState {
    /// Alarms in order, with their arrival time.
    pub alarms: Vec<(i64, Alarm)>,
    /// Days to recover.
    pub damaged: BTreeSet<(u32, Day)>,
    /// Days whose recovery is in progress.
    in_progress: BTreeSet<(u32, Day)>,
    /// Planned recoveries that are due.
    pub recovery_tasks: Vec<RecoveryTask>,
    /// Reports of the recoveries that ended.
    pub recoveries: Vec<RecoveryReport>,
    /// Number of recoveries that started.
    pub started: u32,
    /// Recoveries that have not ended.
    pub recovery_log: RecoveryLog,
}

impl OperatorState {
    /// Starts a new session; in-flight tasks are queued again.
    fn start_session(&mut self) {
        let unfinished = std::mem::take(&mut self.in_progress);
        self.damaged.extend(unfinished);
        self.recovery_tasks.iter_mut().for_each(|order| order.is_running = false);
        self.recovery_log.process_died();
    }

    fn recovery_started(&mut self, world: &World) {
        self.started += 1;
        self.recovery_log.started(world.now().0);
    }

    fn recovery_ended(&mut self, report: RecoveryReport) {
        self.recovery_log.ended();
        self.recoveries.push(report);
    }
}

/// Runs the operator: receives alarms, recovers if `reaction` is given, and runs recovery tasks if any are planned.
pub(crate) async fn run(
    env: NodeEnv<SimEnv>,
    world: World,
    boot: impl Fn() -> BootConfig,
    operator_state: Arc<Mutex<OperatorState>>,
    reaction: Option<Duration>,
    has_recovery_tasks: bool,
) {
    lock(&operator_state).start_session();
    if has_recovery_tasks {
        let (env_of_task, boot, operator_state) = (env.clone(), boot(), operator_state.clone());
        let world = world.clone();
        env.spawn(async move { run_recovery_tasks(env_of_task, world, boot, operator_state).await });
    }
    if let Some(reaction) = reaction {
        let (env_of_task, boot, operator_state) = (env.clone(), boot(), operator_state.clone());
        let world = world.clone();
        env.spawn(async move { answer_alarms(env_of_task, world, boot, operator_state, reaction).await });
    }
    env.net()
        .serve(64, move |request| {
            if let Ok(alarm) = codec::decode::<Alarm>(tag::OPERATOR, &request.message) {
                let mut operator_state = lock(&operator_state);
                if let Alarm::EventsMissing { project, day, .. }
                | Alarm::EventsAltered { project, day, .. }
                | Alarm::ProductionShrank { project, day, .. }
                | Alarm::TooFewCopies { project, day, .. } = alarm
                {
                    operator_state.damaged.insert((project, day));
                }
                operator_state.alarms.push((world.now().0, alarm));
            }
            std::future::ready(codec::message(tag::OPERATOR, &()))
        })
        .await;
}

async fn answer_alarms(
    env: NodeEnv<SimEnv>,
    world: World,
    boot: BootConfig,
    operator_state: Arc<Mutex<OperatorState>>,
    reaction: Duration,
) {
    loop {
        env.clock().sleep(LOOK_EVERY).await;
        if lock(&operator_state).damaged.is_empty() {
            continue;
        }
        env.clock().sleep(reaction).await;
        while !production_is_good(&env, &boot.cluster).await {
            env.clock().sleep(LOOK_EVERY).await;
        }
        let damaged = {
            let mut operator_state = lock(&operator_state);
            operator_state.recovery_started(&world);
            operator_state.in_progress = std::mem::take(&mut operator_state.damaged);
            operator_state.in_progress.clone()
        };
        let report = recover(&env, &boot, &RecoveryTargets::Days(damaged.clone())).await;
        let mut operator_state = lock(&operator_state);
        operator_state.in_progress.clear();
        if report.is_complete() {
            env.mark(Mark { name: marks::OPERATOR_RECOVERED, subject: "" });
        } else {
            // Failed days are retried: a data center may have been unreachable.
            let failed = report.days.iter().filter(|day| !day.audited || !day.written);
            operator_state.damaged.extend(failed.map(|day| (day.project, day.day)));
            env.mark(Mark { name: marks::OPERATOR_RECOVERY_INCOMPLETE, subject: "" });
        }
        operator_state.recovery_ended(report);
    }
}

/// Starts every recovery task that is due, concurrently.
async fn run_recovery_tasks(
    env: NodeEnv<SimEnv>,
    world: World,
    boot: BootConfig,
    operator_state: Arc<Mutex<OperatorState>>,
) {
    loop {
        let due: Vec<usize> = {
            let mut operator_state = lock(&operator_state);
            let due =
                operator_state.recovery_tasks.iter_mut().enumerate().filter(|(_, order)| order.is_due());
            due.map(|(index, order)| {
                order.is_running = true;
                index
            })
            .collect()
        };
        for index in due {
            let (env_of_task, boot, operator_state) = (env.clone(), boot.clone(), operator_state.clone());
            let world = world.clone();
            env.spawn(
                async move { run_recovery_task(env_of_task, world, boot, operator_state, index).await },
            );
        }
        env.clock().sleep(LOOK_EVERY).await;
    }
}

/// Runs a recovery task once: with its own runbook the first time, with the full runbook after that.
async fn run_recovery_task(
    env: NodeEnv<SimEnv>,
    world: World,
    boot: BootConfig,
    operator_state: Arc<Mutex<OperatorState>>,
    index: usize,
) {
    let (targets, steps) = {
        let mut operator_state = lock(&operator_state);
        operator_state.recovery_started(&world);
        let order = &mut operator_state.recovery_tasks[index];
        order.started += 1;
        let steps = if order.started == 1 { order.recover.steps() } else { RecoveryStep::ALL.to_vec() };
        (order.recover.targets(), steps)
    };
    let report = recover_with_steps(&env, &boot, &targets, &steps).await;
    let mut operator_state = lock(&operator_state);
    let order = &mut operator_state.recovery_tasks[index];
    order.is_running = false;
    let name = match report.is_complete() {
        true => {
            order.completed += 1;
            marks::OPERATOR_TASK_COMPLETE
        }
        false => marks::OPERATOR_RECOVERY_INCOMPLETE,
    };
    env.mark(Mark { name, subject: "" });
    operator_state.recovery_ended(report);
}

async fn production_is_good(env: &NodeEnv<SimEnv>, cluster: &Cluster) -> bool {
    for worker in &cluster.workers {
        if release_of(env, *worker).await.as_deref() != Some("good") {
            return false;
        }
    }
    true
}
