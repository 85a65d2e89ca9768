//! Runs one case in this process, on a new thread: for tests of a system, which have no program to start. The command
//! line runs each case in its own process.

use super::report_builder::{RunContext, build_report};
use super::run::{RunError, RunHooks, run_plan};
use crate::{Report, ScenarioError, System, expand, scenario};
use std::thread;
use std::time::Instant;

/// Parses, expands, runs and judges one case in this process. For tests.
///
/// # Errors
/// The scenario is invalid.
///
/// # Panics
/// If the run panics, or if the system's findings cannot be reported.
pub fn run_in_process<S: System>(text: &str, seed: u64) -> Result<Report<S::Findings>, ScenarioError> {
    #[expect(clippy::disallowed_methods, reason = "a report says how much real time its run took")]
    let started = Instant::now();
    let file = "scenario";
    let parsed = scenario::parse::<S>(file, text)?;
    // The thread builds its own plan: a system's types need not be `Send`.
    let work = || {
        let scenario = scenario::parse_trusted::<S>(file, text).expect("it was parsed before");
        let plan = expand::<S>(&scenario, seed);
        run_plan::<S>((file, text), &scenario, &plan, plan.faults.len(), RunHooks::none())
    };
    let ended = thread::scope(|scope| {
        let thread = thread::Builder::new().name("case".into()).stack_size(super::STACK_BYTES);
        thread.spawn_scoped(scope, work).expect("the system has a thread to spare").join()
    });
    let judged = match ended {
        Ok(Ok(judged)) => judged,
        Ok(Err(RunError::ScenarioError(bad))) => return Err(bad),
        Ok(Err(RunError::Findings(error))) => {
            panic!("the findings of {} cannot be written: {error}", S::NAME)
        }
        Err(panicked) => std::panic::resume_unwind(panicked),
    };
    let choices = S::choices(&expand::<S>(&parsed, seed).system);
    let repeat = format!("{}@{seed}", parsed.name);
    let wall_seconds = started.elapsed().as_secs_f64();
    let asked = RunContext { scenario: &parsed, seed, release: None, choices, repeat, wall_seconds };
    Ok(build_report::<S>(asked, judged).unwrap_or_else(|error| panic!("{error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_system::TestSystem;
    use latent_verdict::Outcome;

    fn scenario(more: &str) -> String {
        format!(
            r#"{{"name":"quiet","start":"2016-02-21T00:00:00Z","run_for":"1h","disks":8,"copies":4{more}}}"#
        )
    }

    #[test]
    fn a_case_is_run_and_judged_here() {
        let report =
            run_in_process::<TestSystem>(&scenario(r#","required_marks":["toy.delivered"]"#), 7).unwrap();
        assert_eq!((report.outcome, report.findings.sent), (Outcome::Clean, 7));
        assert!(report.as_expected());
        assert!(report.sim_seconds >= 3600.0 && report.trace_records > 0);
        assert_eq!((report.marks["toy.delivered"], report.nodes[0].boots), (1, 1));
        assert_eq!(report.nodes[0].name, "postman");
        let again = run_in_process::<TestSystem>(&scenario(""), 7).unwrap();
        assert_eq!(again.trace_hash, report.trace_hash, "what is required changes nothing of the run");
    }

    #[test]
    fn a_mark_of_a_forked_world_can_be_required() {
        let report =
            run_in_process::<TestSystem>(&scenario(r#","required_marks":["fork:toy.rehearsed"]"#), 7)
                .unwrap();
        assert!(report.as_expected());
        assert_eq!((report.marks["fork:toy.rehearsed"], report.marks["toy.delivered"]), (2, 1));
    }

    #[test]
    fn a_clean_run_without_its_mark_is_not_as_expected() {
        let report = run_in_process::<TestSystem>(&scenario(r#","required_marks":["toy.lost"]"#), 7).unwrap();
        assert_eq!(
            (report.outcome, report.marks_not_reached.as_slice()),
            (Outcome::Clean, &["toy.lost".to_owned()][..])
        );
        assert!(!report.as_expected());
    }

    #[test]
    fn a_fault_at_an_unknown_node_is_a_scenario_error() {
        let fault = r#","faults":[{"trigger":{"at_ms":1456012800000},"action":{"pause":{"node":"postmen","for_ms":1}}}]"#;
        let bad = run_in_process::<TestSystem>(&scenario(fault), 1).unwrap_err().to_string();
        assert!(bad.contains("a fault at node 'postmen', which toy does not have"), "{bad}");
        assert!(bad.contains("did you mean 'postman'?"), "{bad}");
    }

    #[test]
    #[should_panic(expected = "a toy with 13 disks breaks")]
    fn a_panic_of_the_run_is_a_panic_here() {
        let text = scenario("").replace("\"disks\":8", "\"disks\":13");
        let _ = run_in_process::<TestSystem>(&text, 1);
    }
}
