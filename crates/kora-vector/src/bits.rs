//! Sets of slots, a bit each.

/// A set of slots that may be many.
#[derive(Debug, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    /// How many are in it.
    count: usize,
    /// Invariant: no word before this one holds any.
    first: usize,
    /// Invariant: no word from this one on holds any.
    end: usize,
}

impl Bits {
    /// A set of slots below 64.
    pub(crate) fn of(word: u64) -> Bits {
        Bits {
            words: vec![word],
            count: word.count_ones() as usize,
            first: 0,
            end: 1,
        }
    }

    /// An empty set with room for the slots below `slots`.
    pub(crate) fn with_room(slots: usize) -> Bits {
        let mut bits = Bits::default();
        bits.resize(slots);
        bits
    }

    /// Makes room for the slots below `slots`, or forgets that beyond; there is none in the set then.
    pub(crate) fn resize(&mut self, slots: usize) {
        self.words.resize(slots.div_ceil(64), 0);
    }

    /// Makes it empty.
    pub(crate) fn clear(&mut self) {
        self.words.fill(0);
        (self.count, self.first, self.end) = (0, 0, 0);
    }

    /// Gives back what it has no need of since it was resized.
    pub(crate) fn shrink(&mut self) {
        self.words.shrink_to_fit();
        self.first = self.first.min(self.words.len());
        self.end = self.end.min(self.words.len());
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    #[inline]
    pub(crate) fn holds(&self, slot: u32) -> bool {
        self.words[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    /// False if it was there.
    pub(crate) fn set(&mut self, slot: u32) -> bool {
        let is_new = !self.holds(slot);
        self.words[slot as usize / 64] |= 1 << (slot % 64);
        self.count += usize::from(is_new);
        self.first = self.first.min(slot as usize / 64);
        self.end = self.end.max(slot as usize / 64 + 1);
        is_new
    }

    /// False if it was not there.
    pub(crate) fn unset(&mut self, slot: u32) -> bool {
        let was_there = self.holds(slot);
        self.words[slot as usize / 64] &= !(1 << (slot % 64));
        self.count -= usize::from(was_there);
        was_there
    }

    /// Takes the 64 slots of a word out, if all of them are in it.
    pub(crate) fn unset_whole(&mut self, word: usize) -> bool {
        let is_whole = self.words[word] == u64::MAX;
        if is_whole {
            self.words[word] = 0;
            self.count -= 64;
        }
        is_whole
    }

    /// The lowest. It remembers where to look.
    pub(crate) fn first(&mut self) -> Option<u32> {
        let first = self.lowest();
        self.first = first.map_or(self.words.len(), |first| first as usize / 64);
        first
    }

    /// The lowest.
    pub(crate) fn lowest(&self) -> Option<u32> {
        let place = self.first + self.words[self.first..].iter().position(|&word| word != 0)?;
        Some(place as u32 * 64 + self.words[place].trailing_zeros())
    }

    /// The highest. It remembers where to look.
    pub(crate) fn last(&mut self) -> Option<u32> {
        let last = self.highest();
        self.end = last.map_or(0, |last| last as usize / 64 + 1);
        last
    }

    /// The highest.
    pub(crate) fn highest(&self) -> Option<u32> {
        let place = self.words[..self.end].iter().rposition(|&word| word != 0)?;
        Some(place as u32 * 64 + 63 - self.words[place].leading_zeros())
    }

    pub(crate) fn words(&self) -> Words<'_> {
        Words::Many(&self.words)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }
}

/// The bits of a set, in the order of the slots.
#[derive(Clone, Copy)]
pub(crate) enum Words<'a> {
    /// Of slots below 64.
    One(u64),
    Many(&'a [u64]),
}

impl Words<'_> {
    fn len(self) -> usize {
        match self {
            Words::One(_) => 1,
            Words::Many(words) => words.len(),
        }
    }

    pub(crate) fn at(self, place: usize) -> u64 {
        match self {
            Words::One(word) if place == 0 => word,
            Words::One(_) => 0,
            Words::Many(words) => words.get(place).copied().unwrap_or(0),
        }
    }
}

/// The slots from `from` on that are in one of the two, ascending.
pub(crate) fn each<'a>(one: Words<'a>, other: Words<'a>, from: usize) -> impl Iterator<Item = u32> + 'a {
    let word = move |at: usize| one.at(at) | other.at(at);
    let first = word(from / 64) & (u64::MAX << (from % 64));
    let rest = (from / 64 + 1..one.len()).map(move |at| (at, word(at)));
    std::iter::once((from / 64, first))
        .chain(rest)
        .flat_map(|(at, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros())?;
                word &= word - 1;
                Some(at as u32 * 64 + bit)
            })
        })
}
