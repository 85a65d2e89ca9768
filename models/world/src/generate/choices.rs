//! Choices out of bytes.

use crate::nemesis::RandomSource;
use crate::plan::between;
use arbitrary::Unstructured;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Bytes, taken from the front, four a choice. Where there are none left, every choice is the first.
pub(super) struct Choices<'a> {
    bytes: RefCell<Unstructured<'a>>,
}

impl<'a> Choices<'a> {
    pub fn new(bytes: &'a [u8]) -> Choices<'a> {
        Choices { bytes: RefCell::new(Unstructured::new(bytes)) }
    }

    /// 64 bits whose upper half is drawn: as much as any choice here looks at.
    fn bits(&self) -> u64 {
        // With fewer than four bytes left, the missing ones are zero; it never fails.
        u64::from(self.bytes.borrow_mut().arbitrary::<u32>().unwrap_or(0)) << 32
    }

    /// A number, both ends included.
    pub fn within(&self, min: u32, max: u32) -> u32 {
        u32::try_from(between(self.bits(), i64::from(min), i64::from(max))).unwrap_or(min)
    }

    /// One of these; the first of what is simplest.
    pub fn pick<T: Copy>(&self, of: &[T]) -> T {
        let last = u32::try_from(of.len()).unwrap_or(u32::MAX).saturating_sub(1);
        of[self.within(0, last) as usize]
    }

    /// Yes, so often in a hundred.
    pub fn percent(&self, percent: u32) -> bool {
        self.within(1, 100) > 100 - percent
    }

    /// Each of these with even chances, at least one.
    pub fn some_of<T: Copy>(&self, all: &[T]) -> Vec<T> {
        let mut some: Vec<T> = all.iter().copied().filter(|_| self.percent(50)).collect();
        if some.is_empty() {
            some.push(self.pick(all));
        }
        some
    }
}

/// Which part of their range the sizes of a run's faults are from, in 64ths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaultSizeRange(pub u64, pub u64);

/// The chance of one fault. A part that is asked for twice is the same: a fault may be made of several that belong
/// together.
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
