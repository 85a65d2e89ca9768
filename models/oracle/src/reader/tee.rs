//! Tee records: the raw requests as the edges received them.

use super::frame::{self, FieldReader, FileTail};
use super::{ReadError, ReadErrorKind, decimal};
use crate::view::FileView;
use bytes::Bytes;
use std::collections::BTreeSet;

const MAGIC: [u8; 8] = *b"LTEEREC1";
const HEADER_BYTES: usize = 24;

/// Method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET.
    Get,
    /// POST.
    Post,
}

/// One request as it was received. Slices share the file's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeeRecord {
    /// The edge's sequence number of the request.
    pub sequence: u64,
    /// The edge's clock when the request arrived.
    pub arrived_ms: i64,
    /// Method.
    pub method: Method,
    /// Path and query.
    pub target: Bytes,
    /// Names in lower case, and values, in the order received.
    pub headers: Vec<(Bytes, Bytes)>,
    /// Request body.
    pub body: Bytes,
}

/// A tee file: one hour of one edge.
#[derive(Clone, Debug)]
pub struct TeeFile {
    /// Edge that received the requests.
    pub edge: u16,
    /// `arrived_ms` of its records divided by 3,600,000, rounded down.
    pub hour: u64,
    /// The edge's boot number.
    pub boot: u64,
    /// Records, in the file's order.
    pub records: Vec<TeeRecord>,
    /// End of the file.
    pub tail: FileTail,
}

/// Parses hour, edge and boot number from `<hour>-<edge>-<n>.tee`, or from an object's
/// `<hour>-<edge>-<n>.by-<uploader>.tee`.
#[must_use]
pub fn parse_name(name: &str) -> Option<(u64, u16, u64)> {
    let stem = name.strip_suffix(".tee")?;
    let file = match stem.split_once(".by-") {
        Some((file, uploader)) => {
            decimal::<u16>(uploader.strip_prefix('k').unwrap_or(uploader))?;
            file
        }
        None => stem,
    };
    let mut parts = file.split('-');
    let name = (decimal(parts.next()?)?, decimal(parts.next()?)?, decimal(parts.next()?)?);
    parts.next().is_none().then_some(name)
}

/// Reads a tee file in any directory: `tee/…`, `tee-peer/…`, `objects/tee/…`. Only an object names its uploader.
///
/// # Errors
/// Any deviation from formats.md: name, header, frames, fields, an hour that does not match the records, a duplicate
/// sequence number.
pub fn read(file: &FileView) -> Result<TeeFile, ReadError> {
    read_at(file).map_err(|wrong| ReadError::new(&file.path, wrong))
}

fn read_at(file: &FileView) -> Result<TeeFile, (u64, ReadErrorKind)> {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let names_uploader = name.contains(".by-");
    let (hour, edge, boot) =
        parse_name(name).filter(|_| names_uploader == file.path.starts_with("objects/")).ok_or((
            0,
            ReadErrorKind::RuleViolated(
                "the name is not <hour>-<edge>-<n>.tee, or an object's with its uploader",
            ),
        ))?;
    let (header, frames, tail) = frame::read_file(&file.chunks, MAGIC, HEADER_BYTES)?;
    check_header(&header, hour, edge).map_err(|flaw| (0, flaw))?;
    let mut records = Vec::with_capacity(frames.len());
    let mut sequences = BTreeSet::new();
    for frame in frames {
        let record = record(&frame.payload, hour, edge).map_err(|flaw| (frame.at, flaw))?;
        if !sequences.insert(record.sequence) {
            return Err((frame.at, ReadErrorKind::RuleViolated("a request's sequence number appears twice")));
        }
        records.push(record);
    }
    Ok(TeeFile { edge, hour, boot, records, tail })
}

fn check_header(header: &[u8], hour: u64, edge: u16) -> Result<(), ReadErrorKind> {
    let mut fields = FieldReader::of(header);
    fields.bytes(8)?;
    let (stated_edge, reserved, stated_hour, crc) =
        (fields.u16()?, fields.u16()?, fields.u64()?, fields.u32()?);
    if crc_fast::crc32_iscsi(&header[..20]) != crc {
        return Err(ReadErrorKind::HeaderChecksum);
    }
    if reserved != 0 {
        return Err(ReadErrorKind::ReservedNotZero(u32::from(reserved)));
    }
    same("edge", stated_edge, edge)?;
    same("hour", stated_hour, hour)
}

