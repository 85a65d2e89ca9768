//! Draws: a range of numbers, and the clock offset of a node.

use latent_engine::sim::keyed_draw;

/// Maximum clock offset of a node in either direction, in milliseconds: the accuracy of a good time service.
pub(crate) const CLOCK_OFFSET_MS: i64 = 20;

/// Maps a draw to a number from `min` to `max`, both included.
pub(crate) fn between(draw: u64, min: i64, max: i64) -> i64 {
    let width = (max.max(min) - min) as u128 + 1;
    min + ((u128::from(draw) * width) >> 64) as i64
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_reaches_both_ends() {
        assert_eq!(between(0, -3, 5), -3);
        assert_eq!(between(u64::MAX, -3, 5), 5);
    }
}
