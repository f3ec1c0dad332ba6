//! The commands on vector sets, executed on the shard that holds the set: all of it lies where its name does.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::catalog::{GraphSettings, MadeBy, Schema, SetForm};
use kora_keyspace::collections::Collection;
use kora_keyspace::{Cause, KeyType, NEVER_MS, ResolvedKey, key_of};
use kora_resp::Reply;
use kora_vector::limits::M_MAX;
use kora_vector::{Metric, Quantisation, Step, Work};

use super::Shard;
use super::insert::{Insert, Then};
use super::similar::{SimilarShape, nearest};
use super::slot_wait::{SlotStep, SlotWait};
use super::task::{Begun, Task};
use crate::command::{Addition, Lifetime, Similar, SimilarTo, SimilarWish, VectorSetAction};
use crate::counts::integer;
use crate::error::ClientError;
use crate::mail::{IfThere, PartialReply, Proposal, Question};

/// A command on a vector set that waits until what has expired is deleted, or until there is a slot.
struct Waiting {
    key: Bytes,
    /// Taken out when it begins.
    action: Option<VectorSetAction>,
    now_ms: u64,
    /// An element that is added waits for a slot, too.
    slot_wait: SlotWait,
    /// What it has become, once it has begun.
    task: Option<Box<dyn Task<Answer = Reply>>>,
}

impl Task for Waiting {
    type Answer = Reply;

    fn slice(&mut self, shard: &mut Shard, work: &mut Work) -> Step<Reply> {
        if let Some(task) = &mut self.task {
            return task.slice(shard, work);
        }
        shard.keyspace.remove_due_vectors(self.now_ms);
        if shard.keyspace.has_due_vector(self.now_ms) {
            return Step::More;
        }
        let Some(action) = self.action.take() else {
            return Step::Done(Reply::Null);
        };
        if matches!(action, VectorSetAction::Add(_)) {
            match self.slot_wait.step(shard, &self.key, self.now_ms, work) {
                SlotStep::Found => {}
                SlotStep::Refused => return Step::Done(Reply::Error(ClientError::OutOfMemory.to_string())),
                SlotStep::More => {
                    self.action = Some(action);
                    return Step::More;
                }
            }
        }
        let place = shard.keyspace.resolve_live(&self.key, self.now_ms);
        match shard.act_on_live_set(place, action, work) {
            Begun::Done(reply) => Step::Done(reply),
            Begun::More(task) => {
                self.task = Some(task);
                Step::More
            }
        }
    }

    fn is_exclusive(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.is_exclusive())
    }

    fn keeps_busy(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.keeps_busy())
    }
}

impl Shard {
    /// Does something to a vector set.
    pub(super) fn act_on_set(
        &mut self,
        place: ResolvedKey<'_>,
        action: VectorSetAction,
        work: &mut Work,
    ) -> Begun<Reply> {
        // Nothing is wanted, whatever is there.
        if matches!(action, VectorSetAction::Random(Some(0))) {
            return Begun::Done(Reply::Array(Vec::new()));
        }
        if !matches!(self.keyspace.kind(place), None | Some(KeyType::VectorSet)) {
            return refusal(&ClientError::WrongType);
        }
        // What has expired is in no reply: it is deleted first, in slices if it is much.
        let needs_slot = matches!(action, VectorSetAction::Add(_))
            && self.setup.live.data_memory.limit().is_some()
            && !self.has_slot(place.key, place.now_ms);
        if !needs_slot && !self.keyspace.has_due_vector(place.now_ms) {
            return self.act_on_live_set(place, action, work);
        }
        let waiting = Waiting {
            key: Bytes::copy_from_slice(place.key),
            action: Some(action),
            now_ms: place.now_ms,
            slot_wait: SlotWait::default(),
            task: None,
        };
        self.run(waiting, work)
    }

