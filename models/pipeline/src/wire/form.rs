//! Query strings, form bodies, base64 and Basic auth.
//!
//! Values are decoded to bytes, not to text: a form that is not UTF-8 must be refused later, and not be repaired
//! silently into events that no client sent.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::general_purpose::STANDARD};
use latent_storekit::http_message::Headers;

/// Clients send base64 with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns the path of a request target, without query.
pub(super) fn path_of(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// Returns the query of a request target; empty when there is none.
pub(super) fn query_of(target: &str) -> &str {
    target.split_once('?').map_or("", |(_, query)| query)
}

/// Returns the first value of parameter `name` in a request target's query. Invalid UTF-8 is replaced.
#[must_use]
pub fn query_value(target: &str, name: &str) -> Option<String> {
    let value = form_value(query_of(target).as_bytes(), name)?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// Returns the first value of `name` in a form: pairs separated by `&`, `+` for a space, `%` and two hex digits for a
/// byte.
pub(super) fn form_value(form: &[u8], name: &str) -> Option<Vec<u8>> {
    form.split(|byte| *byte == b'&').find_map(|pair| {
        let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let value = pair.get(split + 1..).unwrap_or_default();
        (form_decode(&pair[..split]) == name.as_bytes()).then(|| form_decode(value))
    })
}

fn form_decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let (byte, behind) = match (first, behind) {
            (b'+', _) => (b' ', behind),
            (b'%', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, behind),
                _ => (b'%', &rest[1..]),
            },
            _ => (first, behind),
        };
        out.push(byte);
        rest = behind;
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|value| value as u8)
}

/// Decodes base64 as clients send it: either alphabet, with or without padding, with line breaks, and with a space
/// where a `+` was sent without percent-encoding.
pub(super) fn lenient_base64(text: &[u8]) -> Option<Vec<u8>> {
    let normalized: Vec<u8> = text
        .iter()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .map(|byte| match byte {
            b' ' | b'-' => b'+',
            b'_' => b'/',
            other => *other,
        })
        .collect();
    LENIENT.decode(normalized).ok()
}

/// Returns the value of header `name` (in lower case), if it is text.
pub(super) fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    let (_, value) = headers.iter().find(|(header, _)| header == name)?;
    std::str::from_utf8(value).ok()
}

/// Returns the user name of Basic auth; `None` when it is missing or cannot be read.
#[must_use]
pub fn basic_user(headers: &Headers) -> Option<String> {
    let (scheme, encoded) = header(headers, "authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, _password) = decoded.split_once(':')?;
    (!user.is_empty()).then(|| user.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded_byte_by_byte() {
        assert_eq!(form_value(b"a=1&data=x+y%2Bz%ff%4&data=2", "data").unwrap(), b"x y+z\xff%4");
        assert_eq!(form_value(b"data", "data").unwrap(), b"");
        assert_eq!(form_value(b"other=1", "data"), None);
        assert_eq!(query_value("/import?strict=1&project_id=17", "project_id").unwrap(), "17");
        assert_eq!(query_value("/import", "strict"), None);
    }

    #[test]
    fn base64_is_accepted_in_every_variant() {
        let bytes = [0xfb, 0xef, 0xff, 0x01];
        for dressed in ["++//AQ==", "  //AQ", "--__AQ==", "++//\r\nAQ=="] {
            assert_eq!(lenient_base64(dressed.as_bytes()).unwrap(), bytes, "{dressed}");
        }
        assert_eq!(lenient_base64(b"{}"), None);
    }

    #[test]
    fn basic_auth_yields_the_user_name() {
        let auth = |value: &str| basic_user(&vec![("authorization".into(), value.as_bytes().to_vec())]);
        assert_eq!(auth("Basic c2VjcmV0Og==").as_deref(), Some("secret"));
        assert_eq!(auth("basic c2VjcmV0OnB3").as_deref(), Some("secret"));
        for wrong in ["Bearer c2VjcmV0Og==", "Basic !!", "Basic Og==", "Basic"] {
            assert_eq!(auth(wrong), None, "{wrong}");
        }
    }
}
