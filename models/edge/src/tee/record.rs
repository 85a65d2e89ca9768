//! Format of tee records and hourly tee files, as specified in `models/formats.md`.
//!
//! Encoding and decoding only. The decoder does not trust its input: every length is checked before use, and a record
//! with trailing bytes is malformed.

use bytes::Bytes;
use latent_storekit::frame::{FrameScan, InvalidPayloadLength, ScanEnd, crc32c, encode_frame, scan};
use latent_storekit::http_message::{Headers, Method};
use std::fmt;
use std::str::FromStr;

/// Magic bytes of a tee file.
pub const MAGIC: [u8; 8] = *b"LTEEREC1";

/// Length of a tee file's header, in bytes.
pub const HEADER_BYTES: usize = 24;

/// Milliseconds per hour; one file covers one hour.
pub const HOUR_MS: i64 = 3_600_000;

/// A request as the edge received it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeeRecord {
    /// Number of the edge that received the request.
    pub edge: u16,
    /// Sequence number: boot number << 40 | count.
    pub sequence: u64,
    /// Wall clock of the edge when the request arrived, in ms.
    pub arrived_ms: i64,
    /// GET or POST.
    pub method: Method,
    /// Path and query, as received.
    pub target: String,
    /// Names in lower case, values as received, in the order received.
    pub headers: Headers,
    /// The body, as received.
    pub body: Bytes,
}

/// Error for bytes that are not a tee file or record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TeeError {
    /// The header of a file is missing, damaged, or of another file type.
    #[error("tee file header: {0}; the file is damaged or not a tee file")]
    Header(&'static str),
    /// The payload of a frame is not a record.
    #[error("tee record: {0}")]
    Record(&'static str),
    /// A field is too long for its length field.
    #[error("tee record: {field} of {len} does not fit its length field (at most {max})")]
    TooLong {
        /// Name of the field.
        field: &'static str,
        /// Length of the field, or number of its entries.
        len: usize,
        /// Maximum length.
        max: usize,
    },
    /// The encoded record does not fit a frame.
    #[error("tee record: {0}")]
    Frame(#[from] InvalidPayloadLength),
    /// Not a tee file name.
    #[error("tee file name '{0}': expected <hour>-<edge>-<boot>.tee, three decimal numbers")]
    Name(String),
    /// Not a tee object name.
    #[error("tee object name '{0}': expected tee/<hour>-<edge>-<boot>.by-<uploader>.tee")]
    ObjectName(String),
}

impl TeeRecord {
    /// Encodes the record as a frame's payload.
    ///
    /// # Errors
    /// Target, headers or body exceed their length fields.
    pub fn encode(&self) -> Result<Vec<u8>, TeeError> {
        let mut out = Vec::with_capacity(64 + self.target.len() + self.body.len());
        out.extend_from_slice(&self.edge.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.arrived_ms.to_le_bytes());
        out.push(self.method as u8);
        push_short(&mut out, "target", self.target.as_bytes())?;
        let count = short("number of headers", self.headers.len())?;
        out.extend_from_slice(&count.to_le_bytes());
        for (name, value) in &self.headers {
            push_short(&mut out, "header name", name.as_bytes())?;
            push_short(&mut out, "header value", value)?;
        }
        let len = u32::try_from(self.body.len()).map_err(|_| TeeError::TooLong {
            field: "body",
            len: self.body.len(),
            max: u32::MAX as usize,
        })?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&self.body);
        Ok(out)
    }

    /// Encodes the record as a whole frame.
    ///
    /// # Errors
    /// See [`TeeRecord::encode`]; also when the record exceeds a frame.
    pub fn encode_frame(&self) -> Result<Bytes, TeeError> {
        Ok(encode_frame(&self.encode()?)?)
    }

    /// Decodes a frame's payload. The body is a slice of the payload.
    ///
    /// # Errors
    /// The payload ends early, has trailing bytes, or a field is invalid.
    pub fn decode(payload: &Bytes) -> Result<TeeRecord, TeeError> {
        let mut rest = TeeRecordReader { bytes: payload, at: 0 };
        let edge = u16::from_le_bytes(rest.array()?);
        let sequence = u64::from_le_bytes(rest.array()?);
        let arrived_ms = i64::from_le_bytes(rest.array()?);
        let method = match rest.array::<1>()? {
            [0] => Method::Get,
            [1] => Method::Post,
            _ => return Err(TeeError::Record("method is neither 0 (GET) nor 1 (POST)")),
        };
        let target = rest.read_short_text("target is not UTF-8")?;
        let count = u16::from_le_bytes(rest.array()?);
        let headers = (0..count)
            .map(|_| Ok((rest.read_short_text("header name is not UTF-8")?, rest.read_short()?.to_vec())))
            .collect::<Result<Headers, TeeError>>()?;
        let len = u32::from_le_bytes(rest.array()?) as usize;
        let start = rest.at;
        rest.take(len)?;
        if rest.at != payload.len() {
            return Err(TeeError::Record("bytes to spare behind the body"));
        }
        let body = payload.slice(start..start + len);
        Ok(TeeRecord { edge, sequence, arrived_ms, method, target, headers, body })
    }
}

struct TeeRecordReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> TeeRecordReader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], TeeError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(TeeError::Record("ends early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TeeError> {
        self.take(N)?.try_into().map_err(|_| TeeError::Record("ends early"))
    }

    fn read_short(&mut self) -> Result<&'a [u8], TeeError> {
        let len = u16::from_le_bytes(self.array()?);
        self.take(usize::from(len))
    }

    fn read_short_text(&mut self, wrong: &'static str) -> Result<String, TeeError> {
        let text = std::str::from_utf8(self.read_short()?).map_err(|_| TeeError::Record(wrong))?;
        Ok(text.to_owned())
    }
}

