//! An index written down while it changes, and read back.

use proptest::prelude::*;

use super::super::tests::{Random, parameters, vector_of, walk};
use super::*;
use crate::hnsw::{Hit, Insertion};
use crate::metric::Metric;
use crate::storage::Storage;

/// Queries, and what was found for each.
type Answers = Vec<(Vec<f32>, Vec<Hit>)>;

/// What was written of an index.
#[derive(Clone, Default)]
struct Written {
    head: Vec<u8>,
    nodes: Vec<Vec<u8>>,
    rows: Vec<Vec<u8>>,
}

impl Written {
    fn bytes(&self) -> u64 {
        let all = self.nodes.iter().chain(&self.rows).chain([&self.head]);
        all.map(|piece| piece.len() as u64).sum()
    }

    fn read(&self, parameters: Parameters) -> Result<(Index, Vec<(Slot, Slot)>), LoadFault> {
        let mut loading = IndexLoading::begin(parameters, 1, &self.head, self.bytes())?;
        self.nodes.iter().try_for_each(|piece| loading.nodes(piece))?;
        self.rows.iter().try_for_each(|piece| loading.rows(piece))?;
        let slots = 0..loading.numbering.slots();
        let live = slots.filter_map(|old| Some((Slot(old), loading.live_slot(old).ok()?)));
        let live = live.collect();
        Ok((loading.end()?, live))
    }
}

/// An index that changes, and what is live in it.
struct World {
    index: Index,
    random: Random,
    live: Vec<Slot>,
    under_way: Vec<(Insertion, Option<Slot>)>,
}

impl World {
    fn new(parameters: Parameters, seed: u64) -> World {
        World {
            index: super::super::tests::graphed(parameters),
            random: Random::new(seed),
            live: Vec::new(),
            under_way: Vec::new(),
        }
    }

    fn follow(&mut self) {
        for (from, to) in self.index.take_moves() {
            let before = self.under_way.iter_mut().filter_map(|(_, before)| before.as_mut());
            self.live
                .iter_mut()
                .chain(before)
                .filter(|slot| **slot == from)
                .for_each(|slot| *slot = to);
        }
    }

    fn remove(&mut self, slot: Slot) {
        if let Some(place) = self.live.iter().position(|live| *live == slot) {
            self.live.swap_remove(place);
            self.index.remove(slot);
        }
    }

    /// Does something.
    fn act(&mut self) {
        let vector = self.random.clumped(self.index.parameters().dimension);
        let some = self.random.below(self.live.len().max(1));
        match self.random.below(10) {
            0..=2 if self.under_way.len() < 8 => {
                let insertion = self.index.begin_insert(&vector);
                self.under_way.push((insertion, None));
            }
            3 if !self.live.is_empty() => {
                let insertion = self.index.begin_replace(self.live[some], &vector);
                self.under_way.push((insertion, Some(self.live[some])));
            }
            4 if !self.live.is_empty() => self.remove(self.live[some]),
            5 => {
                let _ = self.index.tend(&mut Work::new(3_000));
            }
            _ if !self.under_way.is_empty() => {
                let chosen = self.random.below(self.under_way.len());
                let mut work = Work::new(self.random.below(20_000) as u64);
                if let Step::Done(slot) = self.index.resume_insert(&mut self.under_way[chosen].0, &mut work) {
                    self.follow();
                    let (_, before) = self.under_way.swap_remove(chosen);
                    self.live.push(slot);
                    before.into_iter().for_each(|before| self.remove(before));
                }
            }
            _ => {}
        }
        self.follow();
    }

    fn prepare(&mut self) -> bool {
        loop {
            let step = self.index.prepare_capture(&mut Work::new(5_000));
            self.follow();
            match step {
                Step::Done(has_graph) => return has_graph,
                Step::More => self.act(),
            }
        }
    }

