//! Exports: JSON lines, each an event's stored text with `mp_processing_time_ms` appended to its `properties`.
//!
//! Removing that one member restores the stored text, byte for byte; nothing is printed again. Anything that breaks a
//! line-by-line JSON reader is an error: a line that holds no object, an empty line, a carriage return, an
//! unterminated last line.

use super::segment::StoredRecord;
use super::{ReadError, ReadErrorKind};
use crate::content::DayContents;
use crate::day::ProjectZones;
use crate::decode_cache::DecodeCache;
use crate::identity::ProjectDay;
use crate::json_text::is_compact_json;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct ExportLine<'a> {
    #[serde(borrow)]
    properties: &'a RawValue,
}

const MEMBER: &str = "\"mp_processing_time_ms\":";

/// Reads an export and groups it by day: each line belongs to the day of its time in the project's zone at the event's
/// arrival. `path` is used in errors; their offset is the line number, from 1.
///
/// # Errors
/// A line that does not hold an event, has white space between tokens, lacks the appended member or is unterminated, or
/// whose time is on no day of the calendar; lines not sorted by (day, time, key). Lines of a day with equal times and
/// without `$insert_id` may be in any order, since the export does not show their keys.
pub fn read_by_day(
    cache: &mut DecodeCache,
    zones: &ProjectZones,
    project: u32,
    path: &str,
    body: &[u8],
) -> Result<DayContents, ReadError> {
    let mut by_day: BTreeMap<ProjectDay, Vec<StoredRecord>> = BTreeMap::new();
    for (line, record) in (1u64..).zip(read(path, body)?) {
        let day = zones.day(project, record.time_ms, record.arrived_ms);
        let day = day.map_err(|error| {
            ReadError::new(path, (line, ReadErrorKind::MalformedEvent(error.to_string())))
        })?;
        let is_latest = by_day.keys().next_back().is_none_or(|latest| latest.day <= day);
        let of_day = by_day.entry(ProjectDay { project, day }).or_default();
        if !is_latest || of_day.last().is_some_and(|last| is_before(&record, last)) {
            let flaw = ReadErrorKind::RuleViolated("lines are not sorted by day, time and key");
            return Err(ReadError::new(path, (line, flaw)));
        }
        of_day.push(record);
    }
    Ok(by_day
        .into_iter()
        .map(|(project_day, records)| (project_day, cache.day_of_records(records)))
        .collect())
}

/// Reads the lines of an export, in any order.
pub(crate) fn read(path: &str, body: &[u8]) -> Result<Vec<StoredRecord>, ReadError> {
    let mut records: Vec<StoredRecord> = Vec::new();
    let text = std::str::from_utf8(body).map_err(|error| {
        ReadError::new(path, (error.valid_up_to() as u64, ReadErrorKind::MalformedJson("not UTF-8".into())))
    })?;
    for (number, line) in (1u32..).zip(text.split_inclusive('\n')) {
        let record =
            line.strip_suffix('\n').ok_or(ReadErrorKind::RuleViolated("the last line is unterminated"));
        let record = record.and_then(|line| read_line(line, number));
        let record = record.map_err(|flaw| ReadError::new(path, (u64::from(number), flaw)))?;
        records.push(record);
    }
    Ok(records)
}

fn is_before(record: &StoredRecord, last: &StoredRecord) -> bool {
    let comparable = !record.is_anonymous() && !last.is_anonymous();
    record.time_ms < last.time_ms || (comparable && record.time_ms == last.time_ms && record.key < last.key)
}