fn same<T: PartialEq + ToString>(field: &'static str, found: T, expected: T) -> Result<(), ReadErrorKind> {
    if found == expected {
        return Ok(());
    }
    Err(ReadErrorKind::Misplaced { field, found: found.to_string(), expected: expected.to_string() })
}

fn record(payload: &Bytes, hour: u64, edge: u16) -> Result<TeeRecord, ReadErrorKind> {
    let mut fields = FieldReader::of(payload);
    same("edge", fields.u16()?, edge)?;
    let (sequence, arrived_ms) = (fields.u64()?, fields.i64()?);
    same("hour", arrived_ms.div_euclid(3_600_000), i64::try_from(hour).unwrap_or(i64::MAX))?;
    let method = match fields.u8()? {
        0 => Method::Get,
        1 => Method::Post,
        other => return Err(ReadErrorKind::UnknownCode { field: "method", value: u64::from(other) }),
    };
    let share = |slice: &[u8]| payload.slice_ref(slice);
    let target = text(&mut fields)?;
    let count = fields.u16()?;
    let mut headers = Vec::with_capacity(usize::from(count).min(64));
    for _ in 0..count {
        let (name, value) = (text(&mut fields)?, text(&mut fields)?);
        if name.iter().any(u8::is_ascii_uppercase) {
            return Err(ReadErrorKind::RuleViolated("a header's name is not in lower case"));
        }
        headers.push((share(name), share(value)));
    }
    let len = fields.u32()?;
    let body = fields.bytes(len as usize)?;
    fields.end()?;
    Ok(TeeRecord { sequence, arrived_ms, method, target: share(target), headers, body: share(body) })
}

fn text<'a>(fields: &mut FieldReader<'a>) -> Result<&'a [u8], ReadErrorKind> {
    let len = fields.u16()?;
    fields.bytes(usize::from(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{TestTeeRecord, tee_file};

    #[test]
    fn a_request_decodes_byte_for_byte() {
        let rec = TestTeeRecord { sequence: 1 << 40 | 7, arrived_ms: 7_200_001, body: b"[1]".to_vec() };
        let file = read(&FileView::whole("tee/2-1-1.tee", tee_file(2, 1, &[rec]))).unwrap();
        assert_eq!((file.edge, file.hour, file.boot, file.tail), (1, 2, 1, FileTail::Clean));
        assert_eq!(file.records[0].method, Method::Post);
        assert_eq!(file.records[0].target, "/track?verbose=1");
        assert_eq!(file.records[0].headers, [(Bytes::from("content-type"), Bytes::from("application/json"))]);
        assert_eq!(file.records[0].body, "[1]");
    }

    #[test]
    fn a_record_must_match_its_file_name() {
        let rec = |sequence, arrived_ms| TestTeeRecord { sequence, arrived_ms, body: Vec::new() };
        let flaw = |name: &str, records: &[TestTeeRecord]| {
            read(&FileView::whole(name, tee_file(2, 1, records))).unwrap_err().kind.to_string()
        };
        assert_eq!(flaw("tee/3-1-1.tee", &[]), "hour is 2, its path states 3");
        assert_eq!(flaw("tee/2-0-1.tee", &[]), "edge is 1, its path states 0");
        assert_eq!(flaw("tee/2-1-1.tee", &[rec(1, 7_199_999)]), "hour is 1, its path states 2");
        assert_eq!(
            flaw("tee/2-1-1.tee", &[rec(1, 7_200_000), rec(1, 7_200_000)]),
            "a request's sequence number appears twice"
        );
        for wrong in
            ["tee/2-1.tee", "objects/tee/2-1-1.tee", "tee/2-1-1.by-1.tee", "objects/tee/2-1-1.by-x.tee"]
        {
            assert!(flaw(wrong, &[]).contains("<hour>-<edge>-<n>.tee"), "{wrong}");
        }
        for right in ["objects/tee/2-1-1.by-2.tee", "objects/tee/2-1-1.by-k1.tee"] {
            assert_eq!(read(&FileView::whole(right, tee_file(2, 1, &[]))).unwrap().boot, 1);
        }
    }
}
