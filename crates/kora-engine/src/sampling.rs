//! What INFO tells of the recall of collections: now and then a worker takes a few samples of one whose name it owns, as
//! VECRECALL does, on all shards that hold part of it.
//!
//! A sample costs a look at every vector, so after each the worker waits until that was a small share of its time
//! ([`SAMPLE_SHARE`]). Collections have their turn one after the other. One that has not changed since it was sampled often
//! enough is left alone, so a server without changes comes to rest. A part without a graph is always exact; a collection
//! whose part on the shard of its name is one is not sampled.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::candidate::{Candidate, Version};
use crate::engine::Engine;
use crate::limits::{SAMPLE_LOOK_US, SAMPLE_PARTS_LOOKED_AT, SAMPLE_READS, SAMPLE_READS_PER_US, SAMPLE_SHARE};
use crate::limits::{SAMPLED_COLLECTIONS_MAX, SAMPLES_AT_ONCE_MAX, SAMPLES_ENOUGH, SAMPLES_KEPT};
use crate::recall::Found;
use crate::stats::RecallStats;
use kora_keyspace::catalog::Generation;

/// Which collections one worker has sampled, and which is next.
pub(crate) struct Sampling {
    /// When to look for the next, on the host's clock.
    next_us: u64,
    /// Where to go on looking: which of the worker's shards, and which place there.
    at: (usize, u32),
    /// It was looked everywhere and nothing found, and nothing has changed since.
    rests: bool,
    /// Something was found since it was begun anew at the first place.
    has_found: bool,
    known: BTreeMap<Generation, Known>,
}

/// What is known of a collection.
struct Known {
    name: Bytes,
    ef: usize,
    found: Found,
    /// When it was last sampled, in microseconds of Unix time.
    sampled_us: u64,
    /// How the part looked at was then, and how many samples were taken since it was so.
    version: Version,
    of_version: u64,
}

/// Samples that are to be taken now.
pub(crate) struct Draw {
    pub(crate) candidate: Candidate,
    pub(crate) samples: usize,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            next_us: 0,
            at: (0, 0),
            rests: true,
            has_found: false,
            known: BTreeMap::new(),
        }
    }
}

impl Engine {
    /// When to look for a collection to sample, on the host's clock, if there is any that may be.
    pub(crate) fn next_sample_us(&self) -> Option<u64> {
        (!self.sampling.rests && !self.is_sampling()).then_some(self.sampling.next_us)
    }

    /// True if there was nothing to sample, and something has changed since.
    pub(crate) fn may_sample_again(&self) -> bool {
        self.sampling.rests && self.shards.iter().any(|shard| shard.keyspace().has_changed())
    }

    /// Ends the rest if something has changed.
    pub(crate) fn wake_sampling(&mut self) {
        if self.may_sample_again() {
            self.shards
                .iter_mut()
                .for_each(|shard| shard.keyspace_mut().forget_change());
            self.sampling.rests = false;
        }
    }

    /// What is to be sampled now, if it is time and something is found.
    pub(crate) fn draw(&mut self, now_us: u64) -> Option<Draw> {
        if self.next_sample_us().is_none_or(|next_us| next_us > now_us) {
            return None;
        }
        self.sampling.next_us = now_us + SAMPLE_LOOK_US;
        let candidate = self.find_candidate()?;
        self.sampling.has_found = true;
        let parts = self.setup.placement.parts_of(&candidate.schema).count();
        let reads = (candidate.live * parts * candidate.schema.dimension).max(1);
        let samples = (SAMPLE_READS / reads).clamp(1, SAMPLES_AT_ONCE_MAX);
        let cost_us = (samples * reads / SAMPLE_READS_PER_US) as u64;
        self.sampling.next_us = now_us + (cost_us * SAMPLE_SHARE).max(SAMPLE_LOOK_US);
        Some(Draw { candidate, samples })
    }

    /// The next collection that may be sampled, if one is near.
    fn find_candidate(&mut self) -> Option<Candidate> {
        for _ in 0..SAMPLE_PARTS_LOOKED_AT {
            let (shard, place) = self.sampling.at;
            let Some(looked_at) = self.shards.get(shard) else {
                self.sampling.at = (0, 0);
                self.sampling.rests = !std::mem::take(&mut self.sampling.has_found);
                return None;
            };
            if place >= looked_at.places() {
                self.sampling.at = (shard + 1, 0);
                continue;
            }
            self.sampling.at = (shard, place + 1);
            let candidate = looked_at.candidate(place);
            if let Some(candidate) = candidate.filter(|candidate| self.sampling.wants(candidate)) {
                return Some(candidate);
            }
        }
        None
    }

