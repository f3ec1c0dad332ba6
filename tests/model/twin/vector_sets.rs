//! What the twin says about vector sets. They are collections of another kind, whose elements are no keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use kora_tests::distance::naive;
use kora_vector::Metric;

use super::form::Form;
use super::{Answer, Collection, Expected, Twin, Words, quoted};
use crate::name::Name;
use crate::say::Say;
use crate::subject::DEFAULTS;

/// What only a vector set has.
#[derive(Clone, Debug)]
pub(super) struct VectorSet {
    form: &'static str,
    m: usize,
    attributes: BTreeMap<Bytes, Bytes>,
    /// When elements expire.
    pub(super) expiries: BTreeMap<Bytes, i64>,
}

impl Twin {
    /// VECSET of an element of a set.
    pub(super) fn set_element(
        &mut self,
        name: &Bytes,
        element: Bytes,
        vector: Vec<f32>,
        options: SetElement,
    ) -> Answer {
        let collection = self.collections.get_mut(name).expect("the caller has looked");
        let set = collection.set.as_mut().expect("the caller has looked");
        let is_there = collection.vectors.contains_key(&element);
        if (options.if_absent && is_there) || (options.if_present && !is_there) {
            return Ok(Expected::Reply(Say::Null));
        }
        if let Some(text) = options.attributes {
            set.put_attributes(&element, text);
        }
        match options.expires_ms {
            Some(expires_ms) => drop(set.expiries.insert(element.clone(), expires_ms)),
            None if options.keeps_expiry => {}
            None => drop(set.expiries.remove(&element)),
        }
        collection.vectors.insert(element, vector);
        self.touch(name);
        self.expire();
        Ok(Expected::Reply(Say::ok()))
    }

    /// Removes elements of sets that have expired.
    pub(super) fn expire_elements(&mut self, now_ms: i64) {
        let mut changed = Vec::new();
        for (name, collection) in &mut self.collections {
            let Some(set) = &mut collection.set else { continue };
            let due = set.expiries.iter().filter(|(_, expires_ms)| **expires_ms <= now_ms);
            let due: Vec<Bytes> = due.map(|(element, _)| element.clone()).collect();
            for element in due {
                collection.vectors.remove(&element);
                set.forget(&element);
                changed.push(name.clone());
            }
        }
        changed.iter().for_each(|name| self.touch(name));
    }

    /// True if there is a set of that name.
    pub(super) fn is_set(&self, name: &Bytes) -> bool {
        self.collections
            .get(name)
            .is_some_and(|collection| collection.set.is_some())
    }

