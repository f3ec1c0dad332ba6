//! The commands on attributes of vectors, executed on the shard where the vectors lie.

use bytes::Bytes;
use kora_keyspace::{KeyType, ResolvedKey};
use kora_resp::Reply;

use super::Shard;
use crate::command::{AttributesAction, Element};
use crate::error::ClientError;

impl Shard {
    pub(super) fn act_on_attributes(
        &mut self,
        place: ResolvedKey<'_>,
        action: AttributesAction,
    ) -> Result<Reply, ClientError> {
        let kind = self.keyspace.kind(place);
        if matches!(action, AttributesAction::Get(_)) {
            self.lookups.note(kind.is_some());
        }
        match kind {
            Some(KeyType::String | KeyType::Hash) => return Err(ClientError::WrongType),
            Some(KeyType::Vector) => {}
            None | Some(KeyType::VectorSet) => return Ok(without_vector(&action)),
        }
        let (part, name) = self.keyspace.vector_at(place).expect("it was looked up a moment ago");
        let collection = part.schema().name.clone();
        self.act_on_attributes_of(&collection, name, action, place.now_ms)
    }

    /// The same for an element that is named by two words, also one of a vector set.
    pub(super) fn act_on_element_attributes(
        &mut self,
        element: &Element,
        action: AttributesAction,
        now_ms: u64,
    ) -> Result<Reply, ClientError> {
        let Element { collection, name } = element;
        let is_there = self.keyspace.holds_vector(collection, name, now_ms);
        if matches!(action, AttributesAction::Get(_)) {
            self.lookups.note(is_there);
        }
        match is_there {
            true => self.act_on_attributes_of(collection, name, action, now_ms),
            false => self
                .vet_element(collection, name, now_ms)
                .map_or_else(|| Ok(without_vector(&action)), Err),
        }
    }

    /// Does it to the attributes of a vector that is there.
    fn act_on_attributes_of(
        &mut self,
        collection: &[u8],
        name: &[u8],
        action: AttributesAction,
        now_ms: u64,
    ) -> Result<Reply, ClientError> {
        let part = self.keyspace.current_part(collection, now_ms);
        let before = part.and_then(|part| part.attributes_of(name)).unwrap_or_default();
        match action {
            AttributesAction::Get(path) => {
                let found = match &path {
                    Some(path) => path.find(before),
                    None => Some(before).filter(|text| !text.is_empty()),
                };
                Ok(found.map_or(Reply::Null, |text| Reply::Bulk(Bytes::copy_from_slice(text))))
            }
            AttributesAction::Set { text, merges } => {
                let text = match merges && !before.is_empty() && !text.is_empty() {
                    true => Bytes::from(kora_filter::merge(before, &text)),
                    false => text,
                };
                // What was merged may be longer than either.
                if merges && !text.is_empty() {
                    kora_filter::check(&text).map_err(|error| ClientError::Attributes { error })?;
                }
                let is_there = self.keyspace.set_attributes(collection, name, &text, now_ms);
                Ok(Reply::Integer(i64::from(is_there)))
            }
        }
    }
}

/// What is answered where there is no such vector.
fn without_vector(action: &AttributesAction) -> Reply {
    match action {
        AttributesAction::Set { .. } => Reply::Integer(0),
        AttributesAction::Get(_) => Reply::Null,
    }
}
