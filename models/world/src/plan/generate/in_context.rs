//! Parts whose ranges depend on what was drawn before them.

use arbitrary::{Arbitrary, Result, Unstructured};

/// A part whose ranges, or whose number of choices, depend on parts that were drawn before it.
pub(super) trait ArbitraryIn: Sized {
    /// The parts that it depends on.
    type Context: for<'a> Arbitrary<'a>;

    /// Draws the part that fits this context.
    fn arbitrary_in(context: &Self::Context, bytes: &mut Unstructured<'_>) -> Result<Self>;
}

/// A part with its context, which is drawn first: the form in which such a part is drawn from bytes alone.
pub(super) struct InContext<P: ArbitraryIn> {
    pub context: P::Context,
    pub part: P,
}

impl<'a, P: ArbitraryIn> Arbitrary<'a> for InContext<P> {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<InContext<P>> {
        let context = P::Context::arbitrary(bytes)?;
        let part = P::arbitrary_in(&context, bytes)?;
        Ok(InContext { context, part })
    }
}
