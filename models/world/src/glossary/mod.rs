//! What the words of this system mean, for `latent explain` and `latent marks`.
//!
//! - `invariants`: what the oracle reports. `marks`: what the code under test reports. `words`: stages and labels.

mod invariants;
mod marks;
mod words;

use latent_engine::explain::GlossaryEntry;

pub(crate) fn glossary() -> Vec<GlossaryEntry> {
    [invariants::entries(), words::entries(), marks::entries()].concat()
}
