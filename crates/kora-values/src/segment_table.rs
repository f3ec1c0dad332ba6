//! A hash table that never moves more than a segment at once: extendible hashing.
//!
//! A table of ten million entries that doubles would hold its worker for a second. Here entries live in segments of at most
//! [`SEGMENT_ENTRIES_MAX`]; a full segment splits in two by one more bit of the hash, two sparse ones become one again, and
//! either moves that many entries and no more (Fagin et al. 1979).
//!
//! Entries are scanned in the order of their hashes. An entry keeps its hash while the table splits and merges, so a scan
//! that remembers nothing but the hash it has come to meets every entry that was there all the time.

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

/// What stands in a [`SegmentTable`].
pub trait Hashed {
    /// The hash of the entry's name: [`hash`] of it, or anything as well spread in all bits. The same for as long as the
    /// entry stands in a table. A table asks often; an entry whose name is elsewhere in memory should keep it.
    fn hash(&self) -> u32;
}

/// SipHash-1-3 of a name, keyed by `seed`: who does not know the seed cannot choose names that collide.
pub fn hash(seed: u64, name: &[u8]) -> u32 {
    let hasher = SipHasher13::new_with_keys(seed, !seed.rotate_left(32));
    (hasher.hash(name) >> 32) as u32
}

/// Entries, found by the hash of their names.
///
/// What makes two names equal is the caller's: it may keep them in the entries or elsewhere.
#[derive(Debug)]
pub struct SegmentTable<E> {
    /// The segment of each prefix of `depth` bits. Invariant: `directory.len() == 1 << depth`.
    directory: Vec<u32>,
    depth: u32,
    /// Invariant: never empty, until the table is dismantled.
    segments: Vec<Segment<E>>,
    /// How many segments are as deep as the table. Invariant: not 0 but at depth 0, or the directory would be halved.
    deepest: usize,
    len: usize,
    /// What the segments' entries have been allocated. Invariant: the sum of their `allocation_size`.
    entry_bytes: usize,
}

#[derive(Debug)]
struct Segment<E> {
    /// Leading bits that all its hashes share. Invariant: at most the table's depth.
    depth: u32,
    /// Those bits, with zeros behind them.
    prefix: u32,
    entries: HashTable<E>,
}

impl<E: Hashed> Default for SegmentTable<E> {
    fn default() -> SegmentTable<E> {
        SegmentTable::new()
    }
}

impl<E: Hashed> SegmentTable<E> {
    /// An empty table. It allocates a few bytes.
    pub fn new() -> SegmentTable<E> {
        let segment = Segment {
            depth: 0,
            prefix: 0,
            entries: HashTable::new(),
        };
        SegmentTable {
            directory: vec![0],
            depth: 0,
            segments: vec![segment],
            deepest: 1,
            len: 0,
            entry_bytes: 0,
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry with this hash that `is` the one.
    pub fn find(&self, hash: u32, is: impl FnMut(&E) -> bool) -> Option<&E> {
        self.segments[self.segment_of(hash)].entries.find(spread(hash), is)
    }

    /// The entry with this hash that `is` the one, to be changed in all but its hash.
    pub fn find_mut(&mut self, hash: u32, is: impl FnMut(&E) -> bool) -> Option<&mut E> {
        let segment = self.segment_of(hash);
        self.segments[segment].entries.find_mut(spread(hash), is)
    }

    /// Adds an entry that is not there yet: the caller has looked.
    pub fn insert_new(&mut self, entry: E) {
        let hash = entry.hash();
        let mut index = self.segment_of(hash);
        while self.segments[index].entries.len() >= SEGMENT_ENTRIES_MAX && self.segments[index].depth < DEPTH_MAX {
            self.split(index);
            index = self.segment_of(hash);
        }
        let entries = &mut self.segments[index].entries;
        let is_full = entries.len() == entries.capacity();
        let before = if is_full { entries.allocation_size() } else { 0 };
        entries.insert_unique(spread(hash), entry, |entry| spread(entry.hash()));
        if is_full {
            self.entry_bytes += entries.allocation_size() - before;
        }
        self.len += 1;
    }

    /// Takes out the entry with this hash that `is` the one.
    pub fn remove(&mut self, hash: u32, is: impl FnMut(&E) -> bool) -> Option<E> {
        let index = self.segment_of(hash);
        let entries = &mut self.segments[index].entries;
        let (entry, _) = entries.find_entry(spread(hash), is).ok()?.remove();
        self.len -= 1;
        if entries.num_buckets() > BUCKETS_MIN && entries.len() < entries.num_buckets() / 4 {
            self.shrink(index);
            self.merge(hash);
        }
        Some(entry)
    }

    /// The entries whose hash has a prefix of `bits` bits from `from` on, in the order of their prefixes: `wanted` of them,
    /// fewer after mass deletion, and all that share the last one's prefix. And the prefix to go on from, if there may be
    /// more; it is beyond `from`.
    ///
    /// The fewer bits, the more share a prefix and come at once; with 32 these are only equal hashes.
    pub fn scan(&self, from: u32, bits: u32, wanted: usize) -> (Vec<&E>, Option<u32>) {
        assert!((1..=32).contains(&bits), "{bits} bits of a hash");
        let shift = 32 - bits;
        if u64::from(from) >= 1 << bits {
            return (Vec::new(), None);
        }
        let mut met: Vec<(u32, &E)> = Vec::new();
        // Of a hash 2³² or more: behind all segments.
        let mut place = u64::from(from) << shift;
        for visited in 1.. {
            let segment = &self.segments[self.segment_of(place as u32)];
            place = u64::from(segment.prefix) + (1 << (32 - segment.depth));
            let first = met.len();
            met.extend(segment.entries.iter().filter_map(|entry| {
                let prefix = entry.hash() >> shift;
                (prefix >= from).then_some((prefix, entry))
            }));
            if let Some(next) = cut(&mut met, first, wanted) {
                return (entries_of(met), Some(next));
            }
            if place >> 32 != 0 {
                return (entries_of(met), None);
            }
            // What the next segments hold of this prefix belongs to what was met.
            let ends_a_prefix = place & ((1 << shift) - 1) == 0;
            if ends_a_prefix && (met.len() >= wanted || visited >= SEGMENTS_PER_SCAN) {
                break;
            }
        }
        (entries_of(met), Some((place >> shift) as u32))
    }

    /// Some entry, each about as likely as any other. `random` gives 64 random bits at each call.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&E> {
        if self.len == 0 {
            return None;
        }
        for _ in 0..RANDOM_TRIES {
            // A segment of few bits stands in the directory as often as it has entries, on average.
            let number = random();
            let entries = &self.segments[self.segment_of((number >> 32) as u32)].entries;
            let bucket = below(number as u32, entries.num_buckets());
            if let Some(entry) = entries.get_bucket(bucket) {
                return Some(entry);
            }
        }
        // So sparse that luck takes long: the first from some place on.
        let start = below(random() as u32, self.segments.len());
        let (before, behind) = self.segments.split_at(start);
        behind
            .iter()
            .chain(before)
            .find_map(|segment| segment.entries.iter().next())
    }

    /// Every entry, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &E> {
        self.segments.iter().flat_map(|segment| segment.entries.iter())
    }

