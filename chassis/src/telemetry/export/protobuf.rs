//! Protocol Buffers, as much of them as OTLP takes: fields are appended to a buffer, and the few
//! that an answer has are read. What the fields mean is said where they are written.

/// Wire types, in the low three bits of a tag.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;
/// Bytes of the longest varint.
const VARINT_MAX: usize = 10;

pub(in crate::telemetry) fn uint(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

/// A signed one as `int64` has it: two's complement.
pub(in crate::telemetry) fn int(out: &mut Vec<u8>, field: u32, value: i64) {
    uint(out, field, value.cast_unsigned());
}

pub(in crate::telemetry) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(in crate::telemetry) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    fixed64(out, field, value.to_bits());
}

pub(in crate::telemetry) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(in crate::telemetry) fn bytes(out: &mut Vec<u8>, field: u32, value: impl AsRef<[u8]>) {
    let value = value.as_ref();
    tag(out, field, LENGTH);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A message, or a text that is still to be formatted: whatever `write` appends.
pub(in crate::telemetry) fn nested(
    out: &mut Vec<u8>,
    field: u32,
    write: impl FnOnce(&mut Vec<u8>),
) {
    tag(out, field, LENGTH);
    let at = out.len();
    // Most are shorter than 128 bytes; only a longer one has to be moved.
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    let (prefix, size) = encoded(length as u64);
    out[at] = prefix[0];
    if size > 1 {
        drop(out.splice(at + 1..=at, prefix[1..size].iter().copied()));
    }
}

fn tag(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    varint(out, u64::from(field << 3 | wire_type));
}

fn varint(out: &mut Vec<u8>, value: u64) {
    let (text, size) = encoded(value);
    out.extend_from_slice(&text[..size]);
}

fn encoded(mut value: u64) -> ([u8; VARINT_MAX], usize) {
    let mut text = [0; VARINT_MAX];
    let mut size = 0;
    loop {
        // Seven bits at a time, the lowest first.
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        text[size] = if value == 0 { low } else { low | 0x80 };
        size += 1;
        if value == 0 {
            return (text, size);
        }
    }
}

/// The fields of a message. Ends at the first that is malformed.
pub(super) struct Fields<'a>(&'a [u8]);

/// What a field holds.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    pub(super) fn number(self, wanted: u32) -> Option<u64> {
        self.last(wanted, |value| if let Value::Number(n) = value { Some(n) } else { None })
    }

    pub(super) fn bytes(self, wanted: u32) -> Option<&'a [u8]> {
        self.last(wanted, |value| if let Value::Bytes(b) = value { Some(b) } else { None })
    }

    /// By the encoding's rules, the last one counts.
    fn last<T>(self, wanted: u32, read: impl Fn(Value<'a>) -> Option<T>) -> Option<T> {
        self.filter(|(field, _)| *field == wanted).filter_map(|(_, value)| read(value)).last()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = u32::try_from(self.varint()?).ok()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            FIXED64 => Value::Bytes(self.take(8)?),
            FIXED32 => Value::Bytes(self.take(4)?),
            LENGTH => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_encoding_has_them() {
        let mut out = Vec::new();
        uint(&mut out, 1, 150);
        int(&mut out, 2, -1);
        fixed32(&mut out, 16, 1);
        double(&mut out, 3, 1.0);
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let expected = [
            &[0x08, 0x96, 0x01, 0x10][..],
            &minus_one,
            &[0x85, 0x01, 1, 0, 0, 0, 0x19, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        ];
        assert_eq!(out, expected.concat());
    }

    #[test]
    fn nested_messages_of_every_length_come_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let mut out = b"before".to_vec();
            nested(&mut out, 2, |out| out.resize(out.len() + length, b'x'));
            uint(&mut out, 3, 7);
            let mut fields = Fields::of(&out[6..]);
            assert_eq!(fields.next(), Some((2, Value::Bytes(&vec![b'x'; length]))));
            assert_eq!(fields.number(3), Some(7));
        }
    }

    #[test]
    fn malformed_messages_end_where_they_are_malformed() {
        for broken in [&[0x0a, 5, 1][..], &[0x80], &[0x08], &[0xff; 20], &[0x0b, 1]] {
            assert_eq!(Fields::of(broken).next(), None, "{broken:?}");
        }
    }
}
