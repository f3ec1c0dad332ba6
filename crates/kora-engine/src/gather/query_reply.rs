//! What a VECQUERY answers: which of the merged neighbours, in which form, and what they cost.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use kora_filter::Path;
use kora_resp::Reply;
use kora_vector::{Statistics, Step, Work};

use crate::budgets::{ATTRIBUTE_BYTE_WORK, HIT_WORK};
use crate::command::Wish;
use crate::counts::integer;
use crate::databases::as_said;

/// What a query has cost so far, on all shards together.
#[derive(Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) distances: u64,
    pub(super) nodes: u64,
    /// Walks that ended in the wrong place, as it seemed.
    pub(super) astray: u64,
    /// Every part of the answer that counts was exact.
    pub(super) is_exact: bool,
    pub(super) rounds: i64,
    /// Vectors that pass the filter, or all.
    pub(super) matches: usize,
    pub(super) vectors: usize,
    /// Attributes that were held against the filter.
    pub(super) tested: usize,
}

/// Merged neighbours, nearest first, with what else was found of each.
#[derive(Default)]
pub(super) struct Neighbours {
    pub(super) hits: Vec<(Bytes, f32)>,
    /// As many as there are hits if they are wanted, else none.
    pub(super) attributes: Vec<Bytes>,
    /// The same: components as little-endian 32-bit floats.
    pub(super) vectors: Vec<Bytes>,
}

/// The choice of those neighbours that are returned, between two slices.
#[derive(Default)]
pub(super) struct Choosing {
    found: Neighbours,
    /// Keys that are left out.
    without: HashSet<Bytes>,
    /// The neighbour that is looked at next.
    next: usize,
    /// How many were left out by OFFSET.
    skipped: usize,
    /// Places of those that are returned.
    kept: Vec<usize>,
    /// How many of each group are returned or were left out by OFFSET.
    of_group: HashMap<Bytes, usize>,
}

impl Choosing {
    /// Nothing has been chosen yet.
    pub(super) fn new(found: Neighbours, wish: &Wish) -> Choosing {
        Choosing {
            found,
            without: wish.without.iter().map(|element| element.key().into()).collect(),
            ..Choosing::default()
        }
    }

    /// Goes on until all are chosen or the allowance is spent.
    pub(super) fn step(&mut self, wish: &Wish, work: &mut Work) -> Step<()> {
        let count = self.found.hits.len();
        while self.next < count && self.kept.len() < wish.k {
            if work.is_spent() {
                return Step::More;
            }
            let place = self.next;
            self.next += 1;
            let bytes = self.found.attributes.get(place).map_or(0, Bytes::len);
            work.spend(HIT_WORK + ATTRIBUTE_BYTE_WORK * bytes as u64);
            if self.without.contains(&self.found.hits[place].0) || !self.takes_of_group(place, wish) {
                continue;
            }
            match self.skipped < wish.offset {
                true => self.skipped += 1,
                false => self.kept.push(place),
            }
        }
        Step::Done(())
    }

    /// Whether one more of this neighbour's group is wanted. It counts from then on.
    fn takes_of_group(&mut self, place: usize, wish: &Wish) -> bool {
        let Some(group) = &wish.group else {
            return true;
        };
        let text = &self.found.attributes[place];
        let Some(value) = group.path.find(text) else {
            return false;
        };
        let count = self.of_group.entry(text.slice_ref(value)).or_default();
        let takes = *count < group.limit;
        *count += usize::from(takes);
        takes
    }

    /// True if as many neighbours were found as were looked for, so that there may be more.
    pub(super) fn is_full(&self, k: usize) -> bool {
        self.found.hits.len() == k
    }

    /// True if fewer were chosen than are wanted.
    pub(super) fn is_short(&self, wish: &Wish) -> bool {
        self.kept.len() < wish.k
    }

