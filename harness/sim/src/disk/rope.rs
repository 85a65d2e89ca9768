//! A file's bytes as a rope of shared chunks.
//!
//! An append keeps the caller's `Bytes` by reference, so eight disks that append one body share it, and so do the
//! images and forks taken of them. Optimised for files that mostly grow at the end: a write in the middle costs
//! O(chunks).

use super::bad_blocks::BadBlocks;
use bytes::{Bytes, BytesMut};
use std::ops::Range;

/// Zeros that gaps refer to.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

#[derive(Clone, Debug, Default)]
pub(crate) struct Rope {
    chunks: Vec<Bytes>,
    /// End offset of each chunk.
    ends: Vec<u64>,
    /// Unreadable blocks. Their bytes are kept for images.
    bad_blocks: BadBlocks,
    /// The bytes without what faults changed or removed; `None` if no fault did. Later changes apply to both.
    as_written: Option<Box<Rope>>,
}

impl Rope {
    pub(crate) fn len_bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    pub(crate) fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    pub(crate) fn push(&mut self, data: Bytes) {
        if let Some(as_written) = &mut self.as_written {
            as_written.push(data.clone());
        }
        self.push_chunk(data);
    }

    fn push_chunk(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        self.ends.push(self.len_bytes() + data.len() as u64);
        self.chunks.push(data);
    }

    fn push_zeros(&mut self, mut count: u64) {
        while count > 0 {
            let piece = count.min(ZEROS.len() as u64);
            self.push_chunk(Bytes::from_static(&ZEROS[..to_usize(piece)]));
            count -= piece;
        }
    }

    /// Shortens the rope, or extends it with zeros. An empty file is no longer corrupted.
    pub(crate) fn truncate(&mut self, len_bytes: u64) {
        self.bad_blocks.truncate(len_bytes);
        match &mut self.as_written {
            Some(as_written) if len_bytes > 0 => as_written.truncate(len_bytes),
            as_written => *as_written = None,
        }
        self.resize(len_bytes);
    }

    fn resize(&mut self, len_bytes: u64) {
        if len_bytes >= self.len_bytes() {
            self.push_zeros(len_bytes - self.len_bytes());
            return;
        }
        let keep = self.ends.partition_point(|end| *end <= len_bytes);
        let start = self.start_of(keep);
        let rest = self.chunks[keep].slice(..to_usize(len_bytes - start));
        self.chunks.truncate(keep);
        self.ends.truncate(keep);
        self.push_chunk(rest);
    }

    /// Overwrites from `offset`, extending the rope and filling a gap with zeros where needed.
    pub(crate) fn write(&mut self, offset: u64, data: Bytes) {
        if data.is_empty() {
            return;
        }
        if let Some(as_written) = &mut self.as_written {
            as_written.write(offset, data.clone());
        }
        self.write_device(offset, data);
    }

    /// Overwrites bytes on the device only, as a misdirected write does: they are not what the program wrote there.
    pub(crate) fn write_device(&mut self, offset: u64, data: Bytes) {
        if offset >= self.len_bytes() {
            self.resize(offset);
            self.push_chunk(data);
            return;
        }
        self.bad_blocks.repair(offset, offset + data.len() as u64, self.len_bytes());
        let tail = self.slice(offset + data.len() as u64, u64::MAX);
        self.resize(offset);
        self.push_chunk(data);
        tail.into_iter().for_each(|chunk| self.push_chunk(chunk));
    }

    /// Returns the chunks that cover `from..to`, cut to it.
    fn slice(&self, from: u64, to: u64) -> Vec<Bytes> {
        let to = to.min(self.len_bytes());
        let mut out = Vec::new();
        let mut at = from;
        let mut index = self.ends.partition_point(|end| *end <= from);
        while at < to {
            let start = self.start_of(index);
            let until = self.ends[index].min(to);
            out.push(self.chunks[index].slice(to_usize(at - start)..to_usize(until - start)));
            at = until;
            index += 1;
        }
        out
    }

    /// Returns up to `len_bytes` from `offset`; shares the chunk if the range lies in one.
    pub(crate) fn read(&self, offset: u64, len_bytes: u64) -> Bytes {
        let mut pieces = self.slice(offset, offset.saturating_add(len_bytes));
        if pieces.len() <= 1 {
            return pieces.pop().unwrap_or_default();
        }
        let mut out = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        pieces.iter().for_each(|piece| out.extend_from_slice(piece));
        out.freeze()
    }

    /// Returns the first `len_bytes`.
    pub(crate) fn prefix(&self, len_bytes: u64) -> Rope {
        let mut out = Rope::default();
        self.slice(0, len_bytes).into_iter().for_each(|chunk| out.push_chunk(chunk));
        out.bad_blocks = self.bad_blocks.clone();
        out.bad_blocks.truncate(len_bytes);
        out.as_written = self.as_written.as_ref().map(|as_written| Box::new(as_written.prefix(len_bytes)));
        out
    }