    /// The same, where nothing has expired that is not deleted.
    fn act_on_live_set(&mut self, place: ResolvedKey<'_>, action: VectorSetAction, work: &mut Work) -> Begun<Reply> {
        let found = self.setup.catalog.at(place.now_ms).find(place.key);
        if found.as_ref().is_some_and(|schema| schema.set_form().is_none()) {
            return refusal(&ClientError::NoVectorSet {
                name: place.key.to_vec(),
            });
        }
        let schema = found.filter(|schema| !self.keyspace.withdraw_if_empty(schema));
        if let VectorSetAction::Add(addition) = action {
            return self.add(place, schema, *addition, work);
        }
        let is_held = |schema: &Arc<Schema>| self.keyspace.part_of(schema).is_some_and(|part| part.live() > 0);
        match schema.filter(is_held) {
            None => Begun::Done(without_set(&action)),
            Some(schema) => self.act_on_elements(&schema, action, place.now_ms, work),
        }
    }

    /// Does something to a set that holds an element.
    fn act_on_elements(
        &mut self,
        schema: &Arc<Schema>,
        action: VectorSetAction,
        now_ms: u64,
        work: &mut Work,
    ) -> Begun<Reply> {
        let part = self.keyspace.part_of(schema).expect("the caller has seen it");
        Begun::Done(match action {
            // The caller has looked.
            VectorSetAction::Add(_) => Reply::Error(ClientError::other_answer().to_string()),
            VectorSetAction::Similar(similar) => return self.similar(schema, *similar, now_ms, work),
            VectorSetAction::Links { element, with_scores } => {
                return self.links(schema, element, with_scores, now_ms, work);
            }
            VectorSetAction::Random(None) => self.random_element(schema, now_ms),
            VectorSetAction::Random(Some(count)) => return self.random_elements(schema, count, work),
            VectorSetAction::Range(range) => return self.range_of_elements(schema, *range, work),
            VectorSetAction::Count => Reply::Integer(integer(part.live() as u64)),
            VectorSetAction::Dimension => Reply::Integer(integer(schema.dimension as u64)),
            VectorSetAction::Describe => describe(schema, part),
            VectorSetAction::IsMember(element) => Reply::Boolean(part.holds(&element)),
            VectorSetAction::GetAttributes(element) => match part.attributes_of(&element).unwrap_or_default() {
                [] => Reply::Null,
                text => Reply::Bulk(Bytes::copy_from_slice(text)),
            },
            VectorSetAction::SetAttributes { element, text } => {
                let is_there = self.keyspace.set_attributes(&schema.name, &element, &text, now_ms);
                Reply::Boolean(is_there)
            }
            VectorSetAction::Embedding { element, is_raw } => {
                let vector = self.keyspace.use_vector(&schema.name, &element, now_ms);
                vector.map_or(Reply::Null, |vector| embedding(schema, &vector, is_raw))
            }
            VectorSetAction::Remove(element) => {
                let was_there = self
                    .keyspace
                    .remove_vector(&schema.name, &element, now_ms, Cause::Command);
                self.keyspace.withdraw_if_empty(schema);
                Reply::Boolean(was_there)
            }
        })
    }

    fn add(
        &mut self,
        place: ResolvedKey<'_>,
        schema: Option<Arc<Schema>>,
        addition: Addition,
        work: &mut Work,
    ) -> Begun<Reply> {
        let is_fit = match &schema {
            Some(schema) => vet_addition(schema, &addition),
            // To fewer dimensions, and never to more.
            None if addition.reduce > Some(addition.vector.len()) => Err(INVALID_VECTOR),
            None => Ok(()),
        };
        let vector = is_fit.and_then(|()| vector_to_keep(&addition));
        let vector = match vector {
            Ok(vector) => vector,
            Err(error) => return refusal(&error),
        };
        let schema = match schema {
            Some(schema) => Ok(schema),
            None => self.create_set(place, &addition, vector.len()),
        };
        let schema = match schema {
            Ok(schema) => schema,
            Err(error) => return refusal(&error),
        };
        // It is wanted: should a command be about to let it go, it stays.
        schema.leaving.set(0);
        let key = Bytes::from(key_of(place.key, &addition.element));
        let mut insertion = self.keyspace.begin_vector(&schema, key, &vector);
        if let Some(attributes) = addition.attributes {
            insertion = insertion.with_attributes(attributes);
        }
        let insert = Insert {
            insertion: Some(insertion),
            deadline_ms: match addition.lifetime {
                Lifetime::Keep => None,
                Lifetime::Forever => Some(NEVER_MS),
                Lifetime::Until(deadline) => Some(deadline.at_ms(place.now_ms)),
            },
            now_ms: place.now_ms,
            then: Then::Added,
        };
        self.run(insert, work).map(|part| match part {
            PartialReply::Reply(reply) => reply,
            _ => Reply::Error(ClientError::other_answer().to_string()),
        })
    }

