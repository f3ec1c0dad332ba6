//! Whether a reply fits its command: its shape in the version spoken, its number or payload, and the collections that
//! there were from the command to its reply.

use kora_tests::distance::{is_close, naive};
use kora_tests::reply::{Protocol, Value};

use crate::aliases::{collection_of_hits, meaning};
use crate::command::{Command, Key, Query, Vector, Victim};
use crate::history::Event;
use crate::scenario::Scenario;

/// # Panics
/// If the reply cannot be one to this command.
pub(crate) fn check(event: &Event, scenario: &Scenario, session: u64) {
    let reply = event.reply().expect("called with the reply");
    let fits = match (&event.command, reply) {
        (Command::Ping(None), reply) => *reply == Value::Simple("PONG".to_owned()),
        (Command::Ping(Some(payload)) | Command::Echo(payload), reply) => *reply == Value::bulk(&payload.to_string()),
        (Command::Hello(protocol), reply) => {
            let version = if *protocol == Protocol::Two { 2 } else { 3 };
            let session = i64::try_from(session).expect("sessions are few");
            has_shape_of_map(reply, event.protocol)
                && reply.field("proto") == Some(&Value::Integer(version))
                && reply.field("id") == Some(&Value::Integer(session))
        }
        (Command::Set(key, vector), reply) => set(event, *key, *vector, reply, scenario),
        (Command::Get(key), Value::Null) => key.collection < scenario.collections.len(),
        (Command::Get(key), reply) => got(reply, event.protocol, *key, scenario).is_some(),
        (Command::Delete(keys), Value::Integer(count)) => (0..=keys.len() as i64).contains(count),
        (Command::Query(query), reply) => queried(event, query, reply, scenario),
        (Command::Create(collection, _), reply) => {
            let exists = is_error(reply, "ERR collection '");
            // The same one before and after: it was there when this was decided.
            (is_ok(reply) && event.throughout(*collection).is_none()) || exists
        }
        (Command::Drop(collection), Value::Integer(0 | 1)) => event.throughout(*collection).is_none(),
        (Command::Expire(collection, _) | Command::Persist(collection), Value::Integer(0)) => match event.command {
            Command::Expire(..) => event.throughout(*collection).is_none(),
            _ => *collection < scenario.collections.len(),
        },
        (Command::Expire(collection, 0), Value::Integer(1)) => event.throughout(*collection).is_none(),
        (Command::Expire(..) | Command::Persist(_), Value::Integer(1)) => true,
        (Command::End(collection), Value::Integer(end_ms)) => told(event, *collection, *end_ms),
        (Command::Flush, reply) => {
            is_ok(reply) && (0..scenario.collections.len()).all(|name| event.throughout(name).is_none())
        }
        (Command::List, Value::Array(names)) => listed(event, names, scenario),
        (Command::SetAlias(collection), reply) => {
            let is_missing = is_error(reply, "ERR no such collection '") && event.throughout(*collection).is_none();
            is_ok(reply) || is_missing || is_error(reply, "OOM ")
        }
        (Command::QueryAlias(_), reply) => {
            let is_refused = is_error(reply, "ERR vector dimension mismatch") || is_error(reply, "TRYAGAIN ");
            is_refused || (reply.error().is_none() && collection_of_hits(event, scenario).is_some())
        }
        (Command::Aliases, reply) => has_shape_of_map(reply, event.protocol) && meaning(reply, scenario).is_some(),
        (Command::Info(collection), reply) => described(event, *collection, reply, scenario),
        (Command::Size, Value::Integer(size)) => *size >= 0,
        (Command::Scan, reply) => scanned(reply, scenario).is_some(),
        (Command::Type(_), Value::Simple(name)) => ["vector", "none"].contains(&name.as_str()),
        (Command::ClientList, reply) => lists_session(reply, event.protocol, session),
        (Command::Kill(_, Victim::Myself), reply) => *reply == Value::Integer(1),
        (Command::Kill(_, Victim::Other), Value::Integer(0 | 1)) => true,
        (Command::Unknown, reply) => {
            *reply == Value::Error("ERR unknown command 'NONSENSE', with args beginning with: '1' '2' ".to_owned())
        }
        (Command::Quit, reply) => is_ok(reply),
        _ => false,
    };
    assert!(fits, "this is no reply to {:?}: {reply:?}\n{event:?}", event.command);
}

