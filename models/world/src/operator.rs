//! The operator: hears alarms, waits as long as people take, and recovers the damaged days.
//!
//! He knows only what he is told and what production says of itself: a recovery begins once all workers run
//! `good`, and covers the days that alarms named since the last one. Modelled as one person who never sleeps and
//! follows the runbook. What is planned for him besides, mistakes included, comes as orders (see [`crate::operations`]).
//! His desk is paper: what lies on it outlives the machine on which he works.

use crate::operations::Order;
use latent_engine::sim::{SimEnv, World};
use latent_pipeline::alarms::Alarm;
use latent_pipeline::codec::{self, tag};
use latent_pipeline::compaction::worker::release_of;
use latent_pipeline::config::Cluster;
use latent_pipeline::recovery::run::{RecoveryReport, RecoveryTargets, recover, recover_with_steps};
use latent_pipeline::recovery::runbook::RecoveryStep;
use latent_pipeline::zone::Day;
use latent_ports::{Clock, Env, Mark, Net};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_secs(10 * 60);

/// What came to the operator's desk, and what was done about it.
#[derive(Default)]
pub(crate) struct Desk {
    /// Alarms in order, with the world's time.
    pub alarms: Vec<(i64, Alarm)>,
    /// Days to be recovered.
    pub damaged: BTreeSet<(u32, Day)>,
    /// Days that are being recovered.
    under_way: BTreeSet<(u32, Day)>,
    /// Recoveries that were planned and have come due.
    pub orders: Vec<Order>,
    /// Recoveries that ended.
    pub recoveries: Vec<RecoveryReport>,
    /// Recoveries that were begun.
    pub begun: u32,
}

impl Desk {
    /// He sits down at a machine again: what was under way on the last one is not.
    fn begin_again(&mut self) {
        let unfinished = std::mem::take(&mut self.under_way);
        self.damaged.extend(unfinished);
        self.orders.iter_mut().for_each(|order| order.is_under_way = false);
    }
}

/// Boots the operator: takes alarms, recovers if `reaction` is given, and carries out orders if there are to be any.
pub(crate) async fn run(
    env: SimEnv,
    world: World,
    cluster: impl Fn() -> Arc<Cluster>,
    desk: Arc<Mutex<Desk>>,
    reaction: Option<Duration>,
    takes_orders: bool,
) {
    crate::lock(&desk).begin_again();
    if takes_orders {
        let (env_of_task, cluster, desk) = (env.clone(), cluster(), desk.clone());
        env.spawn(async move { take_orders(env_of_task, cluster, desk).await });
    }
    if let Some(reaction) = reaction {
        let (env_of_task, cluster, desk) = (env.clone(), cluster(), desk.clone());
        env.spawn(async move { answer_alarms(env_of_task, cluster, desk, reaction).await });
    }
    env.net()
        .serve(64, move |request| {
            if let Ok(alarm) = codec::decode::<Alarm>(tag::OPERATOR, &request.message) {
                let mut desk = crate::lock(&desk);
                if let Alarm::EventsMissing { project, day, .. }
                | Alarm::EventsAltered { project, day, .. }
                | Alarm::ProductionShrank { project, day, .. } = alarm
                {
                    desk.damaged.insert((project, day));
                }
                desk.alarms.push((world.now().0, alarm));
            }
            std::future::ready(codec::message(tag::OPERATOR, &()))
        })
        .await;
}

async fn answer_alarms(env: SimEnv, cluster: Arc<Cluster>, desk: Arc<Mutex<Desk>>, reaction: Duration) {
    loop {
        env.clock().sleep(LOOK_EVERY).await;
        if crate::lock(&desk).damaged.is_empty() {
            continue;
        }
        env.clock().sleep(reaction).await;
        while !production_is_good(&env, &cluster).await {
            env.clock().sleep(LOOK_EVERY).await;
        }
        let damaged = {
            let mut desk = crate::lock(&desk);
            desk.begun += 1;
            desk.under_way = std::mem::take(&mut desk.damaged);
            desk.under_way.clone()
        };
        let report = recover(&env, &cluster, &RecoveryTargets::Days(damaged.clone())).await;
        let mut desk = crate::lock(&desk);
        desk.under_way.clear();
        if report.is_complete() {
            env.mark(Mark { name: "operator.recovered", subject: "" });
        } else {
            // What did not pass is tried again: a data center may have been out of reach.
            let failed = report.days.iter().filter(|day| !day.audited || !day.written);
            desk.damaged.extend(failed.map(|day| (day.project, day.day)));
            env.mark(Mark { name: "operator.recovery-incomplete", subject: "" });
        }
        desk.recoveries.push(report);
    }
}

/// Begins every order that has come due, each beside the others.
async fn take_orders(env: SimEnv, cluster: Arc<Cluster>, desk: Arc<Mutex<Desk>>) {
    loop {
        let due: Vec<usize> = {
            let mut desk = crate::lock(&desk);
            let due = desk.orders.iter_mut().enumerate().filter(|(_, order)| order.is_due());
            due.map(|(index, order)| {
                order.is_under_way = true;
                index
            })
            .collect()
        };
        for index in due {
            let (env_of_task, cluster, desk) = (env.clone(), cluster.clone(), desk.clone());
            env.spawn(async move { carry_out(env_of_task, cluster, desk, index).await });
        }
        env.clock().sleep(LOOK_EVERY).await;
    }
}

/// One run of an order: its own runbook the first time, and by the book when that did not do.
async fn carry_out(env: SimEnv, cluster: Arc<Cluster>, desk: Arc<Mutex<Desk>>, index: usize) {
    let (targets, steps) = {
        let mut desk = crate::lock(&desk);
        desk.begun += 1;
        let order = &mut desk.orders[index];
        order.begun += 1;
        let steps = if order.begun == 1 { order.recover.steps() } else { RecoveryStep::ALL.to_vec() };
        (order.recover.targets(), steps)
    };
    let report = recover_with_steps(&env, &cluster, &targets, &steps).await;
    let mut desk = crate::lock(&desk);
    let order = &mut desk.orders[index];
    order.is_under_way = false;
    let name = match report.is_complete() {
        true => {
            order.done += 1;
            "operator.order-done"
        }
        false => "operator.recovery-incomplete",
    };
    env.mark(Mark { name, subject: "" });
    desk.recoveries.push(report);
}

async fn production_is_good(env: &SimEnv, cluster: &Cluster) -> bool {
    for worker in &cluster.workers {
        if release_of(env, *worker).await.as_deref() != Some("good") {
            return false;
        }
    }
    true
}
