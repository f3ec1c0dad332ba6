//! What the twin says about collections and vectors.

use std::collections::BTreeMap;

use bytes::Bytes;
use kora_vector::Metric;

use super::form::Form;
use super::vector_sets::SetElement;
use super::{Answer, Collection, Expected, Twin, Words, quoted, syntax, wrong_arity};
use crate::name::Name;
use crate::say::Say;
use crate::subject::DEFAULTS;

impl Twin {
    pub(super) fn set(&mut self, words: &Words<'_>) -> Answer {
        let (name, element) = words.key(1)?;
        let dimension = words.number(2, "dim", 1, DIMENSION_MAX)?;
        let end = words.options_start();
        let vector = if words.is(3, "FP32") && end == 5 {
            let got = words.0[4].len();
            if got != dimension * 4 {
                let bytes = dimension * 4;
                return Say::error(format!(
                    "ERR vector dimension mismatch - dim {dimension} takes a blob of {bytes} bytes but got {got}"
                ));
            }
            words.blob(4)?
        } else {
            let got = end - 3;
            if got != dimension {
                if !words.is(3, "FP32") {
                    words.components(3, end.min(3 + dimension))?;
                }
                return Say::error(format!(
                    "ERR vector dimension mismatch - dim says {dimension} but {got} components follow"
                ));
            }
            words.components(3, end)?
        };
        let options = self.options(words, end, "vecset", &["NX", "XX", "KEEPTTL"])?;
        let has = |word| options.flags.contains(&word);
        let expires_ms = options.expires_ms?;
        let text = words.attributes_of_options(end)?;
        let made = Collection::made_by_vecset(dimension);
        let there = self.collections.get(&name).unwrap_or(&made);
        there.vet(&name, &vector)?;
        let key = words.owned(1);
        let is_there = self.kind(&key) == Some("vector");
        if !self.collections.contains_key(&name) && has("XX") {
            return Ok(Expected::Reply(Say::Null));
        }
        if self.is_set(&name) {
            let options = SetElement {
                if_absent: has("NX"),
                if_present: has("XX"),
                keeps_expiry: has("KEEPTTL"),
                expires_ms,
                attributes: text,
            };
            return self.set_element(&name, element, vector, options);
        }
        self.refuse_other_type(&key)?;
        if !self.collections.contains_key(&name) {
            self.refuse_alias(&name)?;
            self.refuse_other_type(&name)?;
        }
        if !self.collections.contains_key(&name) {
            self.collections.insert(name.clone(), made);
            self.touch(&name);
        }
        if (has("NX") && is_there) || (has("XX") && !is_there) {
            return Ok(Expected::Reply(Say::Null));
        }
        self.touch(&key);
        if let Some(text) = text {
            self.put_attributes(&key, text);
        }
        match expires_ms {
            Some(expires_ms) => drop(self.vector_expiries.insert(key, expires_ms)),
            None if has("KEEPTTL") => {}
            None => drop(self.vector_expiries.remove(&key)),
        }
        let collection = self.collections.get_mut(&name).expect("made a moment ago");
        collection.vectors.insert(element, vector);
        self.expire();
        Ok(Expected::Reply(Say::ok()))
    }

    pub(super) fn set_many(&mut self, words: &Words<'_>) -> Answer {
        let dimension = words.number(1, "dim", 1, DIMENSION_MAX)?;
        if words.count() % 2 == 1 {
            return Err(wrong_arity(Name::VecMSet));
        }
        let (name, _) = words.key(2)?;
        let mut vectors = Vec::new();
        for at in (2..words.count()).step_by(2) {
            let (collection, element) = words.key(at)?;
            let (bytes, got) = (dimension * 4, words.0[at + 1].len());
            if got != bytes {
                return Say::error(format!(
                    "ERR vector dimension mismatch - dim {dimension} takes a blob of {bytes} bytes but got {got}"
                ));
            }
            if collection != name {
                return Say::error("ERR the keys are of several collections");
            }
            vectors.push((words.owned(at), element, words.blob(at + 1)?));
        }
        let made = Collection::made_by_vecset(dimension);
        let there = self.collections.get(&name).unwrap_or(&made);
        vectors.iter().try_for_each(|(_, _, vector)| there.vet(&name, vector))?;
        if self.is_set(&name) {
            for (_, element, vector) in vectors {
                self.set_element(&name, element, vector, SetElement::default())?;
            }
            return Ok(Expected::Reply(Say::ok()));
        }
        if !self.collections.contains_key(&name) {
            self.refuse_other_type(&vectors[0].0)?;
            self.refuse_alias(&name)?;
            self.refuse_other_type(&name)?;
            self.collections.insert(name.clone(), made);
            self.touch(&name);
        }
        let mut is_refused = false;
        for (key, element, vector) in vectors {
            if self.values.contains_key(&key) {
                is_refused = true;
                continue;
            }
            self.touch(&key);
            self.vector_expiries.remove(&key);
            let collection = self.collections.get_mut(&name).expect("made a moment ago");
            collection.vectors.insert(element, vector);
        }
        match is_refused {
            true => super::values::wrong_type(),
            false => Ok(Expected::Reply(Say::ok())),
        }
    }

