//! Which commands of Redis are there, as a page: Redis 8.2's list held against the table that the server itself answers from.

use std::fmt::Write as _;

use crate::table;

/// `docs/coverage.md`.
pub fn markdown() -> String {
    let all: Vec<(&str, &str)> = redis_commands().collect();
    let count = |wanted: &str| {
        all.iter()
            .filter(|(name, group)| support(name, group).0 == wanted)
            .count()
    };
    let (yes, partly, no) = (count(YES), count(PARTLY), count(NO));
    let mut page = format!(
        "{HEAD}\nOf {} commands and subcommands {yes} are there, {partly} in part, and {no} are not.\n",
        all.len()
    );
    for (group, title) in GROUPS {
        write!(page, "\n## {title}\n\n| command | there | |\n|---|---|---|\n")
            .expect("writing to a string cannot fail");
        for (name, _) in all.iter().filter(|(_, of)| *of == group) {
            let (there, note) = support(name, group);
            let shown = name.to_uppercase().replace('|', " ");
            writeln!(page, "| {shown} | {there} | {note} |").expect("writing to a string cannot fail");
        }
    }
    page
}

/// The commands of Redis 8.2.3 with their groups: what `COMMAND DOCS` of a server says (`tests/differential` asks one).
fn redis_commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("redis_commands.txt").lines();
    lines.filter_map(|line| line.split_once(' '))
}

