//! Complete runs of small scenarios: deploys, load patterns, and local days of unusual length.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod deploys;
mod load;
mod local_days;
mod test_run;
