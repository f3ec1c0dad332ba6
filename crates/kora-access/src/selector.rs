//! A selector: rules that together allow commands on keys and channels.

use std::collections::BTreeMap;

use kora_command::names_used::{KeyUse, NameRange, Named};
use kora_command::table::CommandEntry;
use kora_resp::Words;

use crate::commands::index;
use crate::denials::{Denial, Reason};
use crate::patterns::{ChannelPattern, KeyPattern};

/// Rules that together allow commands on keys and channels. A user has one, and may have more: a command is allowed if one of
/// them allows all of it.
#[derive(Clone, Debug)]
pub struct Selector {
    /// Bits of the commands that are allowed, by their numbers.
    pub(crate) allowed: Vec<u64>,
    /// Every command is allowed, and none was taken out since.
    pub(crate) has_all_commands: bool,
    /// Commands of later versions are allowed: the last rule about all commands was `+@all`.
    pub(crate) begins_with_all: bool,
    /// By the numbers of commands that are not allowed: first arguments with which they are.
    pub(crate) first_arguments: BTreeMap<usize, Vec<Vec<u8>>>,
    /// The rules about commands as they are shown: allowed or not, and what. In small letters.
    pub(crate) command_rules: Vec<(bool, Vec<u8>)>,
    pub(crate) has_all_keys: bool,
    pub(crate) keys: Vec<KeyPattern>,
    pub(crate) has_all_channels: bool,
    pub(crate) channels: Vec<ChannelPattern>,
}

impl Selector {
    /// One that allows nothing, but for channels if new users are to have all of them.
    pub(crate) fn new(has_all_channels: bool) -> Selector {
        Selector {
            allowed: vec![0; index().len().div_ceil(64)],
            has_all_commands: false,
            begins_with_all: false,
            first_arguments: BTreeMap::new(),
            command_rules: Vec::new(),
            has_all_keys: false,
            keys: Vec::new(),
            has_all_channels,
            channels: Vec::new(),
        }
    }

    pub(crate) fn is_unlimited(&self) -> bool {
        self.has_all_commands && self.has_all_keys && self.has_all_channels
    }

    /// The rules about commands.
    pub fn commands(&self) -> Vec<u8> {
        let mut text = if self.begins_with_all { b"+@all" } else { b"-@all" }.to_vec();
        for (is_allowed, rule) in &self.command_rules {
            text.extend_from_slice(if *is_allowed { b" +" } else { b" -" });
            text.extend_from_slice(rule);
        }
        text
    }

    /// The patterns of keys.
    pub fn keys(&self) -> Vec<u8> {
        if self.has_all_keys {
            return b"~*".to_vec();
        }
        let mut text = Vec::new();
        for pattern in &self.keys {
            separate(&mut text);
            pattern.describe(&mut text);
        }
        text
    }

    /// The patterns of channels.
    pub fn channels(&self) -> Vec<u8> {
        if self.has_all_channels {
            return b"&*".to_vec();
        }
        let mut text = Vec::new();
        for pattern in &self.channels {
            separate(&mut text);
            text.push(b'&');
            text.extend_from_slice(&pattern.text);
        }
        text
    }

    /// All rules, as a file has them.
    pub(crate) fn describe(&self) -> Vec<u8> {
        let mut text = self.keys();
        if !self.has_all_channels {
            separate(&mut text);
            text.extend_from_slice(b"resetchannels");
        }
        let channels = self.channels();
        if !channels.is_empty() {
            separate(&mut text);
            text.extend_from_slice(&channels);
        }
        separate(&mut text);
        text.extend_from_slice(&self.commands());
        text
    }