    /// What this worker has sampled and is still there at this time.
    pub(crate) fn recall(&self, now_us: u64) -> Vec<RecallStats> {
        let unix_us = self.unix_us(now_us);
        let catalog = self.setup.catalog.at(unix_us / 1000);
        let is_there = |generation, known: &Known| catalog.generation_of(&known.name) == Some(generation);
        let known = self.sampling.known.iter();
        let there = known.filter(|(generation, known)| is_there(**generation, known));
        there.map(|(_, known)| known.show()).collect()
    }
}

impl Sampling {
    fn wants(&self, candidate: &Candidate) -> bool {
        let known = self.known.get(&candidate.schema.generation);
        known.is_none_or(|known| known.version != candidate.version || known.of_version < SAMPLES_ENOUGH)
    }

    /// Takes in what samples have shown.
    pub(crate) fn note(&mut self, candidate: &Candidate, found: Found, unix_us: u64) {
        let schema = &candidate.schema;
        if found.samples == 0 {
            return;
        }
        if self.known.len() == SAMPLED_COLLECTIONS_MAX && !self.known.contains_key(&schema.generation) {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.sampled_us);
            let oldest = oldest.map(|(generation, _)| *generation);
            oldest.and_then(|generation| self.known.remove(&generation));
        }
        let known = self.known.entry(schema.generation).or_insert_with(|| Known {
            name: schema.name.clone(),
            ef: schema.graph.ef_search,
            found: Found::default(),
            sampled_us: unix_us,
            version: candidate.version,
            of_version: 0,
        });
        if known.version != candidate.version {
            (known.version, known.of_version) = (candidate.version, 0);
        }
        known.of_version += found.samples;
        known.sampled_us = unix_us;
        known.found = known.found.plus(found);
        // So that what was long ago loses its weight.
        if known.found.samples > SAMPLES_KEPT {
            known.found = known.found.half();
        }
    }
}

impl Known {
    fn show(&self) -> RecallStats {
        RecallStats {
            collection: self.name.clone(),
            ef: self.ef,
            found: self.found,
            sampled_s: self.sampled_us / 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use kora_mesh::{Gauge, SharedDeadline};
    use kora_vector::{Metric, Storage};

    use std::sync::Arc;

    use super::*;
    use kora_keyspace::catalog::{GraphSettings, MadeBy, Schema};

    fn candidate(generation: u64, version: u32) -> Candidate {
        let schema = Schema {
            name: format!("c{generation}").into(),
            generation: Generation(generation),
            dimension: 2,
            graph: GraphSettings {
                metric: Metric::L2,
                storage: Storage::F32,
                m: 4,
                ef_construction: 10,
                ef_search: 10,
                graph_min: kora_vector::hnsw::GRAPH_MIN,
            },
            made_by: MadeBy::Vecset,
            label: Bytes::new(),
            name_bytes: Gauge::new(0),
            leaving: Gauge::new(0),
            deadline: SharedDeadline::new(),
        };
        Candidate {
            schema: Arc::new(schema),
            version: Version(version),
            live: 1_000,
        }
    }

    #[test]
    fn an_unchanged_collection_is_sampled_often_enough_and_then_left_alone() {
        let mut sampling = Sampling::default();
        let found = Found::of_sample(9, 10);
        let mut taken = 0;
        while sampling.wants(&candidate(1, 5)) {
            sampling.note(&candidate(1, 5), found, taken);
            taken += 1;
        }
        assert_eq!(taken, SAMPLES_ENOUGH);
        assert!(sampling.wants(&candidate(1, 6)) && sampling.wants(&candidate(2, 5)));
        for _ in 0..10 * SAMPLES_KEPT {
            sampling.note(&candidate(1, 6), found, taken);
        }
        let known = &sampling.known[&Generation(1)].found;
        assert!(known.samples <= SAMPLES_KEPT && known.found * 10 <= known.wanted * 9);
    }

    #[test]
    fn the_collections_known_are_bounded_and_the_one_sampled_longest_ago_gives_way() {
        let mut sampling = Sampling::default();
        let found = Found::of_sample(1, 1);
        for generation in 0..2 * SAMPLED_COLLECTIONS_MAX as u64 {
            sampling.note(&candidate(generation, 1), found, generation);
        }
        assert_eq!(sampling.known.len(), SAMPLED_COLLECTIONS_MAX);
        assert!(!sampling.known.contains_key(&Generation(0)));
    }
}