    pub(super) fn set_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let (least, most) = match name {
            Name::VCard | Name::VDim | Name::VInfo => (2, 2),
            Name::VRem | Name::VIsMember | Name::VGetAttr => (3, 3),
            Name::VSetAttr => (4, 4),
            Name::VLinks => (3, 4),
            Name::VEmb => (3, usize::MAX),
            Name::VRandMember => (2, 3),
            Name::VRange => (4, 5),
            Name::VSim => (4, usize::MAX),
            _ => (5, usize::MAX),
        };
        if !(least..=most).contains(&words.count()) || (name == Name::VLinks && !links_options(words)) {
            let name = name.text().to_uppercase();
            return Say::error(format!("ERR wrong number of arguments for '{name}' command"));
        }
        let addition = if name == Name::VAdd {
            Some(words.addition()?)
        } else {
            None
        };
        let range = if name == Name::VRange {
            Some(words.range()?)
        } else {
            None
        };
        if name == Name::VEmb && !(3..words.count()).all(|index| words.is(index, "RAW")) {
            return Say::error("ERR invalid option");
        }
        let key = words.any_key(1)?;
        let count = match name {
            Name::VRandMember if words.count() == 3 => match words.integer(2) {
                Some(0) => return Ok(Expected::Reply(Say::Array(Vec::new()))),
                Some(count) => Some(count),
                None => return Say::error("ERR COUNT value is not an integer"),
            },
            _ => None,
        };
        if let Some("string" | "hash" | "vector") = self.kind(&key) {
            return super::values::wrong_type();
        }
        if self
            .collections
            .get(&key)
            .is_some_and(|collection| collection.set.is_none())
        {
            return Say::error(format!(
                "WRONGTYPE '{}' is a collection that VECSET or VECCREATE made: its vectors are reached by the VEC commands",
                quoted(&key)
            ));
        }
        if let Some(addition) = addition {
            return self.add_to_set(key, addition);
        }
        let Some(collection) = self.collections.get(&key) else {
            return without_set(name, count);
        };
        match (name, range) {
            (Name::VRem | Name::VSetAttr, _) => self.change_set(name, &key, words),
            (_, Some(range)) => {
                let elements = collection.vectors.keys().filter(|element| range.holds(element));
                let elements = elements.take(range.count).cloned().map(Say::Bulk);
                Ok(Expected::Reply(Say::Array(elements.collect())))
            }
            _ => collection.set_reads(name, words, count),
        }
    }

    fn add_to_set(&mut self, key: Bytes, addition: Addition) -> Answer {
        let expires_ms = addition.lives_s.map(|seconds| self.now_ms() + seconds * 1000);
        if !self.collections.contains_key(&key) {
            super::vectors::vet_name(&key)?;
            let form = if addition.form == "int8" {
                Form::ALL[3]
            } else {
                Form::ALL[0]
            };
            let made = Collection {
                dimension: addition.vector.len(),
                metric: Metric::Cosine,
                form,
                blur: form,
                m: addition.m,
                ef_construction: DEFAULTS.ef_construction,
                ef_search: DEFAULTS.ef_search,
                stays: false,
                vectors: BTreeMap::new(),
                expires_ms: None,
                label: None,
                set: Some(VectorSet {
                    form: addition.form,
                    m: addition.m,
                    attributes: BTreeMap::new(),
                    expiries: BTreeMap::new(),
                }),
            };
            self.refuse_alias(&key)?;
            self.collections.insert(key.clone(), made);
        }
        let collection = self.collections.get_mut(&key).expect("made a moment ago");
        let set = collection.set.as_mut().expect("the caller has looked");
        if addition.form != set.form {
            return Say::error("ERR asked quantization mismatch with existing vector set");
        }
        if addition.m != set.m {
            return Say::error("ERR asked M value mismatch with existing vector set");
        }
        let (got, has) = (addition.vector.len(), collection.dimension);
        if got != has {
            return Say::error(format!("ERR Vector dimension mismatch - got {got} but set has {has}"));
        }
        if let Some(text) = addition.attributes {
            set.put_attributes(&addition.element, text);
        }
        if let Some(expires_ms) = expires_ms {
            set.expiries.insert(addition.element.clone(), expires_ms);
        }
        let is_new = collection.vectors.insert(addition.element, addition.vector).is_none();
        self.touch(&key);
        Ok(Expected::Reply(Say::Boolean(is_new)))
    }

    fn change_set(&mut self, name: Name, key: &Bytes, words: &Words<'_>) -> Answer {
        let element = words.owned(2);
        let collection = self.collections.get_mut(key).expect("the caller has looked");
        let set = collection.set.as_mut().expect("the caller has looked");
        let is_there = collection.vectors.contains_key(&element);
        let changes = match name {
            Name::VRem => {
                collection.vectors.remove(&element);
                set.forget(&element);
                is_there
            }
            _ if !is_there => false,
            _ => match words.owned(3) {
                text if text.is_empty() => set.attributes.remove(&element).is_some(),
                text => set.attributes.insert(element, text.clone()) != Some(text),
            },
        };
        if collection.vectors.is_empty() {
            self.drop_collection(key);
        }
        if changes {
            self.touch(key);
        }
        Ok(Expected::Reply(Say::Boolean(is_there)))
    }
}

impl VectorSet {
    /// The element has these attributes from now on; none if the text is empty.
    fn put_attributes(&mut self, element: &Bytes, text: Bytes) {
        match text.is_empty() {
            true => drop(self.attributes.remove(element)),
            false => drop(self.attributes.insert(element.clone(), text)),
        }
    }

    pub(super) fn attributes_of(&self, element: &Bytes) -> Option<&Bytes> {
        self.attributes.get(element)
    }

    /// Forgets what belongs to an element, which goes.
    pub(super) fn forget(&mut self, element: &Bytes) {
        self.attributes.remove(element);
        self.expiries.remove(element);
    }
}

