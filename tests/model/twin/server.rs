//! What the twin says about the server and its commands.

use super::{Answer, Expected, Twin, Words, syntax};
use crate::name::Name;
use crate::say::Say;

impl Twin {
    pub(super) fn flush(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let is_known = words.is(1, "ASYNC") || words.is(1, "SYNC");
        if words.count() > 2 || (words.count() == 2 && !is_known) {
            return syntax();
        }
        match name {
            Name::FlushDb => self.empty_database(),
            _ => self.in_each_database(Twin::empty_database),
        }
        Ok(Expected::Reply(Say::ok()))
    }

    fn empty_database(&mut self) {
        self.keys().iter().for_each(|key| self.touch(key));
        self.collections.clear();
        self.aliases.clear();
        self.values.clear();
        self.vector_expiries.clear();
        self.attributes.clear();
    }

    pub(super) fn shutdown(&mut self, id: u64, words: &Words<'_>) -> Answer {
        if !self.shutdown_words(words) {
            return syntax();
        }
        self.sessions.remove(&id);
        Ok(Expected::Silence)
    }

    pub(super) fn shutdown_words(&self, words: &Words<'_>) -> bool {
        let is_known = |index: usize| {
            ["NOSAVE", "SAVE", "NOW", "FORCE"]
                .iter()
                .any(|word| words.is(index, word))
        };
        let says = |word| (1..words.count()).any(|index| words.is(index, word));
        (1..words.count()).all(is_known) && !(says("SAVE") && says("NOSAVE"))
    }

    pub(super) fn info(&mut self, words: &Words<'_>) -> Expected {
        let wanted = |section: &str| {
            let is_default = section != "commandstats";
            let named = |name: &str| (1..words.count()).any(|index| words.is(index, name));
            let all = named("all") || named("everything") || named(section);
            all || (is_default && (words.count() == 1 || named("default")))
        };
        let mut lines = Vec::new();
        if wanted("server") {
            lines.extend(["# Server".to_owned(), format!("kora_shards:{}", self.shards)]);
        }
        if wanted("clients") {
            lines.extend([
                "# Clients".to_owned(),
                format!("connected_clients:{}", self.sessions.len()),
                format!("maxclients:{}", SETTINGS[0].1),
            ]);
        }
        if wanted("keyspace") {
            lines.push("# Keyspace".to_owned());
            let mut collections = 0;
            self.in_each_database(|twin| {
                let expires = twin.values.values().filter(|held| held.expires_ms.is_some()).count();
                let of_sets = twin
                    .collections
                    .values()
                    .filter_map(|collection| collection.set.as_ref());
                let of_sets: usize = of_sets.map(|set| set.expiries.len()).sum();
                let expires = expires + twin.vector_expiries.len() + of_sets;
                if twin.size() > 0 {
                    // How long keys have left on average is an estimate, behind the comma.
                    lines.push(format!("db{}:keys={},expires={expires},…", twin.database, twin.size()));
                }
                collections += twin.collections.len();
            });
            lines.push(format!("kora_collections:{collections}"));
        }
        if wanted("commandstats") {
            lines.push("# Commandstats".to_owned());
        }
        Expected::Lines(lines)
    }
}

/// All commands without subcommands.
pub(super) fn commands() -> impl Iterator<Item = Name> {
    Name::ALL.into_iter().filter(|name| !name.is_subcommand())
}

pub(super) fn help(name: Name) -> Expected {
    let container = name.text().trim_end_matches("|help");
    let subcommands = Name::ALL
        .iter()
        .filter_map(|name| name.text().strip_prefix(container)?.strip_prefix('|'));
    Expected::Help(container, subcommands.map(str::to_uppercase).collect())
}

pub(super) fn described(words: &Words<'_>) -> Expected {
    if words.count() == 2 {
        return Expected::Described(commands().map(Some).collect());
    }
    Expected::Described(words.0[2..].iter().map(|word| Name::find(word)).collect())
}

pub(super) fn documented(words: &Words<'_>) -> Expected {
    if words.count() == 2 {
        return Expected::Documented(commands().collect());
    }
    Expected::Documented(words.0[2..].iter().filter_map(|word| Name::find(word)).collect())
}

