//! What was asked and what was answered, with times: the material that all checks work on.

use kora_engine::{Catalog, Generation};
use kora_tests::reply::{Protocol, Value};

use crate::command::Command;
use crate::scenario::Scenario;

/// One command that an engine has taken.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Which connection said it. Connections are numbered through; none comes back.
    pub(crate) client: usize,
    pub(crate) command: Command,
    /// In which version the reply is to be.
    pub(crate) protocol: Protocol,
    /// When it was taken: it had no effect before.
    pub(crate) start: u64,
    /// The time of day before it was taken and after, and when the reply left, in microseconds of Unix time.
    pub(crate) taken_us: (u64, u64),
    pub(crate) answered_us: u64,
    /// The reply, and when it left the engine: no effect came after. `None`: the connection was gone before that, so
    /// the effect may come at any time.
    pub(crate) answer: Option<(u64, Value)>,
    /// The collections just before it was taken.
    pub(crate) before: Names,
    /// The collections when the reply left.
    pub(crate) after: Names,
}

/// For each name of the scenario, which collection had it.
pub(crate) type Names = Vec<Option<There>>;

/// A collection at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct There {
    pub(crate) generation: Generation,
    pub(crate) dimension: usize,
    /// When it expires, in milliseconds of Unix time.
    pub(crate) end_ms: u64,
    /// How it stands with that.
    pub(crate) standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It has not expired on any worker.
    Stands,
    /// Some workers may see its time come, whose clocks go a little differently.
    Ends,
    /// Its time has come on all workers.
    Over,
}

/// Everything that happened, in the order in which it was taken.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    time: u64,
}

/// What has these names at this time of day, in microseconds of Unix time.
pub(crate) fn names(scenario: &Scenario, catalog: &Catalog, unix_us: u64) -> Names {
    scenario
        .collections
        .iter()
        .map(|collection| {
            let schema = catalog.newest(collection.name.as_bytes())?;
            let end_ms = schema.deadline.end();
            let standing = match end_ms.saturating_mul(1000) {
                end_us if end_us > unix_us => Standing::Stands,
                end_us if end_us > unix_us - CLOCKS_DIFFER_US => Standing::Ends,
                _ => Standing::Over,
            };
            Some(There {
                generation: schema.generation,
                dimension: schema.dimension,
                end_ms,
                standing,
            })
        })
        .collect()
}

impl History {
    /// A command was taken; returns its number.
    pub(crate) fn begin(&mut self, taken: TakenCommand) -> usize {
        self.time += 1;
        let TakenCommand {
            client,
            command,
            protocol,
            taken_us,
            before,
        } = taken;
        self.events.push(Event {
            client,
            command,
            protocol,
            start: self.time,
            taken_us,
            answered_us: u64::MAX,
            answer: None,
            before,
            after: Names::new(),
        });
        self.events.len() - 1
    }

    /// Its reply has left the engine.
    pub(crate) fn end(&mut self, event: usize, reply: Value, answered_us: u64, after: Names) -> &Event {
        self.time += 1;
        let event = &mut self.events[event];
        assert!(event.answer.is_none(), "a command has one reply");
        event.answer = Some((self.time, reply));
        event.answered_us = answered_us;
        event.after = after;
        event
    }

    /// True if one event took effect before the other, whatever the schedule was: it was answered before the other was
    /// taken, or both came from one connection in this order.
    pub(crate) fn precedes(&self, first: usize, second: usize) -> bool {
        let (one, two) = (&self.events[first], &self.events[second]);
        if one.client == two.client {
            return first < second;
        }
        one.answer.as_ref().is_some_and(|(end, _)| *end < two.start)
    }
}

impl Event {
    pub(crate) fn reply(&self) -> Option<&Value> {
        self.answer.as_ref().map(|(_, reply)| reply)
    }

    /// True if the reply says that nothing was done.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.reply(), Some(Value::Error(_)))
    }

    /// The collection that had this name all the time from the command to its reply, if it was one.
    pub(crate) fn throughout(&self, collection: usize) -> Option<There> {
        let before = self.before[collection]?;
        let after = (*self.after.get(collection)?)?;
        (before.generation == after.generation && after.standing == Standing::Stands).then_some(before)
    }

    /// True if there was surely no collection of that name when it was taken.
    pub(crate) fn begins_without(&self, collection: usize) -> bool {
        self.before[collection].is_none_or(|there| there.standing == Standing::Over)
    }

    /// When a collection expires because of this command, at the earliest and at the latest, in microseconds of Unix time,
    /// if nothing else is decided.
    pub(crate) fn end_us(&self) -> Option<(u64, u64)> {
        let Command::Expire(_, ms) = self.command else {
            return None;
        };
        let end_us = |us: u64| (us / 1000 + ms) * 1000;
        Some((
            end_us(self.taken_us.0 - CLOCKS_DIFFER_US),
            (end_us(self.taken_us.1) + CLOCKS_DIFFER_US).max(self.answered_us),
        ))
    }
}

/// A command in the moment when it is taken.
pub(crate) struct TakenCommand {
    pub(crate) client: usize,
    pub(crate) command: Command,
    pub(crate) protocol: Protocol,
    pub(crate) taken_us: (u64, u64),
    pub(crate) before: Names,
}

/// The workers' times of day are behind the true one by so much at most.
pub(crate) const CLOCKS_DIFFER_US: u64 = 3_000;
