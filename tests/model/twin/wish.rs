//! What the twin reads out of a VECQUERY.

use bytes::Bytes;

use super::attributes::{Condition, condition, passes};
use super::form::Form;
use super::vectors::{EF_MAX, KEY_BYTES_MAX, key_too_long};
use super::{Answer, Asked, Expected, Twin, Words, quoted};
use crate::say::Say;

/// The options of a query.
#[derive(Clone, Default)]
struct Wish {
    offset: usize,
    without: Vec<Bytes>,
    ef: Option<usize>,
    radius: Option<f32>,
    with_info: bool,
    filter: Option<Condition>,
}

impl Twin {
    pub(super) fn query(&mut self, words: &Words<'_>) -> Answer {
        if words.0[1].len() > KEY_BYTES_MAX {
            return Err(key_too_long(&words.0[1]));
        }
        let k = words.number(2, "k", 1, K_MAX)?;
        let mut wish = Wish::default();
        let (vector, center_form) = if words.is(3, "FP32") && words.count() > 4 {
            let vector = words.blob(4)?;
            wish.read(words, 5, k)?;
            (vector, Form::ALL[0])
        } else if words.is(3, "KEY") && words.count() > 4 {
            // The key is read before the options.
            words.key(4)?;
            wish.read(words, 5, k)?;
            self.stored(words)?
        } else {
            let start = Wish::start(words);
            wish.read(words, start, k)?;
            (words.components(3, start)?, Form::ALL[0])
        };
        Ok(Expected::Nearest(self.asked(
            &words.owned(1),
            (vector, center_form),
            (&wish, k),
        )?))
    }

    /// VECMQUERY: as many queries.
    pub(super) fn query_many(&mut self, words: &Words<'_>) -> Answer {
        if words.0[1].len() > KEY_BYTES_MAX {
            return Err(key_too_long(&words.0[1]));
        }
        let count = words.number(2, "n", 1, 1024)?;
        let k = words.number(3, "k", 1, K_MAX)?;
        if !words.is(4, "FP32") || words.count() < 5 + count {
            return Say::error("ERR syntax error: k is followed by FP32 and as many blobs as n says");
        }
        let mut wish = Wish::default();
        wish.read(words, 5 + count, k)?;
        if count * (k + wish.offset + wish.without.len()) > 10 * K_MAX {
            return Say::error(
                "ERR n times the sum of k, OFFSET and the number of keys behind NOT is more than 1000000",
            );
        }
        let blobs: Vec<Vec<f32>> = (5..5 + count).map(|at| words.blob(at)).collect::<Result<_, Say>>()?;
        let one = |vector| -> Answer {
            let asked = self.asked(&words.owned(1), (vector, Form::ALL[0]), (&wish, k))?;
            Ok(Expected::Nearest(asked))
        };
        Ok(Expected::Many(
            blobs.into_iter().map(one).collect::<Result<Vec<_>, Say>>()?,
        ))
    }

    /// VECEXPLAIN: what does not depend on the ways that a query takes.
    pub(super) fn explain(&mut self, words: &Words<'_>) -> Answer {
        let Expected::Nearest(asked) = self.query(words)? else {
            return Say::error("a query is one");
        };
        let nearest = Say::count(asked.k + asked.offset + asked.without.len());
        let Some((name, collection)) = self.meant(&words.owned(1)) else {
            let note = ("note", Say::bulk("no such collection"));
            return Ok(Expected::Has(vec![("k", nearest), ("returned", Say::Integer(0)), note]));
        };
        let (vectors, matches) = (collection.vectors.len(), asked.vectors.len());
        let selectivity = if vectors == 0 {
            1.0
        } else {
            matches as f32 / vectors as f32
        };
        let mut fields = vec![
            ("collection", Say::Bulk(name)),
            ("k", nearest),
            ("ef", Say::count(asked.ef)),
            ("vectors", Say::count(vectors)),
            ("matches", Say::count(matches)),
            ("selectivity", Say::Double(selectivity)),
        ];
        if asked.radius.is_none() {
            fields.push(("returned", Say::count(asked.wanted())));
        }
        Ok(Expected::Has(fields))
    }

