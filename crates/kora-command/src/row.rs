//! One row of the list of all commands: what COMMAND, COMMAND DOCS and the reference say about a command, and what the
//! engine needs to know of it beforehand.

use bytes::Bytes;
use kora_resp::glob::Pattern;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::syntax::{self, Argument};

/// One command, or one subcommand of a container.
pub struct CommandEntry {
    /// Lower case; `container|subcommand` for a subcommand.
    pub name: &'static str,
    /// Number of words with the name; negative: at least that many.
    pub arity: i32,
    /// What it may do to data. A command that writes starts only when no earlier query of its connection can be asked again.
    pub access: DataAccess,
    /// It may need more memory than before (`denyoom`).
    pub adds_memory: bool,
    /// It takes constant or logarithmic time (`fast`).
    pub is_fast: bool,
    /// It is for the operator of the server (`admin`).
    pub is_admin: bool,
    /// Allowed before AUTH (`no_auth`).
    pub before_auth: bool,
    /// Redis's flags beside those that follow from the traits above. Nothing here depends on them.
    pub other_flags: &'static [&'static str],
    /// Redis's ACL categories beside those that follow from the traits above.
    pub categories: &'static [&'static str],
    /// Positions of the keys: first, last (negative from the end), step; zeros if there are none.
    pub keys: (i32, i32, i32),
    /// Redis's group, or `vector`.
    pub group: &'static str,
    /// What it does, in a sentence.
    pub summary: &'static str,
    /// Its arguments, without the name.
    pub arguments: &'static [Argument],
    /// What it answers.
    pub reply: &'static str,
    /// What else a user should know.
    pub notes: &'static str,
    /// Subcommands, for a container.
    pub subcommands: &'static [CommandEntry],
    pub(crate) parse: fn(&Arguments<'_>) -> Result<Command, ClientError>,
}

/// What a command may do to data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DataAccess {
    /// It does not look at data.
    None,
    /// It changes nothing.
    Read,
    /// It may change something.
    Write,
}

/// `FILTERBY` of COMMAND LIST.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Commands of a module; there are no modules.
    Module,
    /// Commands of an ACL category.
    Category(Bytes),
    /// Commands whose name matches a glob pattern.
    Pattern(Pattern),
}

impl Filter {
    /// True if this command is in the list.
    pub fn admits(&self, entry: &CommandEntry) -> bool {
        match self {
            Filter::Module => false,
            Filter::Category(category) => entry
                .all_categories()
                .any(|known| known.as_bytes()[1..].eq_ignore_ascii_case(category)),
            Filter::Pattern(pattern) => pattern.matches(entry.name.as_bytes()),
        }
    }
}

impl CommandEntry {
    /// All of Redis's flags.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let traits = [
            (self.access == DataAccess::Write, "write"),
            (self.access == DataAccess::Read, "readonly"),
            (self.adds_memory, "denyoom"),
            (self.is_admin, "admin"),
            (self.is_fast, "fast"),
            (self.before_auth, "no_auth"),
        ];
        true_of(traits).chain(self.other_flags.iter().copied())
    }

    /// All of Redis's ACL categories.
    pub fn all_categories(&self) -> impl Iterator<Item = &'static str> {
        // As in Redis: a script that only reads is no reading command.
        let reads = self.access == DataAccess::Read && !self.categories.contains(&"@scripting");
        let traits = [
            (self.access == DataAccess::Write, "@write"),
            (reads, "@read"),
            (self.is_admin, "@admin"),
            (self.is_admin, "@dangerous"),
            (self.is_fast, "@fast"),
            (!self.is_fast, "@slow"),
        ];
        true_of(traits).chain(self.categories.iter().copied())
    }

    /// The command as one would type it.
    pub fn syntax(&self) -> String {
        let name = self.name.to_uppercase().replace('|', " ");
        format!("{name} {}", syntax::joined(self.arguments, " "))
            .trim_end()
            .to_owned()
    }

    /// True if what its connection may say can be different behind it.
    pub fn may_change_rights(&self) -> bool {
        self.before_auth || self.is_admin || matches!(self.name, "multi" | "select")
    }

    /// True if its arity allows so many words.
    pub fn accepts(&self, words: usize) -> bool {
        let words = i32::try_from(words).unwrap_or(i32::MAX);
        if self.arity >= 0 {
            words == self.arity
        } else {
            words >= -self.arity
        }
    }
}

/// A command that has only subcommands.
pub(crate) const CONTAINER: CommandEntry = CommandEntry {
    arity: -2,
    other_flags: &[],
    ..PLAIN
};

/// What most rows have in common; each names what it departs in.
pub(crate) const PLAIN: CommandEntry = CommandEntry {
    name: "",
    arity: 1,
    access: DataAccess::None,
    adds_memory: false,
    is_fast: false,
    is_admin: false,
    before_auth: false,
    other_flags: &["loading", "stale"],
    categories: &[],
    keys: (0, 0, 0),
    group: "connection",
    summary: "",
    arguments: &[],
    reply: "",
    notes: "",
    subcommands: &[],
    parse: container,
};

/// The words whose condition holds.
fn true_of<const COUNT: usize>(words: [(bool, &'static str); COUNT]) -> impl Iterator<Item = &'static str> {
    words.into_iter().filter_map(|(is_true, word)| is_true.then_some(word))
}

/// A container without a subcommand that stands for itself: Redis asks for one by its arity.
fn container(_: &Arguments<'_>) -> Result<Command, ClientError> {
    unreachable!("a container's arity is -2, so it is never parsed itself")
}

/// What reading commands on vectors have in common.
pub(crate) const VECTOR_READ: CommandEntry = CommandEntry {
    group: "vector",
    categories: &["@vector"],
    access: DataAccess::Read,
    other_flags: &[],
    keys: (1, 1, 1),
    ..PLAIN
};

/// What writing commands on vectors have in common.
pub(crate) const VECTOR_WRITE: CommandEntry = CommandEntry {
    access: DataAccess::Write,
    adds_memory: true,
    ..VECTOR_READ
};