    /// Bytes held, without what entries point to.
    pub fn bytes(&self) -> usize {
        self.entry_bytes
            + self.segments.capacity() * size_of::<Segment<E>>()
            + self.directory.capacity() * size_of::<u32>()
    }

    /// Takes out some entries, [`DISMANTLED_MAX`] at most; `None` when there are none left. For a table that is used no
    /// more, so that it can be freed in steps.
    pub fn dismantle(&mut self) -> Option<Vec<E>> {
        // Nothing is found any more, and nothing may be added.
        self.directory = Vec::new();
        let entries = &mut self.segments.last_mut()?.entries;
        let taken: Vec<E> = entries.extract_if(|_| true).take(DISMANTLED_MAX).collect();
        self.len -= taken.len();
        if entries.is_empty() {
            self.entry_bytes -= entries.allocation_size();
            self.segments.pop();
        }
        Some(taken)
    }

    /// Divides a segment in two by the next bit of the hash.
    fn split(&mut self, index: usize) {
        if self.segments[index].depth == self.depth {
            self.directory = self.directory.iter().flat_map(|segment| [*segment, *segment]).collect();
            self.depth += 1;
            self.deepest = 0;
        }
        let segment = &mut self.segments[index];
        let before = segment.entries.allocation_size();
        segment.depth += 1;
        let depth = segment.depth;
        let bit = 1 << (32 - depth);
        let mut upper = HashTable::with_capacity(segment.entries.len() / 2);
        for entry in segment.entries.extract_if(|entry| entry.hash() & bit != 0) {
            upper.insert_unique(spread(entry.hash()), entry, |entry| spread(entry.hash()));
        }
        segment.entries.shrink_to(0, |entry| spread(entry.hash()));
        self.entry_bytes = self.entry_bytes + segment.entries.allocation_size() + upper.allocation_size() - before;
        let prefix = segment.prefix | bit;
        self.segments.push(Segment {
            depth,
            prefix,
            entries: upper,
        });
        if depth == self.depth {
            self.deepest += 2;
        }
        self.enter(self.segments.len() - 1);
    }

    fn shrink(&mut self, index: usize) {
        let entries = &mut self.segments[index].entries;
        let before = entries.allocation_size();
        entries.shrink_to(entries.len() + entries.len() / 2, |entry| spread(entry.hash()));
        self.entry_bytes -= before - entries.allocation_size();
    }

