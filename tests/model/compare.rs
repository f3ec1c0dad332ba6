//! Whether what was heard is what the twin expects.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use kora_tests::reply::{Protocol, Value, starts_with_null_array, take};

use crate::Expected;
use crate::name::Name;
use crate::say::Say;
use crate::twin::{Recall, Scannable};

/// What differs, or how good a query's reply is.
pub(crate) fn compare(
    expected: &Expected,
    mut bytes: BytesMut,
    protocol: Protocol,
    shards: usize,
) -> Result<Recall, String> {
    if let Expected::Silence = expected {
        return is(bytes.is_empty(), "silence", &bytes);
    }
    if bytes.is_empty() {
        return Err("no reply".to_owned());
    }
    let is_null_array = starts_with_null_array(&bytes);
    let wants_null_array = matches!(expected, Expected::Reply(Say::NullArray)) && protocol == Protocol::Two;
    if is_null_array != wants_null_array {
        return Err(format!("the null is of the wrong kind: {bytes:?}"));
    }
    let reply = take(&mut bytes, protocol).ok_or("half a reply")?;
    if !bytes.is_empty() {
        return Err(format!("more than one reply: {reply:?}, {bytes:?}"));
    }
    match expected {
        Expected::Silence => unreachable!("looked at first"),
        Expected::Reply(say) => is(reply == say.heard(protocol), say, &reply),
        Expected::Nearest(asked) => asked
            .judge(&reply, protocol)
            .map_err(|fault| format!("{fault} in {reply:?}")),
        Expected::Fields(fields, live) => {
            has_fields(fields, &reply, protocol)?;
            has_shards(&reply, *live, shards)
        }
        Expected::Lines(lines) => has_lines(lines, &reply, protocol),
        Expected::Help(container, subcommands) => helps(container, subcommands, &reply),
        Expected::Described(names) => describes(names, &reply),
        Expected::Documented(names) => documents(names, &reply, protocol),
        Expected::Floats(numbers, error, in_binary) => {
            let heard = floats(&reply, *in_binary).ok_or("no numbers")?;
            let is_near = |(number, heard): (&f32, &f32)| (number - heard).abs() <= *error;
            is(
                heard.len() == numbers.len() && numbers.iter().zip(&heard).all(is_near),
                (numbers, error),
                &reply,
            )
        }
        Expected::Scanned(scannable) => scanned(scannable, &reply),
        Expected::Names(names) => {
            let mut heard: Vec<&Bytes> = reply
                .items()
                .ok_or("no array")?
                .iter()
                .filter_map(Value::bytes)
                .collect();
            let mut names = names.clone();
            heard.sort_unstable();
            names.sort_unstable();
            is(heard == names, &names, &reply)
        }
    }
}

fn is(right: bool, expected: impl std::fmt::Debug, heard: impl std::fmt::Debug) -> Result<Recall, String> {
    if right {
        Ok(Recall::default())
    } else {
        Err(format!("expected {expected:?}, heard {heard:?}"))
    }
}

fn is_map(reply: &Value, protocol: Protocol) -> bool {
    matches!(
        (reply, protocol),
        (Value::Array(_), Protocol::Two) | (Value::Map(_), Protocol::Three)
    )
}

fn has_fields(fields: &[(&str, Say)], reply: &Value, protocol: Protocol) -> Result<Recall, String> {
    is(is_map(reply, protocol), "a map", reply)?;
    for (name, say) in fields {
        is(reply.field(name) == Some(&say.heard(protocol)), (name, say), reply)?;
    }
    Ok(Recall::default())
}

/// VECINFO: the totals are the sums of the shards'.
fn has_shards(reply: &Value, live: usize, shards: usize) -> Result<Recall, String> {
    let number = |value: &Value, name: &str| match value.field(name) {
        Some(Value::Integer(number)) => Ok(*number),
        other => Err(format!("{name} is {other:?}")),
    };
    let parts = reply.field("shards").and_then(Value::items).ok_or("no shards")?;
    is(parts.len() == shards || parts.len() == 1, shards, parts)?;
    for name in ["vectors", "deleted", "vectors_bytes", "links_bytes", "keys_bytes"] {
        let sum: i64 = parts
            .iter()
            .map(|part| number(part, name))
            .sum::<Result<i64, String>>()?;
        is(number(reply, name)? == sum, (name, sum), reply)?;
    }
    let bytes = number(reply, "vectors_bytes")?;
    is((live == 0) || bytes > 0, "bytes for vectors", reply)
}

