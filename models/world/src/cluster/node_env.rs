//! Environment of a node of the system under test: the simulator's, with what a hostile release adds to it.
//!
//! The code of a hostile release is not part of the system. It runs beside the node's own tasks, with the node's own
//! environment and credentials, and once it has attacked, the calls to the node get false responses.

use super::adversary;
use futures_util::future::Either;
use latent_pipeline::config::BootConfig;
use latent_ports::{Env, Mark, Message, Net, NetError, NodeId, Request};
use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What happens to the marks that the system reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MarkPolicy {
    /// The world records them.
    Record,
    /// They are dropped, to show that no verdict depends on them.
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests run a world without marks"))]
    Drop,
}

/// Environment `E` with a network that may serve false responses.
#[derive(Clone)]
pub(crate) struct NodeEnv<E: Env> {
    env: E,
    net: NodeNet<E::Net>,
    marks: MarkPolicy,
}

impl<E: Env> NodeEnv<E> {
    pub fn new(env: E, marks: MarkPolicy) -> NodeEnv<E> {
        let net = NodeNet { net: env.net().clone(), has_false_responses: Arc::default() };
        NodeEnv { env, net, marks }
    }

    /// Starts the attack of a hostile release on this node.
    pub fn spawn_adversary(&self, boot: BootConfig) {
        let has_false_responses = self.net.has_false_responses.clone();
        let on_attack = move || has_false_responses.store(true, Ordering::Relaxed);
        self.env.spawn(adversary::run(self.env.clone(), boot, on_attack));
    }
}

impl<E: Env> Env for NodeEnv<E> {
    type Disk = E::Disk;
    type Net = NodeNet<E::Net>;
    type Clock = E::Clock;

    fn node(&self) -> NodeId {
        self.env.node()
    }

    fn disk(&self) -> &E::Disk {
        self.env.disk()
    }

    fn net(&self) -> &NodeNet<E::Net> {
        &self.net
    }

    fn clock(&self) -> &E::Clock {
        self.env.clock()
    }

    fn draw(&self, stream: &'static str, key: u128) -> u64 {
        self.env.draw(stream, key)
    }

    fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.env.spawn(task);
    }

    fn mark(&self, mark: Mark<'_>) {
        if self.marks == MarkPolicy::Record {
            self.env.mark(mark);
        }
    }
}

/// Network of a [`NodeEnv`].
#[derive(Clone)]
pub(crate) struct NodeNet<N> {
    net: N,
    has_false_responses: Arc<AtomicBool>,
}

impl<N: Net> Net for NodeNet<N> {
    fn call(
        &self,
        to: NodeId,
        message: Message,
        timeout: Duration,
    ) -> impl Future<Output = Result<Message, NetError>> + Send {
        self.net.call(to, message, timeout)
    }

    fn serve<H, F>(&self, limit: usize, handler: H) -> impl Future<Output = ()> + Send
    where
        H: Fn(Request) -> F + Send + Sync + 'static,
        F: Future<Output = Message> + Send + 'static,
    {
        let has_false_responses = self.has_false_responses.clone();
        self.net.serve(limit, move |request| {
            let is_false = has_false_responses.load(Ordering::Relaxed);
            match is_false.then(|| adversary::false_response(&request.message)).flatten() {
                Some(response) => Either::Left(ready(response)),
                None => Either::Right(handler(request)),
            }
        })
    }
}
