//! What tests see of the data: each change as it is made, and the whole of it beside what was rebuilt from the changes.

use kora_keyspace::Keyspace;

use crate::engine::Engine;
use crate::router::ShardId;
use crate::shard::Recorder;

impl Engine {
    /// Lets a closure see every change of each shard from now on.
    pub fn record(&mut self, mut recorder_of: impl FnMut(ShardId) -> Recorder) {
        for shard in &mut self.shards {
            let recorder = recorder_of(shard.id());
            shard.record(recorder);
        }
    }

    /// Holds the data of each shard against a keyspace of its own catalog, which was rebuilt from its outcomes.
    ///
    /// # Panics
    /// If they are not equal, with the first difference.
    pub fn assert_rebuilt(&self, mut check: impl FnMut(ShardId, &dyn Fn(&Keyspace<()>))) {
        for shard in &self.shards {
            check(shard.id(), &|rebuilt| shard.assert_rebuilt(rebuilt));
        }
    }
}
