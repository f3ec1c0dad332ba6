//! An index, the rows that it holds and those that it does not, and what is done to it.

use std::collections::VecDeque;

use kora_bench::cpu_time;
use kora_vector::{Index, Parameters, Slot, Step, Work};

pub(crate) struct World {
    /// All there are, one after the other.
    rows: Vec<f32>,
    pub(crate) queries: Vec<Vec<f32>>,
    pub(crate) index: Index,
    /// Which row each live vector is, and where; by key.
    live: Vec<(usize, Slot)>,
    /// Which key is in a slot.
    keys: Vec<usize>,
    /// Rows that are not in the index, those first that left first.
    spare: VecDeque<usize>,
    /// How many shall be live.
    wanted: usize,
    /// The key whose turn it is, where all have theirs one after the other.
    turn: usize,
    /// How far a component drifts at once, at most.
    pub(crate) drift: f32,
    pub(crate) replacing: Replacing,
    random: u64,
    pub(crate) costs: Costs,
}

/// How a vector is replaced by another one.
#[derive(Clone, Copy)]
pub(crate) enum Replacing {
    /// As VECSET does it.
    Together,
    /// The new one is inserted as if there were no other, which is removed then.
    Apart,
}

/// What operations have cost since somebody asked, of one index.
#[derive(Clone, Copy, Default)]
pub(crate) struct Costs {
    /// Insertions: their time, their units of work, and how many.
    pub(crate) set_us: f64,
    pub(crate) set_work: u64,
    pub(crate) sets: usize,
    /// The longest slice, of anything.
    pub(crate) slice_us_max: f64,
    /// Time spent on upkeep between operations.
    pub(crate) rested_us: f64,
}

