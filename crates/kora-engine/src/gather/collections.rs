//! Commands about whole collections: what is decided by one shard, and what all of them then do.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;

use super::{Context, Gather, Next, Shape};
use crate::command::{Action, Element, KeyAction, VectorOptions};
use crate::counts::integer;
use crate::error::ClientError;
use crate::fit::vet;
use crate::mail::{IfThere, KeyOperation, PartialReply, Proposal, RequestBody, SetVector, Target};
use kora_keyspace::KeyType;
use kora_keyspace::catalog::{Generation, MadeBy, Schema};
use kora_keyspace::collections::Description;

/// A VECSET whose collection is not there yet.
pub(crate) struct ImplicitCreate {
    element: Element,
    vector: Box<[f32]>,
    options: VectorOptions,
}

impl ImplicitCreate {
    /// First its key: if that holds something else, no collection is made.
    pub(crate) fn start(element: Element, vector: Box<[f32]>, options: VectorOptions, context: &Context<'_>) -> Next {
        let shard = context.home_of(&element);
        let look = KeyOperation {
            key: element.key().into(),
            action: Action::Key(KeyAction::Type),
        };
        let create = Gather::ImplicitCreate(Box::new(ImplicitCreate {
            element,
            vector,
            options,
        }));
        Next::Request(
            create,
            vec![(Target::Shard(shard), RequestBody::KeyOperation(Box::new(look)))],
        )
    }

    pub(crate) fn absorb(self: Box<Self>, part: PartialReply, context: &Context<'_>) -> Next {
        match part {
            PartialReply::Decided(decision) => self.decided(decision, context),
            PartialReply::Reply(Reply::Simple(kind))
                if [KeyType::String, KeyType::Hash].map(KeyType::name).contains(&kind) =>
            {
                Next::error(&ClientError::WrongType)
            }
            _ => self.propose(context),
        }
    }

    /// The owner of the name makes the collection.
    fn propose(self: Box<Self>, context: &Context<'_>) -> Next {
        let name = self.element.collection.clone();
        let owner = Target::Shard(context.placement().shard_of(&name));
        let proposal = Proposal {
            name,
            dimension: self.vector.len(),
            graph: context.setup.graph,
            made_by: MadeBy::Vecset,
            if_there: IfThere::Take,
        };
        Next::Request(
            Gather::ImplicitCreate(self),
            vec![(owner, RequestBody::Create(Box::new(proposal)))],
        )
    }

    /// The owner has decided which collection has this name now: the one wanted, or one that another client made first.
    fn decided(self, decision: Result<Arc<Schema>, ClientError>, context: &Context<'_>) -> Next {
        match decision.and_then(|schema| set(&schema, self.element, self.vector, self.options, context)) {
            Ok((gather, body)) => Next::Request(gather, vec![body]),
            Err(error) => Next::error(&error),
        }
    }
}

/// Sets a vector in this collection, if it fits.
pub(crate) fn set(
    schema: &Schema,
    element: Element,
    vector: Box<[f32]>,
    options: VectorOptions,
    context: &Context<'_>,
) -> Result<(Gather, (Target, RequestBody)), ClientError> {
    vet(schema, &vector)?;
    let shard = context.placement().shard_of_vector(schema, &element.name);
    let setting = SetVector {
        element,
        generation: schema.generation,
        vector,
        lifetime: options.lifetime,
        only: options.only,
        attributes: options.attributes.map(Bytes::from),
    };
    Ok((
        Gather::One(Shape::Ok),
        (Target::Shard(shard), RequestBody::Set(Box::new(setting))),
    ))
}

/// VECDROP: first the owner withdraws the collection, then every shard lets go of its part.
pub(crate) enum Dropping {
    Deciding,
    Releasing { missing: usize },
}

impl Dropping {
    /// Every shard lets go of its part of a collection that was withdrawn.
    pub(crate) fn release(schema: &Schema, context: &Context<'_>) -> Next {
        let requests: Vec<(Target, RequestBody)> = context
            .placement()
            .parts_of(schema)
            .map(|shard| {
                let body = RequestBody::Release {
                    name: schema.name.clone(),
                    generation: schema.generation,
                };
                (Target::Shard(shard), body)
            })
            .collect();
        Next::Request(
            Gather::Dropping(Dropping::Releasing {
                missing: requests.len(),
            }),
            requests,
        )
    }

    pub(crate) fn absorb(self, part: PartialReply, context: &Context<'_>) -> Next {
        match (self, part) {
            (Dropping::Deciding, PartialReply::Refused(error)) => Next::error(&error),
            (Dropping::Deciding, PartialReply::Withdrawn(None)) => Next::Reply(Reply::Integer(0)),
            (Dropping::Deciding, PartialReply::Withdrawn(Some(schema))) => Dropping::release(&schema, context),
            (Dropping::Releasing { missing: 1 }, PartialReply::Done) => Next::Reply(Reply::Integer(1)),
            (Dropping::Releasing { missing }, PartialReply::Done) => {
                Next::Wait(Gather::Dropping(Dropping::Releasing { missing: missing - 1 }))
            }
            _ => unreachable!("each request has one kind of partial reply"),
        }
    }
}

/// FLUSHALL: first every owner withdraws its collections, then every shard lets go of what it holds of them. In one
/// step, a shard that was done could be given vectors for a collection that another owner had not yet withdrawn.
pub(crate) struct Flushing {
    before: Generation,
    stage: FlushStage,
    missing: usize,
}

