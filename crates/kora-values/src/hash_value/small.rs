//! A small hash: one piece of memory, looked through from the beginning.

use crate::block::block_bytes;

/// Fields and values, in the order in which the fields came.
#[derive(Debug, Default)]
pub(super) struct SmallHash {
    /// For each field: its length, its name, its value's length, its value. A length is one byte.
    bytes: Vec<u8>,
}

/// The bytes of a small hash, wherever they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct SmallRef<'a>(pub(super) &'a [u8]);

impl<'a> SmallRef<'a> {
    pub(super) fn len(self) -> usize {
        self.iter().count()
    }

    pub(super) fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }

    pub(super) fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (field, behind) = next_text(rest)?;
            let (value, behind) = next_text(behind).expect("a value stands behind each field");
            rest = behind;
            Some((field, value))
        })
    }
}

impl SmallHash {
    pub(super) fn view(&self) -> SmallRef<'_> {
        SmallRef(&self.bytes)
    }

    /// Becomes the hash of these bytes.
    pub(super) fn load(&mut self, bytes: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
    }

    /// Sets a field where it stands, or behind all others; whether it is new. Neither is longer than a byte can say.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let Some((at, present)) = self.find(field) else {
            let added = field.len() + value.len() + 2;
            make_room(&mut self.bytes, added);
            for text in [field, value] {
                self.bytes.push(length(text));
                self.bytes.extend_from_slice(text);
            }
            return true;
        };
        let start = at + 1 + field.len();
        make_room(&mut self.bytes, value.len().saturating_sub(present));
        self.bytes[start] = length(value);
        self.bytes.splice(start + 1..start + 1 + present, value.iter().copied());
        false
    }

    /// Deletes a field; whether there was one.
    pub(super) fn remove(&mut self, field: &[u8]) -> bool {
        let Some((at, value_bytes)) = self.find(field) else {
            return false;
        };
        self.bytes.drain(at..at + 2 + field.len() + value_bytes);
        self.bytes.shrink_to(self.bytes.len() * 2);
        true
    }

    pub(super) fn heap_bytes(&self) -> usize {
        block_bytes(self.bytes.capacity())
    }

    /// Where a field begins, and how long its value is.
    fn find(&self, field: &[u8]) -> Option<(usize, usize)> {
        let mut at = 0;
        for (name, value) in self.view().iter() {
            if name == field {
                return Some((at, value.len()));
            }
            at += 2 + name.len() + value.len();
        }
        None
    }
}

/// Makes room for an eighth more than what is needed: there are many small hashes, and most do not grow for long.
pub(super) fn make_room(bytes: &mut Vec<u8>, added: usize) {
    if bytes.capacity() < bytes.len() + added {
        bytes.reserve_exact(added + bytes.len() / 8);
    }
}

pub(super) fn length(text: &[u8]) -> u8 {
    u8::try_from(text.len()).expect("what is longer makes a hash large")
}

pub(super) fn next_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    Some(rest.split_at(usize::from(*length)))
}

const _: () = assert!(super::SMALL_BYTES_MAX <= u8::MAX as usize);