fn read_line(line: &str, number: u32) -> Result<StoredRecord, ReadErrorKind> {
    if !is_compact_json(line.as_bytes()) {
        return Err(ReadErrorKind::RuleViolated("a line has white space between its tokens"));
    }
    let parsed: ExportLine<'_> =
        serde_json::from_str(line).map_err(|e| ReadErrorKind::MalformedJson(e.to_string()))?;
    let properties = parsed.properties.get();
    let missing = || ReadErrorKind::RuleViolated("properties do not end with mp_processing_time_ms");
    let inner = properties.strip_suffix('}').ok_or_else(missing)?;
    let at = inner.rfind(MEMBER).ok_or_else(missing)?;
    let arrived_ms: i64 = inner[at + MEMBER.len()..].parse().map_err(|_| missing())?;
    let before = inner[..at].strip_suffix(',').unwrap_or(&inner[..at]);
    // `properties` borrows from `line`, so its offset is the distance between the two.
    let start = properties.as_ptr() as usize - line.as_ptr() as usize;
    let as_sent = [&line[..start], before, "}", &line[start + properties.len()..]].concat();
    StoredRecord::from_export(as_sent.as_bytes(), arrived_ms, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{DedupKey, EventDigest};

    #[test]
    fn the_sent_text_is_restored() {
        let sent = r#"{"event":"a b","properties":{"$insert_id":"i1","time":1456190481,"x":{"y":1}},"z":[]}"#;
        let line = sent.replace("{\"y\":1}}", "{\"y\":1},\"mp_processing_time_ms\":1456190489000}");
        let records = read("export", format!("{line}\n").as_bytes()).unwrap();
        assert_eq!(records[0].content, EventDigest::of(sent.as_bytes()));
        assert_eq!(
            (records[0].key, records[0].arrived_ms),
            (DedupKey::of("a b", "", "i1"), 1_456_190_489_000)
        );
    }

    #[test]
    fn empty_properties_have_no_comma() {
        let line = "{\"event\":\"a\",\"properties\":{\"mp_processing_time_ms\":5}}\n";
        let records = read("export", line.as_bytes()).unwrap();
        assert_eq!(records[0].content, EventDigest::of(br#"{"event":"a","properties":{}}"#));
        assert_eq!(records[0].time_ms, 5);
    }

    #[test]
    fn order_and_shape_are_checked() {
        let line = |id: &str, time: u64| {
            format!(
                "{{\"event\":\"a\",\"properties\":{{\"$insert_id\":\"{id}\",\"time\":{time},\"mp_processing_time_ms\":1}}}}\n"
            )
        };
        let mut zones = ProjectZones::default();
        zones.set(17, 0, "Etc/UTC").unwrap();
        let lines = |lines: &[String]| {
            let days =
                read_by_day(&mut DecodeCache::default(), &zones, 17, "export", lines.concat().as_bytes());
            days.map(|days| days.values().map(|day| day.events.len()).sum::<usize>())
        };
        assert_eq!(lines(&[]).unwrap(), 0);
        assert_eq!(lines(&[line("i", 1), line("j", 1), line("a", 2), line("b", 86_400)]).unwrap(), 4);
        for wrong in
            [[line("i", 2), line("i", 1)], [line("j", 1), line("i", 1)], [line("i", 86_400), line("i", 1)]]
        {
            let wrong = lines(&wrong).unwrap_err();
            let kind = ReadErrorKind::RuleViolated("lines are not sorted by day, time and key");
            assert_eq!((wrong.offset, wrong.kind), (2, kind));
        }
        assert!(read("export", b"{\"event\":\"a\",\"properties\":{}}\n").is_err());
    }

    #[test]
    fn each_line_is_one_event_and_nothing_else() {
        let line = r#"{"event":"a b","properties":{"time":5,"mp_processing_time_ms":7}}"#;
        let flaw = |body: &str| read("export", body.as_bytes()).err().map(|error| error.kind.to_string());
        assert_eq!(flaw(&format!("{line}\n{line}\n")), None);
        assert_eq!(flaw(line).unwrap(), "the last line is unterminated");
        let white = "a line has white space between its tokens";
        for body in [
            format!("{line}\r\n"),
            format!("{line} \n"),
            format!("{}\n", line.replace(":5", ": 5")),
            // An event that was sent over several lines: none of the lines is JSON.
            format!("{}\n", line.replace("\"properties", "\n\"properties")),
        ] {
            let flaw = flaw(&body).unwrap();
            assert!(flaw == white || flaw.starts_with("JSON is malformed"), "{body:?}: {flaw}");
        }
        for body in [format!("{line}\n\n"), format!("{line}{line}\n"), format!("[{line}]\n"), "7\n".into()] {
            assert!(flaw(&body).is_some(), "{body:?}");
        }
    }

    #[test]
    fn lines_are_grouped_by_the_projects_days() {
        let mut zones = ProjectZones::default();
        zones.set(17, 0, "America/Los_Angeles").unwrap();
        let line = |time: u64| {
            format!("{{\"event\":\"a\",\"properties\":{{\"time\":{time},\"mp_processing_time_ms\":1}}}}\n")
        };
        let body = line(1_456_127_999) + &line(1_456_128_000); // midnight, 2016-02-22 08:00Z
        let days = read_by_day(&mut DecodeCache::default(), &zones, 17, "export", body.as_bytes()).unwrap();
        let counts: Vec<_> =
            days.iter().map(|(project_day, day)| (project_day.day, day.events.len())).collect();
        assert_eq!(counts, [(16_852, 1), (16_853, 1)]);
    }
}