    /// Those that were chosen.
    pub(super) fn finish(self) -> Neighbours {
        let Choosing { found, kept, .. } = self;
        Neighbours {
            hits: chosen(found.hits, &kept),
            attributes: chosen(found.attributes, &kept),
            vectors: chosen(found.vectors, &kept),
        }
    }
}

/// What stands at these places, in ascending order; nothing if there is nothing.
fn chosen<T: Default>(mut all: Vec<T>, places: &[usize]) -> Vec<T> {
    match all.is_empty() {
        true => Vec::new(),
        false => places.iter().map(|place| std::mem::take(&mut all[*place])).collect(),
    }
}

impl Cost {
    /// Adds what a shard's search has cost.
    pub(super) fn add(&mut self, statistics: &Statistics) {
        self.distances += statistics.distances;
        self.nodes += statistics.nodes;
        self.astray += statistics.astray;
    }

    pub(super) fn mode(&self) -> &'static str {
        match self.is_exact {
            true => "exact",
            false => "approximate",
        }
    }

    /// Which way was taken.
    pub(super) fn plan(&self) -> &'static str {
        match (self.is_exact, self.nodes) {
            (true, 0) => "exact",
            (true, _) => "walk+exact",
            (false, _) => "walk",
        }
    }

    pub(super) fn reply(self, found: Neighbours, wish: &Wish) -> Reply {
        self.reply_with(found, wish, None)
    }

    pub(super) fn reply_with(self, mut found: Neighbours, wish: &Wish, note: Option<String>) -> Reply {
        found.hits.iter_mut().for_each(|(key, _)| *key = as_said(key));
        let hits = match wish.with_attributes.is_some() || wish.with_vector {
            false => Reply::Scored(found.hits),
            true => Reply::Rows(rows(found, wish)),
        };
        if !wish.with_info {
            return hits;
        }
        let text = |text: &'static str| Reply::Bulk(Bytes::from_static(text.as_bytes()));
        let mut fields = vec![
            ("distances", Reply::Integer(integer(self.distances))),
            ("nodes", Reply::Integer(integer(self.nodes))),
            ("mode", text(self.mode())),
            ("rounds", Reply::Integer(self.rounds)),
            ("astray", Reply::Integer(integer(self.astray))),
        ];
        if wish.filter.is_some() {
            fields.extend([
                ("matches", Reply::Integer(integer(self.matches as u64))),
                ("vectors", Reply::Integer(integer(self.vectors as u64))),
                ("plan", text(self.plan())),
            ]);
        }
        fields.extend(note.map(|note| ("note", Reply::Bulk(note.into()))));
        let map = fields.into_iter().map(|(name, value)| (text(name), value));
        Reply::Array(vec![hits, Reply::Map(map.collect())])
    }
}

/// Each neighbour with its distance; then its attributes, or the values to which the paths lead in them; then its components.
fn rows(found: Neighbours, wish: &Wish) -> Vec<Box<[Reply]>> {
    let value = |text: &Bytes, path: &Path| {
        path.find(text)
            .map_or(Reply::Null, |found| Reply::Bulk(text.slice_ref(found)))
    };
    let shown = |text: Bytes, paths: &[Path]| match paths {
        _ if text.is_empty() => Reply::Null,
        [] => Reply::Bulk(text),
        paths => Reply::Array(paths.iter().map(|path| value(&text, path)).collect()),
    };
    let (mut attributes, mut vectors) = (found.attributes.into_iter(), found.vectors.into_iter());
    let row = |(key, distance): (Bytes, f32)| {
        let text = attributes.next().unwrap_or_default();
        let attributes = wish.with_attributes.as_deref().map(|paths| shown(text, paths));
        let vector = vectors.next().filter(|_| wish.with_vector).map(Reply::Bulk);
        let hit = [Reply::Bulk(key), Reply::Double(distance)];
        hit.into_iter().chain(attributes).chain(vector).collect()
    };
    found.hits.into_iter().map(row).collect()
}
