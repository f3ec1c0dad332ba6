//! Which database a name belongs to: the names of keys and collections as they are stored.
//!
//! A server has several databases, each with names of its own. The name that is stored says which of them it belongs to: in
//! database 0 it is what the client said; in any other one it stands behind a prefix of three bytes, of which the first is a
//! byte that no UTF-8 text holds. A name of database 0 that begins with that byte has the prefix of database 0. So whatever
//! handles names handles those of all databases, and no two names are taken for one another.

/// A database, by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Database(u16);

impl Database {
    /// The one in which every connection begins.
    pub const ZERO: Database = Database(0);

    /// The database of that number; none if no server has so many.
    pub fn new(number: usize) -> Option<Database> {
        let number = u16::try_from(number).ok().filter(|number| *number < DATABASES_MAX)?;
        Some(Database(number))
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// Its number as a place in a list of all databases.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The database of a stored name.
    #[inline]
    pub fn of(stored: &[u8]) -> Database {
        match stored {
            [MARKER, high, low, ..] if is_prefix(*high, *low) => {
                Database((u16::from(high & DIGIT) << DIGIT_BITS) | u16::from(low & DIGIT))
            }
            _ => Database::ZERO,
        }
    }

    /// What stands before the names of this database, where something does.
    pub fn prefix(self) -> [u8; PREFIX_BYTES] {
        let [high, low] = [self.0 >> DIGIT_BITS, self.0].map(|digits| digits as u8 & DIGIT);
        [MARKER, high | !DIGIT, low | !DIGIT]
    }

    /// True if a name that a client says in this database is stored as it is.
    #[inline]
    pub fn stores_as_said(self, name: &[u8]) -> bool {
        self == Database::ZERO && name.first() != Some(&MARKER)
    }

    /// What is stored for a name that a client says in this database.
    pub fn stored(self, name: &[u8]) -> Vec<u8> {
        match self.stores_as_said(name) {
            true => name.to_vec(),
            false => [&self.prefix(), name].concat(),
        }
    }
}

/// What a client says for a stored name.
#[inline]
pub fn said_name(stored: &[u8]) -> &[u8] {
    match stored {
        [MARKER, high, low, name @ ..] if is_prefix(*high, *low) => name,
        name => name,
    }
}

/// True if these two bytes behind a marker are the digits of a number: of any other name the client said all of it.
#[inline]
fn is_prefix(high: u8, low: u8) -> bool {
    (high & low) > DIGIT
}

/// How many bytes stand before what a client says.
#[inline]
pub fn prefix_len(stored: &[u8]) -> usize {
    stored.len() - said_name(stored).len()
}

/// No server has more databases: each may have a table on every shard.
pub const DATABASES_MAX: u16 = 1024;

/// Begins a prefix. No UTF-8 text holds this byte, so that few names of database 0 need a prefix.
pub const MARKER: u8 = 0xFF;

/// Bytes of a prefix.
pub const PREFIX_BYTES: usize = 3;

/// Behind the marker stand two digits of seven bits, with the highest bit set: so no byte of a prefix is one of ASCII, such
/// as the `:` and the braces that names are looked through for.
const DIGIT: u8 = 0x7F;
const DIGIT_BITS: u32 = 7;

const _: () = assert!(DATABASES_MAX as u32 <= 1 << (2 * DIGIT_BITS));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_as_they_were_said_and_never_meet() {
        let said: [&[u8]; 6] = [b"", b"a", b"docs:1", b"\xff", b"\xff\x80\x80", b"\xff\x80\x81a"];
        let databases = [0, 1, 15, 127, 128, 1023].map(|number| Database::new(number).expect("a number"));
        let mut all = std::collections::BTreeSet::new();
        for database in databases {
            for name in said {
                let stored = database.stored(name);
                assert_eq!(Database::of(&stored), database, "{stored:?}");
                assert_eq!(said_name(&stored), name);
                assert_eq!(prefix_len(&stored), stored.len() - name.len());
                assert!(all.insert(stored), "two names are one");
            }
        }
        assert_eq!(Database::ZERO.stored(b"a"), b"a");
        assert_eq!(Database::new(usize::from(DATABASES_MAX)), None);
    }

    #[test]
    fn a_prefix_holds_no_ascii() {
        for number in 0..usize::from(DATABASES_MAX) {
            let prefix = Database::new(number).expect("below the limit").prefix();
            assert!(prefix.iter().all(|byte| *byte >= 0x80));
        }
    }

    #[test]
    fn what_no_server_stores_is_a_name_of_database_0() {
        assert_eq!(
            (Database::of(b"\xff"), said_name(b"\xff")),
            (Database::ZERO, &b"\xff"[..])
        );
        assert_eq!(Database::of(b"\xffa"), Database::ZERO);
        assert_eq!(said_name(b"\xff\x00\xfe"), b"\xff\x00\xfe");
    }
}
