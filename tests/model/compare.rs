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
    judge(expected, &reply, protocol, shards)
}

fn judge(expected: &Expected, reply: &Value, protocol: Protocol, shards: usize) -> Result<Recall, String> {
    let reply = reply.clone();
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
        Expected::Has(fields) => has_fields(fields, &reply, protocol),
        Expected::SetFields(fields) => {
            let pairs: Vec<(&Value, &Value)> = match &reply {
                Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
                Value::Array(items) => items.chunks_exact(2).map(|pair| (&pair[0], &pair[1])).collect(),
                _ => return Err(format!("no fields: {reply:?}")),
            };
            let has = |(name, value): &(&'static str, Say)| {
                let (name, value) = (Value::Simple((*name).to_owned()), value.heard(protocol));
                pairs.contains(&(&name, &value))
            };
            is(fields.iter().all(has), fields, &reply)
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
        Expected::Many(all) => {
            let items = reply.items().ok_or("no array")?;
            is(items.len() == all.len(), all.len(), &reply)?;
            let mut recall = Recall::default();
            for (expected, item) in all.iter().zip(items) {
                let of_one = judge(expected, item, protocol, shards)?;
                recall.found += of_one.found;
                recall.wanted += of_one.wanted;
            }
            Ok(recall)
        }
        Expected::OneOf(choices) => is(
            choices.iter().any(|choice| choice.heard(protocol) == reply),
            choices,
            &reply,
        ),
        Expected::Positive => is(matches!(reply, Value::Integer(1..)), "a positive number", &reply),
        Expected::Bag(says) => {
            let items = reply.items().ok_or("no array")?.to_vec();
            let says = says.iter().map(|say| say.heard(protocol)).collect();
            is(sorted(items) == sorted(says), "the same in any order", &reply)
        }
        Expected::Pairs(pairs) if protocol == Protocol::Three => {
            let map = Say::Map(pairs.clone()).heard(protocol);
            is(map == reply, map, &reply)
        }
        Expected::Pairs(pairs) => {
            let heard = pairs_of(&reply)?;
            is(
                sorted_pairs(&heard) == sorted_pairs(&said(pairs, protocol)),
                pairs,
                &reply,
            )
        }
        Expected::FieldsScanned(pairs, no_values) => fields_scanned(&said(pairs, protocol), *no_values, &reply),
        Expected::Drawn(sample, pairs) => drawn(*sample, &said(pairs, protocol), &reply, protocol),
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
        // What is behind `…` is not known.
        let is_line = |found: &str| match line.strip_suffix('…') {
            Some(start) => found.starts_with(start),
            None => found == line,
        };
        is(text.split("\r\n").any(is_line), line, &text)?;
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

fn said(pairs: &[(Say, Say)], protocol: Protocol) -> Vec<(Value, Value)> {
    let heard = |(field, value): &(Say, Say)| (field.heard(protocol), value.heard(protocol));
    pairs.iter().map(heard).collect()
}

fn pairs_of(reply: &Value) -> Result<Vec<(Value, Value)>, String> {
    let items = reply.items().ok_or("no array")?;
    let (pairs, rest) = items.as_chunks::<2>();
    is(rest.is_empty(), "pairs", reply)?;
    Ok(pairs
        .iter()
        .map(|[field, value]| (field.clone(), value.clone()))
        .collect())
}

fn sorted(mut values: Vec<Value>) -> Vec<Value> {
    values.sort_by_cached_key(|value| format!("{value:?}"));
    values
}

fn sorted_pairs(pairs: &[(Value, Value)]) -> Vec<(Value, Value)> {
    let mut pairs = pairs.to_vec();
    pairs.sort_by_cached_key(|pair| format!("{pair:?}"));
    pairs
}

/// HSCAN: from the beginning to the end all, from elsewhere some. Programs have few fields, so one reply holds all.
fn fields_scanned(there: &[(Value, Value)], no_values: bool, reply: &Value) -> Result<Recall, String> {
    let [Value::Bulk(cursor), found] = reply.items().ok_or("no array")? else {
        return Err(format!("no cursor with fields: {reply:?}"));
    };
    let is_known = match no_values {
        true => found
            .items()
            .ok_or("no array")?
            .iter()
            .all(|field| there.iter().any(|(known, _)| known == field)),
        false => pairs_of(found)?.iter().all(|pair| there.contains(pair)),
    };
    is(is_known && cursor.iter().all(u8::is_ascii_digit), there, reply)
}

/// HRANDFIELD: as many as there can be, all of which there are, and different ones unless the count is negative.
fn drawn(
    sample: Option<(i64, bool)>,
    there: &[(Value, Value)],
    reply: &Value,
    protocol: Protocol,
) -> Result<Recall, String> {
    let Some((count, with_values)) = sample else {
        let is_one = there.iter().any(|(field, _)| field == reply);
        return is(is_one || (there.is_empty() && *reply == Value::Null), there, reply);
    };
    let items = reply.items().ok_or("no array")?;
    let found: Vec<Value> = match (with_values, protocol) {
        (false, _) => items.to_vec(),
        (true, Protocol::Two) => {
            let pairs = pairs_of(reply)?;
            is(pairs.iter().all(|pair| there.contains(pair)), there, reply)?;
            pairs.into_iter().map(|(field, _)| field).collect()
        }
        (true, Protocol::Three) => items.iter().filter_map(|pair| pair.items()?.first().cloned()).collect(),
    };
    let wanted = match count {
        0.. => usize::try_from(count).unwrap_or(usize::MAX).min(there.len()),
        _ if there.is_empty() => 0,
        _ => usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX),
    };
    let is_known = found.iter().all(|field| there.iter().any(|(known, _)| known == field));
    let different: BTreeSet<String> = found.iter().map(|field| format!("{field:?}")).collect();
    is(
        is_known && found.len() == wanted && (count < 0 || different.len() == found.len()),
        there,
        reply,
    )
}
