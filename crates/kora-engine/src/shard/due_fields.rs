//! A command on a hash of which so many fields are due that they do not go in one slice: they go first. So no command sees
//! what is due, however much that is.

use bytes::Bytes;
use kora_keyspace::ResolvedKey;
use kora_keyspace::limits::DELETED_PER_SLICE;
use kora_resp::Reply;
use kora_vector::{Step, Work};

use super::Shard;
use super::task::{Begun, Task};
use crate::budgets::DELETION_WORK;
use crate::command::Action;

/// Such a command between two slices.
struct AfterDueFields {
    key: Bytes,
    now_ms: u64,
    /// None once it has begun.
    action: Option<Action>,
    /// The command, which has begun.
    task: Option<Box<dyn Task<Answer = Reply>>>,
}

impl Shard {
    /// Removes the fields that are due, then does something to their hash.
    pub(super) fn operate_without_due_fields(
        &mut self,
        place: ResolvedKey<'_>,
        action: Action,
        work: &mut Work,
    ) -> Begun<Reply> {
        let waiting = AfterDueFields {
            key: Bytes::copy_from_slice(place.key),
            now_ms: place.now_ms,
            action: Some(action),
            task: None,
        };
        self.run(waiting, work)
    }

    /// Removes the fields of a hash that are due, some at least, until the allowance is spent.
    pub(super) fn remove_due_fields(&mut self, place: ResolvedKey<'_>, work: &mut Work) -> Step<()> {
        while self.keyspace.has_due_fields(place) {
            let removed = self.keyspace.remove_due_fields(place, DELETED_PER_SLICE);
            work.spend(DELETION_WORK * removed.max(1) as u64);
            if work.is_spent() && self.keyspace.has_due_fields(place) {
                return Step::More;
            }
        }
        Step::Done(())
    }
}

impl Task for AfterDueFields {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        if let Some(task) = &mut self.task {
            return task.slice(shard, work);
        }
        // Other clients have their turn in between: the key is looked up again.
        let place = shard.resolve_live(&self.key, self.now_ms);
        if shard.remove_due_fields(place, work) == Step::More {
            return Step::More;
        }
        let Some(action) = self.action.take() else {
            debug_assert!(false, "a command begins once");
            return Step::Done(Reply::Null);
        };
        match shard.operate_on(place, action, work) {
            Begun::Done(reply) => Step::Done(reply),
            Begun::More(task) => {
                self.task = Some(task);
                Step::More
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.is_exclusive())
    }
}
