//! Syntax of VECALIAS.

use kora_values::Database;

use crate::Command;
use crate::alias_change::AliasChange;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::row::{CONTAINER, CommandEntry, VECTOR_READ, VECTOR_WRITE};
use crate::syntax::Argument;

/// `VECALIAS ADD alias collection`
fn add(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let (alias, collection) = (arguments.collection(2)?, arguments.collection(3)?);
    Ok(Command::ChangeAlias(Box::new(AliasChange::Add { alias, collection })))
}

/// `VECALIAS SET alias collection`
fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let (alias, collection) = (arguments.collection(2)?, arguments.collection(3)?);
    Ok(Command::ChangeAlias(Box::new(AliasChange::Set { alias, collection })))
}

/// `VECALIAS DEL alias`
fn delete(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let alias = arguments.collection(2)?;
    Ok(Command::ChangeAlias(Box::new(AliasChange::Delete(alias))))
}

/// `VECALIAS LIST [collection]`
fn list(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    match arguments.count() {
        2 => Ok(Command::ListAliases(None, Database::ZERO)),
        3 => Ok(Command::ListAliases(Some(arguments.collection(2)?), Database::ZERO)),
        _ => Err(ClientError::WrongArity {
            command: "vecalias|list".to_owned(),
        }),
    }
}

/// `VECALIAS HELP`
fn help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(HELP))
}

const HELP: &[&str] = &[
    "VECALIAS <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ADD <alias> <collection>",
    "    Let a new alias mean a collection.",
    "DEL <alias>",
    "    Remove an alias.",
    "LIST [<collection>]",
    "    Return all aliases, or those of a collection.",
    "SET <alias> <collection>",
    "    Let an alias mean this collection from now on.",
    "HELP",
    "    Print this help.",
];

/// `VECALIAS`
pub(crate) const ENTRY: CommandEntry = CommandEntry {
    name: "vecalias",
    group: "vector",
    categories: &["@vector"],
    summary: "Commands on aliases: other names of collections.",
    notes: "An alias is another name of a collection in every VEC command and every command on vector sets: `VECSET alias:element`, `VECQUERY alias`, `VADD alias`. So the vectors of a new model are loaded into a collection of their own beside the old one, and `VECALIAS SET` switches: each query is answered from the old collection or the new one, whole. The keys of neighbours are those of the collection itself. An alias means a name: it stays while its collection is dropped and made again, and a query of an alias whose collection is not there finds nothing. An alias has never the name of a collection: what exists is not hidden. Commands on keys (EXPIRE, TTL, DEL, SCAN, WATCH and the like) and client-side caching know elements by the collection's own name, and so do VECCREATE and VECDROP, which refuse an alias. A user needs the rights to both names. FLUSHALL removes aliases, too.",
    subcommands: SUBCOMMANDS,
    ..CONTAINER
};

const ALIAS_AND_COLLECTION: &[Argument] = &[Argument::key("alias"), Argument::key("collection")];

const SUBCOMMANDS: &[CommandEntry] = &[
    CommandEntry {
        name: "vecalias|add",
        arity: 4,
        keys: (2, 3, 1),
        summary: "Lets a new alias mean a collection.",
        reply: "`OK`. An error if the alias exists, if a collection has its name, or if there is no such collection.",
        arguments: ALIAS_AND_COLLECTION,
        parse: add,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecalias|del",
        arity: 3,
        adds_memory: false,
        keys: (2, 2, 1),
        summary: "Removes an alias; the collection stays.",
        reply: "1, or 0 if there is no such alias.",
        arguments: &[Argument::key("alias")],
        parse: delete,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecalias|help",
        arity: 2,
        keys: (0, 0, 0),
        other_flags: &["loading", "stale"],
        summary: "Lists the subcommands of VECALIAS.",
        reply: "An array of texts.",
        parse: help,
        ..VECTOR_READ
    },
    CommandEntry {
        name: "vecalias|list",
        arity: -2,
        keys: (0, 0, 0),
        summary: "Returns all aliases, or those of a collection, with the collections that they mean.",
        reply: "A map from aliases to collections, in byte order of the aliases.",
        arguments: &[Argument::string("collection").optional()],
        parse: list,
        ..VECTOR_READ
    },
    CommandEntry {
        name: "vecalias|set",
        arity: 4,
        keys: (2, 3, 1),
        summary: "Lets an alias, new or not, mean this collection from now on.",
        reply: "`OK`. An error if a collection has the alias's name, or if there is no such collection.",
        arguments: ALIAS_AND_COLLECTION,
        parse: set,
        ..VECTOR_WRITE
    },
];