impl World {
    /// Of the rows the last are sought and never stored.
    pub(crate) fn new(parameters: Parameters, rows: Vec<f32>, wanted: usize) -> World {
        let dimension = parameters.dimension;
        let count = rows.len() / dimension;
        assert!(wanted + QUERIES < count, "{wanted} of {count} rows");
        let queries = (count - QUERIES..count).map(|row| rows[row * dimension..][..dimension].to_vec());
        World {
            queries: queries.collect(),
            index: Index::new(parameters),
            rows,
            live: Vec::new(),
            keys: Vec::new(),
            spare: (0..count - QUERIES).collect(),
            wanted,
            turn: 0,
            drift: DRIFT,
            replacing: Replacing::Together,
            random: 88_172_645_463_325_252,
            costs: Costs::default(),
        }
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn load(&mut self) {
        while self.live.len() < self.wanted {
            let row = self.spare.pop_front().expect("there are more rows than shall be live");
            self.add(row);
        }
    }

    /// One of set anew, replaced and deleted, so that about as many stay live.
    pub(crate) fn change_at_random(&mut self) {
        let swing = self.wanted / 100;
        let grows = match self.live.len() {
            live if live + swing < self.wanted => true,
            live if live > self.wanted + swing => false,
            _ => self.below(2) == 0,
        };
        if self.below(2) == 0 {
            let (key, row) = (self.below(self.live.len()), self.any_spare());
            self.replace(key, row);
        } else if grows && !self.spare.is_empty() {
            let row = self.any_spare();
            self.add(row);
        } else {
            self.remove_any();
        }
    }

    /// The oldest goes, another comes.
    pub(crate) fn replace_oldest(&mut self) {
        let row = self.spare.pop_front().expect("there are more rows than are live");
        self.turn = (self.turn + 1) % self.live.len();
        self.replace(self.turn, row);
    }

    /// One vector becomes another that is near it.
    pub(crate) fn move_a_little(&mut self) {
        let key = self.below(self.live.len());
        let row = self.live[key].0;
        for component in 0..self.dimension() {
            let step = (self.below(2_000) as f32 / 1_000.0 - 1.0) * self.drift;
            let at = row * self.dimension() + component;
            self.rows[at] += step;
        }
        self.replace(key, row);
        self.spare.pop_back();
    }

    pub(crate) fn add(&mut self, row: usize) {
        let slot = self.insert(row, None);
        self.live.push((row, slot));
        self.note(self.live.len() - 1, slot);
    }

    pub(crate) fn remove_any(&mut self) {
        let key = self.below(self.live.len());
        let row = self.remove(key);
        self.spare.push_back(row);
    }

    /// Removes so many that are near one of the live, and returns their rows.
    pub(crate) fn remove_near_one(&mut self, count: usize) -> Vec<usize> {
        let key = self.below(self.live.len());
        let row = self.live[key].0;
        let center = self.row(row).to_vec();
        let near = self.index.exact(&center, count);
        near.iter()
            .take(count)
            .map(|hit| self.remove(self.keys[hit.slot.index()]))
            .collect()
    }

    /// Lets it do what it does when nobody asks anything.
    pub(crate) fn rest(&mut self) {
        while self.index.has_upkeep() {
            let begun = cpu_time();
            let _ = self.index.tend(&mut Work::new(SLICE_WORK));
            self.costs.note_slice(begun);
            self.costs.rested_us += us_since(begun);
            self.follow();
        }
    }

    /// A fresh index of what is live.
    pub(crate) fn fresh(&self) -> Index {
        let mut fresh = Index::new(self.index.parameters());
        for &(row, _) in &self.live {
            fresh.insert(self.row(row));
        }
        fresh
    }

    pub(crate) fn forget_costs(&mut self) {
        self.costs = Costs::default();
    }

    /// A row that is not live.
    pub(crate) fn some_row(&mut self) -> Vec<f32> {
        let place = self.below(self.spare.len());
        self.row(self.spare[place]).to_vec()
    }

    /// The new one is set before the old one goes.
    fn replace(&mut self, key: usize, row: usize) {
        let slot = match self.replacing {
            Replacing::Together => self.insert(row, Some(self.live[key].1)),
            Replacing::Apart => self.insert(row, None),
        };
        let (left, before) = std::mem::replace(&mut self.live[key], (row, slot));
        self.index.remove(before);
        self.spare.push_back(left);
        self.note(key, slot);
    }

    fn remove(&mut self, key: usize) -> usize {
        let (row, slot) = self.live.swap_remove(key);
        self.index.remove(slot);
        if let Some(&(_, slot)) = self.live.get(key) {
            self.note(key, slot);
        }
        row
    }

    fn insert(&mut self, row: usize, before: Option<Slot>) -> Slot {
        let dimension = self.dimension();
        let vector = &self.rows[row * dimension..][..dimension];
        let slot = insert_in_slices(&mut self.index, vector, before, &mut self.costs);
        self.follow();
        slot
    }

    fn follow(&mut self) {
        let moves = self.index.take_moves();
        for (from, to) in moves {
            let key = self.keys[from.index()];
            self.live[key].1 = to;
            self.note(key, to);
        }
    }

    fn note(&mut self, key: usize, slot: Slot) {
        if self.keys.len() <= slot.index() {
            self.keys.resize(slot.index() + 1, usize::MAX);
        }
        self.keys[slot.index()] = key;
    }

    fn any_spare(&mut self) -> usize {
        let place = self.below(self.spare.len());
        self.spare.swap_remove_back(place).expect("a place below their number")
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.rows[row * self.dimension()..][..self.dimension()]
    }

    fn dimension(&self) -> usize {
        self.index.parameters().dimension
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound
    }
}

impl Costs {
    fn note_slice(&mut self, begun: std::time::Duration) {
        self.slice_us_max = self.slice_us_max.max(us_since(begun));
    }
}

/// Inserts as a server does, perhaps in the place of another.
pub(crate) fn insert_in_slices(index: &mut Index, vector: &[f32], before: Option<Slot>, costs: &mut Costs) -> Slot {
    let begun = cpu_time();
    let mut slice = begun;
    let mut insertion = match before {
        Some(before) => index.begin_replace(before, vector),
        None => index.begin_insert(vector),
    };
    loop {
        let mut work = Work::new(SLICE_WORK);
        let step = index.resume_insert(&mut insertion, &mut work);
        costs.note_slice(slice);
        costs.set_work += SLICE_WORK - work.left();
        if let Step::Done(slot) = step {
            costs.set_us += us_since(begun);
            costs.sets += 1;
            return slot;
        }
        slice = cpu_time();
    }
}

pub(crate) fn us_since(begun: std::time::Duration) -> f64 {
    (cpu_time() - begun).as_secs_f64() * 1e6
}

/// Rows at the end that are sought and never stored.
const QUERIES: usize = 1_000;

/// Work of a slice, as in the server.
const SLICE_WORK: u64 = 1 << 20;

/// How far a component drifts at once, at most, if nobody says: a word of GloVe has components of about 0.5.
const DRIFT: f32 = 0.05;
