//! Counters of each command.

use kora_resp::Reply;

use super::Histogram;

/// Counters of each command, in the order in which they were first given.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    counters: Vec<CommandCounter>,
}

/// Names a command's counter on one worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CounterId(u16);

/// One command's counters.
#[derive(Clone, Debug)]
pub struct CommandCounter {
    /// The command's name in the table.
    pub name: &'static str,
    /// Times it was answered.
    pub calls: u64,
    /// Microseconds from when it was taken from its connection until its reply was complete, in all.
    pub latency_us_total: u64,
    /// Times it was refused before it began: wrong arguments, not authenticated.
    pub rejected: u64,
    /// Times it began and ended in an error.
    pub failed: u64,
    /// The distribution of the latency.
    pub latency: Histogram,
}

impl CommandStats {
    /// The counter of a command, by its name in the table.
    pub(crate) fn counter(&mut self, name: &'static str) -> CounterId {
        // Some thirty names, of which few are in use: a scan beats a hash.
        let found = self
            .counters
            .iter()
            .position(|counter| std::ptr::eq(counter.name, name));
        let index = found.unwrap_or_else(|| {
            self.counters.push(CommandCounter::new(name));
            self.counters.len() - 1
        });
        CounterId(u16::try_from(index).expect("the table of commands is short"))
    }

    /// The name of a counter's command.
    pub(crate) fn name(&self, id: CounterId) -> &'static str {
        self.counters[usize::from(id.0)].name
    }

    pub(crate) fn count(&mut self, id: CounterId, outcome: CommandOutcome, latency_us: u64) {
        let counter = &mut self.counters[usize::from(id.0)];
        match outcome {
            CommandOutcome::Rejected => {
                counter.rejected += 1;
                return;
            }
            CommandOutcome::Failed => counter.failed += 1,
            CommandOutcome::Answered => {}
        }
        counter.calls += 1;
        counter.latency_us_total += latency_us;
        counter.latency.record(latency_us);
    }

    /// The same counters, all at 0: commands under way keep the names of theirs.
    pub(super) fn reset(&self) -> CommandStats {
        let counters = self.counters.iter();
        CommandStats {
            counters: counters.map(|counter| CommandCounter::new(counter.name)).collect(),
        }
    }

    /// Adds another worker's counters.
    pub(crate) fn merge(&mut self, other: &CommandStats) {
        for theirs in &other.counters {
            let id = self.counter(theirs.name);
            let ours = &mut self.counters[usize::from(id.0)];
            ours.calls += theirs.calls;
            ours.latency_us_total += theirs.latency_us_total;
            ours.rejected += theirs.rejected;
            ours.failed += theirs.failed;
            ours.latency.merge(&theirs.latency);
        }
    }

    /// The counters in order of the commands' names.
    pub fn sorted(&self) -> Vec<&CommandCounter> {
        let mut sorted: Vec<_> = self.counters.iter().collect();
        sorted.sort_unstable_by_key(|counter| counter.name);
        sorted
    }
}

/// How a command ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CommandOutcome {
    Answered,
    Failed,
    Rejected,
}

impl CommandOutcome {
    pub(crate) fn of(reply: &Reply) -> CommandOutcome {
        if matches!(reply, Reply::Error(_)) {
            CommandOutcome::Failed
        } else {
            CommandOutcome::Answered
        }
    }
}

impl CommandCounter {
    fn new(name: &'static str) -> CommandCounter {
        CommandCounter {
            name,
            calls: 0,
            latency_us_total: 0,
            rejected: 0,
            failed: 0,
            latency: Histogram::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_read_off_merged_workers() {
        let (mut one, mut two) = (CommandStats::default(), CommandStats::default());
        for us in 1..=50 {
            let id = one.counter("ping");
            one.count(id, CommandOutcome::Answered, us);
        }
        for us in 51..=100 {
            let id = two.counter("ping");
            two.count(id, CommandOutcome::Failed, us);
        }
        one.merge(&two);
        let sorted = one.sorted();
        assert_eq!(
            (sorted[0].calls, sorted[0].failed, sorted[0].latency_us_total),
            (100, 50, 5050)
        );
        let median = sorted[0].latency.percentile_us(0.5);
        assert!((50..=56).contains(&median), "{median}");
    }
}
