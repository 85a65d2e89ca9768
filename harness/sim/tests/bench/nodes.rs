//! Nodes under faults that write down what they see through their ports.

use latent_sim::{Fault, FaultAction, NodeSpec, SimEnv, Trigger, World, WorldSpec, run_fork};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What nodes wrote down, in the order in which they did.
pub struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Notes<T> {
    fn clone(&self) -> Notes<T> {
        Notes(self.0.clone())
    }
}

impl<T> Notes<T> {
    pub fn add(&self, note: T) {
        self.0.lock().unwrap().push(note);
    }
}

/// Faults, and when they are over.
#[derive(Clone, Default)]
pub struct Trouble {
    faults: Vec<Fault>,
    over_ms: Option<u64>,
}

impl Trouble {
    pub fn with(mut self, trigger: Trigger, action: FaultAction) -> Trouble {
        self.faults.push(Fault { trigger, action });
        self
    }

    /// All faults end after so many milliseconds of the world, if they have not ended before.
    pub fn over_at(self, over_ms: u64) -> Trouble {
        Trouble { over_ms: Some(over_ms), ..self }
    }
}

pub fn none() -> Trouble {
    Trouble::default()
}

/// A fault that strikes after so many milliseconds of the world.
pub fn at(ms: i64, action: FaultAction) -> Trouble {
    none().with(at_ms(ms), action)
}

pub fn at_ms(ms: i64) -> Trigger {
    Trigger::AtMs(WorldSpec::seeded(0).start.0 + ms)
}

/// Runs a world under `trouble` for `length_ms`; what its nodes wrote down. Every fault must have struck, and every node
/// that it names must have been.
pub fn watch<T: Send + 'static>(
    seed: u64,
    length_ms: u64,
    trouble: Trouble,
    build: impl FnOnce(&World, Notes<T>) + Send,
) -> Vec<T> {
    let notes = Notes(Arc::default());
    let kept = notes.clone();
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        trouble.faults.into_iter().for_each(|fault| world.arm(fault));
        build(&world, notes);
        let over_ms = trouble.over_ms.unwrap_or(length_ms);
        world.sleep(Duration::from_millis(over_ms)).await;
        if trouble.over_ms.is_some() {
            world.end_faults();
        }
        world.sleep(Duration::from_millis(length_ms - over_ms)).await;
    });
    for outcome in finished.fault_outcomes {
        assert!(outcome.triggered_at.is_some() && outcome.unknown_nodes.is_empty(), "{outcome:?}");
    }
    // The world has ended: nobody writes any more.
    std::mem::take(&mut *kept.0.lock().unwrap())
}

/// Adds a node that runs `program` at each boot.
pub fn node<T, F>(
    world: &World,
    spec: NodeSpec,
    notes: &Notes<T>,
    program: impl Fn(SimEnv, Notes<T>) -> F + Send + Sync + 'static,
) where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let notes = notes.clone();
    world.add_node(spec, move |env| program(env, notes.clone()));
}
