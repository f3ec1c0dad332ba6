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
    /// The reply, and when it left the engine: no effect came after. `None`: the connection was gone before that, so
    /// the effect may come at any time.
    pub(crate) answer: Option<(u64, Value)>,
    /// The collections just before it was taken.
    pub(crate) before: Names,
    /// The collections when the reply left.
    pub(crate) after: Names,
}

/// For each name of the scenario, which collection had it, and its dimension.
pub(crate) type Names = Vec<Option<(Generation, usize)>>;

/// Everything that happened, in the order in which it was taken.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) events: Vec<Event>,
    time: u64,
}

/// What has these names now.
pub(crate) fn names(scenario: &Scenario, catalog: &Catalog) -> Names {
    scenario
        .collections
        .iter()
        .map(|collection| {
            let schema = catalog.find(collection.name.as_bytes())?;
            Some((schema.generation, schema.dimension))
        })
        .collect()
}

impl History {
    /// A command was taken; returns its number.
    pub(crate) fn begin(&mut self, client: usize, command: Command, protocol: Protocol, before: Names) -> usize {
        self.time += 1;
        self.events.push(Event {
            client,
            command,
            protocol,
            start: self.time,
            answer: None,
            before,
            after: Names::new(),
        });
        self.events.len() - 1
    }

    /// Its reply has left the engine.
    pub(crate) fn end(&mut self, event: usize, reply: Value, after: Names) -> &Event {
        self.time += 1;
        let event = &mut self.events[event];
        assert!(event.answer.is_none(), "a command has one reply");
        event.answer = Some((self.time, reply));
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
    pub(crate) fn throughout(&self, collection: usize) -> Option<(Generation, usize)> {
        let before = self.before[collection]?;
        (self.after.get(collection) == Some(&Some(before))).then_some(before)
    }
}
