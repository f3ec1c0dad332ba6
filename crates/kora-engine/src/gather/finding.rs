//! What a VECQUERY must hear before it can be asked: the vector that a key stands for, and which collection is meant.

use bytes::Bytes;

use super::query::nothing;
use super::{Context, Gather, Next, Querying};
use crate::command::{Center, Element, VectorQuery, Wish};
use crate::error::ClientError;
use crate::mail::{RequestBody, Target};

/// Begins a VECQUERY.
pub(crate) fn query(query: VectorQuery, context: &Context<'_>) -> Next {
    let VectorQuery { target, center, wish } = query;
    match center {
        Center::Given(vector) => find(target, vector, None, wish, context),
        Center::Stored(element) => {
            let key = [&element.collection, b":".as_slice(), &element.name].concat();
            let shard = context.home_of(&element);
            let fetching = Fetching { key, target, wish };
            Next::Request(
                Gather::Fetching(Box::new(fetching)),
                vec![(Target::Shard(shard), RequestBody::Get(element))],
            )
        }
    }
}

/// A query for the neighbours of a stored vector, waiting for that vector.
pub(crate) struct Fetching {
    key: Vec<u8>,
    target: Bytes,
    wish: Wish,
}

impl Fetching {
    pub(crate) fn fetched(self, vector: Option<Box<[f32]>>, context: &Context<'_>) -> Next {
        match vector {
            Some(vector) => find(self.target, vector, Some(self.key.into()), self.wish, context),
            None => Next::error(&ClientError::NoSuchVector { key: self.key }),
        }
    }
}

/// A query by the key of a vector, waiting to hear whether there is such a vector.
pub(crate) struct Finding {
    collection: Bytes,
    vector: Box<[f32]>,
    own: Option<Bytes>,
    wish: Wish,
}

impl Finding {
    pub(crate) fn found(self, there: bool, context: &Context<'_>) -> Next {
        if there {
            Querying::start(&self.collection, self.vector, self.own, self.wish, context)
        } else {
            Next::Reply(nothing(self.wish))
        }
    }
}

/// The first argument of VECQUERY is a collection's name, or that followed by `:*`, or the key of a vector.
fn find(target: Bytes, vector: Box<[f32]>, own: Option<Bytes>, wish: Wish, context: &Context<'_>) -> Next {
    if context.catalog().holds(&target) {
        return Querying::start(&target, vector, own, wish, context);
    }
    if let Some(name) = target.strip_suffix(b":*")
        && context.catalog().holds(name)
    {
        return Querying::start(name, vector, own, wish, context);
    }
    let Some(colon) = target.iter().rposition(|byte| *byte == b':') else {
        return Next::reply_unless_wrong_type(nothing(wish), &target, context);
    };
    let element = Element {
        collection: target.slice(..colon),
        name: target.slice(colon + 1..),
    };
    let shard = context.home_of(&element);
    let finding = Finding {
        collection: element.collection.clone(),
        vector,
        own,
        wish,
    };
    Next::Request(
        Gather::Finding(Box::new(finding)),
        vec![(Target::Shard(shard), RequestBody::Holds(element))],
    )
}
