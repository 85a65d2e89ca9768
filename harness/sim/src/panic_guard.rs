//! Where this process panicked first: in a task of a node, or in the task that runs the world.
//!
//! A panic in a task of a node ends the whole run. Its report says whether the system under test broke, or the simulator
//! and what stands around it.

use crate::node::Node;
use std::sync::{Arc, OnceLock};

/// The first panic that unwound through a world; the node's name, if it was in a task of one.
static FIRST: OnceLock<Option<String>> = OnceLock::new();

/// The node in whose task this process panicked first; `None` if it did not, or outside of all nodes.
#[must_use]
pub fn panicked_node() -> Option<String> {
    FIRST.get().cloned().flatten()
}

/// Stands in a task, and is dropped with it: while the thread unwinds, the innermost is dropped first.
pub(crate) struct PanicGuard(Option<Arc<Node>>);

impl PanicGuard {
    pub(crate) fn of(node: &Arc<Node>) -> PanicGuard {
        PanicGuard(Some(node.clone()))
    }

    /// For the task that runs the world.
    pub(crate) fn of_world() -> PanicGuard {
        PanicGuard(None)
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = self.0.as_ref().map(|node| node.name().to_string());
            // Tasks that are dropped while another one's panic unwinds come later, and are not meant.
            let _ = FIRST.set(name);
        }
    }
}
