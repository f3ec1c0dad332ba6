//! One user.

use bytes::Bytes;
use kora_command::table::CommandEntry;
use kora_resp::Words;

use crate::denials::Denial;
use crate::limits::{PASSWORDS_MAX, SELECTORS_MAX};
use crate::passwords::PasswordHash;
use crate::rules::RuleError;
use crate::selector::{Selector, gravest};

/// A user: its passwords and what it may do.
#[derive(Clone, Debug)]
pub struct User {
    /// Its name.
    pub name: Bytes,
    /// Tells it from users that had this name before it.
    pub(crate) id: u64,
    /// It may log in.
    pub is_enabled: bool,
    /// Any password is right.
    pub needs_no_password: bool,
    /// Kept and shown, for files of Redis: there is no payload here that could be checked.
    skips_checks: bool,
    passwords: Vec<PasswordHash>,
    /// Its own rules.
    pub root: Selector,
    /// More rules: what one of them allows is allowed.
    pub selectors: Vec<Selector>,
    is_unlimited: bool,
}

impl User {
    /// One that may do nothing, but hear channels if new users may hear all of them.
    pub(crate) fn new(name: Bytes, id: u64, has_all_channels: bool) -> User {
        User {
            name,
            id,
            is_enabled: false,
            needs_no_password: false,
            skips_checks: false,
            passwords: Vec::new(),
            root: Selector::new(has_all_channels),
            selectors: Vec::new(),
            is_unlimited: false,
        }
    }

    /// The user `default` as it begins: it may do everything, without a password.
    pub(crate) fn unlimited(id: u64) -> User {
        let mut user = User::new(Bytes::from_static(b"default"), id, true);
        for rule in ["+@all", "~*", "on", "nopass"] {
            user.apply(rule.as_bytes(), true).expect("rules that there are");
        }
        user
    }

    /// True if its rules allow everything: they need not be asked.
    pub fn is_unlimited(&self) -> bool {
        self.is_unlimited
    }

    /// True if this is that user, as it is now or was before its rules changed.
    pub fn is_same_user(&self, other: &User) -> bool {
        self.id == other.id
    }

    /// Whether it may send this request. `is_collection` says whether a key is the name of a collection: what is done to
    /// that is done to the collection.
    ///
    /// # Errors
    /// What it may not do.
    pub fn check(
        &self,
        entry: &CommandEntry,
        words: &Words,
        is_collection: &dyn Fn(&[u8]) -> bool,
    ) -> Result<(), Denial> {
        if self.is_unlimited {
            return Ok(());
        }
        let mut found = Vec::new();
        for selector in self.all_selectors() {
            match selector.check(entry, words, is_collection) {
                Ok(()) => return Ok(()),
                Err(refusal) => found.push(refusal),
            }
        }
        Err(gravest(entry, words, found.into_iter()))
    }

    /// Whether it may go on to hear a channel, or a pattern of channels.
    pub fn may_hear(&self, name: &[u8], is_pattern: bool) -> bool {
        let mut selectors = self.all_selectors();
        selectors.any(|selector| selector.allows_channel(name, is_pattern))
    }

    /// Whether this password is right.
    pub(crate) fn accepts(&self, password: &[u8]) -> bool {
        let given = PasswordHash::of(password);
        // Each is compared: how long it takes tells nothing about which was right.
        let matches = self.passwords.iter().filter(|known| known.is(&given)).count();
        self.is_enabled && (self.needs_no_password || matches > 0)
    }

    /// What ACL GETUSER calls flags.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let flags = [
            (self.is_enabled, "on"),
            (!self.is_enabled, "off"),
            (self.needs_no_password, "nopass"),
            (self.skips_checks, "skip-sanitize-payload"),
            (!self.skips_checks, "sanitize-payload"),
        ];
        flags.into_iter().filter_map(|(is_set, flag)| is_set.then_some(flag))
    }

    /// The SHA-256 of each password.
    pub fn password_hashes(&self) -> impl Iterator<Item = String> {
        self.passwords.iter().map(PasswordHash::text)
    }

    /// All that there is to say of it, as a file has it.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = [b"user ", &self.name[..]].concat();
        let mut add = |word: &[u8]| {
            text.push(b' ');
            text.extend_from_slice(word);
        };
        self.flags().for_each(|flag| add(flag.as_bytes()));
        self.password_hashes()
            .for_each(|hash| add(format!("#{hash}").as_bytes()));
        add(&self.root.describe());
        for selector in &self.selectors {
            add(&[b"(", &selector.describe()[..], b")"].concat());
        }
        text
    }

    /// Applies a rule. `has_all_channels` is what new selectors begin with.
    ///
    /// # Errors
    /// What is wrong with it. What it would have changed may be changed in part.
    pub(crate) fn apply(&mut self, rule: &[u8], has_all_channels: bool) -> Result<(), RuleError> {
        let word = rule.to_ascii_lowercase();
        match &word[..] {
            b"" => {}
            b"on" => self.is_enabled = true,
            b"off" => self.is_enabled = false,
            b"nopass" => {
                self.needs_no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.needs_no_password = false;
                self.passwords.clear();
            }
            b"skip-sanitize-payload" => self.skips_checks = true,
            b"sanitize-payload" => self.skips_checks = false,
            b"clearselectors" => self.selectors.clear(),
            b"reset" => *self = User::new(self.name.clone(), self.id, has_all_channels),
            [b'>' | b'#' | b'<' | b'!', ..] => self.change_passwords(rule)?,
            [b'(', .., b')'] => {
                if self.selectors.len() >= SELECTORS_MAX {
                    return Err(RuleError::TooMany);
                }
                let mut selector = Selector::new(has_all_channels);
                let rules = crate::file::split_quoted(&rule[1..rule.len() - 1]).unwrap_or_default();
                if rules.iter().any(|rule| is_ambiguous(rule)) {
                    return Err(RuleError::Syntax);
                }
                rules.iter().try_for_each(|rule| selector.apply(rule))?;
                self.selectors.push(selector);
            }
            _ => self.root.apply(rule)?,
        }
        let is_unlimited = self.all_selectors().any(Selector::is_unlimited);
        self.is_unlimited = is_unlimited;
        Ok(())
    }

    fn change_passwords(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        let (sign, text) = (rule[0], &rule[1..]);
        let hash = match sign {
            b'>' | b'<' => PasswordHash::of(text),
            _ => PasswordHash::parse(text).ok_or(RuleError::Hash)?,
        };
        let known = self.passwords.iter().position(|known| known.is(&hash));
        match (sign, known) {
            (b'>' | b'#', None) if self.passwords.len() >= PASSWORDS_MAX => return Err(RuleError::TooMany),
            (b'>' | b'#', None) => self.passwords.push(hash),
            (b'>' | b'#', Some(_)) => {}
            (_, Some(place)) => drop(self.passwords.remove(place)),
            (_, None) => return Err(RuleError::NoSuchPassword),
        }
        if matches!(sign, b'>' | b'#') {
            self.needs_no_password = false;
        }
        Ok(())
    }

    fn all_selectors(&self) -> impl Iterator<Item = &Selector> {
        std::iter::once(&self.root).chain(&self.selectors)
    }
}

/// True of a rule that, inside a selector in a file, would be read otherwise than it is written.
fn is_ambiguous(rule: &[u8]) -> bool {
    rule.contains(&b'"') || rule.contains(&b'\'') || rule.ends_with(b")")
}
