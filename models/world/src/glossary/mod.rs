//! Glossary of this system, for `latent explain` and `latent marks`.
//!
//! - `invariants`: violations that the oracle reports. `marks`: points that the code under test reports. `terms`:
//!   stages and labels.

mod invariants;
mod marks;
mod terms;

use latent_engine::explain::GlossaryEntry;

pub(crate) fn glossary() -> Vec<GlossaryEntry> {
    [invariants::entries(), terms::entries(), marks::entries()].concat()
}
