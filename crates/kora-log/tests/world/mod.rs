//! A small world of keys and vectors, and what records make of it.

use std::collections::{BTreeMap, BTreeSet};

use kora_log::record::{
    Cause, Deadline, Record, encode_field_deadlines, encode_fields, encode_fields_gone, encode_vector, put_text,
};

/// What a shard holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct World {
    pub keys: BTreeMap<Vec<u8>, (Value, Deadline)>,
    pub vectors: BTreeMap<(u64, Vec<u8>), (Vec<u8>, Deadline)>,
    pub collections: BTreeSet<u64>,
    next_generation: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(Vec<u8>),
    /// Fields with their values and deadlines.
    Hash(BTreeMap<Vec<u8>, (Vec<u8>, Deadline)>),
}

/// What a client asks. Keys and fields are numbers below a few.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Set(u8, Vec<u8>, Option<u64>),
    Append(u8, Vec<u8>),
    SetField(u8, u8, Vec<u8>),
    DeleteField(u8, u8),
    ExpireField(u8, u8, Option<u64>),
    Expire(u8, u64),
    Delete(u8),
    Rename(u8, u8),
    Flush,
    Create,
    Vector(u8, u8, Option<u64>),
    DeleteVector(u8),
    Drop,
}

impl World {
    /// Does what is asked, and writes what became true.
    pub(crate) fn execute(&mut self, wish: &Wish, out: &mut Vec<u8>) {
        let key = |number: &u8| vec![b'k', *number];
        match wish {
            Wish::Set(number, value, ms) => {
                let deadline = deadline(*ms);
                self.put(key(number), (Value::String(value.clone()), deadline), out);
            }
            Wish::Append(number, bytes) => match self.keys.get_mut(&key(number)) {
                Some((Value::String(old), _)) => {
                    let offset = old.len() as u64;
                    old.extend_from_slice(bytes);
                    let key = key(number);
                    let (key, bytes) = (&key[..], &bytes[..]);
                    Record::Patch { key, offset, bytes }.encode(out);
                }
                Some((Value::Hash(_), _)) => {}
                None => self.put(key(number), (Value::String(bytes.clone()), Deadline::Never), out),
            },
            Wish::SetField(number, field, value) => {
                let key = key(number);
                if !self.keys.contains_key(&key) {
                    self.put(key.clone(), (Value::Hash(BTreeMap::new()), Deadline::Never), out);
                }
                if let Some((Value::Hash(fields), _)) = self.keys.get_mut(&key) {
                    let held = (value.clone(), Deadline::Never);
                    put_field(out, &key, &[*field], &held);
                    fields.insert(vec![*field], held);
                }
            }
            Wish::DeleteField(number, field) => {
                let key = key(number);
                let Some((Value::Hash(fields), _)) = self.keys.get_mut(&key) else {
                    return;
                };
                if fields.remove(&vec![*field]).is_some() {
                    encode_fields_gone(out, &key, [&[*field][..]].into_iter());
                }
                if fields.is_empty() {
                    self.remove(&key, Cause::Command, out);
                }
            }
            Wish::ExpireField(number, field, ms) => {
                let key = key(number);
                if let Some((Value::Hash(fields), _)) = self.keys.get_mut(&key)
                    && let Some((_, due)) = fields.get_mut(&vec![*field])
                {
                    *due = deadline(*ms);
                    encode_field_deadlines(out, &key, [(&[*field][..], *due)].into_iter());
                }
            }
            Wish::Expire(number, ms) => {
                let key = key(number);
                if let Some((_, old)) = self.keys.get_mut(&key) {
                    *old = Deadline::At(*ms);
                    let deadline = *old;
                    Record::Deadline { key: &key, deadline }.encode(out);
                }
            }
            Wish::Delete(number) => self.remove(&key(number), Cause::Command, out),
            Wish::Rename(from, to) => {
                if let Some(entry) = self.keys.get(&key(from)).cloned()
                    && from != to
                {
                    self.remove(&key(from), Cause::Replaced, out);
                    self.put(key(to), entry, out);
                }
            }
            Wish::Flush => {
                self.keys.clear();
                self.vectors.clear();
                self.collections.clear();
                let generation = self.next_generation;
                Record::Flush { generation }.encode(out);
            }
            Wish::Create => {
                let generation = self.next_generation;
                self.next_generation += 1;
                self.collections.insert(generation);
                Record::Create {
                    generation,
                    collection: b"c",
                    schema: b"s",
                    deadline: Deadline::Never,
                }
                .encode(out);
            }
            Wish::Vector(name, component, ms) => {
                let Some(&generation) = self.collections.last() else {
                    return;
                };
                let vector = [f32::from(*component)];
                let row = (vector[0].to_le_bytes().to_vec(), deadline(*ms));
                encode_vector(out, (generation, b"c"), &[*name], &vector, row.1);
                self.vectors.insert((generation, vec![*name]), row);
            }
            Wish::DeleteVector(name) => {
                let Some(&generation) = self.collections.last() else {
                    return;
                };
                if self.vectors.remove(&(generation, vec![*name])).is_some() {
                    Record::VectorGone {
                        generation,
                        collection: b"c",
                        name: &[*name],
                        cause: Cause::Command,
                    }
                    .encode(out);
                }
            }
            Wish::Drop => {
                if let Some(generation) = self.collections.pop_last() {
                    self.vectors.retain(|(other, _), _| *other != generation);
                    let cause = Cause::Dropped;
                    Record::Drop {
                        generation,
                        collection: b"c",
                        cause,
                    }
                    .encode(out);
                }
            }
        }
    }

