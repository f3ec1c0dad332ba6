//! What the twin says about attributes and filters. It knows no JSON and no language: only the texts that programs are made of.
//! For a text that was spoiled it asks the crate that is under test, whose own tests hold it.

use bytes::Bytes;

use super::{Answer, Expected, Twin, Words, quoted, syntax};
use crate::say::Say;

/// Whether a vector passes a filter, by its fields `n`, which is no number if it is null, and `m`.
pub(super) type Condition = fn(Option<f64>, Option<&str>) -> bool;

impl Twin {
    pub(super) fn set_attributes(&mut self, words: &Words<'_>) -> Answer {
        let merges = match words.count() {
            3 => false,
            4 if words.is(3, "MERGE") => true,
            _ => return syntax(),
        };
        let text = words.attributes(2)?;
        words.key(1)?;
        let key = words.owned(1);
        match self.kind(&key) {
            Some("string" | "hash") => return super::values::wrong_type(),
            Some("vector") => {}
            _ => return Ok(Expected::Reply(Say::Integer(0))),
        }
        let before = self.attributes.get(&key);
        let after = match before {
            Some(before) if merges && !text.is_empty() => merged(before, &text),
            _ => text,
        };
        if before.cloned().unwrap_or_default() != after {
            self.touch(&key);
        }
        self.put_attributes(&key, after);
        Ok(Expected::Reply(Say::Integer(1)))
    }

    pub(super) fn get_attributes(&mut self, words: &Words<'_>) -> Answer {
        if words.count() > 3 {
            return syntax();
        }
        let path = (words.count() == 3).then(|| words.owned(2));
        if let Some(path) = &path
            && let Err(error) = kora_filter::Path::parse(path)
        {
            return Say::error(format!("ERR invalid path '{}': {error}", quoted(path)));
        }
        words.key(1)?;
        let key = words.owned(1);
        if let Some("string" | "hash") = self.kind(&key) {
            return super::values::wrong_type();
        }
        let text = self.attributes.get(&key);
        let found = match path.as_deref() {
            None => text.map(|text| Say::Bulk(text.clone())),
            Some(path) => text.and_then(|text| known(text).value(path)).map(Say::bulk),
        };
        Ok(Expected::Reply(found.unwrap_or(Say::Null)))
    }

    /// The vector of this key has these attributes from now on; none if the text is empty.
    pub(super) fn put_attributes(&mut self, key: &Bytes, text: Bytes) {
        match text.is_empty() {
            true => drop(self.attributes.remove(key)),
            false => drop(self.attributes.insert(key.clone(), text)),
        }
    }
}

/// Whether a vector with these attributes passes.
pub(super) fn passes(text: Option<&Bytes>, filter: Option<Condition>) -> bool {
    let Some(condition) = filter else {
        return true;
    };
    let fields = text.map(|text| known(text));
    fields.is_some_and(|fields| condition(fields.n, fields.m))
}

impl Words<'_> {
    /// Attributes: an object, or nothing.
    fn attributes(&self, index: usize) -> Result<Bytes, Say> {
        let text = self.owned(index);
        match kora_filter::check(&text) {
            Err(error) if !text.is_empty() => Say::error(format!("ERR invalid attributes: {error}")),
            _ => Ok(text),
        }
    }

    /// The last ATTR of a VECSET, whose options begin there.
    pub(super) fn attributes_of_options(&self, start: usize) -> Result<Option<Bytes>, Say> {
        let mut options = (start..self.count().saturating_sub(1)).rev();
        let last = options.find(|index| self.is(*index, "ATTR"));
        last.map(|index| self.attributes(index + 1)).transpose()
    }
}

/// The condition that an expression is.
pub(super) fn condition(expression: &[u8]) -> Result<Condition, Say> {
    let condition: Condition = match expression {
        b".n == 1" => |n, _| n == Some(1.0),
        b".n > 1" => |n, _| n.is_some_and(|n| n > 1.0),
        b".n >= 1 and .m == 'x'" => |n, m| n.is_some_and(|n| n >= 1.0) && m == Some("x"),
        b"not (.n == 2)" => |n, _| n.is_some_and(|n| n != 2.0),
        b"exists .m" => |_, m| m.is_some(),
        b".n in 2..3" => |n, _| n.is_some_and(|n| (2.0..=3.0).contains(&n)),
        b".m in ['y', 'z']" => |_, m| m.is_some_and(|m| ["y", "z"].contains(&m)),
        b".n == 77" => |_, _| false,
        other => return spoiled(other),
    };
    Ok(condition)
}

/// Some spoiled expressions are still some: with capitals they ask for fields that no vector has, and a number but zero is true
/// of each vector with attributes.
fn spoiled(expression: &[u8]) -> Result<Condition, Say> {
    if let Err(error) = kora_filter::AskedFilter::compile(expression, kora_filter::Dialect::Kora) {
        let near = quoted(error.near(expression));
        return Say::error(format!("ERR syntax error in FILTER expression near: {near}"));
    }
    let number: Option<f64> = std::str::from_utf8(expression).ok().and_then(|text| text.parse().ok());
    match number {
        Some(number) if number != 0.0 => Ok(|_, _| true),
        _ => Ok(|_, _| false),
    }
}

/// The two fields that a vector may have.
struct Fields<'t> {
    /// No number if it is null.
    n: Option<f64>,
    m: Option<&'t str>,
}

impl Fields<'_> {
    fn value(&self, path: &[u8]) -> Option<&'static str> {
        match (path, self.n, self.m) {
            (b".n", Some(n), _) if n.is_nan() => Some("null"),
            (b".n", Some(n), _) => Some(["1", "2", "3"][n as usize - 1]),
            (b".m", _, Some("x")) => Some("\"x\""),
            (b".m", _, Some(_)) => Some("\"y\""),
            _ => None,
        }
    }
}

/// The fields of a text that programs give.
fn known(text: &[u8]) -> Fields<'static> {
    let has = |part: &str| text.windows(part.len()).any(|window| window == part.as_bytes());
    let one_of = |name: &str, values: &[&'static str]| {
        let is_value = |value: &&&'static str| has(&format!("\"{name}\":{value}"));
        values.iter().find(is_value).copied()
    };
    Fields {
        n: one_of("n", &["1", "2", "3", "null"]).map(|n| n.parse().unwrap_or(f64::NAN)),
        m: one_of("m", &["\"x\"", "\"y\""]).map(|m| m.trim_matches('"')),
    }
}

/// Attributes with others merged in (RFC 7396): members of the same name are replaced where they stand, others come behind.
fn merged(before: &[u8], patch: &[u8]) -> Bytes {
    let members = |text: &[u8]| -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(text).into_owned();
        let pairs = text[1..text.len() - 1]
            .split(',')
            .filter_map(|pair| pair.split_once(':'));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let mut all = members(before);
    for (name, value) in members(patch) {
        let at = all.iter().position(|(known, _)| *known == name);
        match (at, value.as_str()) {
            (Some(at), "null") => drop(all.remove(at)),
            (None, "null") => {}
            (Some(at), _) => all[at].1 = value,
            (None, _) => all.push((name, value)),
        }
    }
    let pairs: Vec<String> = all.into_iter().map(|(name, value)| format!("{name}:{value}")).collect();
    format!("{{{}}}", pairs.join(",")).into()
}
