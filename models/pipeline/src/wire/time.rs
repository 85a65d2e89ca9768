//! An event's `time`: seconds or milliseconds, distinguished for each event.

use super::IMPORT_FROM_MS;

/// Converts the JSON number `text` to Unix milliseconds. It counts seconds or milliseconds; finer parts are truncated.
/// `None` when `text` is not a JSON number or exceeds an `i64` of milliseconds.
///
/// Numbers from 31,536,000,000 on count milliseconds: in milliseconds that is the start of 1971, the earliest time that
/// the API accepts, and in seconds it would be the year 2969. The arithmetic is decimal, so no float decides an event's
/// day.
#[must_use]
pub fn time_ms(text: &str) -> Option<i64> {
    let decimal = Decimal::parse(text)?;
    let counts_ms = decimal.shifted(0)?.unsigned_abs() >= IMPORT_FROM_MS.unsigned_abs().into();
    i64::try_from(decimal.shifted(if counts_ms { 0 } else { 3 })?).ok()
}

/// `digits * 10^exponent`.
struct Decimal {
    digits: i128,
    exponent: i32,
}

/// Maximum number of significant digits. Further digits do not affect the milliseconds of any time in range.
const MAX_DIGITS: u32 = 30;

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut decimal = Decimal { digits: 0, exponent };
        let mut kept = 0;
        for (digit, in_fraction) in
            whole.bytes().map(|b| (b, false)).chain(fraction.bytes().map(|b| (b, true)))
        {
            if !digit.is_ascii_digit() {
                return None;
            }
            if kept < MAX_DIGITS {
                decimal.digits = decimal.digits * 10 + i128::from(digit - b'0');
                kept += u32::from(decimal.digits != 0);
                decimal.exponent -= i32::from(in_fraction);
            } else {
                decimal.exponent += i32::from(!in_fraction);
            }
        }
        if negative {
            decimal.digits = -decimal.digits;
        }
        (!whole.is_empty()).then_some(decimal)
    }

    /// Returns the integer part of the number times `10^by`; `None` when it does not fit.
    fn shifted(&self, by: i32) -> Option<i128> {
        let exponent = self.exponent + by;
        let power = 10_i128.checked_pow(exponent.unsigned_abs());
        match power {
            Some(power) if exponent >= 0 => self.digits.checked_mul(power),
            Some(power) => Some(self.digits / power),
            // 10^39 and more: division by it gives zero, and only zero can be multiplied by it.
            None if exponent < 0 || self.digits == 0 => Some(0),
            None => None,
        }
    }
}

/// Exponents are clamped to a bound that the kept digits cannot offset.
fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let size = digits.parse::<i32>().unwrap_or(i32::MAX).min(1 << 24);
    Some(if text.starts_with('-') { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn seconds_and_milliseconds_are_distinguished() {
        for (text, expected) in [
            ("1456190481", Some(1_456_190_481_000)),
            ("1456190481000", Some(1_456_190_481_000)),
            ("1456190481.5", Some(1_456_190_481_500)),
            ("1456190481.0009999", Some(1_456_190_481_000)),
            ("1456190481123.999", Some(1_456_190_481_123)),
            ("1.456190481123e9", Some(1_456_190_481_123)),
            ("14561904811230e-1", Some(1_456_190_481_123)),
            ("31535999999.999", Some(31_535_999_999_999)),
            ("31536000000", Some(31_536_000_000)),
            ("0", Some(0)),
            ("0e99999999999", Some(0)),
            ("1e-99999999999", Some(0)),
            ("-1.5", Some(-1_500)),
            ("1456190481.00000000000000000000000000000000000000000001", Some(1_456_190_481_000)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e30", None),
            ("1e999999999999", None),
            ("", None),
            ("-", None),
            (".5", None),
            ("1e", None),
            ("soon", None),
            ("\"1456190481\"", None),
        ] {
            assert_eq!(time_ms(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_in_either_unit_gives_the_same_time(ms in IMPORT_FROM_MS..4_102_444_800_000_i64) {
            let seconds = format!("{}.{:03}", ms / 1000, ms % 1000);
            prop_assert_eq!(time_ms(&seconds), Some(ms));
            prop_assert_eq!(time_ms(&ms.to_string()), Some(ms));
        }

        #[test]
        fn no_text_panics(text in "[-+0-9eE.]{0,60}") {
            let _ = time_ms(&text);
        }
    }
}
