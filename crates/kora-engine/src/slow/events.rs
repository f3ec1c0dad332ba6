//! LATENCY's events: commands that took at least `latency-monitor-threshold`.

use std::collections::VecDeque;

/// The names of the events, by their numbers.
const EVENTS: [&str; 2] = ["command", "fast-command"];

/// What happened of each event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Events {
    histories: [EventHistory; EVENTS.len()],
}

/// What happened of one event.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventHistory {
    /// The oldest first, at most one for each second. Invariant: at most [`SAMPLES_MAX`].
    pub(crate) samples: VecDeque<Sample>,
    /// The most that any took, in milliseconds.
    pub(crate) max_ms: u64,
}

/// The longest of one second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sample {
    /// In seconds of Unix time.
    pub(crate) at_s: u64,
    pub(crate) took_ms: u64,
}

impl Events {
    pub(crate) fn note(&mut self, is_fast: bool, at_s: u64, took_ms: u64) {
        self.histories[usize::from(is_fast)].add(Sample { at_s, took_ms });
    }

    /// Adds another worker's.
    pub(crate) fn merge(&mut self, other: &Events) {
        for (ours, theirs) in self.histories.iter_mut().zip(&other.histories) {
            let mut all: Vec<Sample> = ours.samples.drain(..).chain(theirs.samples.iter().copied()).collect();
            all.sort_by_key(|sample| sample.at_s);
            ours.max_ms = ours.max_ms.max(theirs.max_ms);
            all.into_iter().for_each(|sample| ours.add(sample));
        }
    }

    /// Those that have happened, with their names.
    pub(crate) fn happened(&self) -> impl Iterator<Item = (&'static str, &EventHistory)> {
        let all = EVENTS.into_iter().zip(&self.histories);
        all.filter(|(_, history)| !history.samples.is_empty())
    }

    /// The event of this name, if it has happened.
    pub(crate) fn find(&self, name: &[u8]) -> Option<&EventHistory> {
        let mut happened = self.happened();
        happened
            .find(|(known, _)| known.as_bytes() == name)
            .map(|(_, history)| history)
    }

    /// Forgets these, or all if none is named.
    pub(crate) fn forget(&mut self, names: &[bytes::Bytes]) {
        for (name, history) in EVENTS.into_iter().zip(&mut self.histories) {
            if names.is_empty() || names.iter().any(|named| named == name) {
                *history = EventHistory::default();
            }
        }
    }
}

impl EventHistory {
    fn add(&mut self, sample: Sample) {
        self.max_ms = self.max_ms.max(sample.took_ms);
        match self.samples.back_mut() {
            Some(last) if last.at_s == sample.at_s => last.took_ms = last.took_ms.max(sample.took_ms),
            _ => self.samples.push_back(sample),
        }
        if self.samples.len() > SAMPLES_MAX {
            self.samples.pop_front();
        }
    }
}

/// As in Redis.
const SAMPLES_MAX: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_merged_by_time_and_one_second_has_one_sample() {
        let (mut one, mut two) = (Events::default(), Events::default());
        one.note(false, 10, 5);
        one.note(false, 10, 7);
        one.note(false, 12, 1);
        two.note(false, 11, 9);
        two.note(false, 12, 3);
        two.note(true, 12, 3);
        one.merge(&two);
        let history = one.find(b"command").unwrap();
        let samples: Vec<_> = history
            .samples
            .iter()
            .map(|sample| (sample.at_s, sample.took_ms))
            .collect();
        assert_eq!((samples, history.max_ms), (vec![(10, 7), (11, 9), (12, 3)], 9));
        assert_eq!(one.happened().count(), 2);
        one.forget(&["command".into()]);
        assert!(one.find(b"command").is_none() && one.find(b"fast-command").is_some());
        (0..1000).for_each(|second| one.note(true, 100 + second, 1));
        assert_eq!(one.find(b"fast-command").unwrap().samples.len(), SAMPLES_MAX);
    }
}
