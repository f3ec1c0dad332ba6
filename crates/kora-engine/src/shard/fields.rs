//! The commands on many fields of a hash. They may take several slices; no command of another client runs in between.

use std::mem::take;

use bytes::Bytes;
use kora_keyspace::keys::FieldEdit;
use kora_keyspace::{NEVER_MS, ResolvedKey};
use kora_resp::{Bulks, Reply, Words};
use kora_values::{Field, FieldValue, HashRef, SMALL_FIELDS_MAX, Sample};
use kora_vector::{Step, Work};

use super::keys::{next_draw, refused};
use super::strings::length;
use super::task::{Begun, Task};
use super::{Shard, ShardObservers};
use crate::budgets::{DELETION_WORK, FIELD_BYTE_WORK, FIELD_WORK};
use crate::command::{self, HashPart, HashScan, HashSetReply};
use crate::error::ClientError;
use crate::limits::SCAN_REPLY_BYTES_MAX;

/// Such a command between two slices.
struct Fields {
    key: Bytes,
    now_ms: u64,
    progress: Progress,
}

/// Such a command, as far as it has come.
struct Progress {
    purpose: Purpose,
    /// The reply so far, if it is a list.
    found: Bulks,
    /// It changes something, and that has begun.
    is_in_batch: bool,
}

pub(super) enum Purpose {
    Set {
        words: Words,
        added: usize,
        reply: HashSetReply,
        has_begun: bool,
    },
    Delete {
        fields: Words,
        deleted: usize,
    },
    Get(Words),
    /// Return values and change their fields. Whether there is room for the reply is known before any of them is changed.
    Take {
        fields: Words,
        then: AfterTake,
        /// Those whose values have not been measured.
        unmeasured: Words,
        reply_bytes: usize,
    },
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

/// What becomes of fields whose values were returned.
#[derive(Clone, Copy)]
pub(super) enum AfterTake {
    /// They are deleted (HGETDEL).
    Remove,
    /// They stay as they are.
    Keep,
    /// They are due then, and go if that is past; [`NEVER_MS`] if they have no deadline (HGETEX).
    Deadline(u64),
}

impl AfterTake {
    /// Changes a field; whether it went because its deadline is past.
    fn change(self, edit: &mut FieldEdit<'_, ShardObservers>, field: &[u8], now_ms: u64) -> bool {
        match self {
            AfterTake::Keep => false,
            AfterTake::Deadline(at_ms) if at_ms > now_ms => {
                set_deadline(edit, field, at_ms);
                false
            }
            AfterTake::Deadline(_) => edit.remove(field),
            AfterTake::Remove => {
                edit.remove(field);
                false
            }
        }
    }
}

/// Gives a field a deadline, if there is one; of what has none it is not told that it has none.
fn set_deadline(edit: &mut FieldEdit<'_, ShardObservers>, field: &[u8], at_ms: u64) {
    let before = edit.hash().deadline_ms(field);
    if before.is_some_and(|before| before != NEVER_MS || at_ms != NEVER_MS) {
        edit.set_deadline(field, at_ms);
    }
}

/// Adds the part of a field that is wanted to what was found.
fn push_part(found: &mut Bulks, part: HashPart, (field, value): Field<'_>) {
    if part != HashPart::Values {
        found.push(field);
    }
    if part != HashPart::Fields {
        push_value(found, value);
    }
}

fn push_value(found: &mut Bulks, value: FieldValue<'_>) {
    match value {
        FieldValue::Short(bytes) => found.push(bytes),
        FieldValue::Long(bytes) => found.push_bytes(bytes.clone()),
    }
}

impl Purpose {
    pub(super) fn set(words: Words, reply: HashSetReply) -> Purpose {
        Purpose::Set {
            words,
            added: 0,
            reply,
            has_begun: false,
        }
    }

    pub(super) fn delete(fields: Words) -> Purpose {
        Purpose::Delete { fields, deleted: 0 }
    }

