//! Choices from bytes.

use crate::plan::draws::between;
use crate::plan::nemesis::RandomSource;
use arbitrary::Unstructured;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Bytes, consumed from the front, four per choice. When they are used up, every choice is the first option.
pub(super) struct Choices<'a> {
    bytes: RefCell<Unstructured<'a>>,
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { bytes: RefCell::new(Unstructured::new(bytes)) }
    }

    /// Returns 64 bits whose upper half is drawn, which is all that a choice uses.
    fn bits(&self) -> u64 {
        // With fewer than four bytes left, the missing ones are zero; this never fails.
        u64::from(self.bytes.borrow_mut().arbitrary::<u32>().unwrap_or(0)) << 32
    }

    /// Draws a number, both ends included.
    pub fn within(&self, min: u32, max: u32) -> u32 {
        u32::try_from(between(self.bits(), i64::from(min), i64::from(max))).unwrap_or(min)
    }

    /// Draws one of these; the first is the simplest.
    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        let last = u32::try_from(of.len()).unwrap_or(u32::MAX).saturating_sub(1);
        of[self.within(0, last) as usize]
    }

    /// Returns true with this probability.
    pub fn percent(&self, percent: u32) -> bool {
        self.within(1, 100) > 100 - percent
    }

    /// Draws a subset, each item with a probability of one half, at least one.
    pub fn some_of<T: Copy>(&self, all: &[T]) -> Vec<T> {
        let mut some: Vec<T> = all.iter().copied().filter(|_| self.percent(50)).collect();
        if some.is_empty() {
            some.push(self.pick(all));
        }
        some
    }
}

/// Part of the size range that a run's faults use, in 64ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaultSizeRange(pub u64, pub u64);

/// Random source of one fault. Repeated requests for a part return the same bits, because a fault may consist of
/// several related ones.
pub(super) struct ByteRandomSource<'a, 'b> {
    choices: &'a Choices<'b>,
    sizes: FaultSizeRange,
    drawn: RefCell<BTreeMap<u32, u64>>,
}

impl<'a, 'b> ByteRandomSource<'a, 'b> {
    pub fn new(choices: &'a Choices<'b>, sizes: FaultSizeRange) -> ByteRandomSource<'a, 'b> {
        ByteRandomSource { choices, sizes, drawn: RefCell::default() }
    }
}

impl RandomSource for ByteRandomSource<'_, '_> {
    fn bits(&self, part: u32) -> u64 {
        *self.drawn.borrow_mut().entry(part).or_insert_with(|| self.choices.bits())
    }

    fn size_bits(&self, part: u32) -> u64 {
        let FaultSizeRange(from, to) = self.sizes;
        // A 64th of the whole range is 2 to the power of 58.
        let width = to.saturating_sub(from);
        (from << 58) + ((u128::from(self.bits(part)) * u128::from(width)) >> 6) as u64
    }
}