    /// What is expected of one query.
    fn asked(
        &self,
        target: &Bytes,
        (vector, center_form): (Vec<f32>, Form),
        (wish, k): (&Wish, usize),
    ) -> Result<Asked, Say> {
        let nearest = k + wish.offset + wish.without.len();
        let Some((name, collection)) = self.meant(target) else {
            self.refuse_other_element(target)?;
            return Ok(Asked {
                metric: kora_vector::Metric::L2,
                forms: [Form::ALL[0]; 2],
                is_mixed: false,
                vectors: Vec::new(),
                vector,
                k,
                offset: wish.offset,
                without: wish.without.clone(),
                ef: k,
                radius: wish.radius,
                with_info: wish.with_info,
                is_filtered: wish.filter.is_some(),
                parts: 1,
            });
        };
        collection.vet(&name, &vector)?;
        let key = |element: &Bytes| Bytes::from([name.as_ref(), b":", element.as_ref()].concat());
        let passes = |element: &Bytes| match &collection.set {
            Some(set) => passes(set.attributes_of(element), wish.filter),
            None => passes(self.attributes.get(&key(element)), wish.filter),
        };
        let vectors = collection.vectors.iter().filter(|(element, _)| passes(element));
        let vectors = vectors.map(|(element, vector)| (key(element), vector.clone()));
        Ok(Asked {
            metric: collection.metric,
            forms: [collection.blur, center_form],
            is_mixed: collection.blur != collection.form,
            vectors: vectors.collect(),
            vector,
            k,
            offset: wish.offset,
            without: wish.without.clone(),
            ef: wish.ef.unwrap_or(collection.ef_search).max(nearest),
            radius: wish.radius,
            with_info: wish.with_info,
            is_filtered: wish.filter.is_some(),
            parts: if name.starts_with(b"{") { 1 } else { self.shards },
        })
    }

    fn stored(&self, words: &Words<'_>) -> Result<(Vec<f32>, Form), Say> {
        let (name, element) = words.key(4)?;
        let collection = self.collections.get(&name);
        let found =
            collection.and_then(|collection| Some((collection.vectors.get(&element)?.clone(), collection.blur)));
        if found.is_none() {
            self.refuse_other_element(&words.owned(4))?;
        }
        found.ok_or_else(|| Say::Error(format!("ERR no such vector '{}'", quoted(&words.0[4]))))
    }
}

impl Wish {
    /// Where the options behind the components begin.
    fn start(words: &Words<'_>) -> usize {
        let is_option = |index: &usize| {
            let mut names = VALUED.iter().chain(["WITHINFO", "GROUP"].iter());
            names.any(|name| words.is(*index, name))
        };
        (4..words.count()).find(is_option).unwrap_or(words.count())
    }

    fn read(&mut self, words: &Words<'_>, mut at: usize, k: usize) -> Result<(), Say> {
        while at < words.count() {
            if words.is(at, "WITHINFO") {
                self.with_info = true;
                at += 1;
                continue;
            }
            if at + 1 < words.count() && words.is(at, "NOT") {
                words.key(at + 1)?;
                self.without.push(words.owned(at + 1));
                at += 2;
                while at < words.count() && words.0[at].contains(&b':') {
                    words.key(at)?;
                    self.without.push(words.owned(at));
                    at += 1;
                }
                continue;
            }
            if at + 1 < words.count() && words.is(at, "GROUP") {
                // Programs never say it whole.
                return Say::error("ERR syntax error: GROUP is followed by BY path LIMIT n");
            }
            if at + 1 == words.count() || !VALUED.iter().any(|name| words.is(at, name)) {
                return wrong_option(words, at);
            } else if words.is(at, "EF") {
                self.ef = Some(words.number(at + 1, "EF", 1, EF_MAX)?);
            } else if words.is(at, "OFFSET") {
                self.offset = words.number(at + 1, "OFFSET", 0, K_MAX)?;
            } else if words.is(at, "RADIUS") {
                let got = quoted(&words.0[at + 1]);
                let radius = got.parse().ok().filter(|radius: &f32| radius.is_finite());
                let error = || Say::Error(format!("ERR RADIUS must be a finite 32-bit float, got '{got}'"));
                self.radius = Some(radius.ok_or_else(error)?);
            } else if words.is(at, "FILTER") {
                self.filter = Some(condition(&words.0[at + 1])?);
            }
            at += 2;
        }
        match k + self.offset + self.without.len() {
            nearest if nearest > K_MAX => Say::error(format!(
                "ERR k, OFFSET and the number of keys behind NOT together are {nearest}, at most {K_MAX} are allowed"
            )),
            _ => Ok(()),
        }
    }
}

fn wrong_option<T>(words: &Words<'_>, at: usize) -> Result<T, Say> {
    Say::error(match VALUED.iter().find(|name| words.is(at, name)) {
        Some(name) => format!("ERR syntax error: {name} needs a value"),
        None => format!("ERR syntax error: unknown option '{}'", quoted(&words.0[at])),
    })
}

/// The options that have a value.
const VALUED: &[&str] = &["EF", "RADIUS", "OFFSET", "FILTER", "NOT"];

// The limits as they are documented, and not as the code names them.
const K_MAX: usize = 100_000;
