//! What a shard takes of the memory, as all workers hear of it.

use super::Shard;

/// What was last told of a shard.
#[derive(Default)]
pub(super) struct ToldMemory {
    /// Bytes that its data takes.
    used: u64,
}

impl Shard {
    /// Tells what its data takes now, if that has changed by more than a little since it was told last. To be called when
    /// something was done to the data.
    pub(crate) fn tell_memory(&mut self) {
        let used = self.keyspace.memory_use().bytes() as u64;
        if used.abs_diff(self.told_memory.used) < TOLD_BYTES_MIN {
            return;
        }
        let memory = &self.setup.live.data_memory;
        match used.checked_sub(self.told_memory.used) {
            Some(more) => {
                memory.used.take(more);
                let all = memory.used.taken();
                if all > memory.peak.get() {
                    memory.peak.set(all);
                }
            }
            None => memory.used.give_back(self.told_memory.used - used),
        }
        self.told_memory.used = used;
    }
}

/// So much more or less is told: the number is all workers', so it is to be written seldom.
const TOLD_BYTES_MIN: u64 = 16 << 10;