    pub(super) fn get(&mut self, words: &Words<'_>) -> Answer {
        let in_binary = words.is(2, "FP32") && words.count() == 3;
        if words.count() > 2 && !in_binary {
            return syntax();
        }
        let (name, element) = words.key(1)?;
        let collection = self.collections.get(&name);
        let form = collection.map_or(Form::ALL[0], |collection| collection.blur);
        let reply = match collection.and_then(|collection| collection.vectors.get(&element)) {
            None => {
                self.refuse_other_element(&words.owned(1))?;
                Say::Null
            }
            Some(vector) if !form.is_exact() => {
                let error = form.component_error(vector);
                return Ok(Expected::Floats(vector.clone(), error, in_binary));
            }
            Some(vector) if in_binary => Say::Bulk(kora_tests::request::blob(vector).into()),
            Some(vector) => Say::Floats(vector.clone()),
        };
        Ok(Expected::Reply(reply))
    }

    pub(super) fn delete(&mut self, words: &Words<'_>) -> Answer {
        let keys: Vec<(Bytes, Bytes)> = (1..words.count())
            .map(|index| words.key(index))
            .collect::<Result<_, Say>>()?;
        let deleted = keys.iter().filter(|(name, element)| {
            let collection = self.collections.get_mut(name);
            let Some(collection) = collection else { return false };
            let is_there = collection.vectors.remove(element).is_some();
            if is_there && let Some(set) = &mut collection.set {
                set.forget(element);
                self.touch(name);
            } else if is_there {
                let key = Bytes::from([name, b":".as_slice(), element].concat());
                self.touch(&key);
                self.vector_expiries.remove(&key);
                self.attributes.remove(&key);
            }
            is_there
        });
        let count = deleted.count();
        // The vectors of the other keys are deleted all the same.
        (1..words.count()).try_for_each(|index| self.refuse_other_element(&words.owned(index)))?;
        Ok(Expected::Reply(Say::count(count)))
    }

    /// A key that should be a vector's or a collection's holds a string or a hash.
    pub(super) fn refuse_other_type(&self, key: &Bytes) -> Result<(), Say> {
        match self.values.contains_key(key) {
            true => super::values::wrong_type(),
            false => Ok(()),
        }
    }

    /// The same of a vector's key. That of an element of a set is no key.
    pub(super) fn refuse_other_element(&self, key: &Bytes) -> Result<(), Say> {
        let colon = key.iter().rposition(|byte| *byte == b':');
        match colon.is_some_and(|colon| self.is_set(&key.slice(..colon))) {
            true => Ok(()),
            false => self.refuse_other_type(key),
        }
    }

