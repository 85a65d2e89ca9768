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
            "No check found a violation, and the system came to rest after the faults.",
            "It shows that this case holds, and nothing of other seeds. A run that sent nothing, or did not reach its \
             required marks, shows less than it seems to.",
            "",
            "Look at the marks that were reached (-v), then run more seeds with `sweep`.",
        ],
        Outcome::Recovered => [
            "Items were lost from production; a detector inside the world noticed in time, all of them were brought \
             back, and they are whole.",
            "The damage was real, and the protection held.",
            "A planted or real bug, or faults beyond what redundancy covers, in a scenario with backups and detectors.",
            "Read `noticed` and `loss` for how long it took. If the scenario expects `clean`, repair the cause of the \
             loss: protection is not an excuse for it.",
        ],
        Outcome::RecoverableButMissing => [
            "Items were lost, and all of them could be brought back, but no detector fired in time, or they were not \
             brought back whole before the end.",
            "A backup that nobody restores from in time expires: the loss is one retention away from being final.",
            "A detector that is off, cut off or too slow; a recovery that did not end; an operator who is away.",
            "`shortfall` names what is short. `repro … --log --node NODE` shows what the detector did.",
        ],
        Outcome::UnrecoverableByDesign => [
            "Items were lost and not all came back, but more went wrong than the system promises to survive.",
            "It is no bug, and it says where the promise ends.",
            "A scenario or a seed that damages more disks, data centers and edges at once than the fault budget allows.",
            "`by design` names what exceeded the budget. Lower the faults, or raise the redundancy in the scenario.",
        ],
        Outcome::UnrecoverableLoss => [
            "Items that a client was told are safe are gone, and not all of them could be brought back, or no drill \
             showed that they could.",
            "This is what the whole test looks for: data loss that is final.",
            "A write path that acknowledges too early; a compaction, repair or expiry that drops live data; backups \
             that lack what they claim to hold. Without a drill in the scenario nothing shows that a loss can be \
             brought back.",
            "`explain` each invariant under `violated`; `shrink` the case; `repro … --log` around the first time.",
        ],
        Outcome::Violated => [
            "Something that must hold did not, without any loss of items: wrong contents, a doubled item, an unsafe \
             order of writes, a check that could not run.",
            "It outranks loss: a system that breaks its other promises cannot be trusted to count what it lost.",
            "See the invariant under `violated`.",
            "`explain` the fingerprint, then `shrink` and `repro … --log`.",
        ],
        Outcome::Hung => [
            "The system did not come to rest within its limit of virtual time after the faults, or the case passed its \
             limit of real time or memory.",
            "A backlog that never drains loses data when the next fault comes.",
            "A retry that stopped, a lease or lock that is never released, a job that fails each night for the same \
             reason; or a case that is too large for its limits.",
            "`hung` names what waits, the worst first: `explain` its law (L1 to L5). `repro … --until TIME --log` \
             shows the last thing that it did.",
        ],
        Outcome::Nondeterministic => [
            "The same case ran differently in another process, so nothing else that it says can be trusted.",
            "Without determinism no failure can be reproduced or shrunk.",
            "Real time, operating-system entropy, threads, addresses or hash-map order in the code under test.",
            "`doctor` shows whether this machine is at fault. Compare the two logs (`repro … --log`): the first line \
             that differs names the place.",
        ],
    }
}

pub(super) fn exit_code(code: u8) -> GlossaryEntry {
    let [matters, causes, next] = match code {
        exit::CLEAN => ["A script may go on.", "", "Nothing."],
        exit::INTERNAL => [
            "It says nothing about the code under test: no verdict was reached.",
            "A full disk, a process that cannot be started or was killed from outside, a mistake in this program.",
            "Read the message; `doctor` checks the machine. If it persists, report it with the command line.",
        ],
        exit::USAGE => [
            "Nothing ran.",
            "A misspelt option or name, a scenario with an impossible value, a case of another format.",
            "The message names the option, or file and line, and what would be right.",
        ],
        exit::NOTHING_RAN => [
            "A run of nothing shows nothing, so it does not pass.",
            "An empty folder of cases, an empty slice of a small sweep, a scenario that sends nothing.",
            "Check the seeds, the slice or the folder.",
        ],
        exit::VIOLATION => [
            "A promise was broken. In CI this is the code that must stop a change.",
            "A bug in the code under test, or a scenario whose `expect` is wrong.",
            "Paste the line `again`, then the line `smaller` of the report.",
        ],
        exit::NONDETERMINISTIC => [
            "No other result of this build can be trusted until it is repaired.",
            "See the outcome `nondeterministic`; with `repro`, also a case that another build recorded.",
            "`explain nondeterministic`, then `doctor`.",
        ],
        exit::HUNG => [
            "The system does not heal, or the case is too large for its limits.",
            "See the outcome `hung`.",
            "`explain hung`.",
        ],
        exit::UNREACHED => [
            "The run ended as expected and did not test what it is there to test.",
            "A workload that is too small, a fault that strikes too late, a mark whose name changed.",
            "`explain MARK` for each mark that is named.",
        ],
        exit::SLICES => [
            "The slices cannot be judged as one sweep.",
            "A CI job that failed or ran twice, results of another build or other settings.",
            "The message names the slice: run it again, then `merge`.",
        ],
        exit::NOT_RECOVERED => [
            "The loss is not final yet, and becomes so when backups expire.",
            "See the outcome `recoverable-but-missing`.",
            "`explain recoverable-but-missing`.",
        ],
        exit::BETTER => [
            "Nothing is broken, and the scenario's `expect` is no longer true: it would hide the next regression.",
            "A repaired bug, a release without the planted bug, a fault that no longer strikes.",
            "If the improvement is wanted, change `expect` in the scenario; if not, find out why its faults have no \
             effect (-v).",
        ],
        exit::INTERRUPTED | exit::TERMINATED => [
            "What ran is on disk; nothing is judged yet.",
            "Ctrl-C, a time limit of the scheduler, a shutdown.",
            "Run the line that it printed: it continues where it stopped.",
        ],
        _ => ["", "", ""],
    };
    let meaning = exit::MEANINGS.iter().find(|(one, _)| *one == code).map_or("", |(_, meaning)| meaning);
    let means = format!("{}{}.", meaning[..1].to_uppercase(), &meaning[1..]);
    GlossaryEntry::new(GlossaryKind::ExitCode, code.to_string(), [means.as_str(), matters, causes, next])
}
