//! How long commands took, as a distribution.

/// A distribution of microseconds in buckets of constant relative width: exact below 16, then eight to each power of
/// two, so that a percentile read off it is at most an eighth too high.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Invariant: empty, or BUCKETS long.
    buckets: Vec<u32>,
    total: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, us: u64) {
        self.buckets.resize(BUCKETS, 0);
        let bucket = &mut self.buckets[bucket_of(us)];
        *bucket = bucket.saturating_add(1);
        self.total += 1;
    }

    pub(super) fn merge(&mut self, other: &Histogram) {
        if other.total == 0 {
            return;
        }
        self.buckets.resize(BUCKETS, 0);
        for (ours, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *ours = ours.saturating_add(*theirs);
        }
        self.total += other.total;
    }

    /// How many of the values are at most so many microseconds, at the steps at which Redis counts: each is about twice the one
    /// before. Steps that add nothing are left out.
    pub(crate) fn cumulative(&self) -> Vec<(u64, u64)> {
        let mut steps: Vec<(u64, u64)> = Vec::new();
        let (mut seen, mut index) = (0, 0);
        for power in 0..STEPS_MAX {
            // The largest value of its bucket in Redis, whose buckets are a 128th of their values wide, in nanoseconds.
            let ns = 1024_u64 << power;
            let us = (ns + ns / 128 - 1) / 1000;
            while index < self.buckets.len() && upper_us(index) <= us {
                seen += u64::from(self.buckets[index]);
                index += 1;
            }
            if seen > steps.last().map_or(0, |(_, count)| *count) {
                steps.push((us, seen));
            }
            if seen == self.total {
                break;
            }
        }
        steps
    }

    /// The microseconds that `share` (0 to 1) of the values do not exceed; 0 if there are none.
    pub fn percentile_us(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return upper_us(index);
            }
        }
        0
    }
}

fn bucket_of(us: u64) -> usize {
    if us < EXACT_BELOW {
        return us as usize;
    }
    let power = us.ilog2();
    if power > POWER_MAX {
        return BUCKETS - 1;
    }
    let step = (us >> (power - 3)) & 7;
    EXACT_BELOW as usize + (power as usize - 4) * 8 + step as usize
}

/// The largest value of a bucket.
fn upper_us(index: usize) -> u64 {
    if index < EXACT_BELOW as usize {
        return index as u64;
    }
    let (power, step) = (
        (index - EXACT_BELOW as usize) / 8 + 4,
        (index - EXACT_BELOW as usize) % 8,
    );
    let width = 1_u64 << (power - 3);
    (8 + step as u64 + 1) * width - 1
}

const EXACT_BELOW: u64 = 16;

/// Beyond 2^32 µs (an hour) everything is in the last bucket.
const POWER_MAX: u32 = 31;

/// Up to the last bucket.
const STEPS_MAX: u32 = POWER_MAX + 2;

const BUCKETS: usize = EXACT_BELOW as usize + (POWER_MAX as usize - 3) * 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_in_a_bucket_whose_bound_is_at_most_an_eighth_above_it() {
        for power in 0..32 {
            for value in [1_u64 << power, (1 << power) + (1 << power) / 3, (2 << power) - 1] {
                let upper = upper_us(bucket_of(value));
                assert!(
                    upper >= value && upper - value <= value / 8,
                    "{value} is shown as {upper}"
                );
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn steps_are_those_of_redis() {
        let mut histogram = Histogram::default();
        [0, 1, 3, 7, 33, 33, 250, 1_000_000, u64::MAX]
            .into_iter()
            .for_each(|us| histogram.record(us));
        let steps = histogram.cumulative();
        assert_eq!(steps[..3], [(1, 2), (4, 3), (8, 4)]);
        assert!(steps.contains(&(264, 7)), "{steps:?}");
        assert_eq!(steps.last().unwrap().1, 9);
    }
}
