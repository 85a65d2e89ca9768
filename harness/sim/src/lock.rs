//! Locks that are never contended.
//!
//! A world runs on one thread. Its state is behind mutexes only because the ports require `Send + Sync`.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, even if the mutex is poisoned: destructors that run during unwinding must not panic again.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
