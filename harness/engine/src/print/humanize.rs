//! Numbers and times for people, formatted the same in every part of a report.

use jiff::Timestamp;
use latent_sim::OpKind;

/// `1,234,567`
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `999`, `34.3k`, `13.3M`: three digits or more, for numbers whose exact value is irrelevant.
#[must_use]
pub fn compact(number: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "T"), (1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    for (unit, suffix) in UNITS {
        // Rounding may reach the next unit: 999,950 is 1.0M.
        if number >= unit - unit / 20_000 {
            let tenths = (u128::from(number) * 10 + u128::from(unit) / 2) / u128::from(unit);
            return format!("{}.{}{suffix}", tenths / 10, tenths % 10);
        }
    }
    number.to_string()
}

/// Speed of a simulation, as virtual time by real time: `13.3M x real time`.
#[must_use]
pub fn speed(factor: u64) -> String {
    format!("{} x real time", compact(factor))
}

/// `1 event`, `2 events`: `plural` must end in `s`.
#[must_use]
pub fn counted(number: u64, plural: &str) -> String {
    let word = if number == 1 { plural.strip_suffix('s').unwrap_or(plural) } else { plural };
    format!("{} {word}", count(number))
}

/// Returns a part of a whole as a percentage: `100%`, `12.3%`, `0.05%`; `0%` and `100%` are exact.
#[must_use]
pub fn share(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return "0%".to_owned();
    }
    if part >= whole {
        return "100%".to_owned();
    }
    // In hundredths of a percent, so that rounding reaches neither end.
    let hundredths = (u128::from(part) * 10_000 / u128::from(whole)).clamp(1, 9_999);
    match hundredths {
        1000.. => format!("{}.{}%", hundredths / 100, hundredths % 100 / 10),
        _ => format!("{}.{:02}%", hundredths / 100, hundredths % 100),
    }
}

/// Returns a duration by its two largest units: `5 d`, `16 h 47 m`, `2.3 s`, `45 ms`.
#[must_use]
pub fn span_ms(ms: u64) -> String {
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    let (secs, mins, hours) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{secs}.{} s", ms % 1000 / 100),
        60_000..3_600_000 => two(mins, "m", secs % 60, "s"),
        3_600_000..86_400_000 => two(hours, "h", mins % 60, "m"),
        _ => two(hours / 24, "d", hours % 24, "h"),
    }
}

/// Returns a time to the second, in UTC: `2016-02-23 01:21:00Z`.
#[must_use]
pub fn moment_ms(unix_ms: i64) -> String {
    match Timestamp::from_millisecond(unix_ms) {
        Ok(timestamp) => timestamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => format!("{unix_ms} ms"),
    }
}

/// Wraps text to rows of at most `columns` characters, at spaces; a longer word gets its own row.
#[must_use]
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let row = rows.last_mut().expect("there is a row from the beginning");
        if row.is_empty() {
            row.push_str(word);
        } else if row.chars().count() + 1 + word.chars().count() <= columns {
            row.push(' ');
            row.push_str(word);
        } else {
            rows.push(word.to_owned());
        }
    }
    rows
}

/// Returns `head` and text after it, with a hanging indent; in one row if the width is unknown.
pub(crate) fn hanging(head: &str, text: &str, columns: Option<usize>) -> String {
    // A narrow terminal has no room for a text column after a wide head.
    const MIN_COLUMNS: usize = 24;
    let indent = head.chars().count();
    let Some(columns) = columns else { return format!("{head}{text}\n") };
    if indent + MIN_COLUMNS > columns {
        let rows = wrapped(text, columns.saturating_sub(4));
        let rows: String = rows.iter().map(|row| format!("    {row}\n")).collect();
        return format!("{}\n{rows}", head.trim_end());
    }
    let margin = format!("\n{:indent$}", "");
    format!("{head}{}\n", wrapped(text, columns - indent).join(&margin))
}

/// Returns the name of a kind of operation as scenarios write it: `sync_dir`.
pub(crate) fn op_name(op: OpKind) -> String {
    serde_json::to_value(op).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (counted(1, "events"), counted(1000, "events")),
            ("1 event".into(), "1,000 events".into())
        );
    }

    #[test]
    fn compact_numbers_round_to_tenths_of_a_unit() {
        let numbers = [0, 999, 1_000, 34_339, 999_949, 999_950, 13_295_618, 2_500_000_000];
        assert_eq!(numbers.map(compact), ["0", "999", "1.0k", "34.3k", "999.9k", "1.0M", "13.3M", "2.5G"]);
        assert_eq!(speed(708_197), "708.2k x real time");
    }

    #[test]
    fn a_share_never_rounds_to_nothing_or_everything() {
        let shares = [(0, 10), (1, 1_000_000), (5, 10_000), (1, 3), (999_999, 1_000_000), (10, 10)];
        assert_eq!(shares.map(|(p, w)| share(p, w)), ["0%", "0.01%", "0.05%", "33.3%", "99.9%", "100%"]);
    }

    #[test]
    fn lengths_have_two_units() {
        let lengths = [45, 2345, 60_000, 3_599_999, 60_420_000, 432_000_000, 446_400_000];
        assert_eq!(
            lengths.map(span_ms),
            ["45 ms", "2.3 s", "1 m", "59 m 59 s", "16 h 47 m", "5 d", "5 d 4 h"]
        );
    }

    #[test]
    fn instants_are_utc() {
        assert_eq!(moment_ms(1_456_190_460_000), "2016-02-23 01:21:00Z");
    }

    #[test]
    fn text_has_a_hanging_indent() {
        let text = "one two three four five six seven";
        assert_eq!(hanging("name  ", text, None), format!("name  {text}\n"));
        assert_eq!(hanging("name  ", text, Some(30)), "name  one two three four five\n      six seven\n");
        assert_eq!(
            hanging("a long name  ", text, Some(30)),
            "a long name\n    one two three four five\n    six seven\n"
        );
        assert_eq!(wrapped("", 10), [""]);
    }
}
