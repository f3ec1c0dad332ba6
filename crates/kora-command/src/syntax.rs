//! The arguments of a command as data: from it come COMMAND DOCS (so that redis-cli can hint while one types) and the
//! reference in `docs/commands.md`.

use std::fmt;

/// One argument, in the terms of Redis's COMMAND DOCS.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// What kind of thing it is.
    pub kind: Kind,
    /// The word that stands before it.
    pub token: Option<&'static str>,
    /// It may be left out.
    pub optional: bool,
    /// It may be given several times.
    pub multiple: bool,
}

/// What kind of thing an argument is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A key.
    Key,
    /// Any bytes.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Double,
    /// A glob pattern.
    Pattern,
    /// Nothing but its token.
    Token,
    /// One of these.
    OneOf(&'static [Argument]),
    /// All of these.
    Block(&'static [Argument]),
}

impl Argument {
    const fn new(name: &'static str, kind: Kind) -> Argument {
        Argument {
            name,
            kind,
            token: None,
            optional: false,
            multiple: false,
        }
    }

    pub(crate) const fn key(name: &'static str) -> Argument {
        Argument::new(name, Kind::Key)
    }

    pub(crate) const fn string(name: &'static str) -> Argument {
        Argument::new(name, Kind::String)
    }

    pub(crate) const fn integer(name: &'static str) -> Argument {
        Argument::new(name, Kind::Integer)
    }

    pub(crate) const fn double(name: &'static str) -> Argument {
        Argument::new(name, Kind::Double)
    }

    pub(crate) const fn pattern(name: &'static str) -> Argument {
        Argument::new(name, Kind::Pattern)
    }

    /// A word that stands for itself.
    pub(crate) const fn word(name: &'static str, token: &'static str) -> Argument {
        Argument {
            token: Some(token),
            ..Argument::new(name, Kind::Token)
        }
    }

    pub(crate) const fn one_of(name: &'static str, choices: &'static [Argument]) -> Argument {
        Argument::new(name, Kind::OneOf(choices))
    }

    pub(crate) const fn block(name: &'static str, parts: &'static [Argument]) -> Argument {
        Argument::new(name, Kind::Block(parts))
    }

    /// The same behind this word.
    pub(crate) const fn after(self, token: &'static str) -> Argument {
        Argument {
            token: Some(token),
            ..self
        }
    }

    pub(crate) const fn optional(self) -> Argument {
        Argument { optional: true, ..self }
    }

    pub(crate) const fn multiple(self) -> Argument {
        Argument { multiple: true, ..self }
    }
}

impl Kind {
    /// Redis's name of the kind.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Key => "key",
            Kind::String => "string",
            Kind::Integer => "integer",
            Kind::Double => "double",
            Kind::Pattern => "pattern",
            Kind::Token => "pure-token",
            Kind::OneOf(_) => "oneof",
            Kind::Block(_) => "block",
        }
    }

    /// What it is made of.
    pub(crate) fn parts(self) -> &'static [Argument] {
        match self {
            Kind::OneOf(parts) | Kind::Block(parts) => parts,
            _ => &[],
        }
    }
}

/// As one would write it in a manual: `[EF n]`, `key [key ...]`, `<a | b>`.
impl fmt::Display for Argument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.kind {
            Kind::Token => String::new(),
            Kind::OneOf(choices) => joined(choices, " | "),
            Kind::Block(parts) => joined(parts, " "),
            _ => self.name.to_owned(),
        };
        // The brackets of an optional choice hold it together as well.
        let grouped = matches!(self.kind, Kind::OneOf(_)) && (self.token.is_some() || self.multiple || !self.optional);
        let value = if grouped { format!("<{value}>") } else { value };
        let once = match self.token {
            Some(token) if value.is_empty() => token.to_owned(),
            Some(token) => format!("{token} {value}"),
            None => value,
        };
        let text = if self.multiple {
            format!("{once} [{once} ...]")
        } else {
            once
        };
        if self.optional {
            write!(f, "[{text}]")
        } else {
            f.write_str(&text)
        }
    }
}

/// Several arguments as one would write them.
pub(crate) fn joined(arguments: &[Argument], separator: &str) -> String {
    arguments
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(separator)
}

/// An element, by its key or by the names of its collection and of itself.
pub(crate) const NAMED: Argument = Argument::one_of(
    "element",
    &[
        Argument::key("key"),
        Argument::block(
            "named",
            &[
                Argument::string("collection").after("COLLECTION"),
                Argument::string("element").after("ELEMENT"),
            ],
        ),
    ],
);

/// How FLUSHALL and its like free: both words mean the same here, since all is freed in slices.
pub(crate) const FLUSH: &[Argument] = &[Argument::one_of(
    "flush-type",
    &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")],
)
.optional()];

/// When a deadline is set: if there is none, if there is one, if it is later or earlier than the one that is there.
pub(crate) const CONDITION: Argument = Argument::one_of(
    "condition",
    &[
        Argument::word("nx", "NX"),
        Argument::word("xx", "XX"),
        Argument::word("gt", "GT"),
        Argument::word("lt", "LT"),
    ],
)
.optional();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_read_as_in_a_manual() {
        const CHOICE: &[Argument] = &[Argument::word("async", "ASYNC"), Argument::word("sync", "SYNC")];
        assert_eq!(
            Argument::one_of("mode", CHOICE).optional().to_string(),
            "[ASYNC | SYNC]"
        );
        assert_eq!(
            Argument::one_of("metric", CHOICE)
                .after("METRIC")
                .optional()
                .to_string(),
            "[METRIC <ASYNC | SYNC>]"
        );
        assert_eq!(Argument::integer("n").after("EF").optional().to_string(), "[EF n]");
        assert_eq!(Argument::key("key").multiple().to_string(), "key [key ...]");
    }
}
