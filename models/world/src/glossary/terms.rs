//! Stages, at which checks run, and the labels of this system's lines of a verdict.

use crate::scenario::store_conditions::{
    ANSWERS_LOST, CREDENTIALS_EXPIRED, SHORT_PAGES, THROTTLED, UNAVAILABLE, UPLOADS_BROKEN,
};
use latent_engine::explain::{GlossaryEntry, GlossaryKind};

const STAGES: [(&str, &str); 9] = [
    ("hourly", "Seen at one of the hourly checks of deadlines."),
    ("day-end", "Seen after a project's local day had ended."),
    ("after-backup", "Seen when a backup had been taken, in that data center."),
    ("after-destruction", "Seen right after an operation or a release destroyed something."),
    ("healing", "Seen while the system healed, after the faults had ended."),
    ("after-healing", "Seen at the end, after the system had healed: what is wrong here stays wrong."),
    ("drill", "Seen in what a drill brought up, with production presumed gone."),
    ("export", "Seen in what a customer exported."),
    ("answer", "Seen in the answer to a client."),
];

const WORDS: [(&str, [&str; 4]); 14] = [
    (
        "drill",
        [
            "A rehearsal in a copy of the world: production is presumed gone, and a recovery runs into an empty \
             cluster from backups and the tee.",
            "It alone shows that backups can be restored. Its marks begin with `drill:`.",
            "",
            "`drills` in the scenario sets their number.",
        ],
    ),
    (
        "not protected",
        [
            "Nothing is lost, but a drill could not bring back all acknowledged events.",
            "If production were lost at that moment, the events that the drill lacked would be gone.",
            "Backups that are rare or off, no tee, a drill soon after the data arrived.",
            "Add `backup` or `tee` to the scenario's `protection`. Where the scenario promises full recovery, I12 \
             reports it.",
        ],
    ),
    (
        "protection",
        [
            "The recovery point (how much of the newest data would be gone with production) and the recovery time, \
             as the drills showed them.",
            "A run without loss does not show that a later loss is recoverable; this line does.",
            "",
            "`explain drill`.",
        ],
    ),
    (
        "events",
        [
            "Events by what clients know of them, each counted once: acknowledged (told OK), rejected, unknown (no \
             final answer: may exist or not).",
            "Only acknowledged events must be kept.",
            "",
            "`attempts` counts retries as well.",
        ],
    ),
    (
        "given up",
        [
            "Events on which their client gave up after its last try, without an answer.",
            "They are not acknowledged, so losing them breaks no promise; many of them mean that the service was \
             away.",
            "An outage longer than the clients' retries.",
            "See marks client.gave-up and edge.not-forwarded.",
        ],
    ),
    (
        "attempts",
        [
            "Requests as they were sent, retries included.",
            "Many attempts for few events mean a retry storm.",
            "",
            "See mark client.retried.",
        ],
    ),
    (
        "work",
        [
            "Copies of events on all disks at the end, and compactions with how many of them were compared.",
            "A run without compactions shows nothing of compaction.",
            "",
            "`explain I8`.",
        ],
    ),
    (
        "lost",
        [
            "Acknowledged events that production lacked, each day at its worst check. An event that was gone once \
             counts here even if it was back later.",
            "So it may be one more than `still missing`, which counts at the end.",
            "See I1 and I4.",
            "`explain missing`.",
        ],
    ),
    (
        "missing",
        [
            "Acknowledged events that production lacks, at a check or at the end.",
            "At the end it is what customers do not see.",
            "See I4.",
            "`drill` and `final state` say whether anything still holds them.",
        ],
    ),
    (
        "final state",
        [
            "What became of the loss when the run ended: back in production, recoverable (a drill brought it up), or \
             in no backup and no tee.",
            "It decides which kind of loss the outcome names.",
            "",
            "`explain recoverable-but-missing` or `explain unrecoverable-loss`.",
        ],
    ),
    (
        "recovery",
        [
            "Recoveries that ran in production, the project-days that they repaired, and how many events came from \
             backups (restored) and from the tee (replayed).",
            "It is what an operator did after an alarm.",
            "",
            "See marks recovery.started, recovery.older-backup and operator.recovered.",
        ],
    ),
    (
        "permission",
        [
            "Permissions at the object stores that production has, and used to change something there.",
            "What production may delete, a bad release will delete.",
            "",
            "Take the permission away in `protection`, and run again.",
        ],
    ),
    (
        "tee",
        [
            "The raw copy of every request that the edges keep for 7 days, outside production.",
            "It covers what came after the newest backup.",
            "",
            "`explain I11`.",
        ],
    ),
    (
        "diff",
        [
            "Events of the worst day before and after, as a unified diff (with -v).",
            "It shows which events went, and what is in their place.",
            "",
            "`explain I8`.",
        ],
    ),
];

/// Conditions of object stores. A fault activates them: no code reports them, so they are not marks.
const CONDITIONS: [(&str, &str); 6] = [
    (CREDENTIALS_EXPIRED, "Object stores refuse this node's credentials."),
    (ANSWERS_LOST, "Puts of an object store take effect and are not answered."),
    (SHORT_PAGES, "An object store lists its objects in short pages."),
    (THROTTLED, "An object store answers calls with \"slow down\"."),
    (UNAVAILABLE, "An object store fails calls."),
    (UPLOADS_BROKEN, "Uploads to an object store are interrupted."),
];

pub(super) fn entries() -> Vec<GlossaryEntry> {
    let stage = |(name, means): &(&'static str, &'static str)| {
        let has_device_faults =
            "It is the third part of a fingerprint, and tells one way of failing from another.";
        let next = "`repro … --log --to TIME` with the time under `first` ends the log where it was seen.";
        GlossaryEntry::new(GlossaryKind::Stage, *name, [*means, has_device_faults, "", next])
    };
    let word = |(name, parts): &(&'static str, [&'static str; 4])| {
        GlossaryEntry::new(GlossaryKind::Word, *name, *parts)
    };
    let condition = |(name, means): &(&'static str, &'static str)| {
        let matters =
            "It is a condition of a node, which a fault activates; backups and the tee depend on the stores.";
        let next = "`faults` in the scenario activate it: see `condition` in docs/faults.md.";
        GlossaryEntry::new(GlossaryKind::Word, *name, [*means, matters, "", next])
    };
    let words = WORDS.iter().map(word).chain(CONDITIONS.iter().map(condition));
    STAGES.iter().map(stage).chain(words).collect()
}
