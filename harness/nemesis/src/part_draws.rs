//! Draws of the parts of one fault: its node, its time, its size. The same part is the same draw.

/// Source of random bits for the parts of a fault: 64 bits per part.
pub(crate) trait RandomSource {
    /// Returns the bits for a part: node, direction, time.
    fn bits(&self, part: u32) -> u64;

    /// Returns the bits for a size: smaller bits make a shorter, rarer or milder fault.
    fn size_bits(&self, part: u32) -> u64 {
        self.bits(part)
    }
}

/// Draws of one fault.
#[derive(Clone, Copy)]
pub struct PartDraws<'a>(pub(crate) &'a dyn RandomSource);

impl PartDraws<'_> {
    /// Draws a number from `min` to `max`, both included.
    #[must_use]
    pub fn within(&self, part: u32, min: u64, max: u64) -> u64 {
        between(self.0.bits(part), min.cast_signed(), max.cast_signed()).unsigned_abs()
    }

    /// Draws one of these; there is at least one.
    #[must_use]
    pub fn pick<T: Clone>(&self, part: u32, of: &[T]) -> T {
        item(self.0.bits(part), of)
    }
}

/// Maps a draw to a number from `min` to `max`, both included.
#[must_use]
pub fn between(draw: u64, min: i64, max: i64) -> i64 {
    let width = (max.max(min) - min) as u128 + 1;
    min + ((u128::from(draw) * width) >> 64) as i64
}

/// Returns the item that the draw selects.
pub(crate) fn item<T: Clone>(bits: u64, of: &[T]) -> T {
    let last = i64::try_from(of.len()).unwrap_or(i64::MAX).saturating_sub(1);
    of[usize::try_from(between(bits, 0, last)).unwrap_or(0)].clone()
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
