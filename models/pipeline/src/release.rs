//! Releases: a name, and the planted bugs in its code.
//!
//! A planted bug is a mistake that lost data elsewhere, behind one switch that only a release naming it turns on. It
//! proves that the harness finds such bugs. Code calls [`Release::has`] at the planted site.

use crate::marks;
use latent_ports::{Env, Mark};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use strum::{EnumMessage, EnumProperty, IntoStaticStr, VariantArray};

/// Bug planted in the pipeline. The doc comment is the mistake in one sentence, `source` is where it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[derive(EnumMessage, EnumProperty, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum Bug {
    /// A compaction job reads the day's file set once, at its start. Each of its runs commits that set plus its own
    /// output, so the second run drops the first one's output. The incident of February 2016.
    #[strum(props(source = "the incident of February 2016"))]
    RecompactionOverwrites,
    /// A merge takes a block in which no key is left for the end of its inputs, and drops all later keys.
    #[strum(props(source = "influxdb#8981"))]
    EmptyKeyEndsMerge,
    /// A run over a compacted day rewrites only the hours that the late data is in, and drops the others.
    #[strum(props(source = "HIVE-28700"))]
    BaseShardSkipped,
    /// A lease has no fencing token: a worker that wakes after its lease commits over the work of another one.
    #[strum(props(source = "RocksDB 6.11"))]
    TwoCompactors,
    /// A run removes all segments of its inputs' tiers, also those that arrived after it was planned.
    #[strum(props(source = "prometheus#14584, influxdb_iox#1938"))]
    ArrivalsDuringCompaction,
    /// A merge that was planned again after a crash commits although its inputs are already merged.
    #[strum(props(source = "quickwit#3854"))]
    ReplanAfterCrash,
    /// A merge leaves the event's name out of the de-duplication key.
    #[strum(props(source = "the rule of the event API"))]
    CoarseDedupeKey,
    /// Garbage collection trusts a manifest whose last edit failed, and removes files that this edit may still name.
    #[strum(props(source = "ClickHouse#114194"))]
    StaleRootGc,
    /// A run removes its inputs in one edit and adds its output in the next, so a failure between them loses both.
    #[strum(props(source = "prometheus#7772"))]
    DeleteNotAtomic,
    /// A manifest edit that a full disk cut short stays, and the next edit is appended after it.
    #[strum(props(source = "rocksdb#6316"))]
    EnospcTearsManifest,
    /// A failed sync of a segment is tried again, and the second answer is believed.
    #[strum(props(source = "Rebello et al., USENIX ATC 2020"))]
    RetryFailedFsync,
    /// The rename of a run's output is not followed by a sync of its directory.
    #[strum(props(source = "leveldb#195"))]
    RenameWithoutDirsync,
    /// An I/O error while a merge reads an input counts as the end of that input.
    #[strum(props(source = "arcadedb#4320"))]
    ErrorIsEof,
    /// A block with a bad checksum is skipped, and the read succeeds.
    #[strum(props(source = "cqlite#1391"))]
    BadChecksumSkipped,
    /// A boot removes files and directories of a store whose names it does not know.
    #[strum(props(source = "Zhang et al., SOSP 2021"))]
    UnknownFormatIsGarbage,
    /// After a boot the ids of files continue from the clock: after a step back they are below used ids.
    #[strum(props(source = "snowflake#6"))]
    IdReuseAfterStep,
    /// A run derives the days of old events from the project's present zone, and moves those whose day is another one.
    #[strum(props(source = "the rule of the event API"))]
    ZoneEditMovesDays,
    /// A late event for a compacted day is acknowledged and dropped.
    #[strum(props(source = "druid#11906"))]
    LateRefused,
    /// A disk measures lateness from the newest event: one event from the future makes live ones too old to store.
    #[strum(props(source = "prometheus#8312"))]
    FutureTimePoisons,
    /// The order to set a corrupt day aside goes to another disk than the one that has it, and that disk obeys.
    #[strum(props(source = "GitLab 2017"))]
    WrongDirectory,
    /// A compaction run re-serializes each event: numbers, escapes and the order of members differ from what was sent.
    #[strum(props(source = "own"))]
    CompactionAltersEvent,
    /// Ingest answers once it has sent a write, before any disk has synced it.
    #[strum(props(source = "etcd#14370"))]
    AckBeforeDurable,
    /// Ingest takes the answer of a disk for success although its body reports that parts of the write failed.
    #[strum(props(source = "vector#2968"))]
    ItemErrorsIgnored,
    /// One invalid event of an import drops the valid ones of its batch, which the answer counts as imported.
    #[strum(props(source = "logstash#3283"))]
    PoisonDropsBatch,
    /// An event that is too large for the write queue is dropped without an error.
    #[strum(props(source = "PostHog#3068"))]
    OversizeVanishes,
    /// A hint leaves the queue before the disk has accepted it, so a failed delivery loses it.
    #[strum(props(source = "PostHog#15851"))]
    CommitBeforeApply,
    /// The unit of `time` is determined once per batch: seconds in a batch that starts with milliseconds count as
    /// milliseconds.
    #[strum(props(source = "own: two units are legal"))]
    SecondsAsMilliseconds,
    /// The hints of a disk that is away longer than a window are dropped.
    #[strum(props(source = "scylladb#13501"))]
    HintsExpire,
    /// A request that reaches its second ingest node gets a new number, so the part that the first node stored is
    /// stored twice.
    #[strum(props(source = "snowplow#2438"))]
    ReplayDoubles,
    /// A hint is written from a buffer that a later request of another project has taken over.
    #[strum(props(source = "KAFKA-19012"))]
    FiledUnderAnotherProject,
    /// De-duplication compares only events that arrived within a window.
    #[strum(props(source = "ledger#1607"))]
    IdsForgottenAfterWindow,
    /// A boot claims the waiting hints by renaming their files, and takes the claims of the boot before it for garbage.
    #[strum(props(source = "loki#14848"))]
    HintsLostAtSecondRestart,
    /// Only a new hint wakes the hand-off, so hints wait until a further write fails.
    #[strum(props(source = "redpanda#8959"))]
    NothingHandedOffWithoutAWrite,
    /// A request is validated and placed by the clock of the ingest node, not by its arrival at the edge.
    #[strum(props(source = "StarRocks#77709"))]
    ValidatedAtCommit,
    /// The store receives a segment in place, so an upload that breaks off leaves a part of it under its name, and the
    /// next backup takes each name for a segment.
    #[strum(props(source = "thanos#1919", nodes = "protection"))]
    PartialUploadComplete,
    /// A backup writes a catalog with its position before it copies what lies between the last position and that one.
    #[strum(props(source = "the postmortem of etcd 3.5", nodes = "protection"))]
    PositionBeforeData,
    /// A backup looks at the days from the newest one of the last backup on, and passes over events that came late for
    /// an earlier day.
    #[strum(props(source = "airbyte#85918", nodes = "protection"))]
    CursorOnEventTime,
    /// Neither a pin nor the grace period keeps a file that compaction has replaced, so it goes while a backup that
    /// listed it has yet to copy it.
    #[strum(props(source = "RocksDB 6.16"))]
    BackupUnpinned,
    /// A backup takes a segment for held because an earlier one put it, though the data center has lost it.
    #[strum(props(source = "ClickHouse#112395", nodes = "protection"))]
    IncrementalOnBrokenBase,
    /// The readers of catalogs and of the tee take the first page of a listing for the whole.
    #[strum(props(source = "cassandra-medusa#657", nodes = "protection"))]
    ListingCutAtAPage,
    /// A backup that fails waits for the next interval and raises no alarm, nor does the monitor of backups.
    #[strum(props(source = "GitLab, January 2017", nodes = "protection"))]
    BackupSilentlyDead,
    /// The retention of the tee and of backups is read in hours where it was given in days.
    #[strum(props(source = "restic#3861", nodes = "protection"))]
    RetentionUnit,
    /// The audit answers from its cache for a day that passed once and ended more than two days ago, whatever has
    /// changed since.
    #[strum(props(source = "hudi#14365", nodes = "protection"))]
    CacheWithAnAgeHorizon,
    /// An audit that has lost its position in the tee begins behind the newest file instead of before the oldest.
    #[strum(props(source = "iceberg#17551", nodes = "protection"))]
    LostPositionBeginsAtTheNewest,
    /// A day that cannot be read stops the compaction of the project's other days on that disk.
    #[strum(props(source = "marin#7049"))]
    PoisonSegmentStopsCompaction,
    /// An error with one project ends the backup of the projects behind it, and one with a day the audit of the days
    /// behind it.
    #[strum(props(source = "weaviate#12507", nodes = "protection"))]
    OneErrorStopsThoseBehind,
    /// An object store skips the first key of each page but the first.
    #[strum(props(source = "minio#21463", nodes = "protection"))]
    KeyAtThePageBorder,
    /// The audit takes a day for intact that has as many events as the tee, whichever they are.
    #[strum(props(source = "own", nodes = "protection"))]
    AuditComparesCounts,
    /// A backup takes a segment for read back whose length is right.
    #[strum(props(source = "own", nodes = "protection"))]
    VerifyReadsBackNothing,
    /// The nightly scrub reads the manifest and the late segments of a day, and no others.
    #[strum(props(source = "own"))]
    ScrubSkipsCompacted,
}