fn short(field: &'static str, len: usize) -> Result<u16, TeeError> {
    u16::try_from(len).map_err(|_| TeeError::TooLong { field, len, max: usize::from(u16::MAX) })
}

fn push_short(out: &mut Vec<u8>, field: &'static str, bytes: &[u8]) -> Result<(), TeeError> {
    out.extend_from_slice(&short(field, bytes.len())?.to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Name of a tee file: `<hour>-<edge>-<boot>.tee`, in `tee/` and `tee-peer/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct TeeName {
    /// Hours since 1970-01-01T00:00Z: `arrived_ms` of its records divided by 3,600,000, rounded down.
    pub hour: i64,
    /// Number of the edge that received the requests.
    pub edge: u16,
    /// Boot number of that edge, the upper 24 bits of the records' sequence numbers.
    pub boot: u32,
}

impl TeeName {
    /// Returns the end of the file's hour, in Unix milliseconds.
    #[must_use]
    pub fn hour_end_ms(&self) -> i64 {
        (self.hour + 1).saturating_mul(HOUR_MS)
    }

    /// Returns the file header.
    #[must_use]
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8..10].copy_from_slice(&self.edge.to_le_bytes());
        // Two's complement, so that hours before 1970 are preserved.
        header[12..20].copy_from_slice(&self.hour.to_le_bytes());
        let sum = crc32c(&header[..20]);
        header[20..].copy_from_slice(&sum.to_le_bytes());
        header
    }
}

impl fmt::Display for TeeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}.tee", self.hour, self.edge, self.boot)
    }
}

impl FromStr for TeeName {
    type Err = TeeError;
    fn from_str(name: &str) -> Result<TeeName, TeeError> {
        let parse = || {
            let mut parts = name.strip_suffix(".tee")?.rsplitn(3, '-');
            let boot = parts.next()?.parse().ok()?;
            let edge = parts.next()?.parse().ok()?;
            let hour = parts.next()?.parse().ok()?;
            Some(TeeName { hour, edge, boot })
        };
        parse().filter(|parsed| parsed.to_string() == name).ok_or_else(|| TeeError::Name(name.to_owned()))
    }
}

/// Contents of a tee file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeeFile {
    /// Edge number from the header.
    pub edge: u16,
    /// Hour from the header.
    pub hour: i64,
    /// Records before the end or the first bad frame, in file order.
    pub records: Vec<TeeRecord>,
    /// State of the end of the file. [`ScanEnd::CorruptMiddle`] means that records are missing.
    pub end: ScanEnd,
    /// Length of the valid prefix, in bytes.
    pub valid_bytes: usize,
}

impl TeeFile {
    /// Decodes a whole file.
    ///
    /// # Errors
    /// The header is damaged, or a frame with a valid checksum is not a record of this edge.
    pub fn decode(file: &Bytes) -> Result<TeeFile, TeeError> {
        let (edge, hour) = decode_header(file)?;
        let FrameScan { payloads, valid_bytes, end } = scan(file, HEADER_BYTES);
        let records = payloads.iter().map(TeeRecord::decode).collect::<Result<Vec<_>, _>>()?;
        if records.iter().any(|record| record.edge != edge) {
            return Err(TeeError::Record("its edge is not the one in the file's header"));
        }
        Ok(TeeFile { edge, hour, records, end, valid_bytes })
    }
}

/// Decodes the edge and hour of a file's header.
///
/// # Errors
/// The header is cut off, damaged, or of another file type.
pub fn decode_header(file: &[u8]) -> Result<(u16, i64), TeeError> {
    let header: &[u8; HEADER_BYTES] =
        file.get(..HEADER_BYTES).and_then(|head| head.try_into().ok()).ok_or(TeeError::Header("cut off"))?;
    if header[..8] != MAGIC {
        return Err(TeeError::Header("wrong magic"));
    }
    let edge = u16::from_le_bytes([header[8], header[9]]);
    let hour = i64::from_le_bytes(header[12..20].try_into().map_err(|_| TeeError::Header("cut off"))?);
    if (TeeName { hour, edge, boot: 0 }).header() != *header {
        return Err(TeeError::Header("wrong checksum"));
    }
    Ok((edge, hour))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64, body: &'static [u8]) -> TeeRecord {
        TeeRecord {
            edge: 3,
            sequence,
            arrived_ms: 1_456_190_481_123,
            method: Method::Post,
            target: "/track?verbose=1".into(),
            headers: vec![("content-type".into(), b"application/json".to_vec())],
            body: Bytes::from_static(body),
        }
    }

    #[test]
    fn a_record_round_trips() {
        let written = record(7 << 40 | 1, b"{}");
        let payload = Bytes::from(written.encode().unwrap());
        assert_eq!(TeeRecord::decode(&payload).unwrap(), written);
    }

    #[test]
    fn a_record_has_the_specified_encoding() {
        let written =
            TeeRecord { target: "/t".into(), headers: vec![("a".into(), vec![9])], ..record(2, b"xy") };
        let mut expected = vec![3, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        expected.extend(1_456_190_481_123_i64.to_le_bytes());
        expected.extend([1, 2, 0, b'/', b't', 1, 0, 1, 0, b'a', 1, 0, 9, 2, 0, 0, 0, b'x', b'y']);
        assert_eq!(written.encode().unwrap(), expected);
    }

    #[test]
    fn truncated_or_extended_records_are_rejected() {
        let payload = record(1, b"body").encode().unwrap();
        for len in 0..payload.len() {
            assert!(TeeRecord::decode(&Bytes::copy_from_slice(&payload[..len])).is_err(), "cut at {len}");
        }
        let longer = [payload.as_slice(), b"!"].concat();
        assert!(TeeRecord::decode(&longer.into()).is_err());
    }

    #[test]
    fn a_file_consists_of_header_and_records() {
        let name = TeeName { hour: 404_497, edge: 3, boot: 7 };
        let mut file = name.header().to_vec();
        file.extend(record(1, b"a").encode_frame().unwrap());
        file.extend(record(2, b"b").encode_frame().unwrap());
        let read = TeeFile::decode(&file.into()).unwrap();
        assert_eq!((read.edge, read.hour, read.end), (3, 404_497, ScanEnd::Clean));
        assert_eq!(read.records, [record(1, b"a"), record(2, b"b")]);
    }

    #[test]
    fn damage_to_any_header_byte_is_detected() {
        let header = TeeName { hour: 404_497, edge: 3, boot: 7 }.header();
        for at in 0..HEADER_BYTES {
            let mut damaged = header;
            damaged[at] ^= 0x10;
            assert!(decode_header(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn names_round_trip_and_invalid_names_are_rejected() {
        let name = TeeName { hour: 404_497, edge: 2, boot: 2_427_000 };
        assert_eq!(name.to_string(), "404497-2-2427000.tee");
        assert_eq!(name.to_string().parse(), Ok(name));
        assert_eq!("-5-2-1.tee".parse::<TeeName>().unwrap().hour, -5);
        for wrong in ["", "1-2.tee", "1-2-3", "01-2-3.tee", "1-2-x.tee", "1-99999-3.tee", "1-2-3.tee.tmp"] {
            assert!(wrong.parse::<TeeName>().is_err(), "{wrong}");
        }
    }
}
