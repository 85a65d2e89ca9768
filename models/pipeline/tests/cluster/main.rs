//! A small cluster over a few days: what was acknowledged can be read, whatever befalls its nodes; and backup and
//! tee bring all of it back into an empty one.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod copies;
mod crashes;
mod jobs;
mod recovery;
mod requests;
mod site;
