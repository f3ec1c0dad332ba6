//! Segments found by the leading bits of a hash: extendible hashing (Fagin et al. 1979).
//!
//! A full segment is divided in two by one more bit, two sparse ones become one again; nothing else moves.

/// A part of a table: what has hashes that begin with the same bits.
pub(crate) trait Segment: Sized {
    /// How many leading bits all its hashes share.
    fn depth(&self) -> u32;

    /// Those bits, with zeros behind them.
    fn prefix(&self) -> u32;

    /// Gives away what has a one in the next bit, and has one bit more then itself.
    fn split(&mut self) -> Self;

    /// Takes in what differs in the last of its bits, and has one bit less then.
    fn join(&mut self, other: Self);
}

/// Segments, and which of them has a hash.
#[derive(Debug)]
pub(crate) struct Directory<S> {
    /// The segment of each prefix of `depth` bits. Invariant: `places.len() == 1 << depth`.
    places: Vec<u32>,
    depth: u32,
    /// Invariant: never empty, until the last is popped.
    segments: Vec<S>,
    /// How many segments are as deep as the table. Invariant: not 0 but at depth 0, or the directory would be halved.
    deepest: usize,
}

impl<S: Segment> Directory<S> {
    /// A directory of one segment, which has all hashes.
    pub(crate) fn new(segment: S) -> Directory<S> {
        Directory {
            places: vec![0],
            depth: 0,
            segments: vec![segment],
            deepest: 1,
        }
    }

    /// Which segment has a hash.
    pub(crate) fn index_of(&self, hash: u32) -> usize {
        self.places[self.place(hash)] as usize
    }

    pub(crate) fn segments(&self) -> &[S] {
        &self.segments
    }

    pub(crate) fn get(&self, index: usize) -> &S {
        &self.segments[index]
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> &mut S {
        &mut self.segments[index]
    }

    /// Divides a segment in two. False if that is as deep as any may be.
    pub(crate) fn split(&mut self, index: usize) -> bool {
        let depth = self.segments[index].depth();
        if depth >= DEPTH_MAX {
            return false;
        }
        if depth == self.depth {
            self.places = self.places.iter().flat_map(|segment| [*segment, *segment]).collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let upper = self.segments[index].split();
        self.segments.push(upper);
        if depth + 1 == self.depth {
            self.deepest += 2;
        }
        self.enter(self.segments.len() - 1);
        true
    }

    /// Makes one of the segment of `hash` and its other half, if that `may` be; whether it did.
    pub(crate) fn merge(&mut self, hash: u32, may: impl FnOnce(&S, &S) -> bool) -> bool {
        let into = self.index_of(hash);
        let depth = self.segments[into].depth();
        if depth == 0 {
            return false;
        }
        let from = self.index_of(self.segments[into].prefix() ^ (1 << (32 - depth)));
        if self.segments[from].depth() != depth || !may(&self.segments[into], &self.segments[from]) {
            return false;
        }
        self.join(into, from);
        if depth == self.depth {
            self.deepest -= 2;
        }
        while self.deepest == 0 && self.depth > 0 {
            self.places = self.places.iter().copied().step_by(2).collect();
            self.depth -= 1;
            let deepest = self.segments.iter().filter(|segment| segment.depth() == self.depth);
            self.deepest = deepest.count();
        }
        true
    }

    /// The last segment, for a table that is used no more: nothing is found then, and nothing may be added.
    pub(crate) fn last_mut(&mut self) -> Option<&mut S> {
        self.places = Vec::new();
        self.segments.last_mut()
    }

    /// Takes out the last segment, for a table that is used no more.
    pub(crate) fn pop(&mut self) -> Option<S> {
        self.segments.pop()
    }

    /// Bytes held, without what segments point to.
    pub(crate) fn bytes(&self) -> usize {
        self.segments.capacity() * size_of::<S>() + self.places.capacity() * size_of::<u32>()
    }

    fn join(&mut self, into: usize, from: usize) {
        let last = self.segments.len() - 1;
        let gone = self.segments.swap_remove(from);
        // What was the last stands in its place.
        let into = if into == last { from } else { into };
        self.segments[into].join(gone);
        self.enter(into);
        if from < self.segments.len() && from != into {
            self.enter(from);
        }
    }

    /// Has the directory lead to a segment wherever it should.
    fn enter(&mut self, index: usize) {
        let segment = &self.segments[index];
        let first = self.place(segment.prefix());
        let count = 1 << (self.depth - segment.depth());
        let index = u32::try_from(index).expect("DEPTH_MAX bounds the segments");
        self.places[first..first + count].fill(index);
    }

    fn place(&self, hash: u32) -> usize {
        // In 64 bits, because a shift of 32 bits by all of them is none.
        (u64::from(hash) >> (32 - self.depth)) as usize
    }
}

/// 2^20 segments are a thousand million entries. Hashes that agree in 20 bits beyond that (none do, by chance) make a segment
/// grow.
const DEPTH_MAX: u32 = 20;
