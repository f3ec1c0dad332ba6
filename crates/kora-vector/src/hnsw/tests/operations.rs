//! Any order of operations, whole ones and such as are left in the middle.

use proptest::prelude::*;

use super::*;

/// Everything that can be done to an index. `Ops::ALL` is what the test draws from.
#[derive(Clone, Copy, Debug)]
enum Op {
    Insert,
    InsertCopy,
    BeginInsert,
    Replace,
    BeginReplace,
    Remove,
    Search,
    BeginSearch,
    BeginExact,
    SearchWhere,
    Tend,
    TendFully,
    RemoveMost,
    RemoveNewest,
    Resume,
    GiveUp,
}

impl Op {
    const ALL: [Op; 16] = [
        Op::Insert,
        Op::InsertCopy,
        Op::BeginInsert,
        Op::Replace,
        Op::BeginReplace,
        Op::Remove,
        Op::Search,
        Op::BeginSearch,
        Op::BeginExact,
        Op::SearchWhere,
        Op::Tend,
        Op::TendFully,
        Op::RemoveMost,
        Op::RemoveNewest,
        Op::Resume,
        Op::GiveUp,
    ];
}

/// An operation under way.
enum Pending {
    Insert(Insertion),
    /// And the number of the one that it replaces.
    Replace(Insertion, usize),
    Search(Search, Vec<f32>),
}

struct Model {
    index: Index,
    random: Random,
    /// What is live, as it was when it came back first, and a number of its own.
    live: Vec<(Slot, Vec<f32>, usize)>,
    born: usize,
    pending: Vec<Pending>,
    /// An insertion was given up, and its slot is of no use any more.
    has_lost_slots: bool,
}

impl Model {
    fn apply(&mut self, op: Op) {
        let dimension = self.index.parameters().dimension;
        let vector = self.random.clumped(dimension);
        let (k, ef) = (1 + self.random.below(12), 1 + self.random.below(30));
        match op {
            Op::Insert => {
                let slot = self.index.insert(&vector);
                self.came(slot);
            }
            Op::InsertCopy => {
                let vector = self.live.first().map_or(vector, |(_, vector, _)| vector.clone());
                let slot = self.index.insert(&vector);
                self.came(slot);
            }
            Op::BeginInsert => {
                let insertion = self.index.begin_insert(&vector);
                self.pending.push(Pending::Insert(insertion));
            }
            Op::Replace | Op::BeginReplace => {
                if !self.live.is_empty() {
                    let (before, _, number) = &self.live[self.random.below(self.live.len())];
                    let (before, number) = (*before, *number);
                    let vector = self.near(before, vector);
                    let mut insertion = self.index.begin_replace(before, &vector);
                    if matches!(op, Op::Replace) {
                        let step = self.index.resume_insert(&mut insertion, &mut Work::unlimited());
                        self.replaced(step, number);
                    } else {
                        self.pending.push(Pending::Replace(insertion, number));
                    }
                }
            }
            Op::Remove => {
                if !self.live.is_empty() {
                    let (slot, ..) = self.live.swap_remove(self.random.below(self.live.len()));
                    self.index.remove(slot);
                }
            }
            Op::RemoveMost | Op::RemoveNewest => {
                if self.random.below(20) == 0 {
                    if matches!(op, Op::RemoveNewest) {
                        self.live.sort_unstable_by_key(|(slot, ..)| slot.index());
                    }
                    let left = self.live.len() - self.live.len() * self.random.below(10) / 10;
                    let gone = self.live.drain(left..);
                    gone.for_each(|(slot, ..)| self.index.remove(slot));
                }
            }
            Op::Search => {
                for hits in [self.index.search(&vector, k, ef), walk(&mut self.index, &vector, k, ef)] {
                    assert_honest(&mut self.index, &vector, &hits, 1);
                }
            }
            Op::BeginSearch => {
                let search = self.index.begin_walk(&vector, SearchParameters::nearest(k, ef));
                self.pending.push(Pending::Search(search, vector));
            }
            Op::BeginExact => {
                let search = self.index.begin_exact(&vector, k);
                self.pending.push(Pending::Search(search, vector));
            }
            Op::SearchWhere => {
                let one_in = 1 + self.random.below(6);
                let mut admits = |slot: Slot| slot.index().is_multiple_of(one_in);
                let parameters = SearchParameters {
                    radius: 1.0,
                    ..SearchParameters::nearest(k, ef)
                };
                let mut search = self.index.begin_walk(&vector, parameters);
                let mut work = Work::unlimited();
                let Step::Done(hits) = self.index.resume_search_where(&mut search, &mut work, &mut admits) else {
                    panic!("an unlimited allowance is not spent");
                };
                assert!(hits.iter().all(|hit| admits(hit.slot) && hit.distance <= 1.0));
                assert_honest(&mut self.index, &vector, &hits, 0);
            }
            Op::Tend => {
                let _ = self.index.tend(&mut Work::new(self.random.below(2_000) as u64));
            }
            Op::TendFully => {
                let work_max = 1 + self.random.below(2_000);
                self.tend_fully(work_max);
            }
            Op::Resume => self.resume(),
            Op::GiveUp => {
                if self.pending.len() > 20 {
                    let pending = self.pending.swap_remove(self.random.below(20));
                    self.has_lost_slots |= !matches!(pending, Pending::Search(..));
                }
            }
        }
    }

