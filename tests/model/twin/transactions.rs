//! What the twin says about transactions: one client after the other, so all of them are atomic here.

use bytes::Bytes;

use super::{Answer, Expected, Twin, Words};
use crate::name::Name;
use crate::say::Say;

/// What a connection has queued.
#[derive(Clone, Default, Debug)]
pub(crate) struct Transaction {
    queued: Vec<Vec<Vec<u8>>>,
    is_spoiled: bool,
}

/// What a connection watches.
#[derive(Clone, Default, Debug)]
pub(crate) struct Watched {
    /// With their databases.
    keys: Vec<(usize, Bytes)>,
    is_overtaken: bool,
}

impl Twin {
    /// Whoever watches this key hears that it was changed.
    pub(super) fn touch(&mut self, key: &Bytes) {
        let key = (self.database, key.clone());
        for session in self.sessions.values_mut() {
            session.watched.is_overtaken |= session.watched.keys.contains(&key);
        }
    }

    /// The words that are refused before they are queued spoil the transaction.
    pub(super) fn spoil(&mut self, id: u64) {
        if let Some(transaction) = &mut self.session(id).transaction {
            transaction.is_spoiled = true;
        }
    }

    /// Queues a command, if its client is in a transaction.
    pub(super) fn queue(&mut self, id: u64, name: Name, words: &Words<'_>) -> Option<Expected> {
        let is_control = matches!(
            name,
            Name::Exec | Name::Discard | Name::Multi | Name::Watch | Name::Quit | Name::Reset
        );
        if is_control || self.session(id).transaction.is_none() {
            return None;
        }
        let refusal = match name {
            Name::AclLoad | Name::AclSave | Name::BgRewriteAof | Name::Save => {
                Some("ERR Command not allowed inside a transaction")
            }
            Name::BgSave if super::server::are_save_words(name, words) => {
                Some("ERR Command not allowed inside a transaction")
            }
            Name::WaitAof if super::compatibility::are_wait_words(words) => {
                Some("ERR Command not allowed inside a transaction")
            }
            Name::ConfigRewrite => Some("ERR Command not allowed inside a transaction"),
            // If its names are none, it is refused when it would be executed.
            Name::VecAliasAdd | Name::VecAliasDel | Name::VecAliasSet
                if (2..words.count()).all(|index| words.collection(index).is_ok()) =>
            {
                Some("ERR Command not allowed inside a transaction")
            }
            Name::ClientTracking if super::observing::are_tracking_words(words) => {
                Some("ERR Command not allowed inside a transaction")
            }
            Name::Shutdown if self.shutdown_words(words) => Some("ERR Command not allowed inside a transaction"),
            _ if spreads(name, words) || self.msetex_spreads(name, words) => {
                Some("CROSSSLOT Keys in request don't hash to the same slot")
            }
            _ => None,
        };
        let transaction = self.session(id).transaction.as_mut()?;
        Some(Expected::Reply(match refusal {
            Some(refusal) => {
                transaction.is_spoiled = true;
                Say::Error(refusal.to_owned())
            }
            None => {
                transaction.queued.push(words.0.to_vec());
                Say::Simple("QUEUED")
            }
        }))
    }

    pub(super) fn transaction_command(&mut self, id: u64, name: Name, words: &Words<'_>) -> Answer {
        let in_transaction = self.session(id).transaction.is_some();
        match name {
            Name::Multi if in_transaction => Say::error("ERR MULTI calls can not be nested"),
            Name::Multi => {
                self.session(id).transaction = Some(Transaction::default());
                Ok(Expected::Reply(Say::ok()))
            }
            Name::Discard if !in_transaction => Say::error("ERR DISCARD without MULTI"),
            Name::Watch if in_transaction => {
                // Keys that are none are refused when it would be queued, as everything else about the words is not.
                match words.keys(1, 1) {
                    Ok(_) => Say::error("ERR WATCH inside MULTI is not allowed"),
                    Err(_) => Ok(Expected::Reply(Say::Simple("QUEUED"))),
                }
            }
            Name::Watch => {
                let keys = words.keys(1, 1)?;
                let database = self.database;
                let watched = &mut self.session(id).watched;
                let before = watched.keys.iter().map(|(_, key)| key);
                let mut slots = before.chain(&keys).map(|key| slot(key));
                let first = slots.next();
                if slots.any(|slot| Some(slot) != first) {
                    return Say::error("CROSSSLOT Keys in request don't hash to the same slot");
                }
                watched.keys.extend(keys.into_iter().map(|key| (database, key)));
                Ok(Expected::Reply(Say::ok()))
            }
            Name::Discard | Name::Unwatch => {
                self.forget_transaction(id);
                Ok(Expected::Reply(Say::ok()))
            }
            _ => self.exec(id),
        }
    }

    pub(super) fn forget_transaction(&mut self, id: u64) {
        self.session(id).watched = Watched::default();
        self.session(id).transaction = None;
    }

    fn exec(&mut self, id: u64) -> Answer {
        let watched = std::mem::take(&mut self.session(id).watched);
        let Some(transaction) = self.session(id).transaction.take() else {
            self.session(id).watched = watched;
            return Say::error("ERR EXEC without MULTI");
        };
        if transaction.is_spoiled {
            return Say::error("EXECABORT Transaction discarded because of previous errors.");
        }
        if watched.is_overtaken {
            return Ok(Expected::Reply(Say::NullArray));
        }
        let answer = |words: &Vec<Vec<u8>>| {
            let name = Name::find(&words[0]).expect("it was found when it was queued");
            let name = match name.is_container() && words.len() > 1 {
                true => Name::find(&[&words[0], b"|".as_slice(), &words[1]].concat()).unwrap_or(name),
                false => name,
            };
            match name {
                Name::Unwatch => Expected::Reply(Say::ok()),
                name => self.execute(id, name, &Words(words)).unwrap_or_else(Expected::Reply),
            }
        };
        Ok(Expected::Many(transaction.queued.iter().map(answer).collect()))
    }
}

impl Twin {
    /// The same of MSETEX, which is all or nothing only on a condition.
    fn msetex_spreads(&self, name: Name, words: &Words<'_>) -> bool {
        name == Name::MSetEx
            && self.msetex_words(words).is_ok_and(|(keys, options)| {
                ["NX", "XX"].iter().any(|word| options.flags.contains(word))
                    && keys.iter().any(|key| slot(key) != slot(&keys[0]))
            })
    }
}

/// True if it is all or nothing and its keys have several slots.
fn spreads(name: Name, words: &Words<'_>) -> bool {
    let keys = match name {
        Name::Rename | Name::RenameNx => words.keys(1, 1),
        Name::Copy if super::keys::copy_options(words).is_ok() => {
            Ok((1..=2).map(|index| words.owned(index)).collect::<Vec<Bytes>>())
        }
        Name::MSetNx if !words.count().is_multiple_of(2) => words.keys(1, 2),
        _ => return false,
    };
    let keys = keys.unwrap_or_default();
    keys.iter().any(|key| slot(key) != slot(&keys[0]))
}

/// The slot of a key, as Redis Cluster's specification computes it.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|start| {
        let length = key[start + 1..].iter().position(|byte| *byte == b'}')?;
        (length > 0).then(|| &key[start + 1..start + 1 + length])
    });
    let mut crc: u16 = 0;
    for byte in tag.unwrap_or(key) {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
        }
    }
    crc % 16384
}
