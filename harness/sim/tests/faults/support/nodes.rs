//! Nodes under faults that record what they observe through their ports.

use latent_sim::{Fault, FaultAction, NodeSpec, SimEnv, Trigger, World, WorldSpec, run_fork};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Observations of nodes, in order.
pub struct Observations<T>(Arc<Mutex<Vec<T>>>);

impl<T> Clone for Observations<T> {
    fn clone(&self) -> Observations<T> {
        Observations(self.0.clone())
    }
}

impl<T> Observations<T> {
    pub fn add(&self, observation: T) {
        self.0.lock().unwrap().push(observation);
    }
}

/// Faults, and the time at which they end.
#[derive(Clone, Default)]
pub struct FaultPlan {
    faults: Vec<Fault>,
    end_ms: Option<u64>,
}

impl FaultPlan {
    pub fn with(mut self, trigger: Trigger, action: FaultAction) -> FaultPlan {
        self.faults.push(Fault { trigger, action });
        self
    }

    /// Ends all faults at this many milliseconds of the world, if they have not ended before.
    pub fn ending_at(self, end_ms: u64) -> FaultPlan {
        FaultPlan { end_ms: Some(end_ms), ..self }
    }
}

pub fn none() -> FaultPlan {
    FaultPlan::default()
}

/// Returns a plan of one fault that triggers at this many milliseconds of the world.
pub fn at(ms: i64, action: FaultAction) -> FaultPlan {
    none().with(at_ms(ms), action)
}

pub fn at_ms(ms: i64) -> Trigger {
    Trigger::AtMs(WorldSpec::seeded(0).start.0 + ms)
}

/// Runs a world under `plan` for `length_ms`; returns the observations of its nodes. Every fault must trigger, and
/// every node that it names must exist.
pub fn observe_run<T: Send + 'static>(
    seed: u64,
    length_ms: u64,
    plan: FaultPlan,
    build: impl FnOnce(&World, Observations<T>) + Send,
) -> Vec<T> {
    let observations = Observations(Arc::default());
    let kept = observations.clone();
    let finished = run_fork(WorldSpec::seeded(seed), async move |world: World| {
        plan.faults.into_iter().for_each(|fault| world.arm(fault));
        build(&world, observations);
        let end_ms = plan.end_ms.unwrap_or(length_ms);
        world.sleep(Duration::from_millis(end_ms)).await;
        if plan.end_ms.is_some() {
            world.end_faults();
        }
        world.sleep(Duration::from_millis(length_ms - end_ms)).await;
    });
    for outcome in finished.fault_outcomes {
        assert!(outcome.triggered_at.is_some() && outcome.unknown_nodes.is_empty(), "{outcome:?}");
    }
    // The world has ended: no node writes any more.
    std::mem::take(&mut *kept.0.lock().unwrap())
}

/// Adds a node that runs `program` at each boot.
pub fn node<T, F>(
    world: &World,
    spec: NodeSpec,
    observations: &Observations<T>,
    program: impl Fn(SimEnv, Observations<T>) -> F + Send + Sync + 'static,
) where
    T: Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let observations = observations.clone();
    world.add_node(spec, move |env| program(env, observations.clone()));
}
