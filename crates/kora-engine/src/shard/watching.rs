//! WATCH: the keys are noted one after the other.

use bytes::Bytes;
use kora_resp::Words;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::Task;
use crate::budgets::{WATCHED_BYTE_WORK, WATCHED_KEY_WORK};
use crate::mail::Origin;

/// From now on a client's next EXEC does nothing if one of these keys is changed before it.
pub(super) struct Watching {
    keys: Words,
    origin: Origin,
    now_ms: u64,
}

impl Watching {
    pub(super) fn new(keys: Words, origin: Origin, now_ms: u64) -> Watching {
        Watching { keys, origin, now_ms }
    }
}

impl Task for Watching {
    type Answer = ();

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<()> {
        while let Some(key) = self.keys.first() {
            work.spend(WATCHED_KEY_WORK + WATCHED_BYTE_WORK * key.len() as u64);
            let key = Bytes::copy_from_slice(key);
            // What has expired already is not there: that it goes is no change.
            let place = shard.resolve_live(&key, self.now_ms);
            if shard.remove_due_fields(place, work) == Step::More {
                return Step::More;
            }
            shard.keyspace.drop_part_if_over(&key, self.now_ms);
            self.keys.take_next();
            shard.keyspace.observers_mut().watches.watch(self.origin, key);
            if work.is_spent() && !self.keys.is_empty() {
                return Step::More;
            }
        }
        Step::Done(())
    }
}
