//! Numbers as files store them, read as single precision.

/// How a number is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct NumberType {
    kind: Kind,
    bytes: usize,
    is_big_endian: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
}

impl NumberType {
    pub(super) const F32: Self = Self::little(Kind::Float, 4);
    pub(super) const U8: Self = Self::little(Kind::Unsigned, 1);

    const fn little(kind: Kind, bytes: usize) -> Self {
        Self {
            kind,
            bytes,
            is_big_endian: false,
        }
    }

    /// NumPy's `descr`: `<f4`, `|u1`.
    pub(super) fn from_numpy(text: &str) -> Option<Self> {
        let (order, rest) = text.split_at_checked(1)?;
        let (kind, bytes) = rest.split_at_checked(1)?;
        let bytes = bytes.parse().ok()?;
        let kind = match (kind, bytes) {
            ("f", 2 | 4 | 8) => Kind::Float,
            ("i", 1 | 2 | 4 | 8) => Kind::Signed,
            ("u", 1 | 2 | 4 | 8) => Kind::Unsigned,
            _ => return None,
        };
        let is_big_endian = match order {
            "<" | "|" | "=" => false,
            ">" => true,
            _ => return None,
        };
        Some(Self {
            kind,
            bytes,
            is_big_endian,
        })
    }

    /// Bytes of one number.
    pub(super) fn bytes(self) -> usize {
        self.bytes
    }

    pub(super) fn is_integer(self) -> bool {
        self.kind != Kind::Float
    }

    /// Reads all numbers of a row.
    pub(super) fn read_row(self, row: &[u8]) -> Vec<f32> {
        if self == Self::F32 {
            let words = row.chunks_exact(4).map(|word| word.try_into().unwrap_or_default());
            return words.map(f32::from_le_bytes).collect();
        }
        row.chunks_exact(self.bytes).map(|word| self.read(word)).collect()
    }

    /// An integer as it is printed.
    pub(super) fn read_integer(self, word: &[u8]) -> i128 {
        let bits = self.bits(word);
        match self.kind {
            Kind::Signed => {
                let unused = 64 - 8 * self.bytes as u32;
                i128::from(((bits << unused) as i64) >> unused)
            }
            _ => i128::from(bits),
        }
    }

    fn read(self, word: &[u8]) -> f32 {
        let bits = self.bits(word);
        match (self.kind, self.bytes) {
            (Kind::Float, 2) => half(bits as u16),
            (Kind::Float, 4) => f32::from_bits(bits as u32),
            (Kind::Float, _) => f64::from_bits(bits) as f32,
            _ => self.read_integer(word) as f32,
        }
    }

    /// The bytes of a number as the low ones of a word. At most eight are read.
    fn bits(self, word: &[u8]) -> u64 {
        let push = |bits: u64, byte: &u8| bits << 8 | u64::from(*byte);
        match self.is_big_endian {
            true => word.iter().fold(0, push),
            false => word.iter().rev().fold(0, push),
        }
    }
}

/// IEEE 754 half precision: 1 bit of sign, 5 of exponent, 10 of fraction.
pub(super) fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f32::from(bits & 0x3ff));
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(descr: &str, bytes: &[u8]) -> Vec<f32> {
        NumberType::from_numpy(descr).unwrap().read_row(bytes)
    }

    #[test]
    fn every_type_is_read() {
        assert_eq!(row("<f4", &[0, 0, 128, 63, 0, 0, 0, 192]), [1.0, -2.0]);
        assert_eq!(row(">f4", &[63, 128, 0, 0]), [1.0]);
        assert_eq!(row("<f8", &(-0.1f64).to_le_bytes()), [-0.1f32]);
        assert_eq!(
            row("<f2", &[0x00, 0x3c, 0x00, 0xc0, 0x01, 0x00, 0xff, 0x7b]),
            [1.0, -2.0, 2f32.powi(-24), 65504.0]
        );
        assert!(row("<f2", &[0x01, 0x7c])[0].is_nan() && row("<f2", &[0x00, 0xfc])[0] == f32::NEG_INFINITY);
        assert_eq!(row("|i1", &[255, 127]), [-1.0, 127.0]);
        assert_eq!(row("|u1", &[255]), [255.0]);
        assert_eq!(row("<i2", &[0xfe, 0xff]), [-2.0]);
        assert_eq!(row(">i8", &[255; 8]), [-1.0]);
        assert_eq!(
            NumberType::from_numpy("<i8")
                .unwrap()
                .read_integer(&i64::MIN.to_le_bytes()),
            i128::from(i64::MIN)
        );
        assert_eq!(
            NumberType::from_numpy("<u8").unwrap().read_integer(&[255; 8]),
            i128::from(u64::MAX)
        );
    }

    #[test]
    fn other_types_are_refused() {
        for descr in [
            "",
            "f4",
            "<c8",
            "<f3",
            "<U5",
            "|O",
            "<i0",
            "ü4",
            "<f99999999999999999999",
        ] {
            assert_eq!(NumberType::from_numpy(descr), None, "{descr}");
        }
    }
}
