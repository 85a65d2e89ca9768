//! Intervals of 95% and a test for ties, all exact or nearly so for a few dozens of seeds and for any distribution: losses
//! are far from normal. Three short formulas; a statistics crate would bring a linear algebra with it.

/// The two-sided 95% quantile of the normal distribution.
const Z: f64 = 1.96;
/// A difference that chance alone makes this often, or more often, is not shown.
const SIGNIFICANCE: f64 = 0.05;

/// Returns the Wilson score interval of a share: `hits` of `of`, as fractions. Nothing is known of 0 of 0.
pub(super) fn share_interval(hits: u64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, share) = (of as f64, hits as f64 / of as f64);
    let center = (share + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((center - half).max(0.0), (center + half).min(1.0))
}

/// Returns the median of sorted values (the lower one of two) and its interval: the order statistics between which the
/// median of the distribution lies with at least 95%. With fewer than six values no two do; then they are the extremes.
pub(super) fn median_interval(sorted: &[u64]) -> Option<(u64, (u64, u64))> {
    let n = sorted.len();
    let median = *sorted.get(n.checked_sub(1)? / 2)?;
    // The largest number of values that may lie outside on each side.
    let mut outside = 0;
    while outside + 1 < n / 2 && 2.0 * binomial_tail(n, outside + 1) <= SIGNIFICANCE {
        outside += 1;
    }
    Some((median, (sorted[outside], sorted[n - 1 - outside])))
}

/// Returns whether the pairs show a difference: the exact sign test at 5%. Pairs that are equal say nothing.
pub(super) fn differ(pairs: impl Iterator<Item = (u64, u64)>) -> bool {
    let (mut less, mut more) = (0, 0);
    for (one, other) in pairs {
        less += usize::from(one < other);
        more += usize::from(one > other);
    }
    let n = less + more;
    n > 0 && 2.0 * binomial_tail(n, less.min(more)) < SIGNIFICANCE
}

/// Returns the probability of at most `most` heads in `n` tosses of a fair coin.
fn binomial_tail(n: usize, most: usize) -> f64 {
    let mut term = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    let mut sum = term;
    for k in 1..=most {
        term *= (n - k + 1) as f64 / k as f64;
        sum += term;
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_all_or_none_is_still_uncertain() {
        let rounded = |(low, high): (f64, f64)| ((low * 1_000.0).round(), (high * 1_000.0).round());
        // Wilson's interval: 0.839 to 1 for 20 of 20 and 0.299 to 0.701 for 10 of 20.
        assert_eq!(rounded(share_interval(20, 20)), (839.0, 1_000.0));
        assert_eq!(rounded(share_interval(0, 20)), (0.0, 161.0));
        assert_eq!(rounded(share_interval(10, 20)), (299.0, 701.0));
        assert_eq!(share_interval(0, 0), (0.0, 1.0));
    }

    #[test]
    fn the_interval_of_a_median_is_between_order_statistics() {
        let sorted: Vec<u64> = (1..=20).collect();
        // Ranks 6 and 15 of 20 hold the median with 95.9%.
        assert_eq!(median_interval(&sorted), Some((10, (6, 15))));
        assert_eq!(median_interval(&[1, 2, 3, 4, 5]), Some((3, (1, 5))));
        assert_eq!(median_interval(&[7]), Some((7, (7, 7))));
        assert_eq!(median_interval(&[]), None);
    }

    #[test]
    fn five_equal_signs_show_no_difference_and_six_do() {
        let signs = |n: usize| std::iter::repeat_n((1, 2), n);
        assert!(!differ(signs(5)) && differ(signs(6)));
        assert!(!differ(std::iter::repeat_n((3, 3), 50)), "equal pairs say nothing");
        assert!(!differ(signs(6).chain([(2, 1)])), "6 of 7 happens by chance in one case in eight");
    }
}
