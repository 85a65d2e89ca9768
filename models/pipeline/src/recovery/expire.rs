//! The tee store lets its files go seven days after the arrival of their last request. A shorter time than the cluster
//! promises is not followed: what is gone is gone, what is kept too long costs space.

use super::tee::TEE;
use crate::audit::{Alarm, Retained, raise};
use crate::common_time::common_time;
use crate::config::Boot;
use latent_edge::object_api::{ObjectStore, Patience, StoreError};
use latent_edge::tee::TeeName;
use latent_ports::{Clock, Env, Mark};
use std::time::Duration;

/// Between two looks. A file stays this much longer than its retention at most.
pub const LOOK_EVERY: Duration = Duration::from_secs(6 * 3600);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs beside the tee store, on its node, until that dies.
pub async fn run<E: Env>(env: E, boot: Boot) {
    let Some(tee) = boot.cluster.tee.clone() else { return };
    refuse(&env, &boot, Retained::Tee, tee.retention, tee.kept());
    let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT).patient(Patience::LONG);
    loop {
        env.clock().sleep(LOOK_EVERY).await;
        // Where nobody else says what time it is, nothing goes: this clock alone may be wrong.
        let Ok(common) = common_time(&env, &boot.cluster).await else { continue };
        let now = env.clock().wall().min(common);
        if let Err(error) = expire(&env, &store, (now - tee.kept()).0).await {
            env.mark(Mark { name: "tee.expire-failed", subject: &error.to_string() });
        }
    }
}

/// Tells the operator of a retention that is not followed.
pub(crate) fn refuse<E: Env>(env: &E, boot: &Boot, of: Retained, asked: Duration, kept: Duration) {
    if asked >= kept {
        return;
    }
    env.mark(Mark { name: "retention.refused", subject: "" });
    let Some(audit) = boot.cluster.audit.clone() else { return };
    let (asked_ms, kept_ms) = (asked.as_millis() as u64, kept.as_millis() as u64);
    let teller = env.clone();
    // What is kept longer than asked is kept in the meantime: nothing waits for the operator to have heard.
    env.spawn(async move { raise(&teller, &audit, Alarm::RetentionRefused { of, asked_ms, kept_ms }).await });
}

async fn expire<E: Env>(env: &E, store: &ObjectStore<E>, oldest_ms: i64) -> Result<(), StoreError> {
    for info in store.list(TEE).await? {
        // A file whose name says no hour is nobody's to remove.
        let is_old = TeeName::from_path(&info.key).is_ok_and(|name| name.ends_ms() < oldest_ms);
        if is_old {
            store.delete(&info.key).await?;
            env.mark(Mark { name: "tee.expired", subject: &info.key });
        }
    }
    Ok(())
}
