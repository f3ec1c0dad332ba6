//! Passwords: only their SHA-256 is kept.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a password.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// Of a password.
    pub(crate) fn of(password: &[u8]) -> PasswordHash {
        PasswordHash(Sha256::digest(password).into())
    }

    /// From 64 hexadecimal digits, of which the letters are small.
    pub(crate) fn parse(text: &[u8]) -> Option<PasswordHash> {
        let digits: &[u8; 64] = text.try_into().ok()?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(PasswordHash(bytes))
    }

    /// Compares without stopping at the first difference, so that the time taken tells nothing about where it is.
    pub(crate) fn is(&self, other: &PasswordHash) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |differences, (own, other)| differences | (own ^ other)) == 0
    }

    /// As rules show it.
    pub(crate) fn text(&self) -> String {
        hexadecimal(&self.0)
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect()
}

/// A random password of so many bits, in hexadecimal digits; the bits are rounded up to four.
///
/// # Errors
/// The system has no random numbers.
pub fn draw_password(bits: usize) -> Result<String, getrandom::Error> {
    let digits = bits.div_ceil(4);
    let mut bytes = vec![0; digits.div_ceil(2)];
    getrandom::fill(&mut bytes)?;
    let mut text = hexadecimal(&bytes);
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_as_it_is_shown() {
        let hash = PasswordHash::of(b"foo");
        assert_eq!(
            hash.text(),
            "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
        );
        let read = PasswordHash::parse(hash.text().as_bytes()).expect("64 digits");
        assert!(read.is(&hash) && !read.is(&PasswordHash::of(b"fop")));
        assert!(PasswordHash::parse(hash.text().to_uppercase().as_bytes()).is_none());
        assert!(PasswordHash::parse(b"2c26").is_none());
    }

    #[test]
    fn a_drawn_password_is_as_long_as_asked() {
        for (bits, digits) in [(1, 1), (4, 1), (5, 2), (256, 64), (4096, 1024)] {
            assert_eq!(draw_password(bits).expect("random numbers").len(), digits);
        }
        assert_ne!(draw_password(256).expect("random"), draw_password(256).expect("random"));
    }
}