fn has_lines(lines: &[String], reply: &Value, protocol: Protocol) -> Result<Recall, String> {
    let text = match (reply, protocol) {
        (Value::Bulk(text), Protocol::Two) => String::from_utf8_lossy(text).into_owned(),
        (Value::Verbatim(text), Protocol::Three) => text.clone(),
        _ => return Err(format!("expected a text, heard {reply:?}")),
    };
    for line in lines {
        is(text.split("\r\n").any(|found| found == line), line, &text)?;
    }
    Ok(Recall::default())
}

fn helps(container: &str, subcommands: &[String], reply: &Value) -> Result<Recall, String> {
    let lines: Vec<&str> = reply
        .items()
        .ok_or("no array")?
        .iter()
        .filter_map(|line| match line {
            Value::Simple(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let first = format!("{} <subcommand>", container.to_uppercase());
    is(
        lines.first().is_some_and(|line| line.starts_with(&first)),
        first,
        &lines,
    )?;
    for subcommand in subcommands {
        let has = lines.iter().any(|line| line.split(' ').next() == Some(subcommand));
        is(has, subcommand, &lines)?;
    }
    Ok(Recall::default())
}

/// COMMAND: name, arity, and the subcommands with theirs.
fn describes(names: &[Option<Name>], reply: &Value) -> Result<Recall, String> {
    let items = reply.items().ok_or("no array")?;
    let mut wanted: Vec<Option<(&str, i32)>> = names.iter().map(|name| name.map(Name::facts)).collect();
    let mut heard: Vec<Option<(&str, i32)>> = Vec::new();
    for item in items {
        heard.push(described(item)?);
    }
    // All commands come in the order of their families, which means nothing.
    wanted.sort_unstable();
    heard.sort_unstable();
    is(heard == wanted, &wanted, &heard)
}

fn described(item: &Value) -> Result<Option<(&str, i32)>, String> {
    let parts = match item {
        Value::Null => return Ok(None),
        item => item.items().ok_or("no array")?,
    };
    let [
        Value::Bulk(name),
        Value::Integer(arity),
        flags,
        ..,
        Value::Array(subcommands),
    ] = parts
    else {
        return Err(format!("no description: {item:?}"));
    };
    is(parts.len() == 10, "ten parts", item)?;
    is(matches!(flags, Value::Array(_) | Value::Set(_)), "flags", item)?;
    let name = std::str::from_utf8(name).map_err(|_| "no text")?;
    for subcommand in subcommands {
        let known = described(subcommand)?.and_then(|(name, _)| Name::find(name.as_bytes()));
        is(known.is_some_and(Name::is_subcommand), "a subcommand", subcommand)?;
    }
    let arity = i32::try_from(*arity).map_err(|_| "no arity")?;
    Ok(Some((name, arity)))
}

fn floats(reply: &Value, in_binary: bool) -> Option<Vec<f32>> {
    if in_binary {
        let (chunks, rest) = reply.bytes()?.as_chunks::<4>();
        return rest
            .is_empty()
            .then(|| chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect());
    }
    reply.items()?.iter().map(Value::number).collect()
}

/// SCAN: keys that are there, and a cursor.
fn scanned(scannable: &Scannable, reply: &Value) -> Result<Recall, String> {
    let (next, keys) = scan_parts(reply).ok_or("no cursor with keys")?;
    let found: BTreeSet<Bytes> = keys.iter().cloned().collect();
    is(
        found.len() == keys.len() && found.is_subset(&scannable.keys),
        scannable,
        reply,
    )?;
    is(next < 1 << 53, "a cursor that a double holds", reply)?;
    is(
        !scannable.is_whole || (next == 0 && found == scannable.keys),
        scannable,
        reply,
    )
}

/// The cursor and the keys of a reply to SCAN.
pub(crate) fn scan_parts(reply: &Value) -> Option<(u64, Vec<Bytes>)> {
    let [Value::Bulk(cursor), Value::Array(keys)] = reply.items()? else {
        return None;
    };
    let cursor = std::str::from_utf8(cursor).ok()?.parse().ok()?;
    let keys: Option<Vec<Bytes>> = keys.iter().map(|key| key.bytes().cloned()).collect();
    Some((cursor, keys?))
}

fn documents(names: &[Name], reply: &Value, protocol: Protocol) -> Result<Recall, String> {
    is(is_map(reply, protocol), "a map", reply)?;
    let count = match reply {
        Value::Map(pairs) => pairs.len(),
        other => other.items().map_or(0, |items| items.len() / 2),
    };
    is(count == names.len(), names, reply)?;
    for name in names {
        let documentation = reply
            .field(name.text())
            .ok_or_else(|| format!("nothing about {name:?}"))?;
        for field in ["summary", "since", "group"] {
            is(documentation.field(field).is_some(), (name, field), documentation)?;
        }
    }
    Ok(Recall::default())
}