    /// Whether it allows a request; if not, the place of the word that it does not allow, and why.
    pub(crate) fn check(
        &self,
        entry: &CommandEntry,
        words: &Words,
        is_collection: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), (Reason, usize)> {
        let Some(number) = index().number(entry) else {
            return Ok(());
        };
        if !self.has_all_commands && !entry.before_auth && !self.allows_command(number, words) {
            return Err((Reason::Command, 0));
        }
        let traits = &index().command(number).names;
        if !traits.names_anything() {
            return Ok(());
        }
        let ranges = traits.ranges(words.iter());
        let of_keys = |range: &&NameRange| !matches!(range.named, Named::Channel | Named::ChannelPattern);
        if !self.has_all_keys {
            for range in ranges.iter().filter(of_keys) {
                let collection = match range.named {
                    Named::Element(_, place) => words.iter().nth(place).unwrap_or_default(),
                    _ => b"",
                };
                let allows = |name: &[u8]| self.allows_key((collection, name), range.named, is_collection);
                check_range(range, words, Reason::Key, allows)?;
            }
        }
        if !self.has_all_channels {
            for range in ranges.iter().filter(|range| !of_keys(range)) {
                let is_pattern = range.named == Named::ChannelPattern;
                let allows = |name: &[u8]| self.allows_channel(name, is_pattern);
                check_range(range, words, Reason::Channel, allows)?;
            }
        }
        Ok(())
    }

    /// True if it allows to hear this channel, or this pattern of channels.
    pub(crate) fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        self.has_all_channels || self.channels.iter().any(|pattern| pattern.allows(name, is_pattern))
    }

    fn allows_command(&self, number: usize, words: &Words) -> bool {
        if self.allowed[number / 64] >> (number % 64) & 1 == 1 {
            return true;
        }
        let Some(allowed) = self.first_arguments.get(&number) else {
            return false;
        };
        let first = words.iter().nth(1);
        first.is_some_and(|first| allowed.iter().any(|known| known.eq_ignore_ascii_case(first)))
    }

    /// Of an element that is named by two words `collection` is the other one.
    fn allows_key(
        &self,
        (collection, name): (&[u8], &[u8]),
        named: Named,
        is_collection: &dyn Fn(&[u8]) -> bool,
    ) -> bool {
        match named {
            Named::Element(key_use, _) => {
                let key = [collection, b":", name].concat();
                self.keys.iter().any(|pattern| pattern.allows(&key, key_use))
            }
            Named::Key(key_use) => {
                let is_allowed = self.keys.iter().any(|pattern| pattern.allows(name, key_use));
                is_allowed && (!is_collection(name) || self.covers(name, key_use))
            }
            Named::Collection(key_use) => self.covers(name, key_use),
            Named::Target => self.covers_target(name),
            Named::Channel | Named::ChannelPattern => true,
        }
    }

    fn covers(&self, collection: &[u8], key_use: KeyUse) -> bool {
        let prefix = [collection, b":"].concat();
        self.keys.iter().any(|pattern| pattern.covers(&prefix, key_use))
    }

    /// Whether all may be read that this may mean to VECQUERY: a collection; with `:*` behind it; a key whose collection is
    /// meant. Which of them it means depends on what exists meanwhile, so all are asked for.
    fn covers_target(&self, target: &[u8]) -> bool {
        let reading = KeyUse {
            reads: true,
            writes: false,
        };
        let colon = target.iter().rposition(|byte| *byte == b':');
        self.covers(target, reading) && colon.is_none_or(|colon| self.covers(&target[..colon], reading))
    }
}

fn check_range(
    range: &NameRange,
    words: &Words,
    reason: Reason,
    allows: impl Fn(&[u8]) -> bool,
) -> Result<(), (Reason, usize)> {
    let named = words.iter().enumerate().take(range.end).skip(range.first);
    match named.step_by(range.step).find(|(_, name)| !allows(name)) {
        Some((place, _)) => Err((reason, place)),
        None => Ok(()),
    }
}

/// The denial of a request, of all that selectors found: the gravest, and of these the farthest.
pub(crate) fn gravest(entry: &CommandEntry, words: &Words, found: impl Iterator<Item = (Reason, usize)>) -> Denial {
    let (reason, place) = found.fold((Reason::Command, 0), Ord::max);
    let object = match reason {
        Reason::Key | Reason::Channel => words.iter().nth(place).unwrap_or_default().to_vec(),
        Reason::Command | Reason::Authentication => entry.name.as_bytes().to_vec(),
    };
    Denial { reason, object }
}

fn separate(text: &mut Vec<u8>) {
    if !text.is_empty() {
        text.push(b' ');
    }
}
