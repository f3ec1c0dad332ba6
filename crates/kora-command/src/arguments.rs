//! The words of one request, with the checks that many commands share.

use bytes::Bytes;
use kora_resp::{Request, Words, number};
use kora_values::{StringValue, said_name};

use crate::Element;
use crate::error::ClientError;
use crate::limits::{COLLECTION_NAME_BYTES_MAX, KEY_BYTES_MAX};

/// The words of a request; word 0 is the command's name.
pub(crate) struct Arguments<'r> {
    request: &'r Request<'r>,
}

impl<'r> Arguments<'r> {
    pub(crate) fn new(request: &'r Request<'r>) -> Arguments<'r> {
        Arguments { request }
    }

    /// Words, the name included.
    pub(crate) fn count(&self) -> usize {
        self.request.len()
    }

    /// # Panics
    /// If there is no such word; arity was checked before.
    pub(crate) fn word(&self, index: usize) -> &'r [u8] {
        self.request.argument(index)
    }

    /// A word in its own memory: what outlives the command must not pin the connection's buffer.
    pub(crate) fn owned(&self, index: usize) -> Bytes {
        let kept = self.request.kept(index);
        kept.unwrap_or_else(|| Bytes::copy_from_slice(self.word(index)))
    }

    /// A word as the string that a key will hold: made here, it is not made again where the key lies.
    pub(crate) fn string(&self, index: usize) -> StringValue {
        match self.request.kept(index) {
            Some(bytes) => StringValue::keep(bytes),
            None => StringValue::new(self.word(index)),
        }
    }

    /// The words from `index` on, each in its own memory.
    pub(crate) fn owned_from(&self, index: usize) -> Vec<Bytes> {
        (index..self.count()).map(|index| self.owned(index)).collect()
    }

    /// A key of any type.
    pub(crate) fn key(&self, index: usize) -> Result<&'r [u8], ClientError> {
        let key = self.word(index);
        match said_name(key).len() {
            bytes if bytes > KEY_BYTES_MAX => Err(ClientError::KeyTooLong { bytes }),
            _ => Ok(key),
        }
    }

    /// The words from `index` on, of which the first and each `step`th behind it is a key.
    pub(crate) fn keys_from(&self, index: usize, step: usize) -> Result<Words, ClientError> {
        self.keys_between(index, self.count(), step)
    }

    /// The same words, of which none is a key from `end` on.
    pub(crate) fn keys_between(&self, index: usize, end: usize, step: usize) -> Result<Words, ClientError> {
        match self.too_long_key(index, end, step) {
            Some(bytes) => Err(ClientError::KeyTooLong { bytes }),
            None => Ok(self.request.words(index)),
        }
    }

    /// The name of a hash's field, in its own memory. As short as keys must be: patterns are held against both.
    pub(crate) fn field(&self, index: usize) -> Result<Bytes, ClientError> {
        let bytes = self.word(index).len();
        if bytes > KEY_BYTES_MAX {
            return Err(ClientError::FieldTooLong { bytes });
        }
        Ok(self.owned(index))
    }

    /// The words from `index` on, of which the first and each `step`th behind it is the name of a field.
    pub(crate) fn fields_from(&self, index: usize, step: usize) -> Result<Words, ClientError> {
        match self.too_long(index, self.count(), step) {
            Some(bytes) => Err(ClientError::FieldTooLong { bytes }),
            None => Ok(self.request.words(index)),
        }
    }

    /// How long the first is that is too long for a key, of the word at `index` and each `step`th behind it before `end`.
    fn too_long(&self, index: usize, end: usize, step: usize) -> Option<usize> {
        if self.request.length_max() <= KEY_BYTES_MAX {
            return None;
        }
        let mut lengths = self.request.lengths().take(end).skip(index).step_by(step);
        lengths.find(|bytes| *bytes > KEY_BYTES_MAX)
    }

    /// How long the first key is, without what says its database, that is too long: of words as in `too_long`.
    fn too_long_key(&self, index: usize, end: usize, step: usize) -> Option<usize> {
        if self.request.length_max() <= KEY_BYTES_MAX {
            return None;
        }
        let words = self.request.arguments().take(end).skip(index).step_by(step);
        let mut lengths = words.map(|word| said_name(word).len());
        lengths.find(|bytes| *bytes > KEY_BYTES_MAX)
    }

    /// The words from `index` on, as they lie in the request.
    pub(crate) fn words_from(&self, index: usize) -> Words {
        self.request.words(index)
    }

    /// How long the first word behind the name is that is longer than that.
    pub(crate) fn longer_than(&self, bytes_max: usize) -> Option<usize> {
        if self.request.length_max() <= bytes_max {
            return None;
        }
        let mut lengths = self.request.lengths().skip(1);
        lengths.find(|bytes| *bytes > bytes_max)
    }

    /// A whole number of 64 bits.
    pub(crate) fn integer(&self, index: usize) -> Result<i64, ClientError> {
        number::parse_i64(self.word(index)).ok_or(ClientError::NotInteger)
    }

    /// True if that word stands there, in any case of letters.
    pub(crate) fn is(&self, index: usize, word: &str) -> bool {
        index < self.count() && self.word(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &self,
        index: usize,
        what: &'static str,
        min: usize,
        max: usize,
    ) -> Result<usize, ClientError> {
        number::parse_i64(self.word(index))
            .and_then(|number| usize::try_from(number).ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| ClientError::OutOfRange {
                what,
                min,
                max,
                got: self.word(index).to_vec(),
            })
    }

    /// A collection's name.
    pub(crate) fn collection(&self, index: usize) -> Result<Bytes, ClientError> {
        vet_collection_name(self.word(index))?;
        Ok(self.owned(index))
    }

    /// A vector's key in its own memory.
    pub(crate) fn element(&self, index: usize) -> Result<Element, ClientError> {
        let colon = self.element_names(index)?.0.len();
        let key = self.owned(index);
        Ok(Element {
            collection: key.slice(..colon),
            name: key.slice(colon + 1..),
        })
    }

    /// A vector's key, taken apart: the collection stands before its last `:`.
    pub(crate) fn element_names(&self, index: usize) -> Result<(&'r [u8], &'r [u8]), ClientError> {
        let key = self.word(index);
        let bytes = said_name(key).len();
        if bytes > KEY_BYTES_MAX {
            return Err(ClientError::KeyTooLong { bytes });
        }
        let Some(colon) = key.iter().rposition(|byte| *byte == b':') else {
            return Err(ClientError::KeyWithoutCollection { key: key.to_vec() });
        };
        vet_collection_name(&key[..colon])?;
        Ok((&key[..colon], &key[colon + 1..]))
    }
}

/// Why this can't be a collection's name, if it can't.
pub fn vet_collection_name(name: &[u8]) -> Result<(), ClientError> {
    match said_name(name).len() {
        0 => Err(ClientError::NameEmpty),
        bytes if bytes > COLLECTION_NAME_BYTES_MAX => Err(ClientError::NameTooLong { bytes }),
        _ => Ok(()),
    }
}
