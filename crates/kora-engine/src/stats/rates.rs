//! What happens in a second, and how long buffers are, of late.

/// What connections have received and sent since the worker started, or since that was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Bytes read from sockets.
    pub received_bytes: u64,
    /// Bytes written to sockets.
    pub sent_bytes: u64,
    /// Times that something was read.
    pub reads: u64,
    /// Times that something was written.
    pub writes: u64,
}

impl Traffic {
    /// Adds what came and went.
    pub fn add(&mut self, other: Traffic) {
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.reads += other.reads;
        self.writes += other.writes;
    }
}

/// What is known of the last seconds.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    pub(crate) rates: Rates,
    /// Of clients' input buffers.
    pub(crate) input_bytes: RecentMaximum,
    /// Of clients' output buffers.
    pub(crate) output_bytes: RecentMaximum,
}

/// How much happens in a second, over the last 1.6 s as in Redis: commands, bytes received, bytes sent.
///
/// Counters are noted at most each tenth of a second, and only while the worker works: one that sleeps has nothing to note.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Invariant: the next place is that of the oldest.
    samples: [Sample; SAMPLES],
    next: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    at_us: u64,
    counts: [u64; 3],
}

impl Rates {
    /// The counters stand there now.
    pub(crate) fn note(&mut self, now_us: u64, counts: [u64; 3]) {
        let newest = self.samples[(self.next + SAMPLES - 1) % SAMPLES];
        if now_us.saturating_sub(newest.at_us) >= SAMPLE_US {
            self.samples[self.next] = Sample { at_us: now_us, counts };
            self.next = (self.next + 1) % SAMPLES;
        }
    }

    /// What happens in a second, of each counter. `counts` is where they stand now.
    pub(crate) fn per_second(&self, now_us: u64, counts: [u64; 3]) -> [f64; 3] {
        // The newest sample that is old enough, or else the oldest.
        let (newer, older) = self.samples.split_at(self.next);
        let in_order = || older.iter().chain(newer);
        let is_old_enough = |sample: &&Sample| sample.at_us + WINDOW_US <= now_us;
        let base = in_order().rev().find(is_old_enough).or_else(|| in_order().next());
        let base = base.copied().unwrap_or_default();
        let elapsed_s = now_us.saturating_sub(base.at_us).max(SAMPLE_US) as f64 / 1e6;
        std::array::from_fn(|index| counts[index].saturating_sub(base.counts[index]) as f64 / elapsed_s)
    }

    /// The counters restart at 0: what happened before is forgotten.
    pub(crate) fn restart(&mut self) {
        self.samples.iter_mut().for_each(|sample| sample.counts = [0; 3]);
    }
}

/// The largest number of the last few seconds.
#[derive(Debug, Default)]
pub(crate) struct RecentMaximum {
    /// Of each second, by its number modulo the places.
    seconds: [(u64, u64); RECENT_S],
}

impl RecentMaximum {
    pub(crate) fn note(&mut self, now_us: u64, value: u64) {
        let second = now_us / 1_000_000;
        let place = &mut self.seconds[second as usize % RECENT_S];
        match place.0 == second {
            true => place.1 = place.1.max(value),
            false => *place = (second, value),
        }
    }

    pub(crate) fn get(&self, now_us: u64) -> u64 {
        let second = now_us / 1_000_000;
        let recent = self.seconds.iter().filter(|(at, _)| at + RECENT_S as u64 > second);
        recent.map(|(_, value)| *value).max().unwrap_or(0)
    }
}

/// As in Redis: 16 samples, a tenth of a second apart.
const SAMPLES: usize = 16;
const SAMPLE_US: u64 = 100_000;
const WINDOW_US: u64 = SAMPLES as u64 * SAMPLE_US;

/// As in Redis.
const RECENT_S: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_what_happens_and_end_when_it_ends() {
        let mut rates = Rates::default();
        for tenth in 1..=50_u64 {
            rates.note(tenth * SAMPLE_US, [tenth * 100, tenth * 1000, 0]);
        }
        let [ops, bytes, none] = rates.per_second(5_000_000, [5_000, 50_000, 0]);
        assert!(
            (990.0..1_010.0).contains(&ops) && (9_900.0..10_100.0).contains(&bytes),
            "{ops} {bytes}"
        );
        assert_eq!(none, 0.0);
        // It slept for a minute.
        let [ops, ..] = rates.per_second(65_000_000, [5_000, 50_000, 0]);
        assert_eq!(ops, 0.0);
        assert_eq!(Rates::default().per_second(10, [1, 0, 0])[0], 10.0);
    }

    #[test]
    fn maxima_are_forgotten_after_some_seconds() {
        let mut maximum = RecentMaximum::default();
        maximum.note(1_000_000, 5);
        maximum.note(1_500_000, 3);
        assert_eq!(maximum.get(2_000_000), 5);
        assert_eq!(maximum.get(9_500_000), 0);
        maximum.note(9_500_000, 1);
        assert_eq!(maximum.get(9_600_000), 1);
    }
}
