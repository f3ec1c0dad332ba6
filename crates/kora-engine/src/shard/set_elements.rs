//! VRANDMEMBER and VRANGE: names of a vector set's elements, some at a time.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::Schema;
use kora_keyspace::collections::Collection;
use kora_resp::{Bulks, Reply};
use kora_vector::{Step, Work};

use super::Shard;
use super::keys::{below, next_draw};
use super::task::{Begun, Task};
use crate::budgets::ELEMENT_WORK;
use crate::command::{ElementRange, RangeEnd};
use crate::error::ClientError;

/// Names that are being collected. Nothing else happens on the shard meanwhile, so each is met once.
struct SetElements {
    schema: Arc<Schema>,
    /// Where the walk over the names goes on.
    from: u32,
    /// How many names have been met.
    met: usize,
    wanted: Wanted,
    /// Whether all that is wanted was collected, and the reply is being made of it.
    is_collected: bool,
    found: Bulks,
    /// Bytes that the reply may still take.
    bytes_left: usize,
    /// What random choices come from.
    draws: u64,
}

enum Wanted {
    /// Those in a range, in the order of their bytes.
    Range(ElementRange, BTreeSet<Bytes>),
    /// So many distinct ones: each set of so many is as likely (Vitter's algorithm R).
    Sample(usize, Vec<Bytes>),
    /// So many, each of them any.
    Draws(usize),
}

impl Shard {
    /// Some element of a set.
    pub(super) fn random_element(&mut self, schema: &Schema, now_ms: u64) -> Reply {
        let draw = self.draw();
        let part = self.keyspace.part_of(schema);
        let key = part.and_then(|part| part.random(draw, now_ms));
        key.map_or(Reply::Null, |key| Reply::Bulk(key.slice(schema.name.len() + 1..)))
    }

    /// So many elements of a set, or as many as it has; any, again and again, if the count is negative.
    pub(super) fn random_elements(&mut self, schema: &Arc<Schema>, count: i64, work: &mut Work) -> Begun<Reply> {
        let most = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        let wanted = match count {
            0.. => Wanted::Sample(most, Vec::new()),
            ..0 => Wanted::Draws(most),
        };
        self.begin_set_elements(schema, wanted, work)
    }

    /// The elements of a set between two, in the order of their bytes.
    pub(super) fn range_of_elements(
        &mut self,
        schema: &Arc<Schema>,
        range: ElementRange,
        work: &mut Work,
    ) -> Begun<Reply> {
        self.begin_set_elements(schema, Wanted::Range(range, BTreeSet::new()), work)
    }

    fn begin_set_elements(&mut self, schema: &Arc<Schema>, wanted: Wanted, work: &mut Work) -> Begun<Reply> {
        let elements = SetElements {
            schema: Arc::clone(schema),
            from: 0,
            met: 0,
            wanted,
            is_collected: false,
            found: Bulks::default(),
            bytes_left: self.setup.client_bytes_max() / 2,
            draws: self.draw(),
        };
        self.run(elements, work)
    }
}

impl Task for SetElements {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        if !self.is_collected {
            let part = shard.keyspace.part_of(&self.schema);
            let part = part.expect("it was there, and nothing else has happened on the shard since");
            self.is_collected = self.collect(part, work);
            if self.bytes_left == 0 {
                let bytes_max = shard.setup.client_bytes_max();
                return Step::Done(Reply::Error(ClientError::ReplyTooLarge { bytes_max }.to_string()));
            }
        }
        match self.is_collected && self.list(work) {
            true => Step::Done(Reply::Bulks(Box::new(take(&mut self.found)))),
            false => Step::More,
        }
    }

    fn is_exclusive(&self) -> bool {
        true
    }
}

impl SetElements {
    /// Goes on for a slice; true when all that is wanted was collected.
    fn collect(&mut self, part: &Collection, work: &mut Work) -> bool {
        let prefix = self.schema.name.len() + 1;
        if let Wanted::Draws(left) = &mut self.wanted {
            for _ in 0..NAMES_PER_SLICE.min(*left) {
                work.spend(ELEMENT_WORK);
                let key = part.random(next_draw(&mut self.draws), 0);
                let Some(name) = key.map(|key| key.slice(prefix..)) else {
                    return true;
                };
                self.bytes_left = self.bytes_left.saturating_sub(charge(&name));
                self.found.push(&name);
                *left -= 1;
            }
            return *left == 0 || self.bytes_left == 0;
        }
        let (names, next) = part.names(self.from, NAMES_PER_SLICE);
        work.spend(ELEMENT_WORK * names.len() as u64);
        let names: Vec<Bytes> = names.into_iter().map(Bytes::copy_from_slice).collect();
        names.into_iter().for_each(|name| self.meet(name));
        self.from = next.unwrap_or_default();
        next.is_none() || self.bytes_left == 0
    }

    fn meet(&mut self, name: Bytes) {
        self.met += 1;
        let charged = charge(&name);
        match &mut self.wanted {
            Wanted::Range(range, found) => {
                if !is_within(range, &name) {
                    return;
                }
                found.insert(name);
                self.bytes_left = self.bytes_left.saturating_sub(charged);
                if range.count.is_some_and(|count| found.len() > count)
                    && let Some(last) = found.pop_last()
                {
                    self.bytes_left += charge(&last);
                }
            }
            Wanted::Sample(count, found) => {
                if found.len() < *count {
                    found.push(name);
                    self.bytes_left = self.bytes_left.saturating_sub(charged);
                    return;
                }
                let place = below(next_draw(&mut self.draws), self.met);
                if let Some(replaced) = found.get_mut(place) {
                    self.bytes_left = (self.bytes_left + charge(replaced)).saturating_sub(charged);
                    *replaced = name;
                }
            }
            // They are drawn.
            Wanted::Draws(_) => {}
        }
    }

    /// Puts some of the names that were collected into the reply; true when all are in it.
    fn list(&mut self, work: &mut Work) -> bool {
        for _ in 0..NAMES_PER_SLICE {
            let name = match &mut self.wanted {
                Wanted::Range(_, names) => names.pop_first(),
                Wanted::Sample(_, names) => names.pop(),
                Wanted::Draws(_) => None,
            };
            let Some(name) = name else { return true };
            work.spend(ELEMENT_WORK);
            self.found.push(&name);
        }
        false
    }
}

/// Whether an element is within a range.
fn is_within(range: &ElementRange, name: &[u8]) -> bool {
    let is_behind = match &range.start {
        RangeEnd::Open => true,
        RangeEnd::With(start) => name >= &start[..],
        RangeEnd::Without(start) => name > &start[..],
    };
    let is_before = match &range.end {
        RangeEnd::Open => true,
        RangeEnd::With(end) => name <= &end[..],
        RangeEnd::Without(end) => name < &end[..],
    };
    is_behind && is_before
}

/// What a name takes in a reply, held and spelled.
fn charge(name: &[u8]) -> usize {
    2 * name.len() + NAME_BYTES
}

/// What a name takes beside its bytes.
const NAME_BYTES: usize = 64;

/// Names that are collected in one slice, if none is very long.
const NAMES_PER_SLICE: usize = 512;
