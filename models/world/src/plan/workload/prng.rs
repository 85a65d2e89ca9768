//! A small generator that expands one draw: a keyed draw is costly (a cipher), and an event needs twenty numbers.
//!
//! Integers only: results of float functions may differ by platform and must not decide a run.

/// A pseudo-random generator seeded with one draw; identical on every machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prng {
    state: u64,
}

impl Prng {
    /// Creates the generator for a seed and a purpose. Purposes are independent: more numbers for one leave the
    /// others unchanged.
    pub(super) fn new(seed: u64, purpose: u64) -> Prng {
        Prng { state: mix(seed ^ mix(purpose)) }
    }

    pub(super) fn next(&mut self) -> u64 {
        // An odd step visits all 2^64 states; the constant is 2^64 over the golden ratio.
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// Returns a number below `count`; 0 if `count` is 0.
    pub(super) fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }

    /// Returns a number from `low` to `high`, both included; `low` if they are reversed.
    pub(super) fn within(&mut self, (low, high): (i64, i64)) -> i64 {
        match u64::try_from(high.saturating_sub(low)) {
            Ok(width) => low + self.below(width.saturating_add(1)) as i64,
            Err(_) => low,
        }
    }

    /// Returns true with a probability of `ppm` parts per million.
    pub(super) fn chance_ppm(&mut self, ppm: u32) -> bool {
        self.below(1_000_000) < u64::from(ppm)
    }

    /// Returns true with a probability of 1 / `count`.
    pub(super) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len() as u64) as usize]
    }
}

/// Mixes every bit of `value` into all 64 bits; a bijection.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_include_both_ends_and_nothing_else() {
        let mut prng = Prng::new(1, 1);
        let drawn: Vec<i64> = (0..500).map(|_| prng.within((-2, 3))).collect();
        assert!((-2..=3).all(|value| drawn.contains(&value)));
        assert!(drawn.iter().all(|value| (-2..=3).contains(value)));
        assert_eq!(prng.within((7, 3)), 7);
        assert_eq!(prng.below(0), 0);
    }

    #[test]
    fn shares_match_their_probability() {
        let mut prng = Prng::new(2, 1);
        let hits = (0..100_000).filter(|_| prng.chance_ppm(50_000)).count();
        assert!((4_700..=5_300).contains(&hits), "{hits} of 100,000 at 5%");
        assert!(!(0..1_000).any(|_| prng.chance_ppm(0)));
        assert!((0..1_000).all(|_| prng.chance_ppm(1_000_000)));
    }

    #[test]
    fn purposes_are_independent_streams() {
        assert_ne!(Prng::new(3, 1).next(), Prng::new(3, 2).next());
        assert_eq!(Prng::new(3, 1).next(), Prng::new(3, 1).next());
    }
}