/// Whether a command is there, and what is to be said of it.
fn support(name: &str, group: &str) -> (&'static str, &'static str) {
    let note =
        |notes: &[(&str, &'static str)], name: &str| notes.iter().find(|(of, _)| *of == name).map(|(_, note)| *note);
    let container = name.split('|').next().unwrap_or(name);
    if is_known(name) {
        return match note(PARTS, name) {
            Some(what) => (PARTLY, what),
            None => (YES, ""),
        };
    }
    let why = note(MISSING, name)
        .or_else(|| note(MISSING, container))
        .or_else(|| note(MISSING_GROUPS, group));
    (NO, why.unwrap_or_default())
}

fn is_known(name: &str) -> bool {
    table::all().any(|entry| entry.name == name || entry.subcommands.iter().any(|entry| entry.name == name))
}

const YES: &str = "yes";
const PARTLY: &str = "partly";
const NO: &str = "no";

const HEAD: &str = "\
# Coverage of Redis's commands

Which commands of Redis 8.2 Kōra has. Made from Redis's own list (`COMMAND DOCS` of 8.2.3) and the table that the server answers
from; do not edit by hand: `cargo run -p kora-command --example coverage > docs/coverage.md`.

*Yes* means that the command answers as Redis's does, but for the [departures](departures.md). *Partly* says what is
missing. A command that is not there answers `ERR unknown command`, as Redis does to a command that it does not know. Kōra has
MSETEX and VRANGE of Redis 8.4 beside these, and the commands on vectors: see [Commands](commands.md).
";

const GROUPS: [(&str, &str); 17] = [
    ("string", "Strings"),
    ("hash", "Hashes"),
    ("generic", "Keys"),
    ("module", "Vector sets"),
    ("transactions", "Transactions"),
    ("scripting", "Scripts and functions"),
    ("pubsub", "Publishing and subscribing"),
    ("connection", "Connection"),
    ("server", "Server"),
    ("list", "Lists"),
    ("set", "Sets"),
    ("sorted-set", "Sorted sets"),
    ("stream", "Streams"),
    ("bitmap", "Bitmaps"),
    ("hyperloglog", "HyperLogLog"),
    ("geo", "Geospatial"),
    ("cluster", "Cluster"),
];

/// What is missing of a command that is there.
const PARTS: &[(&str, &str)] = &[
    ("client|kill", "no `MAXAGE`"),
    (
        "client|tracking",
        "`tracking-redir-broken` is not sent; refused inside MULTI",
    ),
    ("client|unblock", "no command blocks: the answer is 0"),
    ("copy", "no vector sets and collections"),
    ("debug", "refused, as by a Redis that does not allow it"),
    (
        "eval",
        "keys of one shard; KEYS, SCAN, DBSIZE and other commands that need all shards only where there is one",
    ),
    ("eval_ro", "like EVAL"),
    ("evalsha", "like EVAL"),
    ("evalsha_ro", "like EVAL"),
    ("fcall", "like EVAL"),
    ("fcall_ro", "like EVAL"),
    ("lolwut", "one picture for all versions"),
    ("module|load", "refused, as by a Redis that does not allow it"),
    ("module|loadex", "refused, as by a Redis that does not allow it"),
    ("module|unload", "refused, as by a Redis that does not allow it"),
    ("monitor", "calls of scripts are not shown"),
    ("move", "no vector sets and collections"),
    ("rename", "no collections"),
    ("renamenx", "no collections"),
    ("vlinks", "one level: the graph is not Redis's"),
    ("vsim", "`FILTER-EF` bounds nothing: all that pass are found"),
    ("wait", "no replicas: the answer is 0"),
    ("waitaof", "no replicas; refused inside MULTI"),
];

/// Why a command is not there, or a container with all its subcommands.
const MISSING: &[(&str, &str)] = &[
    ("dump", "values have no serialized form for clients: `kora export`"),
    ("failover", NO_REPLICATION),
    (
        "latency|graph",
        "LATENCY HISTORY has the numbers, and the page of the HTTP port draws them",
    ),
    ("lcs", "not built yet"),
    ("migrate", "`kora import` copies from a running server"),
    ("psync", NO_REPLICATION),
    ("replconf", NO_REPLICATION),
    ("replicaof", NO_REPLICATION),
    ("restore", "values have no serialized form for clients: `kora import`"),
    ("restore-asking", NO_CLUSTER),
    ("script|debug", "there is no debugger of scripts"),
    ("slaveof", NO_REPLICATION),
    ("sort", "there are no lists, sets and sorted sets"),
    ("sort_ro", "there are no lists, sets and sorted sets"),
    ("swapdb", "workers would have to stop for it"),
    ("sync", NO_REPLICATION),
];

/// The same of whole groups.
const MISSING_GROUPS: &[(&str, &str)] = &[
    ("bitmap", "strings have no commands on bits"),
    ("cluster", NO_CLUSTER),
    (
        "geo",
        "there are no sorted sets; positions may be attributes of vectors",
    ),
    ("hyperloglog", "not built"),
    ("list", "a cache of strings, hashes and vectors: there are no lists"),
    ("set", "a cache of strings, hashes and vectors: there are no sets"),
    (
        "sorted-set",
        "a cache of strings, hashes and vectors: there are no sorted sets",
    ),
    ("stream", "a cache of strings, hashes and vectors: there are no streams"),
];

const NO_CLUSTER: &str = "one server with a shard for each core: nothing is moved between servers";
const NO_REPLICATION: &str = "there is no replication";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_page_is_that_of_the_table() {
        let shipped = include_str!("../../../docs/coverage.md");
        // Compared whole: a failure that printed both would hide its advice.
        assert!(
            shipped == markdown(),
            "run: cargo run -p kora-command --example coverage > docs/coverage.md"
        );
    }

    #[test]
    fn every_command_that_is_not_there_says_why() {
        for (name, group) in redis_commands() {
            let (there, note) = support(name, group);
            assert_eq!(there == YES, note.is_empty(), "{name}: {note:?}");
            assert!(GROUPS.iter().any(|(of, _)| *of == group), "{name} is of group {group}");
        }
    }

    #[test]
    fn nothing_is_said_of_what_is_not_in_the_list() {
        let has = |name: &str| redis_commands().any(|(known, _)| known == name);
        for (name, _) in PARTS {
            assert!(is_known(name) && has(name), "{name} is not there");
        }
        for (name, _) in MISSING {
            assert!(!is_known(name) && has(name), "{name} is there");
        }
        let of_table = table::all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands));
        for entry in of_table.filter(|entry| !entry.name.starts_with("vec")) {
            assert!(
                has(entry.name) || ["msetex", "vrange"].contains(&entry.name),
                "{} is of no Redis 8.2",
                entry.name
            );
        }
    }
}
