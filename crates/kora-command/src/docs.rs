//! What COMMAND and COMMAND DOCS say, read off the table of commands.

use bytes::Bytes;
use kora_resp::Reply;

use crate::syntax::{Argument, Kind};
use crate::table::{self, CommandEntry, Filter};

/// COMMAND INFO of these commands, or of all.
pub fn describe(names: Option<&[Bytes]>) -> Reply {
    let describe = |entry: Option<&'static CommandEntry>| entry.map_or(Reply::NullArray, description);
    Reply::Array(match names {
        None => table::all().map(|entry| describe(Some(entry))).collect(),
        Some(names) => names.iter().map(|name| describe(table::find(name))).collect(),
    })
}

/// COMMAND DOCS of these commands, or of all. Names that do not exist are left out.
pub fn document(names: Option<&[Bytes]>) -> Reply {
    let pair = |entry: &'static CommandEntry| (text(entry.name), documentation(entry));
    Reply::Map(match names {
        None => table::all().map(pair).collect(),
        Some(names) => names.iter().filter_map(|name| table::find(name)).map(pair).collect(),
    })
}

/// COMMAND LIST: the names of the commands that this filter admits.
pub fn list(filter: Option<&Filter>) -> Reply {
    let admitted = table::all().filter(|entry| filter.is_none_or(|filter| filter.admits(entry)));
    Reply::Array(admitted.map(|entry| text(entry.name)).collect())
}

fn description(entry: &'static CommandEntry) -> Reply {
    let (first, last, step) = entry.keys;
    Reply::Array(vec![
        text(entry.name),
        Reply::Integer(i64::from(entry.arity)),
        Reply::Set(entry.flags().map(Reply::Simple).collect()),
        Reply::Integer(i64::from(first)),
        Reply::Integer(i64::from(last)),
        Reply::Integer(i64::from(step)),
        Reply::Set(entry.all_categories().map(Reply::Simple).collect()),
        Reply::Array(Vec::new()),
        Reply::Array(Vec::new()),
        Reply::Array(entry.subcommands.iter().map(description).collect()),
    ])
}

fn documentation(entry: &'static CommandEntry) -> Reply {
    let mut fields = vec![
        (text("summary"), text(entry.summary)),
        (text("since"), text("0.1.0")),
        (text("group"), text(entry.group)),
    ];
    if !entry.arguments.is_empty() {
        fields.push((text("arguments"), arguments(entry.arguments)));
    }
    if !entry.subcommands.is_empty() {
        let subcommands = entry
            .subcommands
            .iter()
            .map(|entry| (text(entry.name), documentation(entry)));
        fields.push((text("subcommands"), Reply::Map(subcommands.collect())));
    }
    Reply::Map(fields)
}

fn arguments(arguments: &'static [Argument]) -> Reply {
    Reply::Array(arguments.iter().map(argument).collect())
}

fn argument(argument: &'static Argument) -> Reply {
    let mut fields = vec![
        (text("name"), text(argument.name)),
        (text("type"), text(argument.kind.name())),
    ];
    if !matches!(argument.kind, Kind::Token | Kind::OneOf(_) | Kind::Block(_)) {
        fields.push((text("display_text"), text(argument.name)));
    }
    if matches!(argument.kind, Kind::Key) {
        fields.push((text("key_spec_index"), Reply::Integer(0)));
    }
    if let Some(token) = argument.token {
        fields.push((text("token"), text(token)));
    }
    let flags = [("optional", argument.optional), ("multiple", argument.multiple)];
    let flags: Vec<Reply> = flags
        .iter()
        .filter(|(_, is)| *is)
        .map(|(flag, _)| Reply::Simple(flag))
        .collect();
    if !flags.is_empty() {
        fields.push((text("flags"), Reply::Set(flags)));
    }
    if !argument.kind.parts().is_empty() {
        fields.push((text("arguments"), arguments(argument.kind.parts())));
    }
    Reply::Map(fields)
}

fn text(text: &'static str) -> Reply {
    Reply::Bulk(Bytes::from_static(text.as_bytes()))
}
