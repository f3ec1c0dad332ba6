//! What a VECQUERY must hear before it can be asked: the vector that a key stands for, and which collection is meant.

use bytes::Bytes;

use super::query::nothing;
use super::{Around, Gather, Next, Querying};
use crate::command::{Center, Element, VectorQuery, Wish};
use crate::error::ClientError;
use crate::mail::{Ask, Target};

/// Begins a VECQUERY.
pub(crate) fn query(query: VectorQuery, around: &Around<'_>) -> Next {
    let VectorQuery { target, center, wish } = query;
    match center {
        Center::Given(vector) => find(target, vector, wish, around),
        Center::Stored(element) => {
            let key = [&element.collection, b":".as_slice(), &element.name].concat();
            let shard = around.placement().shard_of_element(&element.collection, &element.name);
            let fetching = Fetching { key, target, wish };
            Next::Ask(
                Gather::Fetching(Box::new(fetching)),
                vec![(Target::Shard(shard), Ask::Get(element))],
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
    pub(crate) fn fetched(self, vector: Option<Box<[f32]>>, around: &Around<'_>) -> Next {
        match vector {
            Some(vector) => find(self.target, vector, self.wish, around),
            None => Next::error(&ClientError::NoSuchVector { key: self.key }),
        }
    }
}

/// A query by the key of a vector, waiting to hear whether there is such a vector.
pub(crate) struct Finding {
    collection: Bytes,
    vector: Box<[f32]>,
    wish: Wish,
}

impl Finding {
    pub(crate) fn found(self, there: bool, around: &Around<'_>) -> Next {
        if there {
            Querying::start(&self.collection, self.vector, self.wish, around)
        } else {
            Next::Reply(nothing(self.wish))
        }
    }
}

/// The first argument of VECQUERY is a collection's name, or that followed by `:*`, or the key of a vector.
fn find(target: Bytes, vector: Box<[f32]>, wish: Wish, around: &Around<'_>) -> Next {
    if around.catalog().holds(&target) {
        return Querying::start(&target, vector, wish, around);
    }
    if let Some(name) = target.strip_suffix(b":*")
        && around.catalog().holds(name)
    {
        return Querying::start(name, vector, wish, around);
    }
    let Some(colon) = target.iter().rposition(|byte| *byte == b':') else {
        return Next::reply_unless_wrong_type(nothing(wish), &target, around);
    };
    let element = Element {
        collection: target.slice(..colon),
        name: target.slice(colon + 1..),
    };
    let shard = around.placement().shard_of_element(&element.collection, &element.name);
    let finding = Finding {
        collection: element.collection.clone(),
        vector,
        wish,
    };
    Next::Ask(
        Gather::Finding(Box::new(finding)),
        vec![(Target::Shard(shard), Ask::Holds(element))],
    )
}
