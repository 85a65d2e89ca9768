//! Complete runs of small scenarios: deploys, load patterns, and local days of unusual length.

mod deploys;
mod load;
mod local_days;
mod test_run;
