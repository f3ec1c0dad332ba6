//! Rules as text: what each changes, and what is wrong with it.

use std::fmt;

use crate::commands::{category, index};
use crate::limits::{COMMAND_RULES_MAX, PATTERN_BYTES_MAX, PATTERNS_MAX, SHOWN_BYTES_MAX};
use crate::patterns::{ChannelPattern, KeyPattern};
use crate::selector::Selector;

/// What is wrong with a rule. `Display` is Redis's text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RuleError {
    /// No such command or category.
    Unknown,
    /// It is none of the rules.
    Syntax,
    /// A pattern of keys, where all keys are allowed.
    HasAllKeys,
    /// A pattern of channels, where all channels are allowed.
    HasAllChannels,
    /// What is to be a password's SHA-256 is none.
    Hash,
    /// The user has no such password.
    NoSuchPassword,
    /// A first argument of a subcommand.
    FirstArgumentOfSubcommand,
    /// A pattern longer than the limit.
    PatternTooLong,
    /// More of something than a user may have.
    TooMany,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::HasAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any \
                 effect. Try 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::HasAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any \
                 effect. Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::Hash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::FirstArgumentOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            RuleError::PatternTooLong => return write!(f, "A pattern has at most {PATTERN_BYTES_MAX} bytes"),
            RuleError::TooMany => "A user can't have more of these",
        })
    }
}

impl std::error::Error for RuleError {}

impl Selector {
    /// Applies a rule about commands, keys or channels.
    pub(crate) fn apply(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let is = |words: [&str; 2]| words.iter().any(|word| rule.eq_ignore_ascii_case(word.as_bytes()));
        if is(["allkeys", "~*"]) {
            self.has_all_keys = true;
            self.keys.clear();
        } else if is(["resetkeys", "resetkeys"]) {
            self.has_all_keys = false;
            self.keys.clear();
        } else if is(["allchannels", "&*"]) {
            self.has_all_channels = true;
            self.channels.clear();
        } else if is(["resetchannels", "resetchannels"]) {
            self.has_all_channels = false;
            self.channels.clear();
        } else if is(["allcommands", "+@all"]) {
            self.reset_commands(true);
        } else if is(["nocommands", "-@all"]) {
            self.reset_commands(false);
        } else {
            return match rule {
                [b'~' | b'%', ..] => self.add_key_pattern(rule),
                [b'&', text @ ..] => self.add_channel_pattern(text),
                [sign @ (b'+' | b'-'), b'@', name @ ..] => self.change_category(name, *sign == b'+'),
                [b'+', name @ ..] => self.allow(name),
                [b'-', name @ ..] => {
                    let number = index().find(name).ok_or(RuleError::Unknown)?;
                    self.change(number, false);
                    self.note_rule(index().command(number).entry.name.as_bytes(), false)
                }
                _ => Err(RuleError::Syntax),
            };
        }
        Ok(())
    }

    fn reset_commands(&mut self, is_allowed: bool) {
        self.allowed.fill(if is_allowed { u64::MAX } else { 0 });
        (self.has_all_commands, self.begins_with_all) = (is_allowed, is_allowed);
        self.command_rules.clear();
        self.first_arguments.clear();
    }

    fn add_key_pattern(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.has_all_keys {
            return Err(RuleError::HasAllKeys);
        }
        let (reads, writes, text) = match rule {
            [b'%', rest @ ..] => rights(rest)?,
            _ => (true, true, &rule[1..]),
        };
        vet_pattern(text, self.keys.len())?;
        match self.keys.iter_mut().find(|pattern| pattern.text == text) {
            Some(known) => {
                known.reads |= reads;
                known.writes |= writes;
            }
            None => self.keys.push(KeyPattern::new(text, reads, writes)),
        }
        Ok(())
    }

    fn add_channel_pattern(&mut self, text: &[u8]) -> Result<(), RuleError> {
        if self.has_all_channels {
            return Err(RuleError::HasAllChannels);
        }
        vet_pattern(text, self.channels.len())?;
        if !self.channels.iter().any(|pattern| pattern.text == text) {
            self.channels.push(ChannelPattern::new(text));
        }
        Ok(())
    }

    fn change_category(&mut self, name: &[u8], is_allowed: bool) -> Result<(), RuleError> {
        let category = category(name).ok_or(RuleError::Unknown)?;
        for (number, command) in index().iter() {
            if command.categories >> category & 1 == 1 {
                self.change(number, is_allowed);
            }
        }
        self.note_rule(&[b"@", name].concat(), is_allowed)
    }

