//! Syntax of MULTI and what belongs to it.

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::limits::WATCHED_KEYS_MAX;
use crate::row::{CommandEntry, PLAIN};
use crate::syntax::Argument;

fn multi(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Multi)
}

fn exec(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Exec)
}

fn discard(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Discard)
}

fn watch(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let keys = arguments.count() - 1;
    if keys > WATCHED_KEYS_MAX {
        return Err(ClientError::TooManyWatched);
    }
    arguments.keys_from(1, 1).map(Command::Watch)
}

fn unwatch(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Unwatch)
}

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "discard",
        reply: "`OK`.",
        arity: 1,
        summary: "Forgets the commands that were queued since MULTI.",
        parse: discard,
        ..TRANSACTION
    },
    CommandEntry {
        name: "exec",
        reply: "An array of the replies to the commands queued; null if a watched key was changed; an error if one of them was refused when it was queued.",
        notes: "Each shard executes its part of the commands without commands of other clients in between. If all keys have one slot, as keys with one hash tag have, that is the whole transaction, and it is as atomic as in Redis. Over several shards the parts are not isolated from each other: another client may see the part of one shard done and that of another not yet. No part is ever left out: EXEC does not fail because of the shards of its keys. A command that needs all shards, or changes the set of collections (SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHALL, VECQUERY, VECCREATE, VECDROP, a first VECSET, DEL, EXPIRE or PERSIST of a collection), is executed by itself, after the commands queued before it. A collection that expires during the transaction may not exist for the rest of it.",
        arity: 1,
        is_fast: false,
        other_flags: &["noscript", "loading", "stale", "skip_slowlog"],
        summary: "Executes the commands that were queued since MULTI.",
        parse: exec,
        ..TRANSACTION
    },
    CommandEntry {
        name: "multi",
        reply: "`OK`; the commands that follow answer `QUEUED`.",
        arity: 1,
        summary: "Begins to queue commands for EXEC.",
        parse: multi,
        ..TRANSACTION
    },
    CommandEntry {
        name: "unwatch",
        reply: "`OK`.",
        arity: 1,
        summary: "Forgets all watched keys.",
        parse: unwatch,
        ..TRANSACTION
    },
    CommandEntry {
        name: "watch",
        reply: "`OK`, or `CROSSSLOT` if the keys watched have more than one slot.",
        notes: "All keys that a connection watches at one time must have one slot, whatever the number of workers: give them one hash tag.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Makes the next EXEC do nothing if one of the keys has changed.",
        arguments: &[Argument::key("key").multiple()],
        parse: watch,
        ..TRANSACTION
    },
];

const TRANSACTION: CommandEntry = CommandEntry {
    group: "transactions",
    categories: &["@transaction"],
    is_fast: true,
    other_flags: &["noscript", "loading", "stale", "allow_busy"],
    ..PLAIN
};
