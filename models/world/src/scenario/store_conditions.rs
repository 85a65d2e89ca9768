//! Names of the conditions of object stores that a fault may activate. `store_faults` of the cluster describes each.

/// Calls are answered 5xx.
pub(crate) const UNAVAILABLE: &str = "store.unavailable";
/// Calls are answered "slow down".
pub(crate) const THROTTLED: &str = "store.throttled";
/// Puts are interrupted.
pub(crate) const UPLOADS_BROKEN: &str = "store.uploads-broken";
/// Puts take effect and are not answered.
pub(crate) const ANSWERS_LOST: &str = "store.answers-lost";
/// Puts are confirmed, and half of the bytes, other bytes or nothing is kept.
pub(crate) const PUTS_ALTERED: &str = "store.puts-altered";
/// Listings are paged with this number of keys.
pub(crate) const SHORT_PAGES: &str = "store.short-pages";
/// At a caller: every store denies all of its calls.
pub(crate) const CREDENTIALS_EXPIRED: &str = "credentials.expired";

/// Conditions of a store.
pub(crate) const STORE_CONDITIONS: [&str; 6] =
    [UNAVAILABLE, THROTTLED, UPLOADS_BROKEN, ANSWERS_LOST, SHORT_PAGES, PUTS_ALTERED];
