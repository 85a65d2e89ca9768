//! Draws: a range of numbers, and the clock offset of a node.

use latent_engine::sim::keyed_draw;
pub(crate) use latent_nemesis::between;

/// Maximum clock offset of a node in either direction, in milliseconds: the accuracy of a good time service.
pub(crate) const CLOCK_OFFSET_MS: i64 = 20;

/// Draws the offset of a node's wall clock from true time, in milliseconds, at most `max` in either direction.
pub(crate) fn clock_offset_ms(seed: u64, name: &str, max: i64) -> i64 {
    let key = u128::from_le_bytes(blake3_16(name));
    between(keyed_draw(seed, "world.clock-offset", key), -max, max)
}

fn blake3_16(text: &str) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&blake3::hash(text.as_bytes()).as_bytes()[..16]);
    out
}
