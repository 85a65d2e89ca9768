//! Parts of a JSON text: strings, numbers and hexadecimal digits, appended to a buffer.

pub(super) fn digit(value: u64) -> u8 {
    b'0' + value as u8
}

pub(super) fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn push_all<const N: usize>(out: &mut Vec<u8>, texts: [&str; N]) {
    texts.into_iter().for_each(|text| push(out, text));
}

pub(super) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = digit(value % 10);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends `value` in at least `min` lower-case hexadecimal digits.
pub(super) fn push_hex(out: &mut Vec<u8>, value: u64, min: usize) {
    let needed = 16 - value.leading_zeros() as usize / 4;
    out.extend(
        (0..needed.max(min)).rev().map(|place| b"0123456789abcdef"[(value >> (place * 4) & 15) as usize]),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        push_number(&mut out, 0);
        push(&mut out, " ");
        push_number(&mut out, u64::MAX);
        push(&mut out, " ");
        push_hex(&mut out, 0x1_2345, 3);
        push(&mut out, " ");
        push_hex(&mut out, 0xABC, 6);
        assert_eq!(String::from_utf8(out).unwrap(), "0 18446744073709551615 12345 000abc");
    }
}