/// The vector in the reply to a VECGET.
pub(crate) fn got(reply: &Value, protocol: Protocol, key: Key, scenario: &Scenario) -> Option<Vector> {
    let components: Vec<f32> = if scenario.collections[key.collection].is_wide() {
        let (chunks, rest) = reply.bytes()?.as_chunks::<4>();
        assert!(rest.is_empty(), "a float has four bytes");
        chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    } else {
        let number = |value: &Value| match (protocol, value) {
            (Protocol::Two, Value::Bulk(_)) | (Protocol::Three, Value::Double(_)) => value.number(),
            _ => None,
        };
        reply.items()?.iter().map(number).collect::<Option<_>>()?
    };
    Vector::of_components(&components)
}

/// The hits in the reply to a VECQUERY, with the keys as numbers; of a VECMQUERY those of each query.
pub(crate) fn hits(event: &Event, query: &Query, scenario: &Scenario) -> Option<Vec<Vec<(Key, f32)>>> {
    let reply = event.reply()?;
    let Some(times) = query.times else {
        return Some(vec![hits_of_one(reply, event.protocol, query, scenario)?]);
    };
    let replies = reply.items().filter(|replies| replies.len() == times)?;
    let one = |reply| hits_of_one(reply, event.protocol, query, scenario);
    replies.iter().map(one).collect()
}

fn hits_of_one(reply: &Value, protocol: Protocol, query: &Query, scenario: &Scenario) -> Option<Vec<(Key, f32)>> {
    let scored = reply.scored(protocol)?;
    let key_of = |text: &[u8]| {
        (0..scenario.collections[query.collection].elements)
            .map(|element| Key {
                collection: query.collection,
                element,
            })
            .find(|key| key.text(scenario).as_bytes() == text)
    };
    scored
        .into_iter()
        .map(|(text, distance)| Some((key_of(&text)?, distance)))
        .collect()
}

/// The vectors in the reply to a SCAN of everything, without the names of collections.
pub(crate) fn scanned(reply: &Value, scenario: &Scenario) -> Option<Vec<Key>> {
    let [cursor, Value::Array(texts)] = reply.items()? else {
        return None;
    };
    assert_eq!(*cursor, Value::bulk("0"), "the scan came to its end");
    let is_name = |text: &Value| scenario.collections.iter().any(|of| *text == Value::bulk(of.name));
    let all = scenario.keys();
    let key_of = |text: &Value| {
        all.iter()
            .copied()
            .find(|key| *text == Value::bulk(&key.text(scenario)))
    };
    texts.iter().filter(|text| !is_name(text)).map(key_of).collect()
}

/// True if this is the distance of that vector.
pub(crate) fn is_distance(distance: f32, query: &Query, vector: Vector, scenario: &Scenario) -> bool {
    query.vector.dimension == vector.dimension
        && is_close(distance, naive(scenario.metric, &query.vector.plane(), &vector.plane()))
}

fn set(event: &Event, key: Key, vector: Vector, reply: &Value, scenario: &Scenario) -> bool {
    let right = event
        .throughout(key.collection)
        .map(|there| there.dimension == vector.dimension);
    if is_ok(reply) {
        right != Some(false)
    } else {
        right != Some(true) && mismatches(event, reply, key.collection, vector, scenario)
    }
}

fn queried(event: &Event, query: &Query, reply: &Value, scenario: &Scenario) -> bool {
    let throughout = event.throughout(query.collection);
    let right = throughout.map(|there| there.dimension == query.vector.dimension);
    if is_error(reply, "TRYAGAIN ") {
        return throughout.is_none();
    }
    if is_error(reply, "ERR ") {
        return right != Some(true) && mismatches(event, reply, query.collection, query.vector, scenario);
    }
    let Some(found) = hits(event, query, scenario) else {
        return false;
    };
    let text = |key: Key| key.text(scenario);
    found.iter().all(|hits| {
        let in_order = hits.windows(2).all(|pair| {
            let [(one, near), (two, far)] = pair else { return false };
            near.total_cmp(far).then_with(|| text(*one).cmp(&text(*two))).is_lt()
        });
        in_order && hits.len() <= query.k && (right != Some(false) || hits.is_empty())
    })
}

