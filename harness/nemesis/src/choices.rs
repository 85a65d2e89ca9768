//! Choices from bytes: the primitives that every drawn part of a scenario is composed of.

use crate::part_draws::{RandomSource, between};
use arbitrary::{Arbitrary, Result, Unstructured};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Choices that consume bytes from the front, four each. When the bytes are used up, every choice is the first option.
///
/// `Unstructured::int_in_range` and `Unstructured::choose` consume as many bytes as a range needs, some of them from
/// the end. With a fixed width, another range for one choice leaves the bytes of all later ones in their places.
pub trait Choices {
    /// Returns 64 bits whose upper half is drawn, which is all that a choice uses.
    fn bits(&mut self) -> u64;

    /// Draws a number, both ends included.
    fn within(&mut self, min: u32, max: u32) -> u32 {
        u32::try_from(between(self.bits(), i64::from(min), i64::from(max))).unwrap_or(min)
    }

    /// Draws one of these; the first is the simplest.
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        let last = u32::try_from(of.len()).unwrap_or(u32::MAX).saturating_sub(1);
        of[self.within(0, last) as usize]
    }

    /// Returns true with this probability.
    fn percent(&mut self, percent: u32) -> bool {
        self.within(1, 100) > 100 - percent
    }

    /// Draws a subset, each item with a probability of one half, at least one.
    fn some_of<T: Copy>(&mut self, all: &[T]) -> Vec<T> {
        let mut some: Vec<T> = all.iter().copied().filter(|_| self.percent(50)).collect();
        if some.is_empty() {
            some.push(self.pick(all));
        }
        some
    }
}

impl Choices for Unstructured<'_> {
    fn bits(&mut self) -> u64 {
        // With fewer than four bytes left, the missing ones are zero; this never fails.
        u64::from(self.arbitrary::<u32>().unwrap_or(0)) << 32
    }
}

/// Part of the size range that a run's faults use, in 64ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FaultSizeRange(pub u64, pub u64);

impl<'a> Arbitrary<'a> for FaultSizeRange {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<FaultSizeRange> {
        let (small, large, any) = (FaultSizeRange(0, 32), FaultSizeRange(32, 64), FaultSizeRange(0, 64));
        Ok(bytes.pick(&[any, any, small, large]))
    }
}

/// Random source of one fault. Repeated requests for a part return the same bits, because a fault may consist of
/// several related ones.
pub(crate) struct ByteRandomSource<'u, 'a> {
    bytes: RefCell<&'u mut Unstructured<'a>>,
    sizes: FaultSizeRange,
    drawn: RefCell<BTreeMap<u32, u64>>,
}

impl<'u, 'a> ByteRandomSource<'u, 'a> {
    pub fn new(bytes: &'u mut Unstructured<'a>, sizes: FaultSizeRange) -> ByteRandomSource<'u, 'a> {
        ByteRandomSource { bytes: RefCell::new(bytes), sizes, drawn: RefCell::default() }
    }
}

impl RandomSource for ByteRandomSource<'_, '_> {
    fn bits(&self, part: u32) -> u64 {
        *self.drawn.borrow_mut().entry(part).or_insert_with(|| self.bytes.borrow_mut().bits())
    }

    fn size_bits(&self, part: u32) -> u64 {
        let FaultSizeRange(from, to) = self.sizes;
        // A 64th of the whole range is 2 to the power of 58.
        let width = to.saturating_sub(from);
        (from << 58) + ((u128::from(self.bits(part)) * u128::from(width)) >> 6) as u64
    }
}