    pub(super) fn get(fields: Words) -> Purpose {
        Purpose::Get(fields)
    }

    pub(super) fn take(fields: Words, then: AfterTake) -> Purpose {
        Purpose::Take {
            then,
            unmeasured: fields.clone(),
            fields,
            reply_bytes: 0,
        }
    }

    pub(super) fn all(part: HashPart) -> Purpose {
        Purpose::Walk {
            from: 0,
            left: usize::MAX,
            part,
            scan: None,
        }
    }

    pub(super) fn scan(cursor: u64, scan: HashScan) -> Purpose {
        Purpose::Walk {
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

    pub(super) fn sample(wanted: command::Sample) -> Purpose {
        Purpose::Draw {
            wanted,
            sample: None,
            left: wanted.count.unsigned_abs(),
        }
    }
}

impl Task for Fields {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        let place = shard.keyspace.place(&self.key, self.now_ms);
        match shard.work_on(place, &mut self.progress, work) {
            Some(reply) => Step::Done(reply),
            None => Step::More,
        }
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl Shard {
    /// The first slice, which for most is the last.
    pub(super) fn begin_fields(&mut self, place: ResolvedKey<'_>, purpose: Purpose, work: &mut Work) -> Begun<Reply> {
        let mut progress = Progress {
            purpose,
            found: Bulks::default(),
            is_in_batch: false,
        };
        if matches!(
            progress.purpose,
            Purpose::Get(_) | Purpose::Walk { .. } | Purpose::Draw { .. }
        ) {
            self.lookups.note(self.keyspace.exists(place));
        }
        match self.work_on(place, &mut progress, work) {
            Some(reply) => Begun::Done(reply),
            // The key is copied only now: most hashes are small.
            None => Begun::More(Box::new(Fields {
                key: Bytes::copy_from_slice(place.key),
                now_ms: place.now_ms,
                progress,
            })),
        }
    }

    /// Works for a slice; the reply if that was the last.
    fn work_on(&mut self, place: ResolvedKey<'_>, progress: &mut Progress, work: &mut Work) -> Option<Reply> {
        let changes_fields = matches!(
            progress.purpose,
            Purpose::Set { .. } | Purpose::Delete { .. } | Purpose::Take { .. }
        );
        if changes_fields && !std::mem::replace(&mut progress.is_in_batch, true) {
            self.keyspace.begin_batch();
        }
        let reply = self.do_some(place, progress, work);
        if progress.is_in_batch && reply.is_some() {
            self.keyspace.end_batch();
        }
        reply
    }

    fn do_some(&mut self, place: ResolvedKey<'_>, progress: &mut Progress, work: &mut Work) -> Option<Reply> {
        let found = &mut progress.found;
        let outcome = match &mut progress.purpose {
            Purpose::Set {
                words,
                added,
                reply,
                has_begun,
            } => {
                let is_first = !std::mem::replace(has_begun, true);
                self.set_fields(place, words, (added, is_first), work).map(|is_done| {
                    is_done.then(|| match reply {
                        HashSetReply::Added => length(*added),
                        HashSetReply::Ok => Reply::ok(),
                    })
                })
            }
            Purpose::Delete { fields, deleted } => self.delete_fields(place, fields, deleted, work),
            Purpose::Get(fields) => {
                let hash = self.keyspace.hash(place).map_err(refused);
                hash.map(|hash| get_fields(hash, fields, found, work))
            }
            Purpose::Take {
                fields,
                then,
                unmeasured,
                reply_bytes,
            } => match unmeasured.is_empty() {
                false => self.measure_fields(place, unmeasured, reply_bytes, work).map(|()| None),
                true => self.take_fields(place, (fields, *then), found, work),
            },
            Purpose::Walk { from, left, part, scan } => {
                let hash = self.keyspace.hash(place).map_err(refused);
                hash.map(|hash| walk(hash, (from, left), *part, scan.as_ref(), (found, work)))
            }
            Purpose::Draw { wanted, sample, left } => {
                let mut draws = self.draw();
                let hash = self.keyspace.hash(place).map_err(refused);
                hash.map(|hash| draw(hash, *wanted, (sample, left), &mut draws, (found, work)))
            }
        };
        let outcome = match self.setup.too_large(progress.found.bytes_hint()) {
            Some(error) => Err(error),
            None => outcome,
        };
        outcome.unwrap_or_else(|error| Some(Reply::Error(error.to_string())))
    }

    /// Sets some fields; true if these were all.
    fn set_fields(
        &mut self,
        place: ResolvedKey<'_>,
        words: &mut Words,
        (added, is_first): (&mut usize, bool),
        work: &mut Work,
    ) -> Result<bool, ClientError> {
        let set = self.keyspace.edit_hash_or_new(place, |edit| {
            if is_first {
                // Of many pairs it does not matter how long they are.
                let few = words.iter().take(2 * SMALL_FIELDS_MAX);
                edit.expect(words.len() / 2, few.map(<[u8]>::len).max().unwrap_or(0));
            }
            loop {
                let kept = words.kept_second();
                let Some((field, value)) = words.take_pair() else { break };
                // A value that stays in its request's memory is not copied.
                let copied = kept.as_ref().map_or(value.len(), |_| 0);
                let is_new = match kept {
                    Some(value) => edit.set_kept(field, value),
                    None => edit.set(field, value),
                };
                *added += usize::from(is_new);
                work.spend(FIELD_WORK + FIELD_BYTE_WORK * (field.len() + copied) as u64);
                if work.is_spent() {
                    break;
                }
            }
        });
        set.map(|()| words.is_empty()).map_err(refused)
    }

    fn delete_fields(
        &mut self,
        place: ResolvedKey<'_>,
        fields: &mut Words,
        deleted: &mut usize,
        work: &mut Work,
    ) -> Result<Option<Reply>, ClientError> {
        let edited = self.keyspace.edit_hash(place, |edit| {
            while let Some(field) = fields.take_next() {
                *deleted += usize::from(edit.remove(field));
                work.spend(DELETION_WORK);
                if work.is_spent() {
                    break;
                }
            }
        });
        let is_there = edited.map_err(refused)?;
        Ok((fields.is_empty() || is_there.is_none()).then(|| length(*deleted)))
    }

    /// Measures what the values of some fields will take in a reply; an error if that is too much.
    fn measure_fields(
        &self,
        place: ResolvedKey<'_>,
        fields: &mut Words,
        reply_bytes: &mut usize,
        work: &mut Work,
    ) -> Result<(), ClientError> {
        let hash = self.keyspace.hash(place).map_err(refused)?;
        let mut values = Bulks::default();
        push_fields(hash, fields, &mut values, work);
        *reply_bytes += values.bytes_hint();
        self.setup.too_large(*reply_bytes).map_or(Ok(()), Err)
    }

    fn take_fields(
        &mut self,
        place: ResolvedKey<'_>,
        (fields, then): (&mut Words, AfterTake),
        found: &mut Bulks,
        work: &mut Work,
    ) -> Result<Option<Reply>, ClientError> {
        let mut expired = 0;
        let edited = self.keyspace.edit_hash(place, |edit| {
            if let AfterTake::Deadline(_) = then {
                edit.take_deadlines();
            }
            while let Some(field) = fields.take_next() {
                match edit.hash().get(field) {
                    Some(value) => push_value(found, value),
                    None => found.push_null(),
                }
                expired += u64::from(then.change(edit, field, place.now_ms));
                work.spend(DELETION_WORK);
                if work.is_spent() {
                    break;
                }
            }
        });
        self.keyspace.note_expired_fields(expired);
        if edited.map_err(refused)?.is_none() {
            return Ok(get_fields(None, fields, found, work));
        }
        Ok(fields.is_empty().then(|| list(take(found))))
    }
}

/// Adds the values of some fields; the reply, if these were the last.
fn get_fields(hash: Option<HashRef<'_>>, fields: &mut Words, found: &mut Bulks, work: &mut Work) -> Option<Reply> {
    push_fields(hash, fields, found, work);
    fields.is_empty().then(|| list(take(found)))
}

/// Adds the values of some fields.
fn push_fields(hash: Option<HashRef<'_>>, fields: &mut Words, found: &mut Bulks, work: &mut Work) {
    while let Some(field) = fields.take_next() {
        let bytes_before = found.bytes_hint();
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => push_value(found, value),
            None => found.push_null(),
        }
        work.spend(FIELD_WORK + FIELD_BYTE_WORK * (found.bytes_hint() - bytes_before) as u64);
        if work.is_spent() {
            break;
        }
    }
}

/// How many fields one slice looks at: as many as have some bytes by the mean, because which come next is as good as
/// chance.
fn portion(hash: HashRef<'_>, work: &Work) -> usize {
    (work.left() / price(hash)).max(1) as usize
}

/// The price of one of its fields, by the mean.
fn price(hash: HashRef<'_>) -> u64 {
    let field_bytes = (hash.bytes() / hash.len().max(1)) as u64;
    FIELD_WORK.max(FIELD_BYTE_WORK * field_bytes)
}

/// Looks at some fields in the order of a scan.
fn walk(
    hash: Option<HashRef<'_>>,
    (from, left): (&mut u64, &mut usize),
    part: HashPart,
    scan: Option<&HashScan>,
    (found, work): (&mut Bulks, &mut Work),
) -> Option<Reply> {
    let (fields, next) = hash.map_or_else(Default::default, |hash| {
        hash.scan(*from, portion(hash, work).min(*left))
    });
    *left = left.saturating_sub(fields.len());
    work.spend(fields.len() as u64 * hash.map_or(0, price));
    let pattern = scan.and_then(|scan| scan.pattern.as_ref());
    for field in fields {
        if pattern.is_none_or(|pattern| pattern.matches(field.0)) {
            push_part(found, part, field);
        }
    }
    *from = next.unwrap_or(0);
    // A scan is a wish: what is much already is enough.
    let is_enough = scan.is_some() && found.bytes_hint() > SCAN_REPLY_BYTES_MAX;
    if next.is_some() && *left > 0 && !is_enough {
        return None;
    }
    let found = take(found);
    Some(match scan {
        Some(_) => Reply::Array(vec![Reply::Text(from.to_string()), list(found)]),
        None if part == HashPart::Both => Reply::BulkMap(Box::new(found)),
        None => list(found),
    })
}

fn list(found: Bulks) -> Reply {
    Reply::Bulks(Box::new(found))
}

/// Draws some fields.
fn draw(
    hash: Option<HashRef<'_>>,
    wanted: command::Sample,
    (sample, left): (&mut Option<Sample>, &mut u64),
    draws: &mut u64,
    (found, work): (&mut Bulks, &mut Work),
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
                let fields = sample.draw(hash, portion(hash, work), || next_draw(draws));
                work.spend(fields.len() as u64 * price(hash));
                fields.into_iter().for_each(|field| push_part(found, part, field));
            }
            sample.left() == 0
        }
        Some(hash) => {
            let count = (portion(hash, work) as u64).min(*left);
            work.spend(count * price(hash));
            for _ in 0..count {
                if let Some(field) = hash.random(|| next_draw(draws)) {
                    push_part(found, part, field);
                }
                *left -= 1;
            }
            *left == 0
        }
    };
    is_done.then(|| {
        let found = take(found);
        match wanted.with_values {
            true => Reply::BulkPairs(Box::new(found)),
            false => list(found),
        }
    })
}
