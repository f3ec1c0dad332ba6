//! Which layers a node stands on: drawn from a seeded generator, so that the same inserts make the same graph.

use crate::limits::LAYER_MAX;

/// Draws levels as the paper does: ⌊−ln(u) / ln(M)⌋, so that each layer has one node in M of the one below it.
#[derive(Debug)]
pub(crate) struct Levels {
    /// Invariant: not 0, where xorshift stays for ever.
    state: u64,
    /// 1/ln(M), the paper's choice: it makes the expected overlap of neighbours between layers smallest.
    multiplier: f64,
}

impl Levels {
    pub(crate) fn new(seed: u64, m: usize) -> Levels {
        // Small seeds differ in a few low bits, and xorshift needs many rounds to spread those: a multiplication by
        // an odd constant (2⁶⁴ over the golden ratio) spreads them at once.
        let state = (seed ^ 0x5851_f42d_4c95_7f2d).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Levels {
            state: if state == 0 { 1 } else { state },
            multiplier: 1.0 / (m as f64).ln(),
        }
    }

    /// What the next draws follow from.
    pub(crate) fn state(&self) -> u64 {
        self.state
    }

    /// Goes on from a state that was asked for; false if it is none.
    #[must_use]
    pub(crate) fn go_on_from(&mut self, state: u64) -> bool {
        self.state = state.max(1);
        state != 0
    }

    pub(crate) fn draw(&mut self) -> usize {
        self.state = xorshift64(self.state);
        // 53 bits in (0, 1]: never 0, whose logarithm has no floor.
        let uniform = ((self.state >> 11) + 1) as f64 / (1u64 << 53) as f64;
        ((-uniform.ln() * self.multiplier) as usize).min(LAYER_MAX)
    }
}

/// Marsaglia's xorshift with the triple 13, 7, 17: period 2⁶⁴ − 1.
pub(crate) fn xorshift64(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^ (state << 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_in_m_stands_on_the_next_layer() {
        for (seed, m) in [(0, 16), (1, 16), (42, 4), (u64::MAX, 48)] {
            let mut levels = Levels::new(seed, m);
            let drawn: Vec<usize> = (0..200_000).map(|_| levels.draw()).collect();
            let above = drawn.iter().filter(|&&level| level >= 1).count() as f64;
            let expected = 200_000.0 / m as f64;
            assert!(
                (above - expected).abs() < 5.0 * expected.sqrt(),
                "seed {seed}: {above} of {expected}"
            );
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_levels() {
        let draw = |seed| -> Vec<usize> {
            let mut levels = Levels::new(seed, 16);
            (0..1_000).map(|_| levels.draw()).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }
}
