//! Start and duration of a scenario.

use arbitrary::{Arbitrary, Result, Unstructured};
use latent_engine::{Span, Timestamp};
use latent_nemesis::Choices;
use latent_ports::UnixMs;
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// First possible start of a scenario: 2015-01-20. The last is 1,000 days later: the zone histories of both
/// implementations were compared over these years.
const FIRST_START_MS: i64 = 1_421_712_000_000;

/// Start and duration: mostly a week, sometimes some days or two weeks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    pub start: Timestamp,
    pub run_for: Span,
}

impl<'a> Arbitrary<'a> for Calendar {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Calendar> {
        let day = i64::from(bytes.within(0, 999));
        let hour = i64::from(bytes.pick(&[0, 0, 0, 3, 7, 12, 18, 23]));
        let days = bytes.pick(&[7, 7, 7, 7, 7, 7, 3, 2, 4, 10, 14]);
        let start = Timestamp(UnixMs(FIRST_START_MS + day * DAY_MS + hour * HOUR_MS));
        Ok(Calendar { start, run_for: Span(Duration::from_secs(days * 86_400)) })
    }
}
