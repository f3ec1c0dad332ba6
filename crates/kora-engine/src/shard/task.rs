//! One protocol for all that may take long on a shard.
//!
//! What is asked becomes a [`Task`], which works in slices: each spends an allowance of [`Work`], whose unit and prices
//! stand in `budgets.rs`, and ends with kora-vector's [`Step`]. The first slice runs at once, and is the last one for
//! nearly everything ([`Shard::run`]). What is not done then waits in the shard's queue.

use kora_vector::{Step, Work};

use super::Shard;
use crate::mail::PartialReply;

/// Something asked of a shard, between two slices.
pub(crate) trait Task {
    /// What it answers.
    type Answer;

    /// Goes on until it is done or the allowance is spent. Every call makes progress, whatever is left of the allowance.
    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Self::Answer>;

    /// True if nothing else may happen on the shard before it is done.
    fn is_exclusive(&self) -> bool {
        false
    }

    /// True if other workers had better not read from this shard while it goes on: all but queries.
    fn keeps_busy(&self) -> bool {
        true
    }
}

/// A task whose first slice was not its last.
pub(crate) type Unfinished = Box<dyn Task<Answer = PartialReply>>;

/// What the first slice of a task came to.
#[must_use]
pub(crate) enum Begun<T> {
    Done(T),
    /// It goes on when its turn comes.
    More(Box<dyn Task<Answer = T>>),
}

impl<T: 'static> Begun<T> {
    /// The answer, or the task with its answer as a part.
    pub(crate) fn or_unfinished(self, show: fn(T) -> PartialReply) -> Result<T, Unfinished> {
        match self {
            Begun::Done(answer) => Ok(answer),
            Begun::More(task) => Err(Box::new(Shown { task, show })),
        }
    }

    /// The same, with its answer as `show` makes it.
    pub(crate) fn map<U: 'static>(self, show: fn(T) -> U) -> Begun<U> {
        match self {
            Begun::Done(answer) => Begun::Done(show(answer)),
            Begun::More(task) => Begun::More(Box::new(Shown { task, show })),
        }
    }
}

impl Shard {
    /// An allowance for one slice.
    pub(crate) fn slice_work(&self) -> Work {
        Work::new(self.setup.slice_work)
    }

    /// The first slice of a task.
    pub(super) fn run<T: Task + 'static>(&mut self, mut task: T, work: &mut Work) -> Begun<T::Answer> {
        match task.slice(self, work) {
            Step::Done(answer) => Begun::Done(answer),
            Step::More => Begun::More(Box::new(task)),
        }
    }
}

/// A task whose answer is a part of another kind of answer.
struct Shown<T, U> {
    task: Box<dyn Task<Answer = T>>,
    show: fn(T) -> U,
}

impl<T, U> Task for Shown<T, U> {
    type Answer = U;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<U> {
        match self.task.slice(shard, work) {
            Step::Done(answer) => Step::Done((self.show)(answer)),
            Step::More => Step::More,
        }
    }

    fn is_exclusive(&self) -> bool {
        self.task.is_exclusive()
    }

    fn keeps_busy(&self) -> bool {
        self.task.keeps_busy()
    }
}
