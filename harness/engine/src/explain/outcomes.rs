//! Entries for outcomes and exit codes.
//!
//! Both are matched exhaustively, or by a test: a new one without an explanation does not compile, or fails the test.

use super::{GlossaryEntry, GlossaryKind};
use crate::exit;
use latent_verdict::Outcome;

pub(super) fn outcome(outcome: Outcome) -> GlossaryEntry {
    GlossaryEntry::new(GlossaryKind::Outcome, outcome.name(), parts(outcome))
}

fn parts(outcome: Outcome) -> [&'static str; 4] {
    match outcome {
        Outcome::Clean => [
            "No check found a violation, and the system finished its work after the faults.",
            "It is evidence for this case only, not for other seeds. A run that sent nothing, or did not reach its \
             required marks, is weaker evidence.",
            "",
            "Check which marks were reached (-v), then run more seeds with `sweep`.",
        ],
        Outcome::Recovered => [
            "Items were lost; a detector inside the world reported it in time, and all of them were restored unchanged.",
            "The damage was real, and the protection held.",
            "A planted or real bug, or faults beyond what redundancy covers, in a system that detects and restores.",
            "Read `detected by` and `loss` for how long it took. If the scenario expects `clean`, fix the cause of the \
             loss: protection is not an excuse for it.",
        ],
        Outcome::RecoverableButMissing => [
            "Items were lost, and all of them could be restored, but no detector fired in time, or they were not \
             restored completely before the end.",
            "Nothing shows that such a loss is restored before it becomes final.",
            "A detector that is off, isolated or too slow; an attempt to restore that did not end.",
            "`shortfall` names the missing items. `repro … --log --node NODE` shows what the detector did.",
        ],
        Outcome::UnrecoverableByDesign => [
            "Items were lost and not all restored, but the faults exceeded the system's fault budget.",
            "It is not a bug; it shows the limit of the system's promise.",
            "A scenario or a seed that damages more nodes at once than the fault budget allows.",
            "`by design` names what exceeded the budget. Reduce the faults, or increase the redundancy in the \
             scenario.",
        ],
        Outcome::UnrecoverableLoss => [
            "Acknowledged items are lost, and not all of them could be restored, or the run does not show that they \
             could.",
            "This is the failure that the whole test searches for: permanent data loss.",
            "A write path that acknowledges too early; a task that drops live data; copies that are incomplete.",
            "`explain` each invariant under `violated`; `shrink` the case; `repro … --log` around the first time.",
        ],
        Outcome::Violated => [
            "An invariant was violated, without any loss of items: wrong contents, a duplicated item, an unsafe \
             order of writes, a check that could not run.",
            "It outranks loss: the loss count of a system that breaks its other promises is unreliable.",
            "See the invariant under `violated`.",
            "`explain` the fingerprint, then `shrink` and `repro … --log`.",
        ],
        Outcome::Hung => [
            "The system did not finish its work within its limit of virtual time after the faults, or the case \
             exceeded its limit of real time or memory.",
            "A backlog that never drains loses data when the next fault comes.",
            "A retry that stopped, a lock that is never released, a job that fails each time for the same reason; or \
             a case that is too large for its limits.",
            "`hung` names the pending work, the worst first. `repro … --until TIME --log` shows the last records.",
        ],
        Outcome::Nondeterministic => [
            "The same case ran differently in another process, so its other results are unreliable.",
            "Without determinism no failure can be reproduced or shrunk.",
            "Real time, operating-system entropy, threads, addresses or hash-map order in the code under test.",
            "`doctor` shows whether this machine is at fault. Compare the two logs (`repro … --log`): the first line \
             that differs names the place.",
        ],
    }
}

pub(super) fn exit_code(code: u8) -> GlossaryEntry {
    let [matters, causes, next] = match code {
        exit::CLEAN => ["A script may continue.", "", "Nothing."],
        exit::INTERNAL => [
            "It is not about the code under test: there is no verdict.",
            "A full disk, a process that cannot be started or was killed from outside, a bug in this program.",
            "Read the message; `doctor` checks the machine. If it persists, report it with the command line.",
        ],
        exit::USAGE => [
            "Nothing ran.",
            "A misspelt option or name, a scenario with an impossible value, a case of another format.",
            "The message names the option, or file and line, and the fix.",
        ],
        exit::NOTHING_RAN => [
            "Such a run is not evidence, so it does not pass.",
            "An empty folder of cases, an empty slice of a small sweep, a scenario that sends nothing.",
            "Check the seeds, the slice or the folder.",
        ],
        exit::VIOLATION => [
            "An invariant was violated. In CI this code must block a change.",
            "A bug in the code under test, or a scenario whose `expect` is wrong.",
            "Run the line `reproduce`, then the line `shrink` of the report.",
        ],
        exit::NONDETERMINISTIC => [
            "No other result of this build can be trusted until it is fixed.",
            "See the outcome `nondeterministic`; with `repro`, also a case that another build recorded.",
            "`explain nondeterministic`, then `doctor`.",
        ],
        exit::HUNG => [
            "The system does not heal, or the case is too large for its limits.",
            "See the outcome `hung`.",
            "`explain hung`.",
        ],
        exit::MARK_NOT_REACHED => [
            "The run ended as expected but did not test what it should test.",
            "A workload that is too small, a fault that is triggered too late, a mark whose name changed.",
            "`explain MARK` for each mark that is named.",
        ],
        exit::SLICES => [
            "The slices cannot be judged as one sweep.",
            "A CI job that failed or ran twice, results of another build or other settings.",
            "The message names the slice: run it again, then `merge`.",
        ],
        exit::NOT_RECOVERED => [
            "The loss is not final yet.",
            "See the outcome `recoverable-but-missing`.",
            "`explain recoverable-but-missing`.",
        ],
        exit::BETTER_THAN_EXPECTED => [
            "Nothing is broken, and the scenario's `expect` is no longer true: it would hide the next regression.",
            "A fixed bug, a release without the planted bug, a fault that is no longer triggered.",
            "If the improvement is wanted, change `expect` in the scenario; if not, find out why its faults have no \
             effect (-v).",
        ],
        exit::INTERRUPTED | exit::TERMINATED => [
            "Finished cases are on disk; nothing is judged yet.",
            "Ctrl-C, a time limit of the scheduler, a shutdown.",
            "Run the printed command: it continues where it stopped.",
        ],
        _ => ["", "", ""],
    };
    let meaning = exit::MEANINGS.iter().find(|(one, _)| *one == code).map_or("", |(_, meaning)| meaning);
    let means = format!("{}{}.", meaning[..1].to_uppercase(), &meaning[1..]);
    GlossaryEntry::new(GlossaryKind::ExitCode, code.to_string(), [means.as_str(), matters, causes, next])
}