    /// Lets it consolidate until there is nothing to do, and sees that this comes to an end.
    fn tend_fully(&mut self, work_max: usize) {
        const STEPS_MAX: usize = 10_000;
        let mut steps = 0;
        while self.index.has_upkeep() {
            let _ = self.index.tend(&mut Work::new(self.random.below(work_max) as u64));
            assert_eq!(self.index.check(), Ok(()));
            steps += 1;
            assert!(steps < STEPS_MAX, "there is always something to do");
        }
        // Those under way may know slots, and have some; and so few slots as one word has bits are not moved together.
        let (slots, vacant) = (self.index.slots(), self.index.vacant());
        let is_free = self.pending.is_empty() && !self.has_lost_slots;
        if is_free && self.index.live() > 0 && self.index.built.is_some() && slots > 64 {
            assert!(
                vacant < 16 || vacant * 24 < slots,
                "{vacant} of {slots} slots are vacant at rest"
            );
        }
    }

    /// A vector at some distance from a live one: none, little, or so much that it is hardly nearer than the other.
    fn near(&mut self, slot: Slot, other: Vec<f32>) -> Vec<f32> {
        let part = [0.0, 0.01, 0.1, 0.9][self.random.below(4)];
        let here = vector_of(&self.index, slot);
        let there = here.iter().zip(other);
        there.map(|(here, other)| here + part * (other - here)).collect()
    }

    /// The one that had this number goes, unless it has gone already.
    fn replaced(&mut self, step: Step<Slot>, number: usize) -> bool {
        let Step::Done(slot) = step else {
            return false;
        };
        self.came(slot);
        if let Some(place) = self.live.iter().position(|live| live.2 == number) {
            let (before, ..) = self.live.swap_remove(place);
            self.index.remove(before);
        }
        true
    }

    fn came(&mut self, slot: Slot) {
        self.follow();
        let vector = vector_of(&self.index, slot);
        self.live.push((slot, vector, self.born));
        self.born += 1;
    }

    /// Notes who has moved.
    fn follow(&mut self) {
        for (from, to) in self.index.take_moves() {
            let moved = self.live.iter_mut().find(|(slot, ..)| *slot == from);
            moved.expect("only the live move").0 = to;
        }
    }

    /// Whatever moved, each vector is where it is said to be, and as it was.
    fn check(&mut self) {
        self.follow();
        assert_eq!(self.index.live(), self.live.len());
        for (slot, vector, _) in &self.live {
            assert!(self.index.is_live(*slot));
            assert_eq!(&vector_of(&self.index, *slot), vector);
        }
    }

    fn resume(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let chosen = self.random.below(self.pending.len());
        let mut work = Work::new(self.random.below(5_000) as u64);
        match &mut self.pending[chosen] {
            Pending::Insert(insertion) => {
                if let Step::Done(slot) = self.index.resume_insert(insertion, &mut work) {
                    self.pending.swap_remove(chosen);
                    self.came(slot);
                }
            }
            Pending::Replace(insertion, number) => {
                let number = *number;
                let step = self.index.resume_insert(insertion, &mut work);
                if self.replaced(step, number) {
                    self.pending.swap_remove(chosen);
                }
            }
            Pending::Search(search, query) => {
                if let Step::Done(hits) = self.index.resume_search(search, &mut work) {
                    let query = std::mem::take(query);
                    assert_honest(&mut self.index, &query, &hits, 0);
                    self.pending.swap_remove(chosen);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn any_order_of_operations_keeps_the_graph_sound_and_the_answers_honest(
        seed in any::<u64>(),
        metric in prop::sample::select(Metric::ALL.to_vec()),
        m in 2usize..=6,
        length in 1usize..400,
        small_max in prop::sample::select(vec![0, 0, 3, 40]),
        storage in prop::sample::select(Storage::ALL.to_vec()),
        // At 64 the walk reads codes whatever the storage, or halves, and the codes' tails have a table of their own.
        dimension in prop::sample::select(vec![5, 64, 101]),
        has_four_bits in any::<bool>(),
    ) {
        let parameters = Parameters { dimension, metric, m, ef_construction: 12, storage, seed };
        let mut index = Index::with_small_max(parameters, small_max);
        if has_four_bits && storage == Storage::F32 && dimension > 5 {
            index.walk_on_four_bits();
        }
        let mut model =
            Model { index, random: Random::new(seed), live: Vec::new(), born: 0, pending: Vec::new(), has_lost_slots: false };
        for _ in 0..length {
            let op = Op::ALL[model.random.below(Op::ALL.len())];
            model.apply(op);
            prop_assert_eq!(model.index.check(), Ok(()), "seed {} after {:?}", seed, op);
            model.check();
        }
        while !model.pending.is_empty() {
            model.resume();
            prop_assert_eq!(model.index.check(), Ok(()), "seed {}", seed);
        }
        model.tend_fully(1);
        model.check();
    }
}