    pub(super) fn create(&mut self, words: &Words<'_>) -> Answer {
        let name = words.collection(1)?;
        let mut made = Collection {
            dimension: 0,
            metric: DEFAULTS.metric,
            form: Form::ALL[0],
            blur: Form::ALL[0],
            m: DEFAULTS.m,
            ef_construction: DEFAULTS.ef_construction,
            ef_search: DEFAULTS.ef_search,
            stays: true,
            vectors: BTreeMap::new(),
            expires_ms: None,
            set: None,
            label: None,
        };
        for option in (2..words.count()).step_by(2) {
            let value = option + 1;
            if value == words.count() {
                return syntax();
            }
            if words.is(option, "DIM") {
                made.dimension = words.number(value, "DIM", 1, DIMENSION_MAX)?;
            } else if words.is(option, "METRIC") {
                let metrics = [
                    ("COSINE", Metric::Cosine),
                    ("L2", Metric::L2),
                    ("IP", Metric::InnerProduct),
                ];
                let Some((_, metric)) = metrics.into_iter().find(|(name, _)| words.is(value, name)) else {
                    let got = quoted(&words.0[value]);
                    return Say::error(format!("ERR unknown metric '{got}': COSINE, L2 and IP are known"));
                };
                made.metric = metric;
            } else if words.is(option, "QUANT") {
                let Some(form) = Form::ALL.into_iter().find(|form| words.is(value, form.name)) else {
                    let got = quoted(&words.0[value]);
                    return Say::error(format!(
                        "ERR unknown quantization '{got}': F32, F16, Q16 and Q8 are known"
                    ));
                };
                (made.form, made.blur) = (form, form);
            } else if words.is(option, "M") {
                made.m = words.number(value, "M", 2, 512)?;
            } else if words.is(option, "EF_CONSTRUCTION") {
                made.ef_construction = words.number(value, "EF_CONSTRUCTION", 1, EF_MAX)?;
            } else if words.is(option, "EF_SEARCH") {
                made.ef_search = words.number(value, "EF_SEARCH", 1, EF_MAX)?;
            } else if words.is(option, "LABEL") {
                let bytes = words.0[value].len();
                if bytes > 256 {
                    return Say::error(format!("ERR the label has {bytes} bytes, at most 256 are allowed"));
                }
                made.label = Some(words.owned(value)).filter(|label| !label.is_empty());
            } else {
                return syntax();
            }
        }
        if made.dimension == 0 {
            return syntax();
        }
        self.refuse_alias(&name)?;
        if self.collections.contains_key(&name) {
            return Say::error(format!("ERR collection '{}' already exists", quoted(&name)));
        }
        if self.values.contains_key(&name) {
            return super::values::wrong_type();
        }
        self.touch(&name);
        self.collections.insert(name, made);
        Ok(Expected::Reply(Say::ok()))
    }

    pub(super) fn describe(&mut self, words: &Words<'_>) -> Answer {
        let name = words.collection(1)?;
        let Some(collection) = self.collections.get(&name) else {
            self.refuse_other_type(&name)?;
            return Ok(Expected::Reply(Say::Null));
        };
        let mut fields = vec![
            ("collection", Say::Bulk(name.clone())),
            ("dimension", Say::count(collection.dimension)),
            ("metric", Say::bulk(collection.metric.name())),
            ("quant", Say::bulk(collection.form.name)),
            ("m", Say::count(collection.m)),
            ("ef_construction", Say::count(collection.ef_construction)),
            ("ef_search", Say::count(collection.ef_search)),
            (
                "made_by",
                Say::bulk(match (collection.stays, &collection.set) {
                    (true, _) => "VECCREATE",
                    (false, Some(_)) => "VADD",
                    (false, None) => "VECSET",
                }),
            ),
            ("vectors", Say::count(collection.vectors.len())),
        ];
        if self.aliases.values().any(|meant| *meant == name) {
            fields.push(("aliases", self.aliases_of(&name)));
        }
        fields.extend(collection.label.clone().map(|label| ("label", Say::Bulk(label))));
        Ok(Expected::Fields(fields, collection.vectors.len()))
    }

