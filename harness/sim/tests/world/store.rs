//! A store that answers a request once it is durable.

use bytes::Bytes;
use latent_ports::{Disk, Env, File, Mark, Message, Net, OpenMode};
use latent_sim::SimEnv;
use std::time::Duration;

pub mod marks {
    latent_ports::marks! {
        /// The store has its log.
        STORE_BOOTED = "store.booted";
        /// A line is durable.
        STORE_DURABLE = "store.durable";
    }
}

pub const SECOND: Duration = Duration::from_secs(1);

pub fn text(text: &str) -> Message {
    Message { head: Bytes::copy_from_slice(text.as_bytes()), body: Bytes::new() }
}

/// Appends each request to a file, syncs it, and answers with the length.
pub async fn store(env: SimEnv) {
    let file = env.disk().open("log", OpenMode::Create).await.expect("open");
    env.disk().sync_dir("").await.expect("sync_dir");
    env.mark(Mark { name: marks::STORE_BOOTED, subject: "" });
    let net = env.net().clone();
    net.serve(64, move |request| {
        let (file, env) = (file.clone(), env.clone());
        async move {
            file.append(request.message.head).await.expect("append");
            file.sync().await.expect("sync");
            env.mark(Mark { name: marks::STORE_DURABLE, subject: "log" });
            text(&file.size_bytes().await.expect("size").to_string())
        }
    })
    .await;
}