pub(super) fn listed(words: &Words<'_>) -> Answer {
    let names = || commands().map(Name::text);
    if words.count() == 2 {
        return Ok(Expected::Names(names().collect()));
    }
    if words.count() != 5 || !words.is(2, "FILTERBY") {
        return syntax();
    }
    let admitted: Vec<&'static str> = if words.is(3, "MODULE") {
        Vec::new()
    } else if words.is(3, "ACLCAT") {
        let category = words.0[4].to_ascii_lowercase();
        names()
            .filter(|name| match category.as_slice() {
                b"keyspace" => ["scan", "type"].contains(name),
                b"vector" => name.starts_with("vec"),
                b"connection" => [
                    "auth", "command", "echo", "hello", "ping", "quit", "reset", "select", "wait", "waitaof",
                ]
                .contains(name),
                _ => false,
            })
            .collect()
    } else if words.is(3, "PATTERN") {
        vet_pattern(&words.0[4])?;
        names().filter(|name| matches(&words.0[4], name)).collect()
    } else {
        return syntax();
    };
    Ok(Expected::Names(admitted))
}

pub(super) fn settings(words: &Words<'_>) -> Answer {
    words.0[2..].iter().try_for_each(|pattern| vet_pattern(pattern))?;
    let matching = SETTINGS
        .iter()
        .filter(|(name, _)| words.0[2..].iter().any(|pattern| matches(pattern, name)));
    let pairs = matching.map(|(name, value)| (Say::bulk(name), Say::bulk(value)));
    Ok(Expected::Reply(Say::Map(pairs.collect())))
}

/// In the model there is no directory to save to.
pub(super) fn save(name: Name, words: &Words<'_>) -> Answer {
    if !are_save_words(name, words) {
        return syntax();
    }
    Say::error("ERR there is no directory to save to: see the setting `dir`")
}

/// Whether the words behind BGSAVE are its own; the others have none.
pub(super) fn are_save_words(name: Name, words: &Words<'_>) -> bool {
    name != Name::BgSave || words.count() == 1 || (words.count() == 2 && words.is(1, "SCHEDULE"))
}

/// All of a simulation's settings are fixed.
pub(super) fn set_settings(words: &Words<'_>) -> Answer {
    let pairs = &words.0[2..];
    if !pairs.len().is_multiple_of(2) {
        return syntax();
    }
    let refuse = |name: &str, why: &str| -> Answer {
        Say::error(format!(
            "ERR CONFIG SET failed (possibly related to argument '{name}') - {why}"
        ))
    };
    let changes: Vec<_> = pairs
        .chunks(2)
        .map(|pair| (String::from_utf8_lossy(&pair[0]).to_ascii_lowercase(), &pair[1]))
        .collect();
    for (index, (name, value)) in changes.iter().enumerate() {
        if std::str::from_utf8(value).is_err() {
            return refuse(name, "the value is no UTF-8 text");
        }
        if changes[..index].iter().any(|(other, _)| other == name) {
            return refuse(name, "duplicate parameter");
        }
    }
    match changes.first() {
        None => Ok(Expected::Reply(Say::ok())),
        Some((name, _)) if SETTINGS.iter().any(|(known, _)| known == name) => {
            refuse(name, "can't set immutable config")
        }
        Some((name, _)) => Say::error(format!(
            // Redis prints a text that ends with a zero.
            "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
            name.split('\0').next().unwrap_or_default()
        )),
    }
}

fn vet_pattern(pattern: &[u8]) -> Result<(), Say> {
    match pattern.len() {
        ..=64 => Ok(()),
        bytes => Say::error(format!("ERR the pattern has {bytes} bytes, at most 64 are allowed")),
    }
}

/// Patterns in programs are words, or words before a `*`.
fn matches(pattern: &[u8], name: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    match pattern.strip_suffix(b"*") {
        Some(start) => name.as_bytes().starts_with(start),
        None => name.as_bytes() == pattern,
    }
}

/// The settings of the servers under test.
pub(crate) const SETTINGS: [(&str, &str); 4] = [
    ("maxclients", "77"),
    ("port", "6379"),
    ("vector-m", "8"),
    ("databases", "16"),
];
