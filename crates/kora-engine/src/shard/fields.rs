//! The commands on many fields of a hash. They may take several slices, and nobody else's command falls in between.

use std::vec::IntoIter;

use bytes::Bytes;
use kora_resp::Reply;
use kora_values::{Field, HashValue, Sample};

use super::keys::{Place, next_draw};
use super::strings::length;
use super::{Shard, Unfinished};
use crate::command::{self, HashPart, HashScan, HashSetReply};
use crate::error::ClientError;
use crate::limits::{FIELDS_PER_SLICE, REPLY_BYTES_MAX};

/// Such a command between two slices.
pub(crate) struct Fields {
    key: Bytes,
    now_ms: u64,
    task: Task,
    /// The reply so far, if it is a list.
    found: Found,
}

pub(crate) enum Task {
    Set {
        words: IntoIter<Bytes>,
        added: usize,
        reply: HashSetReply,
        has_begun: bool,
    },
    Delete {
        fields: IntoIter<Bytes>,
        deleted: usize,
    },
    Get(IntoIter<Bytes>),
    Walk {
        from: u64,
        /// Fields that are still to be looked at.
        left: usize,
        part: HashPart,
        /// For HSCAN: what is wanted. HGETALL and its like want all.
        scan: Option<HashScan>,
    },
    Draw {
        wanted: command::Sample,
        /// For fields that shall differ.
        sample: Option<Sample>,
        left: u64,
    },
}

/// What was found, as the replies to list.
#[derive(Default)]
struct Found {
    replies: Vec<Reply>,
    pairs: Vec<(Reply, Reply)>,
    bytes: usize,
}

impl Found {
    fn push(&mut self, reply: Reply) {
        self.bytes += reply.bytes_hint();
        self.replies.push(reply);
    }

    fn push_pair(&mut self, (field, value): Field<'_>) {
        let pair = (
            Reply::Bulk(Bytes::copy_from_slice(field)),
            Reply::Bulk(value.to_bytes()),
        );
        self.bytes += pair.0.bytes_hint() + pair.1.bytes_hint();
        self.pairs.push(pair);
    }

    fn push_part(&mut self, part: HashPart, field: Field<'_>) {
        match part {
            HashPart::Both => self.push_pair(field),
            HashPart::Fields => self.push(Reply::Bulk(Bytes::copy_from_slice(field.0))),
            HashPart::Values => self.push(Reply::Bulk(field.1.to_bytes())),
        }
    }

    /// Fields and values in turn.
    fn flat(self) -> Reply {
        let pairs = self.pairs.into_iter().flat_map(|(field, value)| [field, value]);
        Reply::Array(self.replies.into_iter().chain(pairs).collect())
    }
}

impl Task {
    pub(super) fn set(words: Vec<Bytes>, reply: HashSetReply) -> Task {
        Task::Set {
            words: words.into_iter(),
            added: 0,
            reply,
            has_begun: false,
        }
    }

    pub(super) fn delete(fields: Vec<Bytes>) -> Task {
        Task::Delete {
            fields: fields.into_iter(),
            deleted: 0,
        }
    }

    pub(super) fn get(fields: Vec<Bytes>) -> Task {
        Task::Get(fields.into_iter())
    }

    pub(super) fn all(part: HashPart) -> Task {
        Task::Walk {
            from: 0,
            left: usize::MAX,
            part,
            scan: None,
        }
    }

    pub(super) fn scan(cursor: u64, scan: HashScan) -> Task {
        Task::Walk {
            from: cursor,
            left: scan.count,
            part: if scan.no_values {
                HashPart::Fields
            } else {
                HashPart::Both
            },
            scan: Some(scan),
        }
    }

    pub(super) fn sample(wanted: command::Sample) -> Task {
        Task::Draw {
            wanted,
            sample: None,
            left: wanted.count.unsigned_abs(),
        }
    }
}

impl Fields {
    pub(super) fn new(place: Place<'_>, task: Task) -> Fields {
        Fields {
            key: Bytes::copy_from_slice(place.key),
            now_ms: place.now_ms,
            task,
            found: Found::default(),
        }
    }
}

impl Shard {
    /// Goes on for a slice.
    pub(super) fn do_fields(&mut self, mut fields: Fields) -> Result<Reply, Box<Unfinished>> {
        let key = fields.key.clone();
        let place = Place {
            key: &key,
            hash: self.keys.hash(&key),
            now_ms: fields.now_ms,
        };
        let found = &mut fields.found;
        let outcome = match &mut fields.task {
            Task::Set {
                words,
                added,
                reply,
                has_begun,
            } => {
                let is_first = !std::mem::replace(has_begun, true);
                self.set_fields(place, words, added, is_first).map(|is_done| {
                    is_done.then(|| match reply {
                        HashSetReply::Added => length(*added),
                        HashSetReply::Ok => Reply::ok(),
                    })
                })
            }
            Task::Delete { fields, deleted } => self.delete_fields(place, fields, deleted),
            Task::Get(fields) => self.hash(place).map(|hash| get_fields(hash.as_deref(), fields, found)),
            Task::Walk { from, left, part, scan } => self.hash(place).map(|hash| {
                let hash = hash.as_deref();
                walk(hash, (from, left), *part, scan.as_ref(), found)
            }),
            Task::Draw { wanted, sample, left } => {
                let mut draws = self.draw();
                self.hash(place).map(|hash| {
                    let hash = hash.as_deref();
                    draw(hash, *wanted, (sample, left), &mut draws, found)
                })
            }
        };
        match outcome {
            Err(error) => Ok(Reply::Error(error.to_string())),
            Ok(_) if fields.found.bytes > REPLY_BYTES_MAX => Ok(Reply::Error(too_large().to_string())),
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(Box::new(Unfinished::Fields(Box::new(fields)))),
        }
    }

