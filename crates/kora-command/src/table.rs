//! The list of all commands, one row for each: how a request finds its command, and what is wrong with it if it finds none.
//! What a row says stands in `row.rs`.

use bytes::Bytes;
use kora_resp::{Request, Words};
use kora_values::Database;

use crate::action::ShortKey;
use crate::arguments::Arguments;
use crate::element::ElementList;
use crate::error::ClientError;
use crate::row::PLAIN;
pub use crate::row::{CommandEntry, DataAccess, Filter};
use crate::{
    Command, acl, admin_entries, compatibility, connection, field_deadlines, functions, hashes, key_entries,
    monitoring, pubsub, scripting, string_entries, transactions, vector_entries, vector_set_entries,
};

/// All commands, family by family, without subcommands.
pub fn all() -> impl Iterator<Item = &'static CommandEntry> {
    FAMILIES.into_iter().flatten()
}

/// The command of that name, in any case of letters; also `container|subcommand`.
pub fn find(name: &[u8]) -> Option<&'static CommandEntry> {
    let container = name.split(|byte| *byte == b'|').next().unwrap_or(name);
    let entry = find_command(container)?;
    if container.len() == name.len() {
        Some(entry)
    } else {
        find_in(entry.subcommands.iter(), name)
    }
}

/// What a request says.
pub struct Parsed {
    /// The command.
    pub command: Command,
    /// Its row; [`UNKNOWN`] if there is no such command.
    pub entry: &'static CommandEntry,
    /// Where the engine keeps the beginning of the request's words; 0 if it does not.
    pub trail: u64,
    /// The database whose names stand in it.
    pub database: Database,
    /// The slot of the key of a command on one key, once the engine has computed it: it is wanted more than once.
    pub slot: Option<u16>,
    /// Names as they were said, where aliases in the command have given way to the collections that they mean.
    pub said: Option<Box<SaidNames>>,
    /// All words of the request, if its client's rights are held against them.
    pub words: Option<Words>,
}

/// Names in a command as they were said, to be put back while it can't begin: an alias may mean something else by then.
#[derive(Debug)]
pub enum SaidNames {
    /// A key.
    Key(ShortKey),
    /// A collection: that of an element, or of all elements that are set.
    Collection(Bytes),
    /// Elements.
    Elements(ElementList),
    /// What a query searches; the collections of its other keys.
    Query(Bytes, Vec<Bytes>),
}

/// Whether the connection may say everything or must authenticate first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// It may say everything.
    Full,
    /// It has to authenticate first.
    BeforeAuth,
}

/// Reads a request. What is wrong with it becomes a [`Command::Refused`], which takes its place in the order of
/// replies. The order of checks is Redis's: does it exist, has it as many words, may this connection say it.
///
/// # Panics
/// If the request is empty: an empty request is no command and has no reply.
pub fn parse(request: &Request<'_>, access: Access) -> Parsed {
    let arguments = Arguments::new(request);
    let (entry, command) = parse_entry(&arguments, access).unwrap_or_else(|error| (UNKNOWN, Err(error)));
    Parsed {
        command: command.unwrap_or_else(Command::Refused),
        entry,
        trail: 0,
        database: Database::ZERO,
        slot: None,
        said: None,
        words: None,
    }
}