/// True if the error names this vector's dimension and another one that the collection can have had.
fn mismatches(event: &Event, reply: &Value, collection: usize, vector: Vector, scenario: &Scenario) -> bool {
    let of = &scenario.collections[collection];
    of.dimensions
        .iter()
        .filter(|dimension| **dimension != vector.dimension)
        .filter(|dimension| {
            event
                .throughout(collection)
                .is_none_or(|there| there.dimension == **dimension)
        })
        .any(|dimension| {
            let text = format!(
                "ERR vector dimension mismatch - got {} but collection '{}' has {dimension}",
                vector.dimension, of.name
            );
            reply.error() == Some(&text)
        })
}

fn listed(event: &Event, names: &[Value], scenario: &Scenario) -> bool {
    let names: Option<Vec<&[u8]>> = names.iter().map(|name| Some(name.bytes()?.as_ref())).collect();
    let Some(names) = names else { return false };
    let is_known = |name: &&[u8]| scenario.collections.iter().any(|known| known.name.as_bytes() == *name);
    let has_those_throughout = scenario
        .collections
        .iter()
        .enumerate()
        .filter(|(collection, _)| event.throughout(*collection).is_some())
        .all(|(_, known)| names.contains(&known.name.as_bytes()));
    names.is_sorted_by(|one, two| one < two) && names.iter().all(is_known) && has_those_throughout
}

fn described(event: &Event, collection: usize, reply: &Value, scenario: &Scenario) -> bool {
    if *reply == Value::Null {
        return event.throughout(collection).is_none();
    }
    let of = &scenario.collections[collection];
    let Some(Value::Integer(dimension)) = reply.field("dimension") else {
        return false;
    };
    let dimension = *dimension as usize;
    let fits = match event.throughout(collection) {
        Some(there) => there.dimension == dimension,
        None => of.dimensions.contains(&dimension),
    };
    let shards = reply.field("shards").and_then(Value::items).map_or(0, <[Value]>::len);
    let parts = if of.name.contains("{t}") { 1 } else { scenario.shards };
    fits && has_shape_of_map(reply, event.protocol)
        && shards == parts
        && reply.field("collection") == Some(&Value::bulk(of.name))
}

/// PEXPIRETIME of a collection.
fn told(event: &Event, collection: usize, end_ms: i64) -> bool {
    let after = event.after.get(collection).copied().flatten();
    match event.throughout(collection) {
        None => end_ms >= -2,
        Some(before) if after == Some(before) && before.end_ms == u64::MAX => end_ms >= -1,
        // Moved away and back it can't be: every time is given once.
        Some(before) if after == Some(before) => end_ms == before.end_ms as i64,
        Some(_) => end_ms >= -1,
    }
}

fn lists_session(reply: &Value, protocol: Protocol, session: u64) -> bool {
    let sessions = sessions_listed(reply, protocol);
    sessions.is_sorted_by(|one, next| one < next) && sessions.contains(&session)
}

/// The sessions in the reply to a CLIENT LIST.
pub(crate) fn sessions_listed(reply: &Value, protocol: Protocol) -> Vec<u64> {
    let text = match (protocol, reply) {
        (Protocol::Two, Value::Bulk(text)) => String::from_utf8_lossy(text).into_owned(),
        (Protocol::Three, Value::Verbatim(text)) => text.clone(),
        _ => panic!("{reply:?} is no list of clients"),
    };
    let id = |line: &str| line.strip_prefix("id=")?.split(' ').next()?.parse().ok();
    text.lines()
        .map(|line| id(line).unwrap_or_else(|| panic!("{line:?} begins with an id")))
        .collect()
}

fn has_shape_of_map(reply: &Value, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Two => matches!(reply, Value::Array(items) if items.len().is_multiple_of(2)),
        Protocol::Three => matches!(reply, Value::Map(_)),
    }
}

fn is_ok(reply: &Value) -> bool {
    *reply == Value::Simple("OK".to_owned())
}

fn is_error(reply: &Value, start: &str) -> bool {
    reply.error().is_some_and(|text| text.starts_with(start))
}
