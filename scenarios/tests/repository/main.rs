//! Tests of the tree itself, which simulate nothing: arrows, layers, words, documents, the format of cases, the glossary.

mod corpus;
mod dependencies;
mod documents;
mod glossary;
mod layers;
mod reference;
mod vocabulary;

use std::path::{Path, PathBuf};

/// Root of the tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
