//! Hashes of a running server, with the deadlines of their fields.

use std::borrow::Borrow;

use super::{Key, ServerSource, Walk};
use crate::error::TransferError;
use crate::limits::FIELDS_MAX;
use crate::reply::Reply;
use crate::row::{Content, Fields};

impl ServerSource {
    pub(super) fn read_hashes(&mut self, keys: Vec<Key>) -> Result<(), TransferError> {
        let lengths = self.numbers(b"HLEN", &keys)?;
        let (small, large): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .zip(lengths)
            .partition(|(_, length)| *length <= FIELDS_MAX);
        for (key, _) in &small {
            self.connection.push(&[b"HGETALL", &key.key]);
        }
        self.connection.flush()?;
        let mut read = Vec::new();
        for (key, _) in small {
            match self.connection.reply()? {
                Reply::Array(items) => read.push((key, pairs(items))),
                reply => self.note_odd(&key.key, reply),
            }
        }
        self.push_hashes(&mut read, false)?;
        self.walks.extend(large.into_iter().map(|(key, _)| Walk::Hash {
            key,
            cursor: "0".to_owned(),
            continues: false,
        }));
        Ok(())
    }

    /// Hands over hashes or parts of some, with the deadlines of their fields. False if nothing is left of them.
    pub(super) fn push_hashes<K: Borrow<Key>>(
        &mut self,
        hashes: &mut [(K, Fields)],
        continues: bool,
    ) -> Result<bool, TransferError> {
        let (mut is_some, mut rest) = (false, hashes);
        while !rest.is_empty() {
            // Not so many at once that the server waits for its replies to be read before it reads all of the requests.
            let (mut count, mut fields) = (0, 0);
            while count < rest.len() && (count == 0 || fields + rest[count].1.len() <= FIELDS_MAX) {
                fields += rest[count].1.len();
                count += 1;
            }
            let (group, behind) = rest.split_at_mut(count);
            is_some |= self.push_group(group, continues)?;
            rest = behind;
        }
        Ok(is_some)
    }

    fn push_group<K: Borrow<Key>>(
        &mut self,
        hashes: &mut [(K, Fields)],
        continues: bool,
    ) -> Result<bool, TransferError> {
        hashes.iter().for_each(|(key, fields)| {
            if self.tells_field_deadlines && !fields.is_empty() {
                let count = fields.len().to_string();
                let mut words: Vec<&[u8]> = vec![b"HPEXPIRETIME", &key.borrow().key, b"FIELDS", count.as_bytes()];
                words.extend(fields.iter().map(|(field, _)| field.as_slice()));
                self.connection.push(&words);
            }
        });
        self.connection.flush()?;
        let mut is_some = false;
        for (key, fields) in hashes {
            let (key, mut fields): (&Key, Fields) = ((*key).borrow(), std::mem::take(fields));
            let mut deadlines = Vec::new();
            if self.tells_field_deadlines && !fields.is_empty() {
                let times = self.connection.reply()?.into_array().unwrap_or_default();
                let mut times = times.iter().map(|time| time.integer().unwrap_or(-1));
                fields.retain(|(field, _)| {
                    let time = times.next().unwrap_or(-1);
                    deadlines.extend(u64::try_from(time).ok().map(|at_ms| (field.clone(), at_ms)));
                    // It has expired since it was read.
                    time != -2
                });
            }
            if !fields.is_empty() {
                is_some = true;
                self.waiting.push_back(Ok(key.row(Content::Hash {
                    fields,
                    deadlines,
                    continues,
                })));
            }
        }
        Ok(is_some)
    }
}

/// Fields with their values, from a list in which they alternate.
pub(super) fn pairs(items: Vec<Reply>) -> Fields {
    let mut items = items.into_iter().filter_map(Reply::into_bulk);
    let mut fields = Vec::new();
    while let (Some(field), Some(value)) = (items.next(), items.next()) {
        fields.push((field, value));
    }
    fields
}
