//! Whether what an alias meant could have been meant: some order of the changes that fits the times explains it.

use kora_tests::reply::Value;

use crate::command::Command;
use crate::history::{Event, History};
use crate::scenario::Scenario;

/// # Panics
/// If a reply has no explanation.
pub(crate) fn check(history: &History, scenario: &Scenario) {
    for (number, event) in history.events.iter().enumerate() {
        let Some(reply) = event.reply() else { continue };
        let meant = match event.command {
            Command::QueryAlias(_) => collection_of_hits(event, scenario).expect("checked when it came"),
            Command::Aliases => {
                let meant = meaning(reply, scenario).expect("checked when it came");
                assert!(
                    meant.is_some() || !is_surely_set(history, number),
                    "{event:?} has lost the alias"
                );
                meant
            }
            _ => continue,
        };
        if let Some(collection) = meant {
            assert!(
                may_mean(history, number, collection),
                "{event:?}: the alias did not mean this collection"
            );
        }
    }
}

/// The one collection that all hits are of; inner none if there are no hits.
pub(crate) fn collection_of_hits(event: &Event, scenario: &Scenario) -> Option<Option<usize>> {
    let reply = event.reply()?;
    if reply.error().is_some() {
        return Some(None);
    }
    let all = scenario.keys();
    let mut collections = Vec::new();
    for (text, _) in reply.scored(event.protocol)? {
        let key = all.iter().find(|key| key.text(scenario).as_bytes() == &text[..])?;
        collections.push(key.collection);
    }
    collections.dedup();
    (collections.len() <= 1).then(|| collections.first().copied())
}

/// What VECALIAS LIST says that the alias means.
pub(crate) fn meaning(reply: &Value, scenario: &Scenario) -> Option<Option<usize>> {
    let is_empty = match reply {
        Value::Array(items) => items.is_empty(),
        Value::Map(pairs) => pairs.is_empty(),
        _ => return None,
    };
    if is_empty {
        return Some(None);
    }
    let name = reply.field(ALIAS)?;
    let found = scenario.collections.iter().position(|of| *name == Value::bulk(of.name));
    found.map(Some)
}

/// Whether the alias may have meant this collection at a moment of an event.
fn may_mean(history: &History, event: usize, collection: usize) -> bool {
    let sets = |change: &Event| matches!(change.command, Command::SetAlias(meant) if meant == collection);
    let ends = |change: &Event| match change.command {
        Command::SetAlias(meant) => meant != collection && change.answer.is_some() && !change.is_refused(),
        Command::Flush => change.answer.is_some(),
        _ => false,
    };
    let all = || history.events.iter().enumerate();
    all().any(|(set, change)| {
        let is_overwritten =
            || all().any(|(end, change)| ends(change) && history.precedes(set, end) && history.precedes(end, event));
        sets(change) && !change.is_refused() && !history.precedes(event, set) && !is_overwritten()
    })
}

/// Whether the alias surely meant something at each moment of an event.
fn is_surely_set(history: &History, event: usize) -> bool {
    let all = || history.events.iter().enumerate();
    all().any(|(set, change)| {
        let is_said = matches!(change.command, Command::SetAlias(_)) && change.answer.is_some() && !change.is_refused();
        let may_be_flushed = || {
            all().any(|(flush, change)| {
                let flushes = matches!(change.command, Command::Flush);
                flushes && !history.precedes(flush, set) && !history.precedes(event, flush)
            })
        };
        is_said && history.precedes(set, event) && !may_be_flushed()
    })
}

/// The one alias that clients use.
pub(crate) const ALIAS: &str = "alias";
