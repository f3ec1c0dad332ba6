//! Sorting in slices: an answer of a hundred thousand hits takes some milliseconds to be put in order.

use crate::beam::Candidate;
use crate::work::{Step, Work};

/// Candidates being put in order: short runs first, which are then merged two by two.
#[derive(Debug)]
pub(crate) struct Sorting {
    from: Vec<Candidate>,
    /// What this pass has merged.
    into: Vec<Candidate>,
    /// Invariant: `from` consists of ascending runs of so many, the last one shorter; 0 while they are being made.
    width: usize,
    /// How much of `from` has been made into runs, while `width` is 0.
    made: usize,
    /// Where the two runs that are being merged go on.
    left: usize,
    right: usize,
}

impl Sorting {
    pub(crate) fn new(candidates: Vec<Candidate>) -> Sorting {
        Sorting {
            from: candidates,
            into: Vec::new(),
            width: 0,
            made: 0,
            left: 0,
            right: 0,
        }
    }

    /// Goes on; the candidates in order when it is done.
    pub(crate) fn resume(&mut self, work: &mut Work) -> Step<Vec<Candidate>> {
        while self.width == 0 {
            let end = (self.made + RUN).min(self.from.len());
            self.from[self.made..end].sort_unstable();
            work.spend((end - self.made) as u64 * SORT_WORK);
            self.made = end;
            if end == self.from.len() {
                self.width = RUN;
                self.begin_pair(0);
            } else if work.is_spent() {
                return Step::More;
            }
        }
        while self.width < self.from.len() {
            let merged = self.merge();
            work.spend(merged as u64 * MERGE_WORK);
            if work.is_spent() {
                return Step::More;
            }
        }
        Step::Done(std::mem::take(&mut self.from))
    }

    /// Merges some of the pair of runs, and turns to the next pair or the next pass at their end; how many were merged.
    fn merge(&mut self) -> usize {
        let length = self.from.len();
        let start = self.into.len() / (2 * self.width) * (2 * self.width);
        let left_end = (start + self.width).min(length);
        let right_end = (start + 2 * self.width).min(length);
        let count = MERGED_AT_ONCE.min(right_end - self.into.len());
        for _ in 0..count {
            let takes_left =
                self.left < left_end && (self.right >= right_end || self.from[self.left] < self.from[self.right]);
            let place = if takes_left { &mut self.left } else { &mut self.right };
            self.into.push(self.from[*place]);
            *place += 1;
        }
        if self.into.len() == length {
            std::mem::swap(&mut self.from, &mut self.into);
            self.into.clear();
            self.width *= 2;
            self.begin_pair(0);
        } else if self.into.len() == right_end {
            self.begin_pair(right_end);
        }
        count
    }

    fn begin_pair(&mut self, start: usize) {
        self.left = start;
        self.right = (start + self.width).min(self.from.len());
    }
}

/// As many as are sorted at once: some 0.1 ms.
pub(crate) const RUN: usize = 4_096;

/// Merged between two looks at the allowance.
const MERGED_AT_ONCE: usize = 4_096;

/// Sorting one into its run takes some 25 ns.
const SORT_WORK: u64 = 80;

/// Merging one takes some 5 ns where the run it comes from is unpredictable.
const MERGE_WORK: u64 = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn slices_sort_as_one_go_does(length in 0usize..40_000, seed in any::<u32>(), allowance in 1u64..400_000) {
            let mut state = seed | 1;
            let candidates: Vec<Candidate> = (0..length as u32)
                .map(|slot| {
                    state = state.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
                    Candidate::new((state >> 16) as f32 - 30_000.0, slot)
                })
                .collect();
            let mut expected = candidates.clone();
            expected.sort_unstable();
            let mut sorting = Sorting::new(candidates);
            let sorted = loop {
                if let Step::Done(sorted) = sorting.resume(&mut Work::new(allowance)) {
                    break sorted;
                }
            };
            prop_assert_eq!(sorted, expected);
        }
    }
}