enum FlushStage {
    Withdrawing,
    Releasing,
}

impl Flushing {
    /// Everything that is there now; what is made from now on stays.
    pub(crate) fn start(context: &Context<'_>) -> Next {
        let before = context.setup.catalog.next_generation();
        let flushing = Flushing {
            before,
            stage: FlushStage::Withdrawing,
            missing: context.placement().shard_count(),
        };
        flushing.ask_all(context, || RequestBody::WithdrawBefore(before))
    }

    pub(crate) fn absorb(mut self, context: &Context<'_>) -> Next {
        self.missing -= 1;
        match self.stage {
            _ if self.missing > 0 => Next::Wait(Gather::Flushing(self)),
            FlushStage::Releasing => Next::Reply(Reply::ok()),
            FlushStage::Withdrawing => {
                let before = self.before;
                self.stage = FlushStage::Releasing;
                self.missing = context.placement().shard_count();
                self.ask_all(context, || RequestBody::ReleaseBefore(before))
            }
        }
    }

    fn ask_all(self, context: &Context<'_>, body: impl Fn() -> RequestBody) -> Next {
        let requests = context
            .placement()
            .shards()
            .map(|shard| (Target::Shard(shard), body()))
            .collect();
        Next::Request(Gather::Flushing(self), requests)
    }
}

/// VECINFO, and MEMORY USAGE of a collection: what each shard holds.
pub(crate) struct Describing {
    schema: Arc<Schema>,
    form: DescribeForm,
    parts: Vec<(u16, Description)>,
    missing: usize,
}

/// What of a collection's description is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DescribeForm {
    All,
    /// The memory that it takes.
    Bytes,
}

impl Describing {
    pub(crate) fn start(schema: Arc<Schema>, form: DescribeForm, context: &Context<'_>) -> Next {
        let requests: Vec<(Target, RequestBody)> = context
            .placement()
            .parts_of(&schema)
            .map(|shard| (Target::Shard(shard), RequestBody::Describe(Arc::clone(&schema))))
            .collect();
        let describing = Describing {
            schema,
            form,
            parts: Vec::new(),
            missing: requests.len(),
        };
        Next::Request(Gather::Describing(Box::new(describing)), requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, part: Description) -> Next {
        let Target::Shard(shard) = from else {
            unreachable!("shards were asked")
        };
        self.parts.push((shard.0, part));
        self.missing -= 1;
        if self.missing > 0 {
            return Next::Wait(Gather::Describing(self));
        }
        self.parts.sort_unstable_by_key(|(shard, _)| *shard);
        Next::Reply(self.show())
    }

    fn show(&self) -> Reply {
        let total = self
            .parts
            .iter()
            .fold(Description::default(), |total, (_, part)| total.plus(part));
        if self.form == DescribeForm::Bytes {
            let bytes = total.vectors_bytes + total.links_bytes + total.keys_bytes + total.attributes_bytes;
            return count(size_of::<Schema>() + self.schema.name.len() + bytes);
        }
        let graph = self.schema.graph;
        let mut fields = vec![
            ("collection", Reply::Bulk(self.schema.name.clone())),
            ("dimension", count(self.schema.dimension)),
            (
                "metric",
                Reply::Bulk(Bytes::from_static(graph.metric.name().as_bytes())),
            ),
            (
                "quant",
                Reply::Bulk(Bytes::from_static(graph.storage.name().as_bytes())),
            ),
            ("m", count(graph.m)),
            ("ef_construction", count(graph.ef_construction)),
            ("ef_search", count(graph.ef_search)),
            (
                "made_by",
                Reply::Bulk(Bytes::from_static(self.schema.made_by.name().as_bytes())),
            ),
        ];
        fields.extend(fields_of(&total));
        let shards = self.parts.iter().map(|(shard, part)| {
            let mut fields = vec![("shard", count(usize::from(*shard)))];
            fields.extend(fields_of(part));
            map(fields)
        });
        fields.push(("shards", Reply::Array(shards.collect())));
        map(fields)
    }
}

fn fields_of(part: &Description) -> [(&'static str, Reply); 13] {
    let dead_share = part.deleted as f64 / (part.live + part.deleted).max(1) as f64;
    [
        ("vectors", count(part.live)),
        ("deleted", count(part.deleted)),
        ("dead_share", share(dead_share)),
        ("consolidated", part.consolidated.map_or(Reply::Null, share)),
        ("slots", count(part.slots)),
        ("slots_free", count(part.vacant)),
        ("chunks", count(part.chunks)),
        ("levels", count(part.levels)),
        ("vectors_bytes", count(part.vectors_bytes)),
        ("links_bytes", count(part.links_bytes)),
        ("keys_bytes", count(part.keys_bytes)),
        ("attributes", count(part.attributed)),
        ("attributes_bytes", count(part.attributes_bytes)),
    ]
}

fn map(fields: Vec<(&'static str, Reply)>) -> Reply {
    Reply::Map(
        fields
            .into_iter()
            .map(|(name, value)| (Reply::Bulk(Bytes::from_static(name.as_bytes())), value))
            .collect(),
    )
}

fn share(share: f64) -> Reply {
    // Three digits are precise enough.
    Reply::Double((share * 1_000.0).round() as f32 / 1_000.0)
}

fn count(count: usize) -> Reply {
    Reply::Integer(integer(count as u64))
}
