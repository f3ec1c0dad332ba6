//! What a VECQUERY must hear before it can be asked: the vectors that keys stand for, and which collection is meant.

use std::collections::VecDeque;

use bytes::Bytes;
use kora_resp::Reply;
use kora_values::said_name;
use kora_vector::Metric;

use super::{Context, Gather, MultiQuerying, Next, Querying, explain};
use crate::aliases::OwnNames;
use crate::command::{Center, Element, ManyQueries, VectorQuery, Wish};
use crate::error::ClientError;
use crate::limits::NAMES_LOOKED_AT_MAX;
use crate::mail::{RequestBody, Target};

/// Begins a VECQUERY.
pub(crate) fn query(query: VectorQuery, context: &Context<'_>) -> Next {
    let VectorQuery { target, center, wish } = query;
    let (keys, is_mean) = match center {
        Center::Given(vector) => return find(target, Sought::One(vector, None), wish, context),
        Center::Stored(element) => (vec![(element, 1.0)], false),
        Center::Mean(keys) => (keys, true),
    };
    let fetching = Fetching {
        keys: keys.into(),
        mean: is_mean.then(Mean::default),
        target,
        wish,
    };
    fetching.fetch(context)
}

/// A query for the neighbours of stored vectors, which are fetched one after the other.
pub(crate) struct Fetching {
    /// The one that is under way, and those that come next, each with its weight. Never empty.
    keys: VecDeque<(Element, f32)>,
    /// None if the one vector itself is meant.
    mean: Option<Mean>,
    target: Bytes,
    wish: Wish,
}

impl Fetching {
    fn fetch(self, context: &Context<'_>) -> Next {
        let element = self.keys[0].0.clone();
        let shard = context.home_of(&element);
        Next::Request(
            Gather::Fetching(Box::new(self)),
            vec![(Target::Shard(shard), RequestBody::Get(element))],
        )
    }

    pub(crate) fn fetched(mut self, vector: Option<Box<[f32]>>, context: &Context<'_>) -> Next {
        let (element, weight) = self.keys.pop_front().expect("one was under way");
        let Some(vector) = vector else {
            return Next::error(&ClientError::NoSuchVector { key: element.key() });
        };
        let Some(mean) = &mut self.mean else {
            let own = Some(element.key().into());
            return find(self.target, Sought::One(vector, own), self.wish, context);
        };
        let schema = context.catalog().find(&element.collection);
        let has_length_1 = schema.is_some_and(|schema| schema.graph.metric == Metric::Cosine);
        let center = match mean.add(&vector, weight, has_length_1) {
            Ok(()) if !self.keys.is_empty() => return self.fetch(context),
            Ok(()) => mean.vector(),
            Err(error) => Err(error),
        };
        match center {
            Ok(center) => find(self.target, Sought::One(center, None), self.wish, context),
            Err(error) => Next::error(&error),
        }
    }
}

/// The weighted mean of vectors.
#[derive(Default)]
struct Mean {
    sum: Vec<f64>,
    /// Without their signs.
    weights: f64,
}

impl Mean {
    /// Adds a vector, which is brought to length 1 before if so.
    fn add(&mut self, vector: &[f32], weight: f32, has_length_1: bool) -> Result<(), ClientError> {
        if self.sum.is_empty() {
            self.sum.resize(vector.len(), 0.0);
        }
        if self.sum.len() != vector.len() {
            return Err(ClientError::MixedDimensions);
        }
        let square: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
        let length = if has_length_1 && square > 0.0 {
            square.sqrt()
        } else {
            1.0
        };
        let factor = f64::from(weight) / length;
        for (sum, component) in self.sum.iter_mut().zip(vector) {
            *sum += factor * f64::from(*component);
        }
        self.weights += f64::from(weight.abs());
        Ok(())
    }

    fn vector(&self) -> Result<Box<[f32]>, ClientError> {
        match self.weights {
            0.0 => Err(ClientError::NoMean),
            // No component is larger than the largest of all vectors.
            weights => Ok(self.sum.iter().map(|sum| (sum / weights) as f32).collect()),
        }
    }
}

/// Begins a VECMQUERY.
pub(crate) fn query_many(query: ManyQueries, context: &Context<'_>) -> Next {
    let ManyQueries { target, vectors, wish } = query;
    find(target, Sought::Many(vectors), wish, context)
}