    /// Writes it down in pieces of about so many bytes, with so many acts between two of them.
    fn capture(&mut self, bytes: usize, acts: usize) -> (Written, Vec<(Slot, Vec<u32>)>, Answers) {
        let mut written = Written::default();
        let mut capture = self.index.begin_capture(&mut written.head);
        let bits = |slot: Slot| -> Vec<u32> { vector_of(&self.index, slot).into_iter().map(f32::to_bits).collect() };
        let mut live: Vec<(Slot, Vec<u32>)> = self.live.iter().map(|&slot| (slot, bits(slot))).collect();
        live.sort_unstable_by_key(|(slot, _)| *slot);
        assert!(capture.live_from(0).eq(live.iter().map(|(slot, _)| *slot)));
        let queries: Vec<Vec<f32>> = (0..5)
            .map(|_| self.random.clumped(self.index.parameters().dimension))
            .collect();
        let answers = queries
            .into_iter()
            .map(|query| {
                let hits = walk(&mut self.index, &query, 5, 20);
                (query, hits)
            })
            .collect();
        let mut is_more = true;
        while is_more {
            (0..acts).for_each(|_| self.act());
            let mut piece = Vec::new();
            is_more = self.index.capture_links(&mut capture, bytes, &mut piece) == Step::More;
            written.nodes.push(piece);
        }
        is_more = true;
        while is_more {
            (0..acts).for_each(|_| self.act());
            let mut piece = Vec::new();
            is_more = self.index.capture_rows(&mut capture, bytes, &mut piece) == Step::More;
            written.rows.push(piece);
        }
        self.index.end_capture();
        (written, live, answers)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_read_is_what_was_there_at_the_cut_whatever_happens_meanwhile(
        seed in any::<u64>(),
        metric in prop::sample::select(Metric::ALL.to_vec()),
        m in 2usize..=6,
        length in 1usize..1_000,
        storage in prop::sample::select(Storage::ALL.to_vec()),
        dimension in prop::sample::select(vec![5, 64, 101]),
        has_four_bits in any::<bool>(),
        bytes in prop::sample::select(vec![1, 300, 5_000]),
        acts in 0usize..5,
    ) {
        let parameters = Parameters { dimension, metric, m, ef_construction: 12, storage, seed };
        let mut world = World::new(parameters, seed);
        if has_four_bits && storage == Storage::F32 && dimension > 5 {
            world.index.walk_on_four_bits();
        }
        (0..length).for_each(|_| world.act());
        let has_graph = world.prepare();
        prop_assert!(has_graph || length < 200, "{} live after {}", world.live.len(), length);
        if has_graph {
            let (written, live, answers) = world.capture(bytes, acts);
            let (mut read, numbers) = written.read(parameters).expect("it was just written");
            prop_assert_eq!(read.check(), Ok(()), "seed {}", seed);
            prop_assert_eq!(read.live(), live.len());
            prop_assert_eq!(numbers.len(), live.len());
            let number = |slot: Slot| numbers.iter().find(|(old, _)| *old == slot).expect("it is live").1;
            for (slot, bits) in &live {
                let kept: Vec<u32> = vector_of(&read, number(*slot)).into_iter().map(f32::to_bits).collect();
                prop_assert_eq!(&kept, bits);
            }
            for (query, hits) in answers {
                let found = walk(&mut read, &query, 5, 20);
                let expected: Vec<Hit> = hits.into_iter().map(|hit| Hit { slot: number(hit.slot), ..hit }).collect();
                prop_assert_eq!(found, expected);
            }
            // It goes on as any other does.
            let mut again = World { index: read, random: Random::new(seed ^ 1), live: Vec::new(), under_way: Vec::new() };
            again.live = numbers.iter().map(|(_, new)| *new).collect();
            (0..100).for_each(|_| again.act());
            prop_assert_eq!(again.index.check(), Ok(()));
        }
        (0..200).for_each(|_| world.act());
        prop_assert_eq!(world.index.check(), Ok(()));
    }
}

/// A small index as it is written, with some that are dead, and some slots that are vacant.
fn small(storage: Storage, dimension: usize) -> (Parameters, Written) {
    let parameters = Parameters {
        storage,
        ..parameters(Metric::Cosine, dimension, 3)
    };
    let mut world = World::new(parameters, 7);
    if dimension == 96 {
        world.index.walk_on_four_bits();
    }
    (0..160).for_each(|_| world.act());
    assert!(world.prepare());
    let (written, ..) = world.capture(1 << 20, 0);
    (parameters, written)
}

fn piece(written: &mut Written, which: usize) -> &mut Vec<u8> {
    match which {
        0 => &mut written.head,
        1 => &mut written.nodes[0],
        _ => &mut written.rows[0],
    }
}

#[test]
fn every_byte_that_is_changed_or_missing_is_refused_or_makes_a_sound_index() {
    for (storage, dimension) in [
        (Storage::F32, 5),
        (Storage::F32, 96),
        (Storage::F16, 5),
        (Storage::Q16, 5),
        (Storage::Q8, 5),
    ] {
        let (parameters, written) = small(storage, dimension);
        let (mut refused, mut read) = (0, 0);
        let mut look = |changed: &Written, what: &str| match changed.read(parameters) {
            Err(_) => refused += 1,
            Ok((mut index, _)) => {
                read += 1;
                assert_eq!(index.check(), Ok(()), "{storage} {what}");
                let hits = index.search(&vec![0.5; dimension], 3, 10);
                assert!(hits.iter().all(|hit| hit.distance.is_finite()), "{storage} {what}");
                index.insert(&vec![0.25; dimension]);
                assert_eq!(index.check(), Ok(()), "{storage} {what}");
            }
        };
        for which in 0..3 {
            let length = piece(&mut written.clone(), which).len();
            for at in 0..length {
                for change in [0xff, 1] {
                    let mut changed = written.clone();
                    piece(&mut changed, which)[at] ^= change;
                    look(&changed, &format!("part {which}, byte {at} ^ {change}"));
                }
                let mut cut = written.clone();
                piece(&mut cut, which).truncate(at);
                look(&cut, &format!("part {which} cut at {at}"));
            }
        }
        assert!(
            refused > 1_000 && read > 50,
            "{storage}: {refused} refused, {read} read"
        );
    }
}

#[test]
fn memory_is_not_taken_on_the_word_of_a_head() {
    let (parameters, written) = small(Storage::F32, 5);
    let mut head = written.head[..44].to_vec();
    head[4..8].copy_from_slice(&(1u32 << 26).to_le_bytes());
    head.extend(std::iter::repeat_n(0xff, 1 << 23));
    head.extend(std::iter::repeat_n(0, 1 << 23));
    let fault = IndexLoading::begin(parameters, 1, &head, head.len() as u64).err();
    assert_eq!(
        fault.map(|fault| fault.what),
        Some("an index of more vectors than there are bytes")
    );
}
