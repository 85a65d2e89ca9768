//! Glossary of this system, for `latent explain` and `latent marks`.
//!
//! - `invariants`: violations that the oracle reports. `marks`: points that the code under test reports. `terms`:
//!   stages and labels. `outcomes`: outcomes and terms of the engine, in the words of this system.

mod invariants;
mod marks;
mod outcomes;
mod terms;

use latent_engine::explain::GlossaryEntry;

pub(crate) fn glossary() -> Vec<GlossaryEntry> {
    [outcomes::entries(), invariants::entries(), terms::entries(), marks::entries()].concat()
}
