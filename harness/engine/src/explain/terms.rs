//! Entries for the engine's own terms: loss classes, labels, and phrases.

use super::{GlossaryEntry, GlossaryKind};

type Row = (GlossaryKind, &'static str, [&'static str; 4]);

/// Labels and phrases, spelt as the screens print them.
const ROWS: [Row; 20] = [
    (
        GlossaryKind::LossClass,
        "loss",
        [
            "The items of this violation are gone, as far as any reader could see. It is the last part of a fingerprint.",
            "Loss decides between the outcomes recovered, recoverable-but-missing, unrecoverable-by-design and \
         unrecoverable-loss. `after-healing:loss` means: still gone after the faults ended and the system healed.",
            "",
            "`explain` the invariant in front of it. `at the end` says how many are still missing: an event that was gone \
         at one look and back at a later one counts under `lost` and not under `missing`.",
        ],
    ),
    (
        GlossaryKind::LossClass,
        "breach",
        [
            "Something that must hold did not, and no item is gone by it. It is the last part of a fingerprint.",
            "It makes the outcome `violated`, which outranks every loss.",
            "",
            "`explain` the invariant in front of it.",
        ],
    ),
    (
        GlossaryKind::Word,
        "fingerprint",
        [
            "INVARIANT:KIND:STAGE:CLASS of a violation, such as I4:missing:day-end:loss.",
            "Two runs with the same fingerprint found the same thing, whatever seed, project or day. Sweeps group by it, \
         and `shrink` keeps it.",
            "",
            "`explain FINGERPRINT` explains its parts.",
        ],
    ),
    (
        GlossaryKind::Word,
        "as expected",
        [
            "The outcome is the one that the scenario's `expect` names, and every required mark was reached.",
            "It is not the same as clean: a scenario may expect a loss. With --release the expectation is no longer the \
         scenario's own but `clean`, which the verdict says.",
            "",
            "Look at the outcome in front of it.",
        ],
    ),
    (
        GlossaryKind::Word,
        "better than expected",
        [
            "The run ended with less harm than the scenario's `expect` names. Exit code 106.",
            "The scenario no longer shows what it was written to show.",
            "A repaired bug, another release, faults that no longer strike.",
            "`explain 106`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "nothing shown",
        [
            "Nothing was violated, but the system acknowledged nothing that could have been lost. Exit code 4.",
            "Such a run ends clean whatever the code does, so it is no evidence.",
            "A run that is too short, a workload that is rejected whole, an outage that lasts as long as the run.",
            "Look at the outages in the scenario, run longer (`run_for`), or lower the share of invalid requests.",
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
        "noticed",
        [
            "Which detector inside the world reported something, and when.",
            "Only what a detector reports can start a recovery: the checks of the test start nothing.",
            "`by nobody` means that no detector fired, although something was violated.",
            "Add an audit or backups to the scenario's `protection`, or find out why they did not fire (--log --node).",
        ],
    ),
    (
        GlossaryKind::Word,
        "violated",
        [
            "What did not hold: one row for each fingerprint, with how often, how many items, and when it was first seen.",
            "Several invariants may report one loss: missing from its day (I4) and unreadable (I1) are two views of it.",
            "",
            "`explain FINGERPRINT`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "shortfall",
        [
            "What keeps a loss that can be brought back from counting as recovered.",
            "It decides between `recovered` and `recoverable-but-missing`.",
            "No detector in time; items missing or altered at the end.",
            "`explain recoverable-but-missing`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "by design",
        [
            "What exceeded the faults that the system promises to survive.",
            "Loss beyond that budget is no bug.",
            "Too many faults at once in the scenario.",
            "`explain unrecoverable-by-design`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "unreached",
        [
            "A mark that the scenario, or the sweep, requires and that no run reached. Exit code 103.",
            "The run did not test what it is there to test.",
            "A workload that is too small or ends too early, faults that keep the code from getting there.",
            "`explain MARK`.",
        ],
    ),
    (
        GlossaryKind::Word,
        "untriggered",
        [
            "Faults of the plan that were not triggered: their time, operation or mark never came.",
            "A fault that is not triggered tests nothing. One that --strike asks for makes the run end with exit code 103.",
            "An operation number beyond the last one, a mark that is not reached, a window that stays shut.",
            "-v shows which, and how many operations or marks were counted.",
        ],
    ),
    (
        GlossaryKind::Word,
        "struck",
        [
            "A fault took effect, at the time that is shown.",
            "Faults that did not are listed as untriggered.",
            "",
            "-v shows all faults.",
        ],
    ),
    (
        GlossaryKind::Word,
        "trace",
        [
            "The hash of everything that happened in the run, and how many records it covers.",
            "Two runs with the same hash are the same run. `repro … --trace HASH` checks it.",
            "",
            "Give it along when you report a failure.",
        ],
    ),
    (
        GlossaryKind::Word,
        "again",
        [
            "The command that repeats this run exactly.",
            "A failure that cannot be repeated cannot be repaired.",
            "",
            "Paste it, with -v or --log.",
        ],
    ),
    (
        GlossaryKind::Word,
        "smaller",
        [
            "The command that searches for a smaller case with the same fingerprint.",
            "A small case is read in minutes.",
            "",
            "Paste it; it stops after five minutes, or at Ctrl-C with the smallest case so far.",
        ],
    ),
    (
        GlossaryKind::Word,
        "twice",
        [
            "How many cases of the sweep were run a second time in another process, to compare their hashes.",
            "It is the sweep's check of determinism. Every failing case and a share of the others are run twice.",
            "0 in a small sweep: the share of passing cases rounds to none.",
            "Run more seeds.",
        ],
    ),
    (
        GlossaryKind::Word,
        "bound",
        [
            "What a sweep without failures shows: an upper bound of the failure rate, at 95% confidence.",
            "With no failure in N independent seeds, fewer than 3 in N fail (the rule of three).",
            "",
            "To lower the bound tenfold, run ten times as many seeds.",
        ],
    ),
    (
        GlossaryKind::Word,
        "seed",
        [
            "The number that decides everything random in a run. NAME@7 and NAME --seed 7 are the same run.",
            "The same program, scenario and seed give the same trace, to the bit.",
            "",
            "`run -v` prints what the seed chose.",
        ],
    ),
];

pub(super) fn entries() -> Vec<GlossaryEntry> {
    ROWS.iter().map(|(kind, name, parts)| GlossaryEntry::new(*kind, *name, *parts)).collect()
}