    /// `+command`, `+container|subcommand`, `+command|first-argument`
    fn allow(&mut self, name: &[u8]) -> Result<(), RuleError> {
        let Some(bar) = name.iter().rposition(|byte| *byte == b'|') else {
            let number = index().find(name).ok_or(RuleError::Unknown)?;
            self.change(number, true);
            return self.note_rule(index().command(number).entry.name.as_bytes(), true);
        };
        let (command, argument) = (&name[..bar], &name[bar + 1..]);
        let number = index().find(command).ok_or(RuleError::Unknown)?;
        if command.contains(&b'|') {
            return Err(RuleError::FirstArgumentOfSubcommand);
        }
        if argument.is_empty() || has_spaces(argument) {
            return Err(RuleError::Syntax);
        }
        if index().command(number).subcommands > 0 {
            self.change(index().find(name).ok_or(RuleError::Unknown)?, true);
        } else {
            let arguments = self.first_arguments.entry(number).or_default();
            if arguments.len() >= COMMAND_RULES_MAX {
                return Err(RuleError::TooMany);
            }
            if !arguments.iter().any(|known| known.eq_ignore_ascii_case(argument)) {
                arguments.push(argument.to_vec());
            }
        }
        self.note_rule(name, true)
    }

    /// Allows a command and all its subcommands, or takes them out.
    fn change(&mut self, number: usize, is_allowed: bool) {
        self.first_arguments.remove(&number);
        for number in number..=number + index().command(number).subcommands {
            let (word, bit) = (&mut self.allowed[number / 64], 1 << (number % 64));
            match is_allowed {
                true => *word |= bit,
                false => *word &= !bit,
            }
        }
        self.has_all_commands &= is_allowed;
    }

    /// Notes a rule behind the others. Earlier ones about the same, or about parts of it, mean nothing any more.
    fn note_rule(&mut self, name: &[u8], is_allowed: bool) -> Result<(), RuleError> {
        let name = name.to_ascii_lowercase();
        self.command_rules.retain(|(_, known)| {
            let is_part = known.strip_prefix(&name[..]);
            is_part.is_none_or(|rest| rest.first().is_some_and(|byte| *byte != b'|'))
        });
        if self.command_rules.len() >= COMMAND_RULES_MAX {
            return Err(RuleError::TooMany);
        }
        self.command_rules.push((is_allowed, name));
        Ok(())
    }
}

/// `RW~pattern`: what may be done to the keys that match, and the pattern.
fn rights(text: &[u8]) -> Result<(bool, bool, &[u8]), RuleError> {
    let (mut reads, mut writes) = (false, false);
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        rest = behind;
        match first.to_ascii_uppercase() {
            b'R' if !reads => reads = true,
            b'W' if !writes => writes = true,
            b'~' => break,
            _ => return Err(RuleError::Syntax),
        }
    }
    match reads || writes {
        true => Ok((reads, writes, rest)),
        false => Err(RuleError::Syntax),
    }
}

fn vet_pattern(text: &[u8], known: usize) -> Result<(), RuleError> {
    if has_spaces(text) {
        return Err(RuleError::Syntax);
    }
    if text.len() > PATTERN_BYTES_MAX {
        return Err(RuleError::PatternTooLong);
    }
    match known >= PATTERNS_MAX {
        true => Err(RuleError::TooMany),
        false => Ok(()),
    }
}

/// True if a name could not be told from several in a line of a file.
pub(crate) fn has_spaces(text: &[u8]) -> bool {
    let is_space = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0x0B);
    text.iter().any(is_space)
}

/// Joins the parts of a selector that stands in several words: from one that begins with `(` to one that ends with `)`.
///
/// # Errors
/// The words of a selector that does not end.
pub(crate) fn joined<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Vec<u8>>, Vec<u8>> {
    let mut rules = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for word in words {
        match open.take() {
            Some((first, mut text)) => {
                text.push(b' ');
                text.extend_from_slice(word);
                match word.last() {
                    Some(b')') => rules.push(text),
                    _ => open = Some((first, text)),
                }
            }
            None if word.first() == Some(&b'(') && word.last() != Some(&b')') => open = Some((word, word.to_vec())),
            None => rules.push(word.to_vec()),
        }
    }
    match open {
        Some((first, _)) => Err(first.to_vec()),
        None => Ok(rules),
    }
}

/// A rule inside an error: cut to a length, and without anything that could be taken for protocol.
pub(crate) fn shown(rule: &[u8]) -> String {
    let text = rule.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES_MAX)]);
    let printable = |character: char| if character.is_control() { ' ' } else { character };
    text.chars().map(printable).collect()
}
