//! Changing attributes by a patch, as RFC 7396 (JSON Merge Patch) says: a member of the patch replaces the one of its name, null
//! removes it, and an object is merged into the object that is there.

use std::collections::HashMap;

use crate::field;

/// What comes of attributes and a patch to them. Both must have passed [`check`](crate::check); what stays keeps its text.
///
/// Of several members of one name the last one counts.
pub fn merge(attributes: &[u8], patch: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(attributes.len() + patch.len());
    merge_objects(Some(attributes), patch, &mut out);
    out
}

/// Recursive: an object that was checked is not nested deeper than [`NESTING_MAX`](crate::limits::NESTING_MAX).
fn merge_objects(target: Option<&[u8]>, patch: &[u8], out: &mut Vec<u8>) {
    let (before, changes) = (target.map(Members::of).unwrap_or_default(), Members::of(patch));
    out.push(b'{');
    let mut is_first = true;
    let mut begin_member = |name: &[u8], out: &mut Vec<u8>| {
        if !std::mem::replace(&mut is_first, false) {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b':');
    };
    for (name, value) in &before.list {
        match changes.find(name) {
            None => {
                begin_member(name, out);
                out.extend_from_slice(value);
            }
            Some(b"null") => {}
            Some(change) => {
                begin_member(name, out);
                put(Some(value), change, out);
            }
        }
    }
    for (name, change) in &changes.list {
        if before.find(name).is_none() && *change != b"null" {
            begin_member(name, out);
            put(None, change, out);
        }
    }
    out.push(b'}');
}

/// Writes what a member becomes by a change that is not null.
fn put(value: Option<&[u8]>, change: &[u8], out: &mut Vec<u8>) {
    match change.first() {
        Some(b'{') => merge_objects(value.filter(|value| value.first() == Some(&b'{')), change, out),
        _ => out.extend_from_slice(change),
    }
}

/// The members of an object, each name with its quotes as it is written.
#[derive(Default)]
struct Members<'a> {
    list: Vec<(&'a [u8], &'a [u8])>,
    places: HashMap<&'a [u8], usize>,
}

impl<'a> Members<'a> {
    fn of(object: &'a [u8]) -> Members<'a> {
        let mut members = Members::default();
        let mut at = object
            .iter()
            .position(|&byte| byte == b'{')
            .map_or(object.len(), |open| open + 1);
        while let Some(name) = next_value(object, &mut at) {
            let Some(value) = next_value(object, &mut at) else {
                break;
            };
            match members.places.get(name) {
                Some(&place) => members.list[place].1 = value,
                None => {
                    members.places.insert(name, members.list.len());
                    members.list.push((name, value));
                }
            }
        }
        members
    }

    fn find(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.places.get(name).map(|&place| self.list[place].1)
    }
}

/// The next name or value of an object that was checked, behind what separates it.
fn next_value<'a>(object: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = &object[*at..];
    let start = rest
        .iter()
        .position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':'))?;
    if rest[start] == b'}' {
        return None;
    }
    let length = field::value_end(&rest[start..])?;
    *at += start + length;
    Some(&rest[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::check;

    /// The examples of RFC 7396 whose target and patch are objects, and some more.
    #[test]
    fn a_patch_changes_what_it_names() {
        let cases = [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (r#" { "x" : 1 , "y":[1, 2] } "#, r#"{}"#, r#"{"x":1,"y":[1, 2]}"#),
            (r#"{"a":1,"a":2}"#, r#"{"b":1,"b":2}"#, r#"{"a":2,"b":2}"#),
        ];
        for (before, patch, after) in cases {
            check(before.as_bytes()).unwrap();
            check(patch.as_bytes()).unwrap();
            let merged = merge(before.as_bytes(), patch.as_bytes());
            assert_eq!(String::from_utf8(merged).unwrap(), after, "{before} {patch}");
        }
    }
}
