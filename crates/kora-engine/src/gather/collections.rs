//! Commands about whole collections: what is decided by one shard, and what all of them then do.

use std::sync::Arc;

use bytes::Bytes;
use kora_resp::Reply;

use super::{Context, Gather, Next, Shape};
use crate::command::{Action, Element, KeyAction, Lifetime, Only, VectorOptions};
use crate::counts::integer;
use crate::databases::as_said;
use crate::error::ClientError;
use crate::fit::vet;
use crate::mail::{IfThere, KeyOperation, PartialReply, Proposal, RequestBody, SetVector, Target};
use kora_keyspace::KeyType;
use kora_keyspace::catalog::{Generation, MadeBy, Schema};
use kora_keyspace::collections::Description;
use kora_values::{Database, said_name};

/// Sets one vector.
pub(crate) fn set_vector(element: Element, vector: Box<[f32]>, options: VectorOptions, context: &Context<'_>) -> Next {
    set(vec![(element, vector)], options, context)
}

/// Sets several vectors of one collection.
pub(crate) fn set_vectors(vectors: Vec<(Element, Box<[f32]>)>, context: &Context<'_>) -> Next {
    let options = VectorOptions {
        lifetime: Lifetime::Forever,
        only: Only::Always,
        attributes: None,
    };
    set(vectors, options, context)
}

fn set(vectors: Vec<(Element, Box<[f32]>)>, options: VectorOptions, context: &Context<'_>) -> Next {
    let there = context.catalog().find(&vectors[0].0.collection);
    if let Some(schema) = there.as_ref().filter(|schema| !schema.is_leaving()) {
        return set_in(schema, vectors, options, context);
    }
    // Refused here, before it makes a collection that would then be empty.
    let metric = context.setup.graph.metric;
    let refusal = vectors
        .iter()
        .find_map(|(_, vector)| crate::command::vet(vector, metric).err());
    if let Some(error) = refusal {
        return Next::error(&error);
    }
    // No vector is there, and no collection is made for one that may not be set.
    if there.is_none() && options.only == Only::IfPresent {
        return Next::Reply(Reply::Null);
    }
    ImplicitCreate::start(vectors, options, context)
}

/// Vectors whose collection is not there yet.
pub(crate) struct ImplicitCreate {
    /// At least one.
    vectors: Vec<(Element, Box<[f32]>)>,
    options: VectorOptions,
}

impl ImplicitCreate {
    /// First the key of the first: if that holds something else, no collection is made.
    fn start(vectors: Vec<(Element, Box<[f32]>)>, options: VectorOptions, context: &Context<'_>) -> Next {
        let element = &vectors[0].0;
        if element.name.contains(&b':') {
            // It has no key.
            return Box::new(ImplicitCreate { vectors, options }).propose(context);
        }
        let shard = context.home_of(element);
        let look = KeyOperation {
            key: element.key().into(),
            action: Action::Key(KeyAction::Type),
        };
        let create = Gather::ImplicitCreate(Box::new(ImplicitCreate { vectors, options }));
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
        let (element, vector) = &self.vectors[0];
        let name = element.collection.clone();
        let owner = Target::Shard(context.placement().shard_of(&name));
        let proposal = Proposal {
            name,
            dimension: vector.len(),
            graph: context.setup.graph,
            made_by: MadeBy::Vecset,
            label: Bytes::new(),
            if_there: IfThere::Take,
        };
        Next::Request(
            Gather::ImplicitCreate(self),
            vec![(owner, RequestBody::Create(Box::new(proposal)))],
        )
    }

    /// The owner has decided which collection has this name now: the one wanted, or one that another client made first.
    fn decided(self, decision: Result<Arc<Schema>, ClientError>, context: &Context<'_>) -> Next {
        match decision {
            Ok(schema) => set_in(&schema, self.vectors, self.options, context),
            Err(error) => Next::error(&error),
        }
    }
}