    fn create_set(
        &mut self,
        place: ResolvedKey<'_>,
        addition: &Addition,
        dimension: usize,
    ) -> Result<Arc<Schema>, ClientError> {
        crate::command::vet_collection_name(place.key)?;
        let defaults = self.setup.graph;
        let proposal = Proposal {
            name: Bytes::copy_from_slice(place.key),
            dimension,
            graph: GraphSettings {
                metric: Metric::Cosine,
                storage: addition.quantisation.storage(),
                m: addition.m.min(M_MAX),
                ef_construction: addition.ef.unwrap_or(defaults.ef_construction),
                ..defaults
            },
            made_by: MadeBy::Vadd(SetForm {
                quantisation: addition.quantisation,
                m: addition.m as u32,
                projected_from: addition.reduce.map_or(0, |_| addition.vector.len() as u32),
            }),
            label: Bytes::new(),
            if_there: IfThere::Refuse,
        };
        self.create(proposal, place.now_ms)
    }

    fn similar(&mut self, schema: &Arc<Schema>, similar: Similar, now_ms: u64, work: &mut Work) -> Begun<Reply> {
        match self.look_for_center(schema, similar, now_ms) {
            Ok((vector, wish)) => {
                let ef = wish.ef.max(wish.count);
                let question = Question {
                    exact: wish.is_exact,
                    filter: wish.filter.clone(),
                    with_attributes: wish.with_attributes,
                    ..nearest(schema, vector, wish.count)
                };
                self.search_set(question, ef, SimilarShape::Similar(wish), now_ms, work)
            }
            Err(error) => refusal(&error),
        }
    }

    /// The vector whose neighbours are sought. What is wrong with the command is found in Redis's order.
    fn look_for_center(
        &mut self,
        schema: &Schema,
        similar: Similar,
        now_ms: u64,
    ) -> Result<(Box<[f32]>, SimilarWish), ClientError> {
        let vector = match similar.center? {
            SimilarTo::Element(element) => {
                let vector = self.keyspace.use_vector(&schema.name, &element, now_ms);
                vector.ok_or(ClientError::Said("ERR element not found in set"))?
            }
            SimilarTo::Vector(vector) => fitted(schema, vector)?,
        };
        Ok((vector, similar.wish?))
    }

    /// The nearest elements instead of the graph's links: twice M of them, as a node of Redis's lowest layer has.
    fn links(
        &mut self,
        schema: &Arc<Schema>,
        element: Bytes,
        with_scores: bool,
        now_ms: u64,
        work: &mut Work,
    ) -> Begun<Reply> {
        let Some(vector) = self.keyspace.use_vector(&schema.name, &element, now_ms) else {
            return Begun::Done(Reply::Null);
        };
        let count = 2 * schema.graph.m;
        let shape = SimilarShape::Links {
            element,
            with_scores,
            count,
        };
        // One more, because the element itself is the nearest.
        let k = count + 1;
        let ef = schema.graph.ef_search.max(k);
        self.search_set(nearest(schema, vector, k), ef, shape, now_ms, work)
    }
}

/// The reply where there is no such set.
fn without_set(action: &VectorSetAction) -> Reply {
    match action {
        // It makes one.
        VectorSetAction::Add(_) => Reply::Error(ClientError::other_answer().to_string()),
        VectorSetAction::Similar(_) | VectorSetAction::Range(_) | VectorSetAction::Random(Some(_)) => {
            Reply::Array(Vec::new())
        }
        VectorSetAction::Remove(_) | VectorSetAction::IsMember(_) | VectorSetAction::SetAttributes { .. } => {
            Reply::Boolean(false)
        }
        VectorSetAction::Count => Reply::Integer(0),
        VectorSetAction::Dimension => Reply::Error("ERR key does not exist".to_owned()),
        VectorSetAction::Describe => Reply::NullArray,
        VectorSetAction::Embedding { .. }
        | VectorSetAction::Links { .. }
        | VectorSetAction::GetAttributes(_)
        | VectorSetAction::Random(None) => Reply::Null,
    }
}

