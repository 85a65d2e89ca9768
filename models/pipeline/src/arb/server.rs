//! Arb node: serves one disk.

use super::api::{ArbFailure, ArbRequest, ArbResponse, DayFiles};
use super::log::UntrustedLogs;
use super::store::ArbStore;
use crate::codec::{self, tag};
use crate::config::BootConfig;
use crate::marks;
use bytes::Bytes;
use latent_ports::{Clock, Env, Mark, Message, Net, Request};
use std::sync::Arc;
use std::time::Duration;

/// Maximum number of concurrent calls.
const MAX_CONCURRENT_CALLS: usize = 1024;
/// Backoff after a failed boot. It doubles with each failure, up to the maximum.
const MIN_BOOT_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BOOT_BACKOFF: Duration = Duration::from_secs(600);
/// Number of boot attempts that wait for a failing device, about a quarter of an hour in total. After that, days that the
/// device cannot read are refused, and the others are served.
const MAX_DEVICE_RETRIES: u32 = 10;

/// Recovers the disk. Retries until it succeeds.
pub async fn recover<E: Env>(env: &E, boot: &BootConfig) -> Arc<ArbStore<E>> {
    let mut pause = MIN_BOOT_BACKOFF;
    let mut boots = 0;
    // Shared by all attempts: they belong to one process.
    let untrusted = UntrustedLogs::default();
    loop {
        boots += 1;
        match ArbStore::recover(env.clone(), boot.clone(), boots <= MAX_DEVICE_RETRIES, &untrusted).await {
            Ok(store) => return store,
            Err(error) => {
                // A disk that cannot be read serves nothing: its callers see a node that refuses.
                env.mark(Mark { name: marks::ARB_BOOT_FAILED, subject: &error.to_string() });
                env.clock().sleep(pause).await;
                pause = (pause * 2).min(MAX_BOOT_BACKOFF);
            }
        }
    }
}

/// Serves calls until the node dies.
pub async fn serve<E: Env>(env: E, store: Arc<ArbStore<E>>) {
    env.net().serve(MAX_CONCURRENT_CALLS, move |request| handle(store.clone(), request)).await;
}

async fn handle<E: Env>(store: Arc<ArbStore<E>>, request: Request) -> Message {
    let (answer, body) = match codec::decode::<ArbRequest>(tag::ARB, &request.message) {
        Ok(call) => {
            answer(&store, &request, call).await.unwrap_or_else(|e| (ArbResponse::Failed(e), Bytes::new()))
        }
        Err(error) => (ArbResponse::Failed(ArbFailure::Refused(error.to_string())), Bytes::new()),
    };
    codec::message_with(tag::ARB, &answer, body)
}

async fn answer<E: Env>(
    store: &ArbStore<E>,
    request: &Request,
    call: ArbRequest,
) -> Result<(ArbResponse, Bytes), ArbFailure> {
    let plain = |answer| Ok((answer, Bytes::new()));
    match call {
        ArbRequest::Write { project, parts, skip_present } => {
            let skipped = store.write(project, &parts, skip_present, &request.message.body).await?;
            plain(ArbResponse::Written { skipped })
        }
        ArbRequest::Lease { project, for_ms } => {
            plain(store.leases.take(&store.env, project, request.from, for_ms).await?)
        }
        ArbRequest::Days { project, dirty_only } => {
            plain(ArbResponse::Days(store.day_files(project, dirty_only).await?))
        }
        ArbRequest::Run { project, day, token, inputs, keep } => plain(ArbResponse::RunCommitted {
            compacted: store.run(project, day, token, &inputs, &keep).await?,
        }),
        ArbRequest::Digest { project, day, arrived_before_ms } => {
            plain(ArbResponse::Digest(store.digest(project, day, arrived_before_ms).await?))
        }
        ArbRequest::ContentDigest { project, day } => {
            plain(ArbResponse::Digest(store.content_digest(project, day).await?))
        }
        ArbRequest::Digests { project, arrived_before_ms } => {
            let days = store.digests(project, arrived_before_ms).await?;
            let quarantined = store.quarantined_days(project);
            plain(if quarantined.is_empty() {
                ArbResponse::Days(days)
            } else {
                ArbResponse::DaysAndQuarantined { days, quarantined }
            })
        }
        ArbRequest::Read { project, day } => Ok((ArbResponse::Bytes, store.read_day(project, day).await?)),
        ArbRequest::Pin { project, for_ms, arrived_before_ms } => {
            plain(ArbResponse::Days(pin(store, project, for_ms, arrived_before_ms).await?))
        }
        ArbRequest::Fetch { project, day, id } => {
            Ok((ArbResponse::Bytes, store.fetch(project, day, id).await?))
        }
        ArbRequest::Quarantine { project, day } => {
            store.quarantine(project, day).await?;
            plain(ArbResponse::Done)
        }
        ArbRequest::ReleaseQuarantine { project, day } => {
            store.release_quarantine(project, day).await?;
            plain(ArbResponse::Done)
        }
        ArbRequest::Clock => plain(ArbResponse::Clock { now_ms: store.env.clock().wall().0 }),
        ArbRequest::Unpin { project } => {
            store.unpin(project);
            plain(ArbResponse::Done)
        }
    }
}

/// Pins first, then seals: no listed file can be removed before the pin is set. A caller that receives a failure will
/// not unpin, so the pin is released here.
async fn pin<E: Env>(
    store: &ArbStore<E>,
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
    store: &ArbStore<E>,
    project: u32,
    before_ms: i64,
) -> Result<Vec<DayFiles>, ArbFailure> {
    let mut out = Vec::new();
    for day in store.intact_days_of(project) {
        let mut day = day.lock().await;
        let sealed = store.seal(&mut day, None).await;
        store.note_if_corrupt(project, day.day, sealed)?;
        let digest = store.digest_of(&mut day, before_ms).await;
        let digest = store.note_if_corrupt(project, day.day, digest)?;
        let files = day.manifest.live.values().cloned().collect();
        out.push(DayFiles { day: day.day, version: day.manifest.version, files, digest: Some(digest) });
    }
    // A disk with a corrupt day does not count as one of the disks that a backup needs.
    match store.corrupt_days(project).first() {
        Some(day) => Err(ArbFailure::Corrupt(format!("p{project}/{day}"))),
        None => Ok(out),
    }
}