    /// What is here is so little that every search measures all of it.
    pub(super) fn recall(&mut self, words: &Words<'_>) -> Answer {
        let name = words.collection(1)?;
        let (mut k, mut samples, mut ef) = (10, 100, None);
        for option in (2..words.count()).step_by(2) {
            let has_value = option + 1 < words.count();
            if has_value && words.is(option, "K") {
                k = words.number(option + 1, "K", 1, 1_000)?;
            } else if has_value && words.is(option, "SAMPLES") {
                samples = words.number(option + 1, "SAMPLES", 1, 10_000)?;
            } else if has_value && words.is(option, "EF") {
                ef = Some(words.number(option + 1, "EF", 1, 100_000)?);
            } else {
                return syntax();
            }
        }
        let Some(collection) = self.collections.get(&name) else {
            self.refuse_other_type(&name)?;
            return Ok(Expected::Reply(Say::Null));
        };
        let is_empty = collection.vectors.is_empty();
        let is_product = collection.metric == Metric::InnerProduct;
        let fields = [
            ("recall", if is_empty { Say::Null } else { Say::Double(1.0) }),
            ("worst_decile", if is_empty { Say::Null } else { Say::Double(1.0) }),
            (
                "lost",
                if is_empty || is_product {
                    Say::Null
                } else {
                    Say::Double(0.0)
                },
            ),
            ("k", Say::count(k)),
            ("ef", Say::count(ef.unwrap_or(collection.ef_search).max(k))),
            ("samples", Say::count(if is_empty { 0 } else { samples })),
        ];
        let map = fields.map(|(name, value)| (Say::bulk(name), value));
        Ok(Expected::Reply(Say::Map(map.into())))
    }

    /// A vector gets another key, or a second one.
    pub(super) fn transfer_vector(
        &mut self,
        from: &Bytes,
        (there, to): (usize, &Bytes),
        leaves: bool,
    ) -> Result<(), Say> {
        let Some(colon) = to.iter().rposition(|byte| *byte == b':') else {
            return Err(no_colon(to));
        };
        let (name, element) = (to.slice(..colon), to.slice(colon + 1..));
        let (source, vector) = self.vector(from).expect("the caller has seen it");
        let (blur, vector) = (source.blur, vector.clone());
        let here = self.database;
        let expires_ms = self.vector_expiries.get(from).copied();
        let attributes = self.attributes.get(from).cloned();
        self.go_to(there);
        let outcome = self.vet_transferred(&name, blur, &vector);
        self.go_to(here);
        outcome?;
        if leaves && (here, from) != (there, to) {
            self.remove(from);
        }
        self.go_to(there);
        self.clear(to);
        self.touch(to);
        if let Some(expires_ms) = expires_ms {
            self.vector_expiries.insert(to.clone(), expires_ms);
        }
        if let Some(attributes) = attributes {
            self.attributes.insert(to.clone(), attributes);
        }
        let collection = self.collections.get_mut(&name).expect("looked up a moment ago");
        collection.vectors.insert(element, vector);
        self.go_to(here);
        Ok(())
    }

    /// Whether the collection of this name takes a vector that comes from another one.
    fn vet_transferred(&mut self, name: &Bytes, blur: Form, vector: &[f32]) -> Result<(), Say> {
        let Some(collection) = self
            .collections
            .get_mut(name)
            .filter(|collection| collection.set.is_none())
        else {
            return Say::error(format!(
                "ERR no such collection '{}': a vector is renamed or copied within its collection, or to another of its \
                 dimension that exists",
                quoted(name)
            ));
        };
        collection.vet(name, vector)?;
        collection.blur = collection.blur.coarser(blur);
        Ok(())
    }

    fn vector(&self, key: &Bytes) -> Option<(&Collection, &Vec<f32>)> {
        let colon = key.iter().rposition(|byte| *byte == b':')?;
        let collection = self.collections.get(&key[..colon])?;
        Some((collection, collection.vectors.get(&key[colon + 1..])?))
    }

    /// The collection that the first argument of a query means.
    pub(super) fn meant(&self, target: &Bytes) -> Option<(Bytes, &Collection)> {
        let named = |name: &[u8]| self.collections.get_key_value(name);
        let by_key = || {
            let colon = target.iter().rposition(|byte| *byte == b':')?;
            let found = named(&target[..colon])?;
            found.1.vectors.contains_key(&target[colon + 1..]).then_some(found)
        };
        let (name, collection) = named(target)
            .or_else(|| named(target.strip_suffix(b":*")?))
            .or_else(by_key)?;
        Some((name.clone(), collection))
    }
}

impl Collection {
    /// What a first VECSET makes.
    fn made_by_vecset(dimension: usize) -> Collection {
        Collection {
            dimension,
            metric: DEFAULTS.metric,
            form: Form::ALL[0],
            blur: Form::ALL[0],
            m: DEFAULTS.m,
            ef_construction: DEFAULTS.ef_construction,
            ef_search: DEFAULTS.ef_search,
            stays: false,
            vectors: BTreeMap::new(),
            expires_ms: None,
            set: None,
            label: None,
        }
    }