/// What neighbours are sought of.
pub(super) enum Sought {
    /// A vector, and the key that stands for it if it does.
    One(Box<[f32]>, Option<Bytes>),
    /// Of each of several.
    Many(Vec<Box<[f32]>>),
}

impl Sought {
    fn seek(self, collection: &[u8], wish: Wish, context: &Context<'_>) -> Next {
        match self {
            Sought::One(vector, own) => Querying::start(collection, vector, own, wish, context),
            Sought::Many(vectors) => MultiQuerying::start(collection, vectors, wish, context),
        }
    }

    /// The reply if there is nothing of that name.
    pub(super) fn nothing(&self, name: &[u8], wish: &Wish, context: &Context<'_>) -> Reply {
        match self {
            Sought::One(..) => nothing(name, wish, context),
            Sought::Many(vectors) => Reply::Array(vectors.iter().map(|_| nothing(name, wish, context)).collect()),
        }
    }
}

/// A query by the key of a vector, waiting to hear whether there is such a vector.
pub(crate) struct Finding {
    collection: Bytes,
    sought: Sought,
    wish: Wish,
}

impl Finding {
    pub(crate) fn found(self, there: bool, context: &Context<'_>) -> Next {
        match there {
            true => self.sought.seek(&self.collection, self.wish, context),
            false => absent(&self.collection, self.sought, self.wish, context),
        }
    }
}

/// The first argument of VECQUERY is a collection's name, or that followed by `:*`, or the key of a vector.
pub(super) fn find(target: Bytes, sought: Sought, mut wish: Wish, context: &Context<'_>) -> Next {
    if context.catalog().holds(&target) {
        return sought.seek(&target, wish, context);
    }
    if let Some(name) = target.strip_suffix(b":*")
        && context.catalog().holds(name)
    {
        return sought.seek(name, wish, context);
    }
    let Some(colon) = target.iter().rposition(|byte| *byte == b':') else {
        if let Some(target) = meant_anew(&target, &mut wish, context) {
            return find(target, sought, wish, context);
        }
        return Next::reply_unless_wrong_type(sought.nothing(&target, &wish, context), &target, context);
    };
    let element = Element {
        collection: target.slice(..colon),
        name: target.slice(colon + 1..),
    };
    let shard = context.home_of(&element);
    let finding = Finding {
        collection: element.collection.clone(),
        sought,
        wish,
    };
    Next::Request(
        Gather::Finding(Box::new(finding)),
        vec![(Target::Shard(shard), RequestBody::Holds(element))],
    )
}

/// There is nothing of that name, and that is certain: it is what is answered, unless the name was meant by an alias that means
/// another one by now.
pub(super) fn absent(name: &[u8], sought: Sought, mut wish: Wish, context: &Context<'_>) -> Next {
    match meant_anew(name, &mut wish, context) {
        Some(target) => find(target, sought, wish, context),
        None => Next::Reply(sought.nothing(name, &wish, context)),
    }
}

/// What an alias means by now that stands in what was said, if that is something else than it was. This is asked once.
pub(super) fn meant_anew(before: &[u8], wish: &mut Wish, context: &Context<'_>) -> Option<Bytes> {
    let said = wish.said.take()?;
    let aliases = context.setup.catalog.aliases().now();
    let target = OwnNames::new(&aliases, context.catalog()).of_target(&said)?;
    (target != before).then(|| target.into())
}

/// The same, whatever was meant.
pub(super) fn nothing(name: &[u8], wish: &Wish, context: &Context<'_>) -> Reply {
    explain::nothing(wish, || note_of_absence(name, context))
}

/// What a client is told that looks for a collection that is not there: of one that it may have made instead, since a key's
/// collection is what stands before its last `:`.
fn note_of_absence(name: &[u8], context: &Context<'_>) -> String {
    let name = name.strip_suffix(b":*").unwrap_or(name);
    match context.catalog().one_below(name, NAMES_LOOKED_AT_MAX) {
        None => "no such collection".to_owned(),
        Some(below) => format!(
            "no such collection; there is '{}': a key's collection is what stands before its last ':', unless COLLECTION \
             and ELEMENT name the two",
            said_name(&below.name).escape_ascii()
        ),
    }
}
