//! The reference of all commands as a page, from the table that the server itself answers from.

use std::fmt::Write as _;

use crate::table::{self, CommandEntry};

/// `docs/commands.md`.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    for (group, title) in GROUPS {
        let mut entries: Vec<_> = table::all().filter(|entry| entry.group == group).collect();
        entries.sort_unstable_by_key(|entry| entry.name);
        write!(page, "\n## {title}\n").expect("writing to a string cannot fail");
        for entry in entries {
            // A container is its subcommands, unless it can be given alone.
            if entry.subcommands.is_empty() || !entry.reply.is_empty() {
                describe(entry, &mut page);
            }
            entry.subcommands.iter().for_each(|entry| describe(entry, &mut page));
        }
    }
    page
}

fn describe(entry: &CommandEntry, page: &mut String) {
    let name = entry.name.to_uppercase().replace('|', " ");
    let (syntax, summary, reply) = (entry.syntax(), entry.summary, entry.reply);
    write!(
        page,
        "\n### {name}\n\n```\n{syntax}\n```\n\n{summary}\n\n**Reply:** {reply}\n"
    )
    .expect("writing to a string cannot fail");
    if !entry.notes.is_empty() {
        write!(page, "\n{}\n", entry.notes).expect("writing to a string cannot fail");
    }
}

const HEAD: &str = "\
# Commands

Made from the table that the server itself answers from (`crates/kora-command/src/`); do not edit by hand:
`cargo run -p kora-command --example reference > docs/commands.md`.

Names of commands and options may be written in any case of letters. A command that is refused changes nothing, and
the connection lives on.

A null reply is `$-1` in RESP2, whatever the reply would be otherwise, and `_` in RESP3. There are three exceptions, which
are Redis's: EXEC whose watched keys were changed, VINFO of no set, and unknown names in COMMAND INFO are `*-1` in RESP2.

A command on vectors answers `WRONGTYPE` for a key or a name that holds a string or a hash, and a command on strings or hashes
for the key of a vector or the name of a collection, but for those that take any type.
";

const GROUPS: [(&str, &str); 10] = [
    ("vector", "Vectors"),
    ("vector_set", "Vector sets"),
    ("string", "Strings"),
    ("hash", "Hashes"),
    ("generic", "Keys"),
    ("transactions", "Transactions"),
    ("scripting", "Scripts and functions"),
    ("pubsub", "Publishing and subscribing"),
    ("connection", "Connection"),
    ("server", "Server"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_reference_is_that_of_the_table() {
        let shipped = include_str!("../../../docs/commands.md");
        // Compared whole: a failure that printed both would hide its advice.
        assert!(
            shipped == markdown(),
            "run: cargo run -p kora-command --example reference > docs/commands.md"
        );
    }

    #[test]
    fn every_command_says_what_it_replies() {
        for entry in table::all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands)) {
            assert!(
                GROUPS.iter().any(|(group, _)| *group == entry.group),
                "{} is in no group",
                entry.name
            );
            assert!(
                !entry.reply.is_empty() || !entry.subcommands.is_empty(),
                "{} has no reply",
                entry.name
            );
        }
    }
}
