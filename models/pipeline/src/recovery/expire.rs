//! The tee store lets its files go seven days after the arrival of their last request.

use super::tee::TEE;
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
    let store = ObjectStore::new(env.clone(), tee.store, CALL_TIMEOUT).patient(Patience::LONG);
    loop {
        env.clock().sleep(LOOK_EVERY).await;
        let oldest_ms = (env.clock().wall() - tee.retention).0;
        if let Err(error) = expire(&env, &store, oldest_ms).await {
            env.mark(Mark { name: "tee.expire-failed", subject: &error.to_string() });
        }
    }
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