/// Sets vectors in this collection, if all fit.
fn set_in(schema: &Schema, vectors: Vec<(Element, Box<[f32]>)>, options: VectorOptions, context: &Context<'_>) -> Next {
    if let Some(error) = vectors.iter().find_map(|(_, vector)| vet(schema, vector).err()) {
        return Next::error(&error);
    }
    let placement = context.placement();
    let attributes = options.attributes.map(Bytes::from);
    let is_single = vectors.len() == 1;
    let mut of_shard: Vec<Vec<SetVector>> = (0..placement.shard_count()).map(|_| Vec::new()).collect();
    for (element, vector) in vectors {
        let shard = placement.shard_of_vector(schema, &element.name);
        of_shard[shard.index()].push(SetVector {
            element,
            generation: schema.generation,
            vector,
            lifetime: options.lifetime,
            only: options.only,
            attributes: attributes.clone(),
        });
    }
    let shards = placement
        .shards()
        .zip(of_shard)
        .filter(|(_, settings)| !settings.is_empty());
    let body = |mut settings: Vec<SetVector>| match settings.pop() {
        Some(setting) if is_single => RequestBody::Set(Box::new(setting)),
        last => {
            settings.extend(last);
            RequestBody::SetMany(settings)
        }
    };
    let requests: Vec<_> = shards
        .map(|(shard, settings)| (Target::Shard(shard), body(settings)))
        .collect();
    let gather = match is_single {
        true => Gather::One(Shape::Ok),
        false => Gather::AllDone {
            missing: requests.len(),
            reply: Reply::ok(),
        },
    };
    Next::Request(gather, requests)
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
            _ => Next::other_answer(),
        }
    }
}

/// FLUSHALL and FLUSHDB: first every owner withdraws its collections, then every shard lets go of what it holds of them. In one
/// step, a shard that was done could be given vectors for a collection that another owner had not yet withdrawn.
pub(crate) struct Flushing {
    before: Generation,
    /// Of which database, if not of all.
    database: Option<Database>,
    stage: FlushStage,
    missing: usize,
}

enum FlushStage {
    Withdrawing,
    Releasing,
}

impl Flushing {
    /// Everything that is there now; what is made from now on stays.
    pub(crate) fn start(database: Option<Database>, context: &Context<'_>) -> Next {
        let before = context.setup.catalog.next_generation();
        let flushing = Flushing {
            before,
            database,
            stage: FlushStage::Withdrawing,
            missing: context.placement().shard_count(),
        };
        flushing.ask_all(context, || RequestBody::WithdrawBefore(before, database))
    }

    pub(crate) fn absorb(mut self, context: &Context<'_>) -> Next {
        self.missing -= 1;
        match self.stage {
            _ if self.missing > 0 => Next::Wait(Gather::Flushing(self)),
            FlushStage::Releasing => Next::Reply(Reply::ok()),
            FlushStage::Withdrawing => {
                let (before, database) = (self.before, self.database);
                self.stage = FlushStage::Releasing;
                self.missing = context.placement().shard_count();
                self.ask_all(context, || RequestBody::ReleaseBefore(before, database))
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
    /// Its other names.
    aliases: Vec<Bytes>,
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
        let aliases = context.setup.catalog.aliases().now();
        let describing = Describing {
            aliases: aliases.of(&schema.name).map(as_said).collect(),
            schema,
            form,
            parts: Vec::new(),
            missing: requests.len(),
        };
        Next::Request(Gather::Describing(Box::new(describing)), requests)
    }

    pub(crate) fn absorb(mut self: Box<Self>, from: Target, part: Description) -> Next {
        let Target::Shard(shard) = from else {
            return Next::other_answer();
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
            (
                "collection",
                Reply::Bulk(Bytes::copy_from_slice(said_name(&self.schema.name))),
            ),
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
        if !self.schema.label.is_empty() {
            fields.push(("label", Reply::Bulk(self.schema.label.clone())));
        }
        if !self.aliases.is_empty() {
            let names = self.aliases.iter().cloned().map(Reply::Bulk);
            fields.push(("aliases", Reply::Array(names.collect())));
        }
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
