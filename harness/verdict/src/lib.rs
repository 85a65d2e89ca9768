//! Violations, outcomes, fingerprints: plain types.