    pub(super) fn vet(&self, name: &[u8], vector: &[f32]) -> Result<(), Say> {
        if vector.len() != self.dimension {
            return Say::error(format!(
                "ERR vector dimension mismatch - got {} but collection '{}' has {}",
                vector.len(),
                quoted(name),
                self.dimension
            ));
        }
        if self.metric == Metric::Cosine && vector.iter().all(|component| *component == 0.0) {
            return Say::error("ERR invalid vector: a zero vector has no direction, so it has no cosine distance");
        }
        Ok(())
    }
}

impl Words<'_> {
    /// Where the options of VECSET begin.
    fn options_start(&self) -> usize {
        let mut start = self.count();
        loop {
            let is_one_of = |back: usize, words: &[&str]| words.iter().any(|word| self.is(start - back, word));
            match () {
                () if start > 4 && is_one_of(1, &["NX", "XX", "KEEPTTL"]) => start -= 1,
                () if start > 5 && is_one_of(2, &["EX", "PX", "EXAT", "PXAT", "ATTR"]) => start -= 2,
                () => return start,
            }
        }
    }

    /// The collection stands before the last `:`.
    pub(super) fn key(&self, index: usize) -> Result<(Bytes, Bytes), Say> {
        let key = self.owned(index);
        if key.len() > KEY_BYTES_MAX {
            return Err(key_too_long(&key));
        }
        let Some(colon) = key.iter().rposition(|byte| *byte == b':') else {
            return Err(no_colon(&key));
        };
        vet_name(&key[..colon])?;
        Ok((key.slice(..colon), key.slice(colon + 1..)))
    }

    pub(super) fn components(&self, start: usize, end: usize) -> Result<Vec<f32>, Say> {
        let component = |index: usize| {
            let (position, got) = (index - start + 1, quoted(&self.0[index]));
            let text = std::str::from_utf8(&self.0[index]).unwrap_or("no text");
            match text.parse::<f32>() {
                Ok(component) if component.is_finite() => Ok(component),
                Ok(_) => Say::error(format!(
                    "ERR invalid vector: component {position} is not a finite 32-bit float: '{got}'"
                )),
                Err(_) => Say::error(format!(
                    "ERR invalid vector: component {position} is not a number: '{got}'"
                )),
            }
        };
        (start..end).map(component).collect()
    }

    pub(super) fn blob(&self, index: usize) -> Result<Vec<f32>, Say> {
        let blob = &self.0[index];
        if blob.is_empty() || !blob.len().is_multiple_of(4) {
            let got = blob.len();
            return Say::error(format!(
                "ERR invalid vector: a blob holds 4 bytes for each component, got {got} bytes"
            ));
        }
        let (chunks, _) = blob.as_chunks::<4>();
        let component = |(index, bytes): (usize, &[u8; 4])| {
            let component = f32::from_le_bytes(*bytes);
            let position = index + 1;
            if component.is_finite() {
                return Ok(component);
            }
            Say::error(format!(
                "ERR invalid vector: component {position} is not a finite 32-bit float: '{component}'"
            ))
        };
        chunks.iter().enumerate().map(component).collect()
    }
}

pub(super) fn vet_name(name: &[u8]) -> Result<(), Say> {
    match name.len() {
        0 => Say::error("ERR the collection's name is empty"),
        1..=512 => Ok(()),
        bytes => Say::error(format!(
            "ERR the collection's name has {bytes} bytes, at most 512 are allowed"
        )),
    }
}

fn no_colon(key: &[u8]) -> Say {
    Say::Error(format!(
        "ERR invalid key '{}': a vector's key is collection:element, and this one has no ':'",
        quoted(key)
    ))
}

pub(super) fn key_too_long(key: &[u8]) -> Say {
    let bytes = key.len();
    Say::Error(format!(
        "ERR the key has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed"
    ))
}

// The limits as they are documented, and not as the code names them.
const DIMENSION_MAX: usize = 65_536;
pub(super) const KEY_BYTES_MAX: usize = 65_536;
pub(super) const EF_MAX: usize = 100_000;
