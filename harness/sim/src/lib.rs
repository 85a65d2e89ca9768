//! The ports in a seeded, simulated world, on madsim.
