//! The operator: hears alarms, waits as long as people take, and recovers the damaged days.
//!
//! He knows only what he is told and what production says of itself: a recovery begins once all workers run
//! `good`, and covers the days that alarms named since the last one. Modelled as one person who never sleeps and
//! follows the runbook; mistakes of operators are another family of faults.

use latent_engine::sim::{SimEnv, World};
use latent_pipeline::audit::Alarm;
use latent_pipeline::codec::{self, tag};
use latent_pipeline::compaction::worker::release_of;
use latent_pipeline::config::Cluster;
use latent_pipeline::recovery::run::{RecoveryReport, Targets, recover};
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
    /// Recoveries that ended.
    pub recoveries: Vec<RecoveryReport>,
    /// Recoveries that were begun.
    pub begun: u32,
}

/// Boots the operator: takes alarms, and recovers if `reaction` is given.
pub(crate) async fn run(
    env: SimEnv,
    world: World,
    cluster: impl Fn() -> Arc<Cluster>,
    desk: Arc<Mutex<Desk>>,
    reaction: Option<Duration>,
) {
    if let Some(reaction) = reaction {
        let (env_of_task, cluster, desk) = (env.clone(), cluster(), desk.clone());
        env.spawn(async move { answer_alarms(env_of_task, cluster, desk, reaction).await });
    }
    env.net()
        .serve(64, move |request| {
            if let Ok(alarm) = codec::decode::<Alarm>(tag::OPERATOR, &request.message) {
                let mut desk = crate::lock(&desk);
                if let Alarm::EventsMissing { project, day, .. }
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
            std::mem::take(&mut desk.damaged)
        };
        let report = recover(&env, &cluster, &Targets::Days(damaged.clone())).await;
        let mut desk = crate::lock(&desk);
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

async fn production_is_good(env: &SimEnv, cluster: &Cluster) -> bool {
    for worker in &cluster.workers {
        if release_of(env, *worker).await.as_deref() != Some("good") {
            return false;
        }
    }
    true
}
