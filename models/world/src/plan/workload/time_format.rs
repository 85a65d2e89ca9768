//! Formats of an event's time: seconds, seconds with a fraction, and milliseconds.

use super::json_text::{digit, push_number};
use super::prng::Prng;
use super::workload_spec::HOUR_MS;

/// Format of an event's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeFormat {
    Seconds,
    Fraction,
    Milliseconds,
}

impl TimeFormat {
    pub(super) fn draw(prng: &mut Prng) -> TimeFormat {
        prng.pick(&[
            TimeFormat::Seconds,
            TimeFormat::Seconds,
            TimeFormat::Seconds,
            TimeFormat::Fraction,
            TimeFormat::Milliseconds,
        ])
    }

    /// Returns the format for this time: early 1970 in milliseconds would be read as seconds of another year.
    pub(super) fn for_time(self, time_ms: i64) -> TimeFormat {
        const MIN_MS: i64 = 365 * 24 * HOUR_MS;
        if time_ms < MIN_MS { TimeFormat::Seconds } else { self }
    }

    /// Truncates `time_ms` to the precision of the format.
    pub(super) fn truncate_ms(self, time_ms: i64) -> i64 {
        if self == TimeFormat::Seconds { time_ms - time_ms.rem_euclid(1_000) } else { time_ms }
    }

    pub(super) fn write(self, time_ms: i64, out: &mut Vec<u8>) {
        match self {
            TimeFormat::Milliseconds => push_number(out, time_ms.unsigned_abs()),
            TimeFormat::Seconds => push_number(out, time_ms.unsigned_abs() / 1_000),
            TimeFormat::Fraction => {
                push_number(out, time_ms.unsigned_abs() / 1_000);
                let rest = time_ms.unsigned_abs() % 1_000;
                out.extend([b'.', digit(rest / 100), digit(rest / 10 % 10), digit(rest % 10)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_with_the_precision_of_its_format() {
        let text_of = |form: TimeFormat| {
            let mut out = Vec::new();
            form.write(form.truncate_ms(1_456_190_481_052), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text_of(TimeFormat::Seconds), "1456190481");
        assert_eq!(text_of(TimeFormat::Fraction), "1456190481.052");
        assert_eq!(text_of(TimeFormat::Milliseconds), "1456190481052");
        assert_eq!(TimeFormat::Seconds.truncate_ms(1_456_190_481_052), 1_456_190_481_000);
    }
}