impl Collection {
    fn set_reads(&self, name: Name, words: &Words<'_>, count: Option<i64>) -> Answer {
        let set = self.set.as_ref().expect("the caller has looked");
        let element = || words.owned(2);
        let all = || self.vectors.keys().cloned().map(Say::Bulk);
        let say = match name {
            Name::VSim => return self.similar(words),
            Name::VCard => Say::count(self.vectors.len()),
            Name::VDim => Say::count(self.dimension),
            Name::VIsMember => Say::Boolean(self.vectors.contains_key(&element())),
            Name::VGetAttr => set.attributes.get(&element()).cloned().map_or(Say::Null, Say::Bulk),
            Name::VEmb => match self.vectors.get(&element()) {
                Some(vector) if words.count() == 3 && set.form == "f32" => Say::Floats(vector.clone()),
                Some(vector) if words.count() == 3 => return Ok(Expected::Floats(vector.clone(), 0.02, false)),
                Some(_) => unreachable!("programs do not ask for it"),
                None => Say::Null,
            },
            Name::VInfo => {
                return Ok(Expected::SetFields(vec![
                    ("quant-type", Say::Simple(set.form)),
                    ("hnsw-m", Say::count(set.m)),
                    ("vector-dim", Say::count(self.dimension)),
                    ("projection-input-dim", Say::count(0)),
                    ("size", Say::count(self.vectors.len())),
                    ("attributes-count", Say::count(set.attributes.len())),
                ]));
            }
            Name::VLinks => match self.vectors.get(&element()) {
                Some(vector) => {
                    let others = self.nearest(vector).into_iter().filter(|other| *other != element());
                    Say::Array(vec![Say::Array(others.map(Say::Bulk).collect())])
                }
                None => Say::Null,
            },
            _ => {
                return Ok(match count {
                    None => Expected::OneOf(all().collect()),
                    Some(count) => {
                        let pairs = all().map(|name| (name, Say::Null));
                        Expected::Drawn(Some((count, false)), pairs.collect())
                    }
                });
            }
        };
        Ok(Expected::Reply(say))
    }

    fn similar(&self, words: &Words<'_>) -> Answer {
        let set = self.set.as_ref().expect("the caller has looked");
        let (vector, mut at) = match words.is(2, "ELE") {
            true => match self.vectors.get(&words.owned(3)) {
                Some(vector) => (vector.clone(), 4),
                None => return Say::error("ERR element not found in set"),
            },
            false => words.vector(2)?,
        };
        let (got, has) = (vector.len(), self.dimension);
        if got != has {
            return Say::error(format!("ERR Vector dimension mismatch - got {got} but set has {has}"));
        }
        let (mut count, mut filter, mut least) = (10, false, f64::NEG_INFINITY);
        while at < words.count() {
            let has_value = at + 1 < words.count();
            if words.is(at, "TRUTH") {
                at += 1;
                continue;
            }
            if words.is(at, "COUNT") && has_value {
                let number = words.integer(at + 1).filter(|number| *number > 0);
                count = match number {
                    Some(number) => number as usize,
                    None => return Say::error("ERR invalid COUNT"),
                };
            } else if words.is(at, "EPSILON") && has_value {
                let text = String::from_utf8_lossy(&words.0[at + 1]).into_owned();
                match text.parse::<f64>() {
                    Ok(epsilon) if epsilon > 0.0 => least = 1.0 - epsilon,
                    _ => return Say::error("ERR invalid EPSILON"),
                }
            } else if words.is(at, "FILTER") && has_value {
                if words.0[at + 1] != b".n==1" {
                    let near = kora_filter::AskedFilter::compile(&words.0[at + 1], kora_filter::Dialect::Redis)
                        .err()
                        .map(|error| quoted(error.near(&words.0[at + 1])));
                    match near {
                        Some(near) => return Say::error(format!("ERR syntax error in FILTER expression near: {near}")),
                        // Spoiled into something that is true of no set here.
                        None => return Ok(Expected::Reply(Say::Array(Vec::new()))),
                    }
                }
                filter = true;
            } else {
                return Say::error("ERR syntax error in VSIM command");
            }
            at += 2;
        }
        let passes = |element: &Bytes| {
            !filter
                || set
                    .attributes
                    .get(element)
                    .is_some_and(|text| &text[..] == b"{\"n\":1}")
        };
        let score = |element: &Bytes| 1.0 - distance(&vector, &self.vectors[element]) / 2.0;
        let found = self.nearest(&vector).into_iter().filter(|element| passes(element));
        let found = found.take(count).take_while(|element| score(element) >= least);
        Ok(Expected::Reply(Say::Array(found.map(Say::Bulk).collect())))
    }

    /// The elements by their distance, those at the same one by their names.
    fn nearest(&self, vector: &[f32]) -> Vec<Bytes> {
        let mut elements: Vec<(f32, &Bytes)> = self
            .vectors
            .iter()
            .map(|(element, other)| (distance(vector, other) as f32, element))
            .collect();
        elements.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
        elements.into_iter().map(|(_, element)| element.clone()).collect()
    }
}

/// The cosine distance. What is left of rounding between parallel vectors is none.
fn distance(one: &[f32], other: &[f32]) -> f64 {
    (naive(Metric::Cosine, one, other) * 1e9).round() / 1e9
}

fn without_set(name: Name, count: Option<i64>) -> Answer {
    Ok(Expected::Reply(match name {
        Name::VSim | Name::VRange => Say::Array(Vec::new()),
        Name::VRandMember if count.is_some() => Say::Array(Vec::new()),
        Name::VRem | Name::VIsMember | Name::VSetAttr => Say::Boolean(false),
        Name::VCard => Say::count(0),
        Name::VDim => return Say::error("ERR key does not exist"),
        Name::VInfo => Say::NullArray,
        _ => Say::Null,
    }))
}

