//! The words of one request, with the checks that many commands share.

use bytes::Bytes;
use kora_resp::{Request, Words, number};
use kora_values::{StringValue, said_name};

use crate::Element;
use crate::error::ClientError;
use crate::limits::{COLLECTION_NAME_BYTES_MAX, KEY_BYTES_MAX};
use crate::name_error::NameError;

/// The words of a request; word 0 is the command's name.
pub(crate) struct Arguments<'r> {
    request: &'r Request<'r>,
    /// So many words behind the first are passed over: three of `COLLECTION c ELEMENT e`, which stands for one key.
    passed_over: usize,
}

impl<'r> Arguments<'r> {
    pub(crate) fn new(request: &'r Request<'r>) -> Arguments<'r> {
        Arguments {
            request,
            passed_over: 0,
        }
    }

    /// The same words, in which the first may name an element by `COLLECTION c ELEMENT e`: those four are one then.
    pub(crate) fn with_first_element(&self) -> Result<Arguments<'r>, ClientError> {
        let passed_over = match self.is_named_element(1)? {
            true => NAMED_ELEMENT_WORDS - 1,
            false => 0,
        };
        Ok(Arguments {
            request: self.request,
            passed_over,
        })
    }

    /// True if the first word names an element by `COLLECTION c ELEMENT e`.
    pub(crate) fn has_named_element(&self) -> bool {
        self.passed_over > 0
    }

    fn place(&self, index: usize) -> usize {
        match index {
            0 | 1 => index,
            _ => index + self.passed_over,
        }
    }

    /// Words, the name included.
    pub(crate) fn count(&self) -> usize {
        self.request.len() - self.passed_over
    }

    /// # Panics
    /// If there is no such word; arity was checked before.
    pub(crate) fn word(&self, index: usize) -> &'r [u8] {
        self.request.argument(self.place(index))
    }

    /// A word in its own memory: what outlives the command must not pin the connection's buffer.
    pub(crate) fn owned(&self, index: usize) -> Bytes {
        let kept = self.request.kept(self.place(index));
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

    /// Whether an element is named from there on by `COLLECTION c ELEMENT e`. COLLECTION can be no vector's key: it has no `:`.
    pub(crate) fn is_named_element(&self, index: usize) -> Result<bool, ClientError> {
        if !self.is(index, COLLECTION) {
            return Ok(false);
        }
        match self.is(index + 2, ELEMENT) && index + 3 < self.count() {
            true => Ok(true),
            false => Err(NameError::ElementSyntax.into()),
        }
    }

    /// Collection and name of an element that is named by two words, whatever bytes they are.
    pub(crate) fn named_element(&self, collection: usize, name: usize) -> Result<(&'r [u8], &'r [u8]), ClientError> {
        let (collection, name) = (self.request.argument(collection), self.request.argument(name));
        vet_collection_name(collection)?;
        match collection.len() + 1 + name.len() {
            bytes if bytes > KEY_BYTES_MAX => Err(ClientError::KeyTooLong { bytes }),
            _ => Ok((collection, name)),
        }
    }

    /// An element where a list of options goes on, by its key or by `COLLECTION c ELEMENT e`; and the place behind it.
    pub(crate) fn element_and_end(&self, index: usize) -> Result<(Element, usize), ClientError> {
        match self.is_named_element(index)? {
            true => {
                let (collection, name) = self.named_element(index + 1, index + 3)?;
                Ok((Element::copied(collection, name), index + NAMED_ELEMENT_WORDS))
            }
            false => Ok((self.element(index)?, index + 1)),
        }
    }

    /// A vector's key in its own memory.
    pub(crate) fn element(&self, index: usize) -> Result<Element, ClientError> {
        if index == 1 && self.has_named_element() {
            let (collection, name) = self.named_element(2, 4)?;
            return Ok(Element::copied(collection, name));
        }
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

/// The words that name an element exactly.
pub(crate) const COLLECTION: &str = "COLLECTION";
pub(crate) const ELEMENT: &str = "ELEMENT";

/// `COLLECTION c ELEMENT e`
const NAMED_ELEMENT_WORDS: usize = 4;

/// Why this can't be a collection's name, if it can't.
pub fn vet_collection_name(name: &[u8]) -> Result<(), ClientError> {
    match said_name(name).len() {
        0 => Err(ClientError::NameEmpty),
        bytes if bytes > COLLECTION_NAME_BYTES_MAX => Err(ClientError::NameTooLong { bytes }),
        _ => Ok(()),
    }
}