    /// Sets some fields; true if these were all.
    fn set_fields(
        &mut self,
        place: Place<'_>,
        words: &mut IntoIter<Bytes>,
        added: &mut usize,
        is_first: bool,
    ) -> Result<bool, ClientError> {
        let hash = self.hash_or_new(place)?;
        if is_first {
            let longest = words.as_slice().iter().map(Bytes::len).max().unwrap_or(0);
            hash.expect(words.len() / 2, longest);
        }
        for _ in 0..FIELDS_PER_SLICE {
            let (Some(field), Some(value)) = (words.next(), words.next()) else {
                break;
            };
            *added += usize::from(hash.set(&field, &value));
        }
        self.note_change(place.key);
        Ok(words.as_slice().is_empty())
    }

    fn delete_fields(
        &mut self,
        place: Place<'_>,
        fields: &mut IntoIter<Bytes>,
        deleted: &mut usize,
    ) -> Result<Option<Reply>, ClientError> {
        let Some(hash) = self.hash(place)? else {
            return Ok(Some(length(*deleted)));
        };
        let before = *deleted;
        let portion = fields.by_ref().take(FIELDS_PER_SLICE);
        *deleted += portion.filter(|field| hash.remove(field)).count();
        if *deleted > before {
            self.note_change(place.key);
            self.delete_if_empty(place);
        }
        Ok(fields.as_slice().is_empty().then(|| length(*deleted)))
    }
}

/// A few bytes may ask for one value a million times.
fn too_large() -> ClientError {
    ClientError::ReplyTooLarge {
        bytes_max: REPLY_BYTES_MAX,
    }
}

fn get_fields(hash: Option<&HashValue>, fields: &mut IntoIter<Bytes>, found: &mut Found) -> Option<Reply> {
    for field in fields.by_ref().take(FIELDS_PER_SLICE) {
        let value = hash.and_then(|hash| hash.get(&field));
        found.push(value.map_or(Reply::Null, |value| Reply::Bulk(value.to_bytes())));
    }
    let is_done = fields.as_slice().is_empty();
    is_done.then(|| std::mem::take(found).flat())
}

/// Looks at some fields in the order of a scan.
fn walk(
    hash: Option<&HashValue>,
    (from, left): (&mut u64, &mut usize),
    part: HashPart,
    scan: Option<&HashScan>,
    found: &mut Found,
) -> Option<Reply> {
    let (fields, next) = hash.map_or_else(Default::default, |hash| hash.scan(*from, FIELDS_PER_SLICE.min(*left)));
    *left = left.saturating_sub(fields.len());
    let pattern = scan.and_then(|scan| scan.pattern.as_ref());
    for field in fields {
        if pattern.is_none_or(|pattern| pattern.matches(field.0)) {
            found.push_part(part, field);
        }
    }
    *from = next.unwrap_or(0);
    // A scan is a wish: what is much already is enough.
    let is_enough = scan.is_some() && found.bytes > crate::limits::SCAN_REPLY_BYTES_MAX;
    if next.is_some() && *left > 0 && !is_enough {
        return None;
    }
    let found = std::mem::take(found);
    Some(match scan {
        Some(_) => Reply::Array(vec![Reply::Text(from.to_string()), found.flat()]),
        None if part == HashPart::Both => Reply::Map(found.pairs),
        None => Reply::Array(found.replies),
    })
}

/// Draws some fields.
fn draw(
    hash: Option<&HashValue>,
    wanted: command::Sample,
    (sample, left): (&mut Option<Sample>, &mut u64),
    draws: &mut u64,
    found: &mut Found,
) -> Option<Reply> {
    let part = if wanted.with_values {
        HashPart::Both
    } else {
        HashPart::Fields
    };
    let is_done = match hash {
        None => true,
        Some(hash) if wanted.count >= 0 => {
            let count = usize::try_from(wanted.count).unwrap_or(usize::MAX);
            let sample = sample.get_or_insert_with(|| Sample::new(hash, count));
            if sample.left() > 0 {
                let fields = sample.draw(hash, FIELDS_PER_SLICE, || next_draw(draws));
                fields.into_iter().for_each(|field| found.push_part(part, field));
            }
            sample.left() == 0
        }
        Some(hash) => {
            for _ in 0..(FIELDS_PER_SLICE as u64).min(*left) {
                if let Some(field) = hash.random(|| next_draw(draws)) {
                    found.push_part(part, field);
                }
                *left -= 1;
            }
            *left == 0
        }
    };
    is_done.then(|| {
        let found = std::mem::take(found);
        match wanted.with_values {
            true => Reply::Pairs(found.pairs),
            false => Reply::Array(found.replies),
        }
    })
}