/// The vector as the set keeps it.
fn vector_to_keep(addition: &Addition) -> Result<Box<[f32]>, ClientError> {
    let vector = match addition.reduce {
        Some(dimension) => kora_vector::project(&addition.vector, dimension),
        None => addition.vector.clone(),
    };
    match vector.iter().all(|component| component.is_finite()) {
        true => Ok(addition.quantisation.formed(vector)),
        false => Err(INVALID_VECTOR),
    }
}

/// Whether a VADD says what the first one has said. In Redis's order.
fn vet_addition(schema: &Schema, addition: &Addition) -> Result<(), ClientError> {
    let form = schema.set_form().expect("the caller has looked");
    if addition.quantisation != form.quantisation {
        return Err(ClientError::Said(
            "ERR asked quantization mismatch with existing vector set",
        ));
    }
    if addition.m != form.m as usize {
        return Err(ClientError::Said("ERR asked M value mismatch with existing vector set"));
    }
    let (came, dimension) = (addition.vector.len(), schema.dimension);
    let is_projected = form.projected_from > 0;
    let fits = match is_projected {
        true => addition.reduce == Some(dimension),
        false => came == dimension,
    };
    match addition.reduce {
        _ if !fits => Err(ClientError::SetDimension { dimension, got: came }),
        Some(_) if !is_projected => Err(ClientError::Said(
            "ERR cannot add projection to existing set without projection",
        )),
        Some(_) if came != form.projected_from as usize => Err(ClientError::ProjectionDimension {
            dimension: form.projected_from as usize,
            got: came,
        }),
        _ => Ok(()),
    }
}

/// A vector that is sought with, in the form in which the set keeps its own.
fn fitted(schema: &Schema, vector: Box<[f32]>) -> Result<Box<[f32]>, ClientError> {
    let form = schema.set_form().expect("the caller has looked");
    let (came, dimension) = (vector.len(), schema.dimension);
    let vector = match (came == dimension, form.projected_from as usize) {
        (true, _) => vector,
        (false, 0) => return Err(ClientError::SetDimension { dimension, got: came }),
        (false, from) if from == came => kora_vector::project(&vector, dimension),
        (false, from) => {
            return Err(ClientError::ProjectionDimension {
                dimension: from,
                got: came,
            });
        }
    };
    match vector.iter().all(|component| component.is_finite()) {
        true => Ok(form.quantisation.formed(vector)),
        false => Err(INVALID_VECTOR),
    }
}

fn embedding(schema: &Schema, vector: &[f32], is_raw: bool) -> Reply {
    let number = |number: f32| Reply::Number(f64::from(number));
    if !is_raw {
        return Reply::Array(vector.iter().copied().map(number).collect());
    }
    let quantisation = quantisation_of(schema);
    let raw = quantisation.raw(vector);
    let mut fields = vec![
        Reply::Simple(quantisation.name()),
        Reply::Bulk(raw.bytes.into()),
        number(raw.norm),
    ];
    fields.extend(raw.range.map(number));
    Reply::Array(fields)
}

fn describe(schema: &Schema, part: &Collection) -> Reply {
    let form = schema.set_form().expect("the caller has looked");
    let count = |count: usize| Reply::Integer(integer(count as u64));
    let fields = [
        ("quant-type", Reply::Simple(form.quantisation.name())),
        ("hnsw-m", count(form.m as usize)),
        ("vector-dim", count(schema.dimension)),
        ("projection-input-dim", count(form.projected_from as usize)),
        ("size", count(part.live())),
        ("max-level", count(0)),
        ("attributes-count", count(part.describe().attributed)),
        ("vset-uid", count(schema.generation.0 as usize)),
        ("hnsw-max-node-uid", count(part.version() as usize)),
    ];
    Reply::Map(
        fields
            .into_iter()
            .map(|(name, value)| (Reply::Simple(name), value))
            .collect(),
    )
}

fn quantisation_of(schema: &Schema) -> Quantisation {
    schema.set_form().expect("the caller has looked").quantisation
}

const INVALID_VECTOR: ClientError = ClientError::Said("ERR invalid vector specification");

fn refusal(error: &ClientError) -> Begun<Reply> {
    Begun::Done(Reply::Error(error.to_string()))
}