/// The row of the command that a request is, or of its subcommand; none if it is none.
pub fn find_of(request: &Request<'_>) -> Option<&'static CommandEntry> {
    let entry = find_command(request.get(0)?)?;
    match request.get(1).filter(|_| !entry.subcommands.is_empty()) {
        None => Some(entry),
        Some(subcommand) => find_subcommand(entry, subcommand),
    }
}

type ParseOutcome = (&'static CommandEntry, Result<Command, ClientError>);

fn parse_entry(arguments: &Arguments<'_>, access: Access) -> Result<ParseOutcome, ClientError> {
    let name = arguments.word(0);
    let Some(mut entry) = find_command(name) else {
        return Err(ClientError::UnknownCommand {
            name: name.to_vec(),
            arguments: quotable(arguments),
        });
    };
    if !entry.subcommands.is_empty() && arguments.count() > 1 {
        let subcommand = arguments.word(1);
        entry = find_subcommand(entry, subcommand).ok_or_else(|| ClientError::UnknownSubcommand {
            command: entry.name,
            subcommand: subcommand.to_vec(),
        })?;
    }
    if !entry.accepts(arguments.count()) {
        return Err(ClientError::WrongArity {
            command: entry.name.to_owned(),
        });
    }
    if access == Access::BeforeAuth && !entry.before_auth {
        return Err(ClientError::NotAuthenticated);
    }
    Ok((entry, (entry.parse)(arguments)))
}

/// As many of the arguments as an error quotes, each up to its first NUL. As Redis counts: the quotes and the blank are part
/// of what is printed.
fn quotable(arguments: &Arguments<'_>) -> Vec<Vec<u8>> {
    let mut room = crate::limits::QUOTED_BYTES_MAX;
    let mut quoted = Vec::new();
    for index in 1..arguments.count() {
        if room == 0 {
            break;
        }
        let word = arguments.word(index);
        let text = word[..word.len().min(room)].split(|byte| *byte == 0).next();
        let shown = text.unwrap_or_default();
        room = room.saturating_sub(shown.len() + "'' ".len());
        quoted.push(shown.to_vec());
    }
    quoted
}

fn find_command(name: &[u8]) -> Option<&'static CommandEntry> {
    // What is longer than every name is none, however long its hash would take.
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut place = place_of(name);
    while let Some((family, index)) = PLACES[place] {
        let entry = &FAMILIES[usize::from(family)][usize::from(index)];
        if entry.name.as_bytes().eq_ignore_ascii_case(name) {
            return Some(entry);
        }
        place = (place + 1) % PLACES_COUNT;
    }
    None
}

fn find_subcommand(entry: &'static CommandEntry, subcommand: &[u8]) -> Option<&'static CommandEntry> {
    let is_it = |candidate: &&CommandEntry| {
        let name = &candidate.name.as_bytes()[entry.name.len() + 1..];
        name.eq_ignore_ascii_case(subcommand)
    };
    entry.subcommands.iter().find(is_it)
}

fn find_in(mut entries: impl Iterator<Item = &'static CommandEntry>, name: &[u8]) -> Option<&'static CommandEntry> {
    entries.find(|entry| entry.name.as_bytes().eq_ignore_ascii_case(name))
}

/// The row of a request that is no command.
pub const UNKNOWN: &CommandEntry = &CommandEntry {
    name: "unknown",
    ..PLAIN
};

/// Every command stands in its family's file, beside its parser.
const FAMILIES: [&[CommandEntry]; 15] = [
    acl::ENTRIES,
    admin_entries::ENTRIES,
    compatibility::ENTRIES,
    connection::ENTRIES,
    functions::ENTRIES,
    hashes::ENTRIES,
    field_deadlines::ENTRIES,
    key_entries::ENTRIES,
    monitoring::ENTRIES,
    pubsub::ENTRIES,
    scripting::ENTRIES,
    string_entries::ENTRIES,
    transactions::ENTRIES,
    vector_entries::ENTRIES,
    vector_set_entries::ENTRIES,
];

/// Where a name stands: which family, and which entry of it. Open addressing, filled when the program is compiled.
static PLACES: [Option<(u8, u8)>; PLACES_COUNT] = places();

const fn places() -> [Option<(u8, u8)>; PLACES_COUNT] {
    let mut places = [None; PLACES_COUNT];
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut index = 0;
        while index < FAMILIES[family].len() {
            let mut place = place_of(FAMILIES[family][index].name.as_bytes());
            while places[place].is_some() {
                place = (place + 1) % PLACES_COUNT;
            }
            places[place] = Some((family as u8, index as u8));
            index += 1;
        }
        family += 1;
    }
    places
}

/// FNV-1a of the name in lower case.
const fn place_of(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811C_9DC5;
    let mut index = 0;
    while index < name.len() {
        hash = (hash ^ name[index].to_ascii_lowercase() as u32).wrapping_mul(0x0100_0193);
        index += 1;
    }
    (hash ^ (hash >> 15)) as usize % PLACES_COUNT
}

/// No command has a longer name.
const NAME_BYTES_MAX: usize = 32;

/// Several times as many as there are commands, so that most are found at the first look.
const PLACES_COUNT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_in_order_and_are_documented() {
        let names: std::collections::BTreeSet<_> = all().map(|entry| entry.name).collect();
        assert_eq!(names.len(), all().count(), "each name stands once");
        for entry in all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands)) {
            assert!(entry.summary.ends_with('.'), "{} has no summary", entry.name);
            assert!(
                entry
                    .subcommands
                    .iter()
                    .all(|sub| sub.name.starts_with(&format!("{}|", entry.name)))
            );
            let takes_more = entry.arity < 0 || entry.arity > 1 + i32::from(entry.name.contains('|'));
            assert!(
                !takes_more || !entry.arguments.is_empty() || !entry.subcommands.is_empty() || entry.name == "quit",
                "{} takes arguments and does not say which",
                entry.name
            );
        }
    }

    #[test]
    fn a_command_is_found_in_any_case_of_letters() {
        assert_eq!(find(b"VecSet").map(|entry| entry.name), Some("vecset"));
        assert_eq!(find(b"CLIENT|setinfo").map(|entry| entry.name), Some("client|setinfo"));
        assert!(find(b"vecse").is_none() && find(b"client|nothing").is_none() && find(b"|").is_none());
    }
}
