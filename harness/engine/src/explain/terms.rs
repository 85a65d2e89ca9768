//! Entries for the engine's own terms: loss classes, labels, and phrases.

use super::{GlossaryEntry, GlossaryKind};

type Row = (GlossaryKind, &'static str, [&'static str; 4]);

/// Labels and phrases, spelt as the screens print them.
const ROWS: [Row; 23] = [
    (
        GlossaryKind::Fingerprint,
        "died",
        [
            "The process of a case was killed from outside, or exited without a report.",
            "The run gives no verdict on the code under test. `sweep --resume` runs such a case again.",
            "The system's memory ran out (the kernel killed the process), a `kill`, a limit of a container; or code that \
             aborts: a stack overflow, a double panic.",
            "Run the line `reproduce` alone. If it ends well, use fewer --jobs or more memory. If it dies again, the case \
             itself is the cause: look at its last output with --log.",
        ],
    ),
    (
        GlossaryKind::Fingerprint,
        "internal-error",
        [
            "The tool itself panicked: the simulator, the checks or the model around the code under test. File and line \
             follow.",
            "The run gives no verdict on the code under test. Exit code 1.",
            "A bug of the tool, or a scenario that it should have refused.",
            "Run the line `reproduce` with RUST_BACKTRACE=1, and report it together with the scenario.",
        ],
    ),
    (
        GlossaryKind::Fingerprint,
        "panicked",
        [
            "The code under test panicked on one of its nodes. File and line follow.",
            "It counts as a violation. Exit code 100.",
            "A bug, or an assertion that a fault can break.",
            "Run the line `reproduce` with RUST_BACKTRACE=1, then `shrink`.",
        ],
    ),
    (
        GlossaryKind::LossClass,
        "loss",
        [
            "The items of this violation are lost: no reader could read them. It is the last part of a fingerprint.",
            "Loss decides between the outcomes recovered, recoverable-but-missing, unrecoverable-by-design and \
         unrecoverable-loss. `after-healing:loss` means: still lost after the faults ended and the system healed.",
            "",
            "`explain` the invariant in front of it.",
        ],
    ),
    (
        GlossaryKind::LossClass,
        "breach",
        [
            "An invariant was violated without losing an item. It is the last part of a fingerprint.",
            "It makes the outcome `violated`, which outranks every loss.",
            "",
            "`explain` the invariant in front of it.",
        ],
    ),
    (
        GlossaryKind::Word,
        "fingerprint",
        [
            "INVARIANT:KIND:STAGE:CLASS of a violation, such as W1:missing:after-crash:loss.",
            "Two runs with the same fingerprint have the same finding, whatever the seed or the subject. Sweeps group \
         by it, and `shrink` preserves it.",
            "",
            "`explain FINGERPRINT` explains its parts.",
        ],
    ),
    (
        GlossaryKind::Word,
        "as expected",
        [
            "The outcome is the one that the scenario's `expect` names, and every required mark was reached.",
            "It is not the same as clean: a scenario may expect a loss. With --release the expectation is `clean` \
             instead of the scenario's own, which the verdict shows.",
            "",
            "Check the outcome in front of it.",
        ],
    ),
    (
        GlossaryKind::Word,
        "better than expected",
        [
            "The run ended better than the scenario's `expect`. Exit code 106.",
            "The scenario no longer tests what it was written to test.",
            "A fixed bug, another release, faults that are no longer triggered.",
            "`explain 106`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "vacuous",
        [
            "Nothing was violated, but the system acknowledged no item that could have been lost. Exit code 4.",
            "Such a run ends clean whatever the code does, so it is not evidence.",
            "A run that is too short, a workload that is rejected completely, an outage as long as the run.",
            "Check the outages in the scenario, run longer (`run_for`), or lower the share of invalid requests.",
        ],
    ),
    (
        GlossaryKind::Word,
        "simulated",
        [
            "The virtual time that passed, when it began, and the real time that the run took.",
            "Virtual time includes healing after the planned end.",
            "",
            "Nothing.",
        ],
    ),
    (
        GlossaryKind::Word,
        "detected by",
        [
            "Which detector inside the world reported something, and when.",
            "Only what a detector reports can be acted upon: the checks of the test start nothing.",
            "`nothing` means that no detector fired, although an invariant was violated.",
            "Add a detector to the scenario, or find out why those that it has did not fire (--log --node).",
        ],
    ),
    (
        GlossaryKind::Word,
        "violated",
        [
            "The violated invariants: one row for each fingerprint, with its count, its items, and its first time.",
            "Several invariants may report one loss: each is another view of it.",
            "",
            "`explain FINGERPRINT`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "shortfall",
        [
            "Reasons why a recoverable loss does not count as recovered.",
            "It decides between `recovered` and `recoverable-but-missing`.",
            "No detector in time; items missing or altered at the end.",
            "`explain recoverable-but-missing`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "by design",
        [
            "The faults that exceeded the system's fault budget.",
            "Loss beyond that budget is not a bug.",
            "Too many faults at once in the scenario.",
            "`explain unrecoverable-by-design`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "marks not reached",
        [
            "Marks that the scenario, or the sweep, requires and that no run reached. Exit code 103.",
            "The run did not test what it should test.",
            "A workload that is too small or ends too early, faults that keep the code from getting there.",
            "`explain MARK`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "faults not triggered",
        [
            "Faults of the plan that were not triggered: their time, operation or mark did not occur.",
            "A fault that is not triggered tests nothing. One that --inject asks for makes the run end with \
             exit code 103.",
            "An operation number beyond the last one, a mark that is not reached, a window that does not open.",
            "-v shows which, and how many operations or marks were counted.",
        ],
    ),
    (
        GlossaryKind::Word,
        "triggered",
        [
            "A fault took effect, at the time that is shown.",
            "The others are listed as not triggered.",
            "",
            "-v shows all faults.",
        ],
    ),
    (
        GlossaryKind::Word,
        "trace",
        [
            "The hash of all records of the run, and its number of records.",
            "Two runs with the same hash are identical. `repro … --trace HASH` checks it.",
            "",
            "Include it when you report a failure.",
        ],
    ),
    (
        GlossaryKind::Word,
        "reproduce",
        [
            "The command that reproduces this run exactly.",
            "A failure that cannot be reproduced cannot be fixed.",
            "",
            "Run it, with -v or --log.",
        ],
    ),
    (
        GlossaryKind::Word,
        "shrink",
        [
            "The command that searches for a smaller case with the same fingerprint.",
            "A small case is read in minutes.",
            "",
            "Run it; it stops after five minutes, or at Ctrl-C with the smallest case so far.",
        ],
    ),
    (
        GlossaryKind::Word,
        "determinism",
        [
            "Number of cases of the sweep that ran again in another process, to compare their hashes.",
            "Every failing case and a sample of the others are checked.",
            "0 in a small sweep: the sample of passing cases is empty.",
            "Run more seeds.",
        ],
    ),
    (
        GlossaryKind::Word,
        "bound",
        [
            "Upper bound of the failure rate after a sweep without failures, at 95% confidence.",
            "With no failure in N independent seeds, the failure rate is below 3/N (the rule of three).",
            "",
            "Run ten times as many seeds to lower the bound tenfold.",
        ],
    ),
    (
        GlossaryKind::Word,
        "seed",
        [
            "The number that decides every random choice of a run. NAME@7 and NAME --seed 7 are the same run.",
            "The same program, scenario and seed give the same trace, to the bit.",
            "",
            "`run -v` prints what the seed chose.",
        ],
    ),
];

pub(super) fn entries() -> Vec<GlossaryEntry> {
    ROWS.iter().map(|(kind, name, parts)| GlossaryEntry::new(*kind, *name, *parts)).collect()
}
