//! All commands with numbers, so that the rights of a user are bits.

use std::collections::HashMap;
use std::sync::LazyLock;

use kora_command::names_used::NameTraits;
use kora_command::table::{self, CommandEntry};

/// Categories of commands, in Redis's order; the last is Kōra's.
pub const CATEGORIES: [&str; 22] = [
    "keyspace",
    "read",
    "write",
    "set",
    "sortedset",
    "list",
    "hash",
    "string",
    "bitmap",
    "hyperloglog",
    "geo",
    "stream",
    "pubsub",
    "admin",
    "fast",
    "slow",
    "blocking",
    "dangerous",
    "connection",
    "transaction",
    "scripting",
    "vector",
];

/// The commands of a category, if there is one of that name.
pub fn in_category(name: &[u8]) -> Option<impl Iterator<Item = &'static str>> {
    let category = category(name)?;
    let commands = index().commands.iter();
    Some(
        commands
            .filter(move |command| command.categories & 1 << category != 0)
            .map(|command| command.entry.name),
    )
}

/// The number of a category.
pub(crate) fn category(name: &[u8]) -> Option<usize> {
    CATEGORIES
        .iter()
        .position(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// A command or a subcommand, with what rules ask about it.
pub(crate) struct Indexed {
    pub(crate) entry: &'static CommandEntry,
    pub(crate) names: NameTraits,
    /// A bit for each of [`CATEGORIES`].
    pub(crate) categories: u32,
    /// How many subcommands it has: their numbers follow its own.
    pub(crate) subcommands: usize,
}

/// All commands. A command's number is its place.
pub(crate) struct Index {
    by_name: HashMap<&'static str, usize>,
    commands: Vec<Indexed>,
}

impl Index {
    pub(crate) fn len(&self) -> usize {
        self.commands.len()
    }

    /// A command by its number.
    pub(crate) fn command(&self, number: usize) -> &Indexed {
        &self.commands[number]
    }

    /// The number of the command that a rule names, in any case of letters; `container|subcommand` too.
    pub(crate) fn find(&self, name: &[u8]) -> Option<usize> {
        self.number(table::find(name)?)
    }

    /// The number of a command. `None` of the row for what is no command.
    pub(crate) fn number(&self, entry: &CommandEntry) -> Option<usize> {
        self.by_name.get(entry.name).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Indexed)> {
        self.commands.iter().enumerate()
    }
}

/// Made at the first use.
pub(crate) fn index() -> &'static Index {
    static INDEX: LazyLock<Index> = LazyLock::new(build);
    &INDEX
}

fn build() -> Index {
    let indexed = |entry: &'static CommandEntry| {
        let number = |name: &'static str| category(&name.as_bytes()[1..]);
        let bits = entry.all_categories().filter_map(number).map(|number| 1 << number);
        Indexed {
            entry,
            names: NameTraits::of(entry),
            categories: bits.fold(0, |all, bit: u32| all | bit),
            subcommands: entry.subcommands.len(),
        }
    };
    let entries = table::all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands));
    let commands: Vec<Indexed> = entries.map(indexed).collect();
    let places = commands.iter().enumerate();
    Index {
        by_name: places.map(|(number, command)| (command.entry.name, number)).collect(),
        commands,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_that_a_command_names_is_known() {
        for (_, command) in index().iter() {
            for name in command.entry.all_categories() {
                assert!(category(&name.as_bytes()[1..]).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn subcommands_follow_their_container() {
        let config = index().find(b"CONFIG").expect("there is one");
        let container = index().command(config);
        for number in config + 1..=config + container.subcommands {
            assert!(index().command(number).entry.name.starts_with("config|"));
        }
        assert_eq!(index().find(b"config|GET"), Some(config + 1));
    }
}
