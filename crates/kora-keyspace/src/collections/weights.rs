//! Which part a random vector of a shard is in: sums of the parts' vectors, so that each vector is as likely as any other.

/// Weights by place, with their sums in a tree (Fenwick 1994): to change one and to draw one take as many steps as there are
/// bits in the number of places.
#[derive(Default)]
pub(crate) struct Weights {
    /// Entry `i`, from 1, is the sum of the weights of as many places as its lowest set bit says, up to place `i - 1`.
    /// Invariant: as many entries as a power of two, and one; or none.
    sums: Vec<u32>,
}

impl Weights {
    /// Adds to the weight of a place, or takes off it.
    pub(crate) fn change(&mut self, place: u32, before: usize, now: usize) {
        if before == now {
            return;
        }
        self.reach(place as usize + 1);
        let mut at = place as usize + 1;
        while at < self.sums.len() {
            self.sums[at] = (self.sums[at] as usize + now - before) as u32;
            at += at & at.wrapping_neg();
        }
    }

    /// The place in which the unit of this number lies, if there are more.
    pub(crate) fn find(&self, mut number: usize) -> Option<u32> {
        let mut at = 0;
        let mut step = self.sums.len().saturating_sub(1);
        if number >= *self.sums.get(step)? as usize {
            return None;
        }
        while step > 0 {
            let sum = self.sums.get(at + step).map_or(usize::MAX, |sum| *sum as usize);
            if sum <= number {
                number -= sum;
                at += step;
            }
            step /= 2;
        }
        Some(at as u32)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<u32>()
    }

    fn reach(&mut self, places: usize) {
        while self.sums.len() <= places {
            let total = self.sums.last().copied().unwrap_or(0);
            let size = (self.sums.len().saturating_sub(1) * 2).max(1);
            self.sums.resize(size, 0);
            self.sums.push(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_found_where_it_was_put() {
        let mut weights = Weights::default();
        assert_eq!(weights.find(0), None);
        let mut twin = vec![0_usize; 300];
        let mut state = 7_u64;
        for _ in 0..2_000 {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
            let (place, now) = ((state >> 33) as usize % twin.len(), (state >> 55) as usize % 7);
            weights.change(place as u32, twin[place], now);
            twin[place] = now;
        }
        let units = (0..).zip(&twin).flat_map(|(place, weight)| vec![place; *weight]);
        let expected: Vec<u32> = units.collect();
        let found: Vec<u32> = (0..).map_while(|number| weights.find(number)).collect();
        assert_eq!(found, expected);
    }
}
