//! Roles of nodes: the tasks that each kind of node runs, in the order in which they start.
//!
//! The only module that knows all jobs; the jobs do not know each other. The order of the tasks is part of a run's
//! identity. Edges are not here: they run `latent-edge`.

use crate::access::{AccessPolicy, Interceptor, NoInterceptor};
use crate::alarms::{AlarmSender, NightlyJob};
use crate::boot_config::{BootConfigError, decode};
use crate::config::BootConfig;
use crate::heartbeat::{self, JobTracker};
use crate::schedule::MedianClock;
use crate::{anti_entropy, arb, audit, backup, compaction, ingest, objects, recovery};
use latent_ports::{Env, Net};
use std::future::ready;

/// Maximum number of concurrent calls to a node that only serves its status.
const MAX_STATUS_CALLS: usize = 64;

/// Kind of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// One disk of Arb.
    Disk,
    /// Ingest.
    Ingest,
    /// Compaction and anti-entropy.
    Worker,
    /// Backups.
    Backup,
    /// Audit, and monitoring of the other jobs.
    Audit,
    /// Object store that takes backups, with its permissions.
    DataCenter(AccessPolicy),
    /// Object store of the tee, with its permissions.
    TeeStore(AccessPolicy),
}

/// Boots a node with the configuration that `BootConfig::encode` returned, and runs it until it dies.
///
/// # Errors
/// The configuration does not decode.
pub async fn boot<E: Env>(env: E, role: Role, config: &[u8]) -> Result<(), BootConfigError> {
    boot_with_interceptor(env, role, config, NoInterceptor).await
}

/// Boots a node whose object store, if it has one, passes each call through `interceptor`; see [`boot`].
///
/// # Errors
/// The configuration does not decode.
pub async fn boot_with_interceptor<E: Env>(
    env: E,
    role: Role,
    config: &[u8],
    interceptor: impl Interceptor,
) -> Result<(), BootConfigError> {
    let boot = decode(config)?;
    match role {
        Role::Disk => disk(env, boot).await,
        Role::Ingest => ingest_node(env, boot).await,
        Role::Worker => worker(env, boot).await,
        Role::Backup => backup::take::run(env, boot).await,
        Role::Audit => audit_node(env, boot).await,
        Role::DataCenter(access) => objects::serve_release(env, boot.release, access, interceptor).await,
        Role::TeeStore(access) => {
            let release = boot.release.clone();
            env.spawn(recovery::tee_expiry::run(env.clone(), boot));
            objects::serve_release(env, release, access, interceptor).await;
        }
    }
    Ok(())
}

async fn disk<E: Env>(env: E, boot: BootConfig) {
    let store = arb::server::recover(&env, &boot).await;
    let cleaner = store.clone();
    env.spawn(async move { cleaner.run_gc().await });
    if store.has_unreadable_days() {
        let reader = store.clone();
        env.spawn(async move { reader.reread_days().await });
    }
    arb::server::serve(env, store).await;
}

async fn ingest_node<E: Env>(env: E, boot: BootConfig) {
    let hints = ingest::server::recover_hints(&env, &boot).await;
    let hand_off = hints.clone();
    env.spawn(async move { hand_off.hand_off().await });
    ingest::server::serve(env, boot, hints).await;
}

/// Only the first worker runs anti-entropy. Every worker monitors the audit.
async fn worker<E: Env>(env: E, boot: BootConfig) {
    let alarms = AlarmSender::new(&env, &boot.cluster);
    let clock = MedianClock::new(&env, &boot.cluster);
    let log = JobTracker::new(&env);
    let (boot_of, alarms_of) = (|| boot.clone(), || alarms.clone());
    env.spawn(compaction::worker::nightly(env.clone(), boot_of(), clock.clone(), alarms_of(), log.clone()));
    env.spawn(anti_entropy::nightly(env.clone(), boot_of(), clock, alarms_of(), log.clone()));
    if let Some(audit) = boot.cluster.audit.as_ref().and_then(|audit| audit.node) {
        let jobs = vec![NightlyJob::Audit];
        env.spawn(heartbeat::monitor(env.clone(), boot_of(), alarms_of(), jobs, vec![audit]));
    }
    serve_status(env, &boot, log).await;
}

/// Monitors backups and the workers' jobs beside the audit.
async fn audit_node<E: Env>(env: E, boot: BootConfig) {
    let (Some(config), Some(tee)) = (boot.cluster.audit.clone(), boot.cluster.tee.clone()) else { return };
    let alarms = AlarmSender::new(&env, &boot.cluster);
    let clock = MedianClock::new(&env, &boot.cluster);
    let log = JobTracker::new(&env);
    env.spawn(backup::monitor::run(env.clone(), boot.clone(), clock.clone(), alarms.clone()));
    let jobs = vec![NightlyJob::Compaction, NightlyJob::AntiEntropy];
    let workers = boot.cluster.workers.clone();
    env.spawn(heartbeat::monitor(env.clone(), boot.clone(), alarms.clone(), jobs, workers));
    let auditor = audit::Auditor::new(&env, &boot, &tee, clock, alarms);
    env.spawn(audit::nightly(auditor, tee, config.after_midnight, log.clone()));
    serve_status(env, &boot, log).await;
}

async fn serve_status<E: Env>(env: E, boot: &BootConfig, log: JobTracker<E>) {
    let release = boot.release.name.clone();
    env.net().serve(MAX_STATUS_CALLS, move |_| ready(log.status(&release))).await;
}