    /// Makes true what a record says.
    pub(crate) fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::Set { key, value, deadline } => {
                self.keys
                    .insert(key.to_vec(), (Value::String(value.to_vec()), deadline));
            }
            Record::Hash { key, deadline } => {
                self.keys.insert(key.to_vec(), (Value::Hash(BTreeMap::new()), deadline));
            }
            Record::Fields { key, fields } => {
                if let Some((Value::Hash(known), _)) = self.keys.get_mut(key) {
                    let texts: Vec<&[u8]> = fields.iter().collect();
                    for pair in texts.chunks_exact(2) {
                        known.insert(pair[0].to_vec(), (pair[1].to_vec(), Deadline::Never));
                    }
                }
            }
            Record::FieldDeadlines { key, fields } => {
                if let Some((Value::Hash(known), _)) = self.keys.get_mut(key) {
                    for (name, deadline) in fields.iter() {
                        if let Some((_, due)) = known.get_mut(name) {
                            *due = deadline;
                        }
                    }
                }
            }
            Record::FieldsGone { key, names } => {
                if let Some((Value::Hash(known), _)) = self.keys.get_mut(key) {
                    names.iter().for_each(|name| drop(known.remove(name)));
                }
            }
            Record::Patch { key, offset, bytes } => {
                if let Some((Value::String(known), _)) = self.keys.get_mut(key) {
                    let end = offset as usize + bytes.len();
                    known.resize(known.len().max(end), 0);
                    known[offset as usize..end].copy_from_slice(bytes);
                }
            }
            Record::Deadline { key, deadline } => {
                if let Some((_, known)) = self.keys.get_mut(key) {
                    *known = deadline;
                }
            }
            Record::Gone { key, .. } => drop(self.keys.remove(key)),
            Record::Vector {
                generation,
                name,
                components,
                deadline,
                ..
            } => {
                self.vectors
                    .insert((generation, name.to_vec()), (components.to_vec(), deadline));
            }
            Record::VectorGone { generation, name, .. } => drop(self.vectors.remove(&(generation, name.to_vec()))),
            Record::Create { generation, .. } => drop(self.collections.insert(generation)),
            Record::Drop { generation, .. } => {
                self.collections.remove(&generation);
                self.vectors.retain(|(other, _), _| *other != generation);
            }
            Record::Flush { generation } => {
                self.keys.clear();
                self.vectors.retain(|(other, _), _| *other >= generation);
                self.collections.retain(|other| *other >= generation);
            }
            _ => {}
        }
    }

    /// Vectors of collections that are gone are no part of what can be seen.
    pub(crate) fn seen(mut self) -> World {
        let collections = self.collections.clone();
        self.vectors
            .retain(|(generation, _), _| collections.contains(generation));
        self.next_generation = 0;
        self
    }

    fn put(&mut self, key: Vec<u8>, entry: (Value, Deadline), out: &mut Vec<u8>) {
        put_entry(out, &key, &entry);
        self.keys.insert(key, entry);
    }

    fn remove(&mut self, key: &[u8], cause: Cause, out: &mut Vec<u8>) {
        if self.keys.remove(key).is_some() {
            Record::Gone { key, cause }.encode(out);
        }
    }
}

/// Writes an entry whole, as a capture does.
pub(crate) fn put_entry(out: &mut Vec<u8>, key: &[u8], (value, deadline): &(Value, Deadline)) {
    let deadline = *deadline;
    match value {
        Value::String(value) => Record::Set { key, value, deadline }.encode(out),
        Value::Hash(fields) => {
            Record::Hash { key, deadline }.encode(out);
            fields.iter().for_each(|(field, held)| put_field(out, key, field, held));
        }
    }
}

pub(crate) fn put_field(out: &mut Vec<u8>, key: &[u8], field: &[u8], (value, due): &(Vec<u8>, Deadline)) {
    encode_fields(out, key, 1, |out| {
        put_text(out, field);
        put_text(out, value);
    });
    if *due != Deadline::Never {
        encode_field_deadlines(out, key, [(field, *due)].into_iter());
    }
}

fn deadline(ms: Option<u64>) -> Deadline {
    ms.map_or(Deadline::Never, Deadline::At)
}

/// A generator of numbers: Marsaglia's xorshift.
pub(crate) fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 16
    }
}

/// A wish by chance.
pub(crate) fn wish(random: &mut impl FnMut() -> u64) -> Wish {
    let kind = random() % 26;
    let (a, b) = ((random() % 6) as u8, (random() % 4) as u8);
    let text = || vec![b'a' + b; usize::from(a) + 1];
    let ms = (b == 3).then(|| u64::from(a) + 1);
    match kind {
        0..4 => Wish::Set(a, text(), ms),
        4..7 => Wish::Append(a, text()),
        7..12 => Wish::SetField(a, b, text()),
        12..14 => Wish::DeleteField(a, b),
        14 => Wish::Expire(a, random() % 100),
        15 => Wish::Delete(a),
        16..18 => Wish::Rename(a, b),
        18 if a == 0 => Wish::Flush,
        18 => Wish::Create,
        19..22 => Wish::Vector(a, b, ms),
        22 => Wish::DeleteVector(a),
        23..25 => Wish::ExpireField(a, b, ms),
        _ => Wish::Drop,
    }
}