    /// Flips the bits that are set in `mask`, which begins at `offset` and must end within the rope. Copies the
    /// chunks that it touches, because others share them.
    pub(crate) fn flip_bits(&mut self, offset: u64, mask: &[u8]) {
        for (at, bits) in (offset..).zip(mask).filter(|(_, bits)| **bits != 0) {
            let index = self.ends.partition_point(|end| *end <= at);
            let start = self.start_of(index);
            let mut copy = BytesMut::from(&self.chunks[index][..]);
            copy[to_usize(at - start)] ^= bits;
            self.chunks[index] = copy.freeze();
        }
    }

    /// Marks the file as changed by a fault, before the fault changes it: the present bytes are those that the program
    /// wrote.
    pub(crate) fn mark_corrupted(&mut self) {
        if self.as_written.is_none() {
            let as_written = Rope { chunks: self.chunks.clone(), ends: self.ends.clone(), ..Rope::default() };
            self.as_written = Some(Box::new(as_written));
        }
    }

    /// Whether a fault changed or removed some of the bytes.
    pub(crate) fn is_corrupted(&self) -> bool {
        self.as_written.is_some()
    }

    /// Returns the bytes without what faults changed or removed.
    pub(crate) fn as_written(&self) -> &Rope {
        self.as_written.as_deref().unwrap_or(self)
    }

    /// Makes a block unreadable, if it is not past the end.
    pub(crate) fn mark_unreadable(&mut self, block: u64) {
        self.bad_blocks.insert(block);
        self.bad_blocks.truncate(self.len_bytes());
    }

    /// Whether a read of that range touches an unreadable block.
    pub(crate) fn is_unreadable(&self, offset: u64, len_bytes: u64) -> bool {
        self.bad_blocks.intersects(offset, offset.saturating_add(len_bytes).min(self.len_bytes()))
    }

    /// Whether a write of that range would have to read an unreadable block first.
    pub(crate) fn is_unwritable(&self, offset: u64, len_bytes: u64) -> bool {
        self.bad_blocks.intersects_partially(offset, offset.saturating_add(len_bytes), self.len_bytes())
    }

    /// Returns the unreadable byte ranges, in order.
    pub(crate) fn unreadable(&self) -> Vec<Range<u64>> {
        self.bad_blocks.ranges(self.len_bytes())
    }

    fn start_of(&self, index: usize) -> u64 {
        if index == 0 { 0 } else { self.ends[index - 1] }
    }
}

/// Converts a length within one chunk: chunks are in memory, so it fits.
fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        Truncate(u64),
        Write(u64, Vec<u8>),
        Flip(u64, Vec<u8>),
        Read(u64, u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
        prop_oneof![
            bytes().prop_map(Op::Push),
            (0_u64..100).prop_map(Op::Truncate),
            (0_u64..120, bytes()).prop_map(|(offset, data)| Op::Write(offset, data)),
            (0_u64..60, bytes()).prop_map(|(offset, mask)| Op::Flip(offset, mask)),
            (0_u64..120, 0_u64..60).prop_map(|(offset, len)| Op::Read(offset, len)),
        ]
    }

    proptest! {
        #[test]
        fn a_rope_behaves_like_a_vector(ops in proptest::collection::vec(op(), 0..40)) {
            let (mut rope, mut model) = (Rope::default(), Vec::<u8>::new());
            for op in ops {
                match op {
                    Op::Push(data) => { model.extend(&data); rope.push(data.into()); }
                    Op::Truncate(len) => { model.resize(len as usize, 0); rope.truncate(len); }
                    Op::Write(offset, data) => {
                        if !data.is_empty() {
                            let (from, to) = (offset as usize, offset as usize + data.len());
                            if model.len() < to { model.resize(to, 0); }
                            model[from..to].copy_from_slice(&data);
                        }
                        rope.write(offset, data.into());
                    }
                    Op::Flip(offset, mask) => {
                        if offset as usize + mask.len() <= model.len() {
                            let (held, before) = (rope.clone(), model.clone());
                            model[offset as usize..].iter_mut().zip(&mask).for_each(|(byte, bits)| *byte ^= bits);
                            rope.flip_bits(offset, &mask);
                            prop_assert_eq!(&held.read(0, u64::MAX)[..], &before[..], "shared bytes do not change");
                        }
                    }
                    Op::Read(offset, len) => {
                        let from = (offset as usize).min(model.len());
                        let to = (from + len as usize).min(model.len());
                        prop_assert_eq!(&rope.read(offset, len)[..], &model[from..to]);
                    }
                }
                prop_assert_eq!(rope.len_bytes(), model.len() as u64);
            }
            prop_assert_eq!(&rope.read(0, u64::MAX)[..], &model[..]);
            prop_assert_eq!(&rope.prefix(7).read(0, u64::MAX)[..], &model[..model.len().min(7)]);
        }
    }
}
