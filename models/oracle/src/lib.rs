//! The ledger, its own readers of files, and the invariants.
