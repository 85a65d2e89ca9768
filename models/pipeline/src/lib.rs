//! Ingest, event store, compaction, backup, replay, audit, releases.
