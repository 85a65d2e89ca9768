//! Configuration of a world.

use latent_ports::UnixMs;

/// Seeds and settings that, with the code, determine a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldSpec {
    /// Seed of the order in which ready tasks run.
    pub scheduler_seed: u64,
    /// Seed of every keyed draw.
    pub draw_seed: u64,
    /// True time at which the world starts.
    pub start: UnixMs,
    /// Keeps every trace record as text.
    pub keep_log: bool,
}

impl WorldSpec {
    /// Returns a spec with one seed for both, a start at 2016-02-20T00:00:00Z and no log.
    #[must_use]
    pub const fn seeded(seed: u64) -> WorldSpec {
        WorldSpec { scheduler_seed: seed, draw_seed: seed, start: UnixMs(1_455_926_400_000), keep_log: false }
    }
}
