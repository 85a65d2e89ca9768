//! An Arb node: one disk, served.

use super::api::{ArbAnswer, ArbCall, ArbFailure, DayFiles};
use super::log::Distrusted;
use super::store::Store;
use crate::codec::{self, tag};
use crate::config::Boot;
use crate::hostile;
use crate::release::Bug;
use bytes::Bytes;
use latent_ports::{Clock, Env, Mark, Message, Net, Request};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Calls served at a time.
const CALLS_AT_A_TIME: usize = 1024;
/// A boot that failed is tried again after this long, then after twice as long, up to the longest.
const FIRST_BOOT_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_BOOT_PAUSE: Duration = Duration::from_secs(600);
/// So many boots wait for a device that fails, a quarter of an hour in all; then what it cannot read is given up.
const PATIENT_BOOTS: u32 = 10;

/// Boots a disk node: recovers, then serves until the node dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let mut pause = FIRST_BOOT_PAUSE;
    let mut boots = 0;
    // Of all tries: they are one process.
    let distrusted = Distrusted::default();
    let store = loop {
        boots += 1;
        match Store::recover(env.clone(), boot.clone(), boots <= PATIENT_BOOTS, &distrusted).await {
            Ok(store) => break store,
            Err(error) => {
                // A disk that cannot be read serves nothing: its callers see a node that refuses.
                env.mark(Mark { name: "arb.boot-failed", subject: &error.to_string() });
                env.clock().sleep(pause).await;
                pause = (pause * 2).min(LONGEST_BOOT_PAUSE);
            }
        }
    };
    if boot.release.has(Bug::Hostile) {
        let (liar, env) = (store.clone(), env.clone());
        let struck = move || liar.lies.store(true, Ordering::Relaxed);
        env.clone().spawn(async move { hostile::run(env, boot, struck).await });
    }
    let cleaner = store.clone();
    env.spawn(async move { cleaner.clean_up().await });
    env.net().serve(CALLS_AT_A_TIME, move |request| handle(store.clone(), request)).await;
}

async fn handle<E: Env>(store: Arc<Store<E>>, request: Request) -> Message {
    let (answer, body) = match codec::decode::<ArbCall>(tag::ARB, &request.message) {
        Ok(call) => {
            answer(&store, &request, call).await.unwrap_or_else(|e| (ArbAnswer::Failed(e), Bytes::new()))
        }
        Err(error) => (ArbAnswer::Failed(ArbFailure::Refused(error.to_string())), Bytes::new()),
    };
    codec::message_with(tag::ARB, &answer, body)
}

async fn answer<E: Env>(
    store: &Store<E>,
    request: &Request,
    call: ArbCall,
) -> Result<(ArbAnswer, Bytes), ArbFailure> {
    let plain = |answer| Ok((answer, Bytes::new()));
    if store.lies.load(Ordering::Relaxed)
        && let Some(lie) = hostile::lie(&call)
    {
        return plain(lie);
    }
    match call {
        ArbCall::Write { project, parts, skip_present } => {
            let skipped = store.write(project, &parts, skip_present, &request.message.body).await?;
            plain(ArbAnswer::Written { skipped })
        }
        ArbCall::Lease { project, for_ms } => {
            plain(store.leases.take(&store.env, project, request.from, for_ms).await?)
        }
        ArbCall::Days { project, dirty_only } => {
            plain(ArbAnswer::Days(store.day_files(project, dirty_only).await?))
        }
        ArbCall::Run { project, day, token, inputs, keep } => {
            plain(ArbAnswer::Ran { compacted: store.run(project, day, token, &inputs, &keep).await? })
        }
        ArbCall::Digest { project, day, arrived_before_ms } => {
            plain(ArbAnswer::Digest(store.digest(project, day, arrived_before_ms).await?))
        }
        ArbCall::ContentDigest { project, day } => {
            plain(ArbAnswer::Digest(store.content_digest(project, day).await?))
        }
        ArbCall::Digests { project, arrived_before_ms } => {
            let days = store.digests(project, arrived_before_ms).await?;
            let aside = store.days_with_aside(project);
            plain(if aside.is_empty() {
                ArbAnswer::Days(days)
            } else {
                ArbAnswer::DaysAndAside { days, aside }
            })
        }
        ArbCall::Read { project, day } => Ok((ArbAnswer::Bytes, store.read_day(project, day).await?)),
        ArbCall::Pin { project, for_ms, arrived_before_ms } => {
            plain(ArbAnswer::Days(pin(store, project, for_ms, arrived_before_ms).await?))
        }
        ArbCall::Fetch { project, day, id } => Ok((ArbAnswer::Bytes, store.fetch(project, day, id).await?)),
        ArbCall::SetAside { project, day } => {
            store.set_aside(project, day).await?;
            plain(ArbAnswer::Done)
        }
        ArbCall::LetAsideGo { project, day } => {
            store.let_aside_go(project, day).await?;
            plain(ArbAnswer::Done)
        }
        ArbCall::Clock => plain(ArbAnswer::Clock { now_ms: store.env.clock().wall().0 }),
        ArbCall::Unpin { project } => {
            store.unpin(project);
            plain(ArbAnswer::Done)
        }
    }
}

/// Pins first, then seals: no file that is listed can go before the pin does. Whoever is told of a failure will not let
/// go of the pin: then there is none.
async fn pin<E: Env>(
    store: &Store<E>,
    project: u32,
    for_ms: u64,
    before_ms: i64,
) -> Result<Vec<DayFiles>, ArbFailure> {
    store.pin(project, for_ms);
    let listed = list_pinned(store, project, before_ms).await;
    if listed.is_err() {
        store.unpin(project);
    }
    listed
}

async fn list_pinned<E: Env>(
    store: &Store<E>,
    project: u32,
    before_ms: i64,
) -> Result<Vec<DayFiles>, ArbFailure> {
    let mut out = Vec::new();
    for day in store.days_of(project) {
        let mut day = day.lock().await;
        let sealed = store.seal(&mut day, None).await;
        store.noting(project, day.day, sealed)?;
        let digest = store.digest_of(&mut day, before_ms).await;
        let digest = store.noting(project, day.day, digest)?;
        let files = day.manifest.live.values().cloned().collect();
        out.push(DayFiles { day: day.day, version: day.manifest.version, files, digest: Some(digest) });
    }
    // A disk that cannot vouch for all of a project's days is not one of those that a backup counts.
    match store.corrupt_days(project).first() {
        Some(day) => Err(ArbFailure::Corrupt(format!("p{project}/{day}"))),
        None => Ok(out),
    }
}
