//! Patterns of keys and channels.

use std::sync::Arc;

use bytes::Bytes;
use kora_command::names_used::KeyUse;
use kora_resp::glob::{Case, Pattern};

/// A pattern of keys, and what may be done to the keys that it matches.
#[derive(Clone, Debug)]
pub(crate) struct KeyPattern {
    pub(crate) text: Bytes,
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    compiled: Arc<Pattern>,
}

impl KeyPattern {
    pub(crate) fn new(text: &[u8], reads: bool, writes: bool) -> KeyPattern {
        KeyPattern {
            text: Bytes::copy_from_slice(text),
            reads,
            writes,
            compiled: Arc::new(Pattern::new(text, Case::Sensitive)),
        }
    }

    /// True if it allows this use of a key.
    pub(crate) fn allows(&self, key: &[u8], key_use: KeyUse) -> bool {
        self.has_rights(key_use) && self.compiled.matches(key)
    }

    /// True if it allows this use of every key of a collection, whose name with a colon behind it is given. What ends in a
    /// star and matches that matches all that begins with it.
    pub(crate) fn covers(&self, prefix: &[u8], key_use: KeyUse) -> bool {
        self.has_rights(key_use) && self.compiled.ends_in_star() && self.compiled.matches(prefix)
    }

    fn has_rights(&self, key_use: KeyUse) -> bool {
        (self.reads || !key_use.reads) && (self.writes || !key_use.writes)
    }

    /// As a rule says it.
    pub(crate) fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match (self.reads, self.writes) {
            (true, true) => b"~",
            (true, false) => b"%R~",
            (false, _) => b"%W~",
        });
        out.extend_from_slice(&self.text);
    }
}

/// A pattern of channels.
#[derive(Clone, Debug)]
pub(crate) struct ChannelPattern {
    pub(crate) text: Bytes,
    compiled: Arc<Pattern>,
}

impl ChannelPattern {
    pub(crate) fn new(text: &[u8]) -> ChannelPattern {
        ChannelPattern {
            text: Bytes::copy_from_slice(text),
            compiled: Arc::new(Pattern::new(text, Case::Sensitive)),
        }
    }

    /// True if it allows this channel, or exactly this pattern of channels.
    pub(crate) fn allows(&self, name: &[u8], is_pattern: bool) -> bool {
        match is_pattern {
            true => self.text == name,
            false => self.compiled.matches(name),
        }
    }
}
