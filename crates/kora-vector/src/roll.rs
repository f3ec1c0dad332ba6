//! Which slots hold a vector that searches return.

/// One bit per slot, and how many are set.
#[derive(Debug, Default)]
pub(crate) struct Roll {
    /// Invariant: no bit is set at or beyond the number of slots.
    live: Vec<u64>,
    live_count: usize,
    removed: usize,
}

impl Roll {
    /// Makes room for the slots below `slots`.
    pub(crate) fn cover(&mut self, slots: usize) {
        self.live.resize(slots.div_ceil(64), 0);
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live_count
    }

    /// How many were live and are dead.
    pub(crate) fn removed(&self) -> usize {
        self.removed
    }

    #[inline]
    pub(crate) fn is_live(&self, slot: u32) -> bool {
        self.live[slot as usize / 64] >> (slot % 64) & 1 == 1
    }

    pub(crate) fn set_live(&mut self, slot: u32) {
        assert!(!self.is_live(slot), "slot {slot} is live already");
        self.live[slot as usize / 64] |= 1 << (slot % 64);
        self.live_count += 1;
    }

    pub(crate) fn set_dead(&mut self, slot: u32) {
        assert!(self.is_live(slot), "slot {slot} is not live");
        self.live[slot as usize / 64] &= !(1 << (slot % 64));
        self.live_count -= 1;
        self.removed += 1;
    }

    /// The live slots from `from` on, ascending.
    pub(crate) fn live_from(&self, from: usize) -> impl Iterator<Item = u32> + '_ {
        let first = self
            .live
            .get(from / 64)
            .map_or(0, |&word| word & (u64::MAX << (from % 64)));
        let rest = self.live.iter().copied().enumerate().skip(from / 64 + 1);
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

    pub(crate) fn bytes(&self) -> usize {
        self.live.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_living_are_listed_from_anywhere() {
        let mut roll = Roll::default();
        roll.cover(300);
        let slots = [0, 1, 63, 64, 127, 200, 299];
        slots.iter().for_each(|&slot| roll.set_live(slot));
        roll.set_dead(64);
        for from in 0..310 {
            let want: Vec<u32> = slots
                .into_iter()
                .filter(|&slot| slot as usize >= from && slot != 64)
                .collect();
            assert_eq!(roll.live_from(from).collect::<Vec<_>>(), want, "from {from}");
        }
        assert_eq!((roll.live_count(), roll.removed()), (6, 1));
    }
}
