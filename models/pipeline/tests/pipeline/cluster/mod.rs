//! A small cluster over a few days: acknowledged events stay readable under faults of its nodes, and backup and tee
//! restore all of them into an empty cluster.

mod crashes;
mod fixture;
mod jobs;
mod recovery;
mod replication;
mod requests;
