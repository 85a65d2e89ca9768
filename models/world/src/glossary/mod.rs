//! What the words of this system mean, for `latent explain` and `latent marks`.
//!
//! - `invariants`: what the oracle reports. `marks`: what the code under test reports. `words`: stages and labels.

mod invariants;
mod marks;
mod terms;

use latent_engine::explain::Entry;

pub(crate) fn glossary() -> Vec<Entry> {
    [invariants::entries(), terms::entries(), marks::entries()].concat()
}