impl Bug {
    /// Every planted bug.
    pub const ALL: &'static [Bug] = Bug::VARIANTS;

    /// Returns the name used in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the mistake, in one sentence.
    #[must_use]
    pub fn mistake(self) -> &'static str {
        self.get_documentation().unwrap_or_default()
    }

    /// Whether the mistake is in the nodes that protect production: object stores, backup, audit, recovery.
    #[must_use]
    pub fn is_in_protection(self) -> bool {
        self.get_str("nodes") == Some("protection")
    }

    /// Returns where the mistake was seen: a public report, or `own`.
    #[must_use]
    pub fn source(self) -> &'static str {
        self.get_str("source").unwrap_or("own")
    }
}

/// Release that a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Name, as used in deploys.
    pub name: String,
    /// Planted bugs; none in `good`.
    pub bugs: BTreeSet<Bug>,
}

impl Release {
    /// Returns the release without planted bugs.
    #[must_use]
    pub fn good() -> Self {
        Release { name: "good".to_owned(), bugs: BTreeSet::new() }
    }

    /// Whether this release has `bug`.
    #[must_use]
    pub fn has(&self, bug: Bug) -> bool {
        self.bugs.contains(&bug)
    }

    /// Reports that a planted bug makes a difference: what follows is not what the good code does.
    pub fn reached<E: Env>(&self, env: &E, bug: Bug) {
        env.mark(Mark { name: marks::RELEASE_BUG_REACHED, subject: bug.name() });
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
