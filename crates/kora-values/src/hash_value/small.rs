//! A small hash: one piece of memory, looked through from the beginning.

/// Fields and values, in the order in which the fields came.
#[derive(Debug, Default)]
pub(super) struct SmallHash {
    /// For each field: its length, its name, its value's length, its value. A length is one byte.
    bytes: Vec<u8>,
    len: usize,
}

impl SmallHash {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn first_byte(&self) -> u8 {
        self.bytes.first().copied().unwrap_or(0)
    }

    pub(super) fn get(&self, field: &[u8]) -> Option<&[u8]> {
        self.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
    }

    /// Sets a field where it stands, or behind all others; whether it is new. Neither is longer than a byte can say.
    pub(super) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let Some((at, present)) = self.find(field) else {
            let added = field.len() + value.len() + 2;
            self.make_room(added);
            for text in [field, value] {
                self.bytes.push(length(text));
                self.bytes.extend_from_slice(text);
            }
            self.len += 1;
            return true;
        };
        let start = at + 1 + field.len();
        self.make_room(value.len().saturating_sub(present));
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
        self.len -= 1;
        true
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (field, behind) = next_text(rest)?;
            let (value, behind) = next_text(behind).expect("a value stands behind each field");
            rest = behind;
            Some((field, value))
        })
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Where a field begins, and how long its value is.
    fn find(&self, field: &[u8]) -> Option<(usize, usize)> {
        let mut at = 0;
        for (name, value) in self.iter() {
            if name == field {
                return Some((at, value.len()));
            }
            at += 2 + name.len() + value.len();
        }
        None
    }

    /// An eighth more than what is needed: there are many small hashes, and most do not grow for long.
    fn make_room(&mut self, added: usize) {
        if self.bytes.capacity() < self.bytes.len() + added {
            self.bytes.reserve_exact(added + self.bytes.len() / 8);
        }
    }
}

fn length(text: &[u8]) -> u8 {
    u8::try_from(text.len()).expect("what is longer makes a hash large")
}

fn next_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first()?;
    Some(rest.split_at(usize::from(*length)))
}

const _: () = assert!(super::SMALL_BYTES_MAX <= u8::MAX as usize);
