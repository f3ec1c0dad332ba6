//! What is noted of an entry when it is used: when that was, or how often it is.

use crate::time::seconds;

/// How uses are noted, in a word of each entry.
///
/// By time: seconds of Unix time. By frequency, as in Redis: the minute of the last use, in 16 bits, and in 8 bits a counter
/// that grows with the logarithm of the uses and shrinks with time. A word says which of the two it is, so that a change of
/// the policy misreads nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UseRule {
    /// Frequencies are counted.
    pub counts: bool,
    /// How hard it is for a counter to grow: `lfu-log-factor`.
    pub log_factor: u32,
    /// After so many minutes without a use a counter is one less; 0 is never. `lfu-decay-time`.
    pub decay_minutes: u32,
    /// The seed of draws: it need not be secret, and a simulation must be able to repeat it.
    pub draws: u32,
}

/// How many hits of a query count as used, and when that is.
#[derive(Clone, Debug)]
pub struct UseNote {
    /// What is noted.
    pub rule: UseRule,
    /// So many of the nearest.
    pub hits: usize,
    /// Now, in milliseconds of Unix time.
    pub now_ms: u64,
}

impl Default for UseRule {
    /// Times are noted; Redis's numbers for frequencies.
    fn default() -> UseRule {
        UseRule {
            counts: false,
            log_factor: 10,
            decay_minutes: 1,
            draws: 0x9E37_79B9,
        }
    }
}

impl UseRule {
    /// The word of an entry that is new.
    pub fn fresh(&self, now_ms: u64) -> u32 {
        match self.counts {
            true => frequency_word(now_ms, COUNTER_INITIAL),
            false => seconds(now_ms),
        }
    }

    /// The word of an entry with this one that is used now.
    pub fn used(&self, word: u32, now_ms: u64) -> u32 {
        if !self.counts {
            return seconds(now_ms);
        }
        let counter = self.frequency(word, now_ms);
        let beyond = u32::from(counter.saturating_sub(COUNTER_INITIAL));
        let one_in = u64::from(beyond) * u64::from(self.log_factor) + 1;
        // The draw depends on the time and on the word, which changes with each use that counts.
        let draw = mix(self.draws ^ word ^ (now_ms as u32).rotate_left(16));
        let grows = counter < u8::MAX && u64::from(draw) * one_in < 1 << 32;
        frequency_word(now_ms, counter + u8::from(grows))
    }

    /// How often an entry is used: 0 to 255, on a scale of logarithms.
    pub fn frequency(&self, word: u32, now_ms: u64) -> u8 {
        if !is_frequency(word) {
            return COUNTER_INITIAL;
        }
        let idle_minutes = u32::from(minute_of(now_ms).wrapping_sub((word >> 8) as u16));
        let periods = idle_minutes.checked_div(self.decay_minutes).unwrap_or(0);
        (word as u8).saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
    }

    /// How long ago an entry was used, in seconds.
    pub fn idle_s(&self, word: u32, now_ms: u64) -> u32 {
        match is_frequency(word) {
            true => u32::from(minute_of(now_ms).wrapping_sub((word >> 8) as u16)) * 60,
            false => seconds(now_ms).saturating_sub(word),
        }
    }

    /// How good a victim an entry is: the larger, the better.
    pub(crate) fn rank(&self, word: u32, now_ms: u64) -> u32 {
        match self.counts {
            true => u32::from(u8::MAX - self.frequency(word, now_ms)),
            false => self.idle_s(word, now_ms),
        }
    }
}

/// The mark of a word of frequency: as seconds of Unix time it would be in the year 2105.
const FREQUENCY_MARK: u32 = 0xFF00_0000;

/// What a new entry starts with, so that it is not the next victim: Redis's LFU_INIT_VAL.
const COUNTER_INITIAL: u8 = 5;

fn is_frequency(word: u32) -> bool {
    word >= FREQUENCY_MARK
}

fn frequency_word(now_ms: u64, counter: u8) -> u32 {
    FREQUENCY_MARK | u32::from(minute_of(now_ms)) << 8 | u32::from(counter)
}

fn minute_of(now_ms: u64) -> u16 {
    (now_ms / 60_000) as u16
}

/// The end of MurmurHash3's mixing: each bit of the input changes half of the output's.
fn mix(mut bits: u32) -> u32 {
    bits = (bits ^ bits >> 16).wrapping_mul(0x85EB_CA6B);
    bits = (bits ^ bits >> 13).wrapping_mul(0xC2B2_AE35);
    bits ^ bits >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(log_factor: u32) -> UseRule {
        UseRule {
            counts: true,
            log_factor,
            ..UseRule::default()
        }
    }

    /// The counter after so many uses, a millisecond apart.
    fn counter_after(uses: u64, log_factor: u32) -> u8 {
        let rule = UseRule {
            decay_minutes: 0,
            ..counting(log_factor)
        };
        let word = (0..uses).fold(rule.fresh(0), |word, now_ms| rule.used(word, now_ms));
        rule.frequency(word, uses)
    }

    #[test]
    fn a_counter_grows_with_the_logarithm_of_uses_as_redis_says() {
        // Redis's table (redis.conf), which was made with another generator.
        for (factor, uses, expected) in [
            (0, 100, 105_u8),
            (0, 1_000, 255),
            (1, 1_000, 49),
            (10, 100, 10),
            (10, 1_000, 18),
            (10, 100_000, 142),
            (100, 1_000, 11),
            (100, 1_000_000, 143),
        ] {
            let counter = counter_after(uses, factor);
            let error = expected / 5 + 2;
            assert!(
                counter.abs_diff(expected) <= error,
                "factor {factor}, {uses}: {counter}"
            );
        }
    }

    #[test]
    fn a_counter_shrinks_with_time_and_a_word_of_the_other_kind_is_not_misread() {
        let rule = counting(10);
        let start_ms = 1_796_028_143_000;
        assert_eq!(rule.frequency(rule.fresh(start_ms), start_ms), 5);
        assert_eq!(rule.frequency(rule.fresh(start_ms), start_ms + 3 * 60_000), 2);
        assert_eq!(rule.frequency(rule.fresh(start_ms), start_ms + 99 * 60_000), 0);
        assert_eq!(rule.idle_s(rule.fresh(start_ms), start_ms + 5 * 60_000), 300);
        let by_time = UseRule::default();
        assert_eq!(rule.frequency(by_time.fresh(start_ms), start_ms), 5);
        assert_eq!(by_time.idle_s(by_time.fresh(start_ms), start_ms + 7_000), 7);
        assert!(by_time.rank(by_time.fresh(start_ms), start_ms + 3_000) == 3);
    }
}
