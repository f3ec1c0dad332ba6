//! The databases of a server, and how the words of a request become the names of one: see `kora_values::database`.

use bytes::Bytes;
use kora_resp::{PrefixedRequest, Request};
use kora_values::Database;
use kora_values::database::{DATABASES_MAX, MARKER, prefix_len, said_name};
use smallvec::SmallVec;

use crate::command::Command;
use crate::command::names_used::places_of_names;
use crate::command::table::{self, Access, Parsed};
use crate::error::ClientError;

/// How many databases a server has.
#[derive(Clone, Copy, Debug)]
pub struct Databases {
    /// Invariant: 1 ..= `DATABASES_MAX`.
    count: u16,
}

impl Databases {
    /// So many.
    ///
    /// # Panics
    /// Unless it is one at least, and no more than a server may have.
    pub fn new(count: u16) -> Databases {
        assert!(
            (1..=DATABASES_MAX).contains(&count),
            "a number of databases within the limit"
        );
        Databases { count }
    }

    /// How many.
    pub fn count(self) -> u16 {
        self.count
    }

    /// True if there is this one.
    pub fn has(self, database: Database) -> bool {
        database.number() < self.count
    }

    /// All of them.
    pub(crate) fn all(self) -> impl Iterator<Item = Database> {
        (0..usize::from(self.count)).filter_map(Database::new)
    }
}

/// Reads a request whose names are those of this database.
#[inline]
pub(crate) fn parse(
    request: &Request<'_>,
    access: Access,
    database: Database,
    databases: Databases,
    buffer: &mut PrefixedRequest,
) -> Parsed {
    let mut parsed = match is_stored_as_said(request, database) {
        true => table::parse(request, access),
        false => parse_prefixed(request, access, database, buffer),
    };
    place_in(&mut parsed, database, databases);
    parsed
}

/// True if surely no word gets a prefix: what nearly all requests to most servers are.
#[inline]
fn is_stored_as_said(request: &Request<'_>, database: Database) -> bool {
    database == Database::ZERO && !request.arguments().any(|word| word.first() == Some(&MARKER))
}

#[inline(never)]
fn parse_prefixed(request: &Request<'_>, access: Access, database: Database, buffer: &mut PrefixedRequest) -> Parsed {
    let Some(places) = prefixed_places(request, database) else {
        return table::parse(request, access);
    };
    let mut places = places.into_iter().peekable();
    let words = request.arguments().enumerate();
    let words = words.map(|(place, word)| (word, places.next_if_eq(&place).is_some()));
    buffer.fill(words, &database.prefix());
    let parsed = table::parse(&buffer.request(), access);
    buffer.clear();
    parsed
}

/// The places of the words that get the prefix of this database; `None` if none does.
pub(crate) fn prefixed_places(request: &Request<'_>, database: Database) -> Option<SmallVec<[usize; 4]>> {
    if is_stored_as_said(request, database) {
        return None;
    }
    let names = places_of_names(table::find_of(request)?, request.arguments());
    let stored_otherwise = |place: &usize| {
        let word = request.get(*place);
        word.is_some_and(|word| !database.stores_as_said(word))
    };
    let places: SmallVec<[usize; 4]> = names.filter(stored_otherwise).collect();
    (!places.is_empty()).then_some(places)
}

/// Makes a command one of this database, of which the names in its words are.
#[inline]
pub(crate) fn place_in(parsed: &mut Parsed, database: Database, databases: Databases) {
    parsed.database = database;
    if !matches!(parsed.command, Command::OnKey(..)) {
        place_command(&mut parsed.command, database, databases);
    }
}

/// The same of a command that may name more than one key, or mean a database as a whole.
fn place_command(command: &mut Command, database: Database, databases: Databases) {
    command.set_database(database);
    let refusal = match command {
        Command::Select(selected) if !databases.has(*selected) => Some(ClientError::DatabaseIndex),
        Command::Transfer(transfer) => match transfer.to_database {
            None => None,
            Some(to) if !databases.has(to) => Some(ClientError::DatabaseIndex),
            Some(to) => {
                transfer.to = to.stored(said_name(&transfer.to)).into();
                (transfer.from == transfer.to).then_some(ClientError::SameObject)
            }
        },
        _ => None,
    };
    if let Some(error) = refusal {
        *command = Command::Refused(error);
    }
}

/// A name as the client said it.
pub(crate) fn as_said(stored: &Bytes) -> Bytes {
    match prefix_len(stored) {
        0 => stored.clone(),
        bytes => stored.slice(bytes..),
    }
}

#[cfg(test)]
mod tests {
    use kora_resp::{Reader, ReaderLimits};

    use super::*;

    fn parsed(line: &[u8], database: usize) -> Parsed {
        let database = Database::new(database).expect("a number");
        let mut reader = Reader::new(ReaderLimits::default());
        let bytes = [line, b"\r\n"].concat();
        let request = reader.read(&bytes).expect("sound").expect("whole");
        let mut buffer = PrefixedRequest::default();
        parse(&request, Access::Full, database, Databases::new(16), &mut buffer)
    }

    fn key(line: &[u8], database: usize) -> Vec<u8> {
        match parsed(line, database).command {
            Command::OnKey(key, _) => key.to_vec(),
            command => panic!("{command:?}"),
        }
    }

    #[test]
    fn keys_are_stored_under_the_name_of_their_database() {
        assert_eq!(key(b"GET a", 0), b"a");
        assert_eq!(key(b"GET a", 3), b"\xff\x80\x83a");
        assert_eq!(key(b"GET \xffa", 0), b"\xff\x80\x80\xffa");
        assert_eq!(key(b"SET a \xff", 0), b"a");
    }

    #[test]
    fn other_databases_are_meant_by_their_number() {
        let transfer = |line: &[u8], database| match parsed(line, database).command {
            Command::Transfer(transfer) => (transfer.from.to_vec(), transfer.to.to_vec()),
            command => panic!("{command:?}"),
        };
        assert_eq!(transfer(b"MOVE a 3", 0), (b"a".to_vec(), b"\xff\x80\x83a".to_vec()));
        assert_eq!(
            transfer(b"COPY a b DB 0", 3),
            (b"\xff\x80\x83a".to_vec(), b"b".to_vec())
        );
        assert_eq!(
            transfer(b"COPY a a DB 0", 3),
            (b"\xff\x80\x83a".to_vec(), b"a".to_vec())
        );
        let refused = |line: &[u8], database| match parsed(line, database).command {
            Command::Refused(error) => error,
            command => panic!("{command:?}"),
        };
        assert_eq!(refused(b"MOVE a 3", 3), ClientError::SameObject);
        assert_eq!(refused(b"COPY a a DB 3", 3), ClientError::SameObject);
        assert_eq!(refused(b"MOVE a 16", 3), ClientError::DatabaseIndex);
        assert_eq!(refused(b"SELECT 16", 3), ClientError::DatabaseIndex);
        assert_eq!(refused(b"SELECT -1", 3), ClientError::DatabaseIndex);
    }
}
