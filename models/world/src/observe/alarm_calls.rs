//! Observed alarms: the nodes that failed to deliver one to the operator and have not called again.

use super::without_marks::WithoutMarks;
use crate::mutex::lock;
use latent_engine::sim::{CallOutcome, Event, Observer, Record, World};
use latent_ports::NodeId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Time of the failure of each node's last call to the operator, in milliseconds since 1970. A node that has called
/// again, or whose process ended, is not in it: pending alarms do not survive the process.
#[derive(Debug, Default)]
pub(crate) struct AlarmCalls {
    pub silent_since_ms: BTreeMap<NodeId, i64>,
}

/// Registers the observer and returns what it records.
pub(crate) fn attach(world: &World, operator: Option<NodeId>) -> Arc<Mutex<AlarmCalls>> {
    let calls: Arc<Mutex<AlarmCalls>> = Arc::default();
    if let Some(operator) = operator {
        let observer = AlarmObserver { operator, calls: calls.clone() };
        world.observe(Box::new(WithoutMarks(observer)));
    }
    calls
}

struct AlarmObserver {
    operator: NodeId,
    calls: Arc<Mutex<AlarmCalls>>,
}

impl Observer for AlarmObserver {
    fn on_record(&mut self, record: &Record<'_>, world: &World) {
        match record.event {
            Event::CallEnded { to, outcome: CallOutcome::Failed(_), .. } if to == self.operator => {
                lock(&self.calls).silent_since_ms.insert(record.node, world.now().0);
            }
            Event::Send { to, .. } if to == self.operator => {
                lock(&self.calls).silent_since_ms.remove(&record.node);
            }
            Event::Boot | Event::Kill(_) => {
                lock(&self.calls).silent_since_ms.remove(&record.node);
            }
            _ => {}
        }
    }
}