fn links_options(words: &Words<'_>) -> bool {
    words.count() == 3 || words.is(3, "WITHSCORES")
}

/// What a VECSET says of an element.
#[derive(Default)]
pub(super) struct SetElement {
    pub(super) if_absent: bool,
    pub(super) if_present: bool,
    pub(super) keeps_expiry: bool,
    pub(super) expires_ms: Option<i64>,
    pub(super) attributes: Option<Bytes>,
}

struct Addition {
    vector: Vec<f32>,
    element: Bytes,
    form: &'static str,
    m: usize,
    attributes: Option<Bytes>,
    lives_s: Option<i64>,
}

struct Range {
    start: Option<(bool, Bytes)>,
    end: Option<(bool, Bytes)>,
    count: usize,
}

impl Range {
    fn holds(&self, element: &Bytes) -> bool {
        let behind = self
            .start
            .as_ref()
            .is_none_or(|(with, start)| element > start || (*with && element == start));
        let before = self
            .end
            .as_ref()
            .is_none_or(|(with, end)| element < end || (*with && element == end));
        behind && before
    }
}

impl Words<'_> {
    fn vector(&self, at: usize) -> Result<(Vec<f32>, usize), Say> {
        let invalid = || Say::Error("ERR invalid vector specification".to_owned());
        let start = at + 2;
        if !self.is(at, "VALUES") || start > self.count() {
            return Err(invalid());
        }
        let count = self
            .integer(at + 1)
            .filter(|count| (1..=65_536).contains(count))
            .ok_or_else(invalid)? as usize;
        if count > self.count() - start {
            return Err(invalid());
        }
        let component = |index: usize| {
            let number = kora_filter::c_double::parse_without_space(&self.0[index]);
            number.map(|number| number as f32).filter(|number| number.is_finite())
        };
        let vector: Option<Vec<f32>> = (start..start + count).map(component).collect();
        vector.map(|vector| (vector, start + count)).ok_or_else(invalid)
    }

    fn addition(&self) -> Result<Addition, Say> {
        let (vector, at) = self.vector(2)?;
        if at == self.count() {
            return Say::error("ERR wrong number of arguments for 'VADD' command");
        }
        let mut addition = Addition {
            vector,
            element: self.owned(at),
            form: "int8",
            m: 16,
            attributes: None,
            lives_s: None,
        };
        let mut at = at + 1;
        while at < self.count() {
            let has_value = at + 1 < self.count();
            let number = |min: i64, max: i64, what: &str| {
                let number = self.integer(at + 1).filter(|number| (min..=max).contains(number));
                number.ok_or_else(|| Say::Error(format!("ERR invalid {what}")))
            };
            let forms = [("NOQUANT", "f32"), ("Q8", "int8"), ("BIN", "bin")];
            let form = forms.into_iter().find(|(word, _)| self.is(at, word));
            at += if self.is(at, "CAS") {
                1
            } else if let Some((_, form)) = form {
                addition.form = form;
                1
            } else if self.is(at, "M") && has_value {
                addition.m = number(4, 4096, "M")? as usize;
                2
            } else if self.is(at, "EF") && has_value {
                number(1, 1_000_000, "EF")?;
                2
            } else if self.is(at, "SETATTR") && has_value {
                addition.attributes = Some(self.owned(at + 1));
                2
            } else if self.is(at, "EX") && has_value {
                match self.needed_integer(at + 1)? {
                    seconds @ 1.. => {
                        addition.lives_s = Some(seconds);
                        2
                    }
                    _ => return Say::error("ERR invalid expire time in 'vadd' command"),
                }
            } else {
                return Say::error("ERR invalid option after element");
            };
        }
        Ok(addition)
    }

    fn range(&self) -> Result<Range, Say> {
        let end = |index: usize, open: &[u8], which: &str| match &self.0[index][..] {
            word if word == open => Ok(None),
            b"-" | b"+" => Say::error("ERR '-' can only be used as first argument, '+' only as second"),
            [b'[', rest @ ..] if !rest.is_empty() => Ok(Some((true, Bytes::copy_from_slice(rest)))),
            [b'(', rest @ ..] if !rest.is_empty() => Ok(Some((false, Bytes::copy_from_slice(rest)))),
            _ => Say::error(format!("ERR invalid {which} range format")),
        };
        let (start, end) = (end(2, b"-", "start")?, end(3, b"+", "end")?);
        let count = match self.count() {
            4 => usize::MAX,
            _ => match self.integer(4) {
                Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
                None => return Say::error("ERR invalid COUNT value"),
            },
        };
        Ok(Range { start, end, count })
    }
}