    /// Makes one of the segment of `hash` and that which differs in the last bit of its prefix, while both are sparse.
    fn merge(&mut self, hash: u32) {
        loop {
            let index = self.segment_of(hash);
            let depth = self.segments[index].depth;
            if depth == 0 {
                return;
            }
            let other = self.segment_of(self.segments[index].prefix ^ (1 << (32 - depth)));
            let together = self.segments[index].entries.len() + self.segments[other].entries.len();
            if self.segments[other].depth != depth || together > MERGED_ENTRIES_MAX {
                return;
            }
            self.join(index, other);
            if depth == self.depth {
                self.deepest -= 2;
            }
            while self.deepest == 0 && self.depth > 0 {
                self.directory = self.directory.iter().copied().step_by(2).collect();
                self.depth -= 1;
                self.deepest = self
                    .segments
                    .iter()
                    .filter(|segment| segment.depth == self.depth)
                    .count();
            }
        }
    }

    /// Moves all of segment `from` to `into`, which gets its buddy's half of the hashes, too.
    fn join(&mut self, into: usize, from: usize) {
        let gone = std::mem::take(&mut self.segments[from].entries);
        let segment = &mut self.segments[into];
        let before = segment.entries.allocation_size() + gone.allocation_size();
        segment.prefix &= !(1 << (32 - segment.depth));
        segment.depth -= 1;
        for entry in gone {
            segment
                .entries
                .insert_unique(spread(entry.hash()), entry, |entry| spread(entry.hash()));
        }
        self.entry_bytes = self.entry_bytes + segment.entries.allocation_size() - before;
        self.enter(into);
        self.segments.swap_remove(from);
        if from < self.segments.len() {
            self.enter(from);
        }
    }

    /// Has the directory lead to a segment wherever it should.
    fn enter(&mut self, index: usize) {
        let segment = &self.segments[index];
        let first = self.directory_place(segment.prefix);
        let count = 1 << (self.depth - segment.depth);
        let index = u32::try_from(index).expect("DEPTH_MAX bounds the segments");
        self.directory[first..first + count].fill(index);
    }

    fn segment_of(&self, hash: u32) -> usize {
        self.directory[self.directory_place(hash)] as usize
    }

    fn directory_place(&self, hash: u32) -> usize {
        // In 64 bits, because a shift of 32 bits by all of them is none.
        (u64::from(hash) >> (32 - self.depth)) as usize
    }
}

/// Leaves of `met` the first `wanted` and all with the last one's prefix, in order; returns the prefix behind them. `None`
/// if nothing was cut off. What stands before `sorted` is in order and has smaller prefixes than what stands behind.
fn cut<E>(met: &mut Vec<(u32, &E)>, sorted: usize, wanted: usize) -> Option<u32> {
    let fresh = &mut met[sorted..];
    let wanted_here = wanted.saturating_sub(sorted).max(1);
    if fresh.len() <= wanted_here {
        fresh.sort_unstable_by_key(|(prefix, _)| *prefix);
        return None;
    }
    let (_, (last, _), _) = fresh.select_nth_unstable_by_key(wanted_here - 1, |(prefix, _)| *prefix);
    let last = *last;
    let next = fresh
        .iter()
        .map(|(prefix, _)| *prefix)
        .filter(|prefix| *prefix > last)
        .min();
    met.retain(|(prefix, _)| *prefix <= last);
    met[sorted..].sort_unstable_by_key(|(prefix, _)| *prefix);
    next
}

fn entries_of<E>(met: Vec<(u32, &E)>) -> Vec<&E> {
    met.into_iter().map(|(_, entry)| entry).collect()
}

/// A number below `bound`, each as likely as any other but for one in 2³²/`bound`.
fn below(random: u32, bound: usize) -> usize {
    ((u64::from(random) * bound as u64) >> 32) as usize
}

/// Spreads 32 bits over the 64 that hashbrown looks at (Fibonacci hashing): within a segment the leading ones are alike.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// What fits 2,048 buckets of a hashbrown table, which is filled to seven eighths. A split of entries of 32 bytes moves
/// 28 KiB, some tens of microseconds; a table of ten million has 8,000 segments, and what leads to them fits a cache.
pub const SEGMENT_ENTRIES_MAX: usize = 2048 / 8 * 7;

/// Entries taken out in one step of dismantling. What entries point to lies all over memory, so that to free it takes some
/// microseconds for each: a whole segment took 3.4 ms.
pub const DISMANTLED_MAX: usize = 64;

/// Two segments become one when it is a quarter full, so that many more must come before it splits again.
const MERGED_ENTRIES_MAX: usize = SEGMENT_ENTRIES_MAX / 4;

/// A segment of fewer buckets is not worth shrinking.
const BUCKETS_MIN: usize = 32;

/// 2^20 segments are 1.8 thousand million entries. Hashes that agree in 20 bits beyond that (none do, by chance) make a
/// segment grow.
const DEPTH_MAX: u32 = 20;

/// Segments looked through in one scan. Only after mass deletion are more than a few empty.
const SEGMENTS_PER_SCAN: usize = 16;

/// An eighth of a segment's buckets is filled at least, but for segments of a few entries: of 64 tries one fails by chance
/// in 5,000 calls.
const RANDOM_TRIES: usize = 64;

#[cfg(test)]
mod tests;
