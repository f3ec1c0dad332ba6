//! The quiet points: nobody else says anything, so that every reply must agree with every other.

use kora_engine::MadeBy;
use kora_tests::reply::Value;

use crate::command::{Command, Key, Query, Target, Vector, Victim, WHOLE};
use crate::history::Event;
use crate::replies;
use crate::scenario::{Occurrence, Scenario};
use crate::world::World;

/// Asks about every collection and every key, and holds the replies against each other.
///
/// # Panics
/// If they disagree.
pub(crate) fn run(world: &mut World) {
    // So that none expires while they are asked about; and those that have expired have left nothing behind.
    let all = 0..world.scenario.collections.len();
    ask(world, all.map(Command::Persist).collect());
    assert_eq!(world.catalog().expiring(), 0, "nothing expires any more");
    ask(world, vec![Command::Aliases]);
    let mut there = Vec::new();
    for collection in 0..world.scenario.collections.len() {
        there.extend(audit_collection(world, collection));
    }
    let [size, list, scan] = ask(world, vec![Command::Size, Command::List, Command::Scan])
        .try_into()
        .expect("each command has its event");
    assert_eq!(
        size.reply(),
        Some(&Value::Integer(there.len() as i64)),
        "DBSIZE is what can be read"
    );
    let mut scanned = replies::scanned(scan.reply().expect("answered"), &world.scenario).expect("checked when it came");
    scanned.sort_unstable();
    assert_eq!(scanned, there, "SCAN returns each key once");
    let there = world.scenario.collections.iter();
    let mut names: Vec<&str> = there
        .map(|collection| collection.name)
        .filter(|name| world.catalog().newest(name.as_bytes()).is_some())
        .collect();
    names.sort_unstable();
    let names: Vec<Value> = names.into_iter().map(Value::bulk).collect();
    assert_eq!(
        list.reply(),
        Some(&Value::Array(names)),
        "VECLIST is what is in the catalog"
    );
}

/// Asks who is connected, and closes the others' connections, while they go from one worker to another.
pub(crate) fn clients(world: &mut World) {
    for event in ask(world, vec![Command::ClientList; 3]) {
        let listed = replies::sessions_listed(event.reply().expect("answered"), event.protocol);
        assert_eq!(listed, world.connected(), "CLIENT LIST names each client once");
    }
    if world.scenario.kills == Occurrence::Never {
        return;
    }
    // One after the other: a client that was missed and migrates would be closed on its next arrival.
    for session in world.connected_others() {
        let events = ask(world, vec![Command::Kill(session, Victim::Other)]);
        assert_eq!(events[0].reply(), Some(&Value::Integer(1)), "{session} is closed");
        world.check_kills();
    }
}

/// Drops everything and looks.
pub(crate) fn flush(world: &mut World) {
    let events = ask(world, vec![Command::Flush, Command::Size, Command::List]);
    assert_eq!(events[1].reply(), Some(&Value::Integer(0)));
    assert_eq!(events[2].reply(), Some(&Value::Array(Vec::new())));
}

/// The vectors of one collection: as VECGET, VECQUERY and VECINFO say.
fn audit_collection(world: &mut World, collection: usize) -> Vec<Key> {
    let scenario = world.scenario.clone();
    let of = &scenario.collections[collection];
    let there = world.catalog().newest(of.name.as_bytes());
    let dimension = there.as_ref().map_or(of.dimensions[0], |schema| schema.dimension);
    let keys: Vec<Key> = (0..of.elements).map(|element| Key { collection, element }).collect();
    let query = Query {
        target: Target::Name,
        collection,
        k: WHOLE,
        ef: None,
        vector: Vector { value: 3, dimension },
        times: None,
    };
    let mut commands: Vec<Command> = keys.iter().map(|key| Command::Get(*key)).collect();
    commands.extend([Command::Info(collection), Command::Query(query.clone())]);
    let events = ask(world, commands);
    let (described, queried) = (&events[keys.len()], &events[keys.len() + 1]);

    let mut read: Vec<Key> = Vec::new();
    for (key, event) in keys.iter().zip(&events) {
        let reply = event.reply().expect("answered");
        if let Some(vector) = replies::got(reply, event.protocol, *key, &scenario) {
            assert_eq!(vector.dimension, dimension, "{key:?} holds {vector:?}");
            read.push(*key);
        }
    }
    let mut found = found_keys(queried, &query, &scenario);
    found.sort_unstable();
    assert_eq!(read, found, "VECGET and VECQUERY see the same keys");
    match there {
        None => {
            assert_eq!(described.reply(), Some(&Value::Null), "there is no such collection");
            assert!(read.is_empty(), "{read:?} are there, their collection is not");
        }
        Some(schema) => {
            check_description(described, dimension, read.len());
            assert!(
                !read.is_empty() || schema.made_by == MadeBy::Veccreate,
                "{schema:?} was made by a VECSET and has no vector left"
            );
        }
    }
    read
}

fn check_description(event: &Event, dimension: usize, live: usize) {
    let reply = event.reply().expect("answered");
    let count = |value: &Value, field: &str| match value.field(field) {
        Some(Value::Integer(count)) => *count as usize,
        other => panic!("{field} is a number, not {other:?}"),
    };
    assert_eq!(count(reply, "dimension"), dimension);
    assert_eq!(count(reply, "vectors"), live, "VECINFO counts what can be read");
    let shards = reply
        .field("shards")
        .and_then(Value::items)
        .expect("VECINFO lists the shards");
    let sum: usize = shards.iter().map(|shard| count(shard, "vectors")).sum();
    assert_eq!(sum, live, "the parts make the whole");
}

fn found_keys(event: &Event, query: &Query, scenario: &Scenario) -> Vec<Key> {
    let hits = replies::hits(event, query, scenario).expect("nothing else is going on, so nothing is refused");
    hits.into_iter().flatten().map(|(key, _)| key).collect()
}

/// Whoever is asked may be cut off by an accident that was decided before; then it is asked again.
fn ask(world: &mut World, commands: Vec<Command>) -> Vec<Event> {
    let leaves_per_mille = std::mem::take(&mut world.scenario.leaves_per_mille);
    let range = world.run_given(commands);
    world.scenario.leaves_per_mille = leaves_per_mille;
    world.history.events[range].to_vec()
}
