//! What the twin says about databases: it holds the data of one, that of the client that speaks, and puts the others aside.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::values::Held;
use super::{Answer, Collection, Expected, Twin, Words};
use crate::say::Say;

/// What one database holds.
#[derive(Default)]
pub(super) struct Data {
    collections: BTreeMap<Bytes, Collection>,
    values: BTreeMap<Bytes, Held>,
    vector_expiries: BTreeMap<Bytes, i64>,
    attributes: BTreeMap<Bytes, Bytes>,
    aliases: BTreeMap<Bytes, Bytes>,
}

impl Twin {
    /// Takes the data of a database at hand.
    pub(crate) fn go_to(&mut self, database: usize) {
        if self.database == database {
            return;
        }
        let next = self.aside.remove(&database).unwrap_or_default();
        let last = Data {
            collections: std::mem::replace(&mut self.collections, next.collections),
            values: std::mem::replace(&mut self.values, next.values),
            vector_expiries: std::mem::replace(&mut self.vector_expiries, next.vector_expiries),
            attributes: std::mem::replace(&mut self.attributes, next.attributes),
            aliases: std::mem::replace(&mut self.aliases, next.aliases),
        };
        self.aside.insert(self.database, last);
        self.database = database;
    }

    /// Does something in each database, and is then where it was.
    pub(super) fn in_each_database(&mut self, mut act: impl FnMut(&mut Twin)) {
        let here = self.database;
        for database in 0..DATABASES {
            self.go_to(database);
            act(self);
        }
        self.go_to(here);
    }

    pub(super) fn select(&mut self, id: u64, words: &Words<'_>) -> Answer {
        let database = database(words, 1)?;
        let database = database.ok_or_else(|| Say::Error("ERR DB index is out of range".to_owned()))?;
        self.session(id).database = database;
        Ok(Expected::Reply(Say::ok()))
    }
}

/// The database of this number, if there is one.
pub(super) fn database(words: &Words<'_>, index: usize) -> Result<Option<usize>, Say> {
    let number = words.needed_integer(index)?;
    let range = (i32::MIN, i32::MAX);
    let refusal = || {
        let text = format!(
            "ERR value is out of range, value must between {} and {}",
            range.0, range.1
        );
        Say::Error(text)
    };
    let number = i32::try_from(number).map_err(|_| refusal())?;
    Ok(usize::try_from(number).ok().filter(|number| *number < DATABASES))
}

/// The same for MOVE and COPY.
pub(super) fn other_database(words: &Words<'_>, index: usize) -> Result<usize, Say> {
    database(words, index)?.ok_or_else(|| Say::Error("ERR DB index is out of range".to_owned()))
}

/// How many the servers under test have.
const DATABASES: usize = 16;
