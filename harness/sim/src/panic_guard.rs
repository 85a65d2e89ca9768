//! Records where this process panicked first: in a task of a node, or in the task that runs the world.
//!
//! A panic in a task of a node ends the whole run. This distinguishes a failure of the system under test from one of
//! the simulator or the harness.

use std::sync::{Arc, OnceLock};

/// First panic that unwound through a world: the node's name, `None` outside of all nodes.
static FIRST: OnceLock<Option<String>> = OnceLock::new();

/// Returns the node in whose task this process panicked first; `None` if it did not panic, or panicked outside of all
/// nodes.
#[must_use]
pub fn panicked_node() -> Option<String> {
    FIRST.get().cloned().flatten()
}

/// Guard that each task holds. During unwinding, the innermost guard is dropped first.
pub(crate) struct PanicGuard(Option<Arc<str>>);

impl PanicGuard {
    pub(crate) fn for_node(name: &Arc<str>) -> PanicGuard {
        PanicGuard(Some(name.clone()))
    }

    /// Creates the guard of the task that runs the world.
    pub(crate) fn for_world() -> PanicGuard {
        PanicGuard(None)
    }
}

impl Drop for PanicGuard {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = self.0.as_ref().map(ToString::to_string);
            // Tasks that are dropped while another task's panic unwinds come later and are ignored.
            let _ = FIRST.set(name);
        }
    }
}
