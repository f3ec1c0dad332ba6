//! What the twin says about aliases, and about elements that are named by two words. It rewrites a request before it looks at
//! it: into one that says the collection's own name, and keys.

use bytes::Bytes;

use super::{Answer, Expected, Twin, Words, quoted, wrong_arity};
use crate::name::{Family, Name};
use crate::say::Say;

impl Twin {
    pub(super) fn alias_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        match name {
            Name::VecAliasList if words.count() > 3 => Err(wrong_arity(name)),
            Name::VecAliasList => {
                let wanted = (words.count() == 3).then(|| words.collection(2)).transpose()?;
                let all = self.aliases.iter();
                let all = all.filter(|(_, meant)| wanted.as_ref().is_none_or(|wanted| wanted == *meant));
                let pair = |(alias, meant): (&Bytes, &Bytes)| (Say::Bulk(alias.clone()), Say::Bulk(meant.clone()));
                Ok(Expected::Reply(Say::Map(all.map(pair).collect())))
            }
            Name::VecAliasDel => {
                let was_there = self.aliases.remove(&words.collection(2)?).is_some();
                Ok(Expected::Reply(Say::Integer(i64::from(was_there))))
            }
            _ => {
                let (alias, collection) = (words.collection(2)?, words.collection(3)?);
                if let (Name::VecAliasAdd, Some(meant)) = (name, self.aliases.get(&alias)) {
                    let (alias, meant) = (quoted(&alias), quoted(meant));
                    return Say::error(format!(
                        "ERR '{alias}' is an alias of '{meant}' already: VECALIAS SET changes it"
                    ));
                }
                if self.collections.contains_key(&alias) {
                    return Say::error(format!("ERR collection '{}' already exists", quoted(&alias)));
                }
                if !self.collections.contains_key(&collection) {
                    self.refuse_alias(&collection)?;
                    return Say::error(format!("ERR no such collection '{}'", quoted(&collection)));
                }
                self.aliases.insert(alias, collection);
                Ok(Expected::Reply(Say::ok()))
            }
        }
    }

    /// The name of a collection is wanted, and this is an alias.
    pub(super) fn refuse_alias(&self, name: &Bytes) -> Result<(), Say> {
        match self.aliases.get(name) {
            None => Ok(()),
            Some(meant) => Say::error(format!(
                "ERR '{}' is an alias of '{}': the collection's own name is wanted here",
                quoted(name),
                quoted(meant)
            )),
        }
    }

    /// The aliases of a collection.
    pub(super) fn aliases_of(&self, name: &Bytes) -> Say {
        let all = self.aliases.iter().filter(|(_, meant)| *meant == name);
        Say::Array(all.map(|(alias, _)| Say::Bulk(alias.clone())).collect())
    }

    /// The words of a command on vectors without aliases, and with keys for elements that are named by two words.
    pub(super) fn own_words(&self, name: Name, words: &Words<'_>) -> Result<Vec<Vec<u8>>, Say> {
        let mut own = with_keys(name, words)?;
        match name {
            Name::VecCreate | Name::VecDrop | Name::VecList => {}
            name if name.family() == Family::VectorSet => {
                if let Some(meant) = own.get(1).and_then(|word| self.aliases.get(&word[..])) {
                    own[1] = meant.to_vec();
                }
            }
            Name::VecInfo | Name::VecRecall => self.rename(&mut own[1]),
            Name::VecDel => own[1..].iter_mut().for_each(|word| self.rename_key(word)),
            Name::VecMSet => {
                let keys = own.iter_mut().skip(2).step_by(2);
                keys.for_each(|word| self.rename_key(word));
            }
            Name::VecQuery | Name::VecExplain => {
                self.rename_target(&mut own[1]);
                for at in 3..own.len() {
                    let before = own[at - 1].to_ascii_uppercase();
                    // A second key behind NOT has a colon, as nothing else has where options stand.
                    let is_key = (before == b"KEY" && at == 4) || before == b"NOT";
                    if is_key || (at > 4 && own[at].contains(&b':')) {
                        self.rename_key(&mut own[at]);
                    }
                }
            }
            Name::VecMQuery => {
                self.rename_target(&mut own[1]);
                // Behind n, k and FP32 stand blobs. Of what follows only keys have a colon.
                let blobs = words.number(2, "n", 1, 1024).unwrap_or(own.len());
                let options = own.iter_mut().skip(5 + blobs);
                options.for_each(|word| self.rename_key(word));
            }
            _ => self.rename_key(&mut own[1]),
        }
        Ok(own)
    }

    fn rename(&self, word: &mut Vec<u8>) {
        if let Some(meant) = self.aliases.get(&word[..]) {
            *word = meant.to_vec();
        }
    }

    fn rename_key(&self, word: &mut Vec<u8>) {
        let Some(colon) = word.iter().rposition(|byte| *byte == b':') else {
            return;
        };
        if let Some(meant) = self.aliases.get(&word[..colon]) {
            *word = [&meant[..], &word[colon..]].concat();
        }
    }

    fn rename_target(&self, word: &mut Vec<u8>) {
        if self.aliases.contains_key(&word[..]) {
            self.rename(word);
        } else if !self.collections.contains_key(&word[..]) {
            self.rename_key(word);
        }
    }
}

/// The words in which `COLLECTION c ELEMENT e` is one key. Programs name no element so that has a `:` in its name.
fn with_keys(name: Name, words: &Words<'_>) -> Result<Vec<Vec<u8>>, Say> {
    let own = words.0.to_vec();
    let starts_at = match name {
        Name::VecSet | Name::VecGet | Name::VecDel => 1,
        // The dimension is looked at first.
        Name::VecMSet if words.number(1, "dim", 1, 65_536).is_ok() => 2,
        Name::VecQuery | Name::VecExplain if words.is(3, "KEY") && words.count() > 4 => 4,
        _ => return Ok(own),
    };
    if !words.is(starts_at, "COLLECTION") {
        return Ok(own);
    }
    let refused = || Say::Error(ELEMENT_SYNTAX.to_owned());
    if !words.is(starts_at + 2, "ELEMENT") || starts_at + 3 >= words.count() {
        return match (name, words.number(2, "k", 1, 100_000)) {
            // And so is k.
            (Name::VecQuery | Name::VecExplain, Err(refusal)) => Err(refusal),
            _ => Err(refused()),
        };
    }
    let key = |at: usize| [&own[starts_at + 1][..], b":", &own[at][..]].concat();
    let (mut all, mut rest) = (own[..starts_at].to_vec(), starts_at + 2);
    let step = match name {
        Name::VecDel => 2,
        Name::VecMSet => 3,
        _ => {
            all.push(key(starts_at + 3));
            all.extend_from_slice(&own[starts_at + 4..]);
            return match name {
                Name::VecSet if all.len() < 4 => Err(wrong_arity(name)),
                _ => Ok(all),
            };
        }
    };
    if name == Name::VecMSet && !(own.len() - rest).is_multiple_of(step) {
        return Err(wrong_arity(name));
    }
    while rest < own.len() {
        if !words.is(rest, "ELEMENT") || rest + 1 == own.len() {
            return Err(refused());
        }
        all.push(key(rest + 1));
        all.extend_from_slice(&own[rest + 2..rest + step]);
        rest += step;
    }
    Ok(all)
}

const ELEMENT_SYNTAX: &str =
    "ERR an element is named by its key, or by COLLECTION, its collection's name, ELEMENT and its name there";
