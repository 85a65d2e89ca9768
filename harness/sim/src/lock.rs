//! Locks that are never contended.
//!
//! A world runs on one thread; its state sits behind mutexes only because the ports ask for `Send + Sync`.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after a panic: destructors that run while a panic unwinds must not panic again.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
