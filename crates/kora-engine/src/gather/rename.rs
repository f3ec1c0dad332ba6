//! RENAME, RENAMENX and COPY. Between two keys of one shard they are one step; between shards the value is taken from one
//! and put to the other.

use bytes::Bytes;
use kora_resp::{Reply, Words};

use super::{Context, Gather, Next, Shape};
use crate::command::{Transfer, TransferKind};
use crate::error::ClientError;
use crate::mail::{IfThere, MultiKeyRequest, PartialReply, Proposal, PutValue, RequestBody, TakeValue, Target};
use crate::moved::{MovedData, MovedVector};
use crate::plan::names_collection;
use kora_keyspace::catalog::CatalogView;
use kora_keyspace::element_of;

/// A value under way between two shards.
pub(crate) struct RenameOrCopy {
    transfer: Transfer,
    stage: RenameStage,
}

enum RenameStage {
    /// The destination collection is closed: its owner is asked to keep it.
    Keeping,
    /// If it must not replace anything: does the source exist?
    Seeking,
    /// And is the destination free?
    Looking,
    Taking,
    Putting,
    /// The destination was set meanwhile: the value returns to its source. For a vector this may be a collection that was
    /// withdrawn with its last vector, and is made again.
    Remaking(Box<MovedVector>),
    Returning,
}

/// True if the destination is in a collection that is closed.
pub(crate) fn moves_into_closing(transfer: &Transfer, catalog: CatalogView<'_>) -> bool {
    let collection = element_of(&transfer.to).map(|(collection, _)| collection);
    collection.is_some_and(|collection| catalog.holds(collection) && !catalog.takes_vectors(collection))
}

impl RenameOrCopy {
    pub(crate) fn start(transfer: Transfer, context: &Context<'_>) -> Next {
        let placement = context.placement();
        if let Some((collection, _)) = element_of(&transfer.to)
            && moves_into_closing(&transfer, context.catalog())
        {
            let body = RequestBody::Keep(Bytes::copy_from_slice(collection));
            let owner = Target::Shard(placement.shard_of(collection));
            let stage = RenameStage::Keeping;
            return Next::Request(
                Gather::RenameOrCopy(Box::new(RenameOrCopy { transfer, stage })),
                vec![(owner, body)],
            );
        }
        RenameOrCopy::begin(transfer, context)
    }

    fn begin(transfer: Transfer, context: &Context<'_>) -> Next {
        let placement = context.placement();
        let (from, to) = (placement.shard_of(&transfer.from), placement.shard_of(&transfer.to));
        if from == to {
            let gather = match names_collection(&transfer, context.catalog()) {
                true => Gather::RenameOnShard,
                false => Gather::One(Shape::Whole),
            };
            let body = RequestBody::Transfer(Box::new(transfer));
            return Next::Request(gather, vec![(Target::Shard(from), body)]);
        }
        let rename = Box::new(RenameOrCopy {
            stage: RenameStage::Taking,
            transfer,
        });
        match rename.transfer.kind.replaces() {
            false => rename.count(RenameStage::Seeking, context),
            true => rename.take_value(context),
        }
    }

    pub(crate) fn absorb(mut self: Box<Self>, part: PartialReply, context: &Context<'_>) -> Next {
        let kind = self.transfer.kind;
        let stage = std::mem::replace(&mut self.stage, RenameStage::Taking);
        match (stage, part) {
            (_, PartialReply::Reply(refusal)) => Next::Reply(refusal),
            (RenameStage::Keeping, _) => RenameOrCopy::begin(self.transfer, context),
            (RenameStage::Seeking, PartialReply::Count(0)) if kind.may_miss() => Next::Reply(Reply::Integer(0)),
            (RenameStage::Seeking, PartialReply::Count(0)) => Next::error(&ClientError::NoSuchKey),
            (RenameStage::Seeking, _) => self.count(RenameStage::Looking, context),
            (RenameStage::Looking, PartialReply::Count(0)) => self.take_value(context),
            (RenameStage::Looking, _) => Next::Reply(Reply::Integer(0)),
            (RenameStage::Taking, PartialReply::Moved(None)) if kind.may_miss() => Next::Reply(Reply::Integer(0)),
            (RenameStage::Taking, PartialReply::Moved(None)) => Next::error(&ClientError::NoSuchKey),
            (RenameStage::Taking, PartialReply::Moved(Some(moved))) => {
                let to = self.transfer.to.clone();
                self.put_value(RenameStage::Putting, to, moved, kind.replaces(), context)
            }
            (RenameStage::Putting, PartialReply::Moved(None)) if kind == TransferKind::Rename => {
                Next::Reply(Reply::ok())
            }
            (RenameStage::Putting, PartialReply::Moved(None)) => Next::Reply(Reply::Integer(1)),
            (RenameStage::Putting, PartialReply::Moved(Some(_))) if kind.is_copy() => self.refuse(),
            (RenameStage::Putting, PartialReply::Moved(Some(MovedData::Vector(vector)))) => {
                self.remake(vector, context)
            }
            (RenameStage::Putting, PartialReply::Moved(Some(moved))) => self.turn_back(moved, context),
            (RenameStage::Remaking(vector), PartialReply::Decided(Ok(schema)))
                if schema.dimension == vector.vector.len() =>
            {
                let to = schema;
                self.turn_back(MovedData::Vector(Box::new(MovedVector { to, ..*vector })), context)
            }
            // Another client has made another collection of that name.
            (RenameStage::Remaking(_), PartialReply::Decided(_)) => self.refuse(),
            (RenameStage::Returning, PartialReply::Moved(_)) => self.refuse(),
            _ => Next::other_answer(),
        }
    }

    /// The destination is taken: by a value that is not replaced, or by a collection.
    fn refuse(&self) -> Next {
        match self.transfer.kind.replaces() {
            true => Next::error(&ClientError::NameOfCollection {
                name: self.transfer.to.to_vec(),
            }),
            false => Next::Reply(Reply::Integer(0)),
        }
    }

    /// Makes the source collection again, if it was withdrawn.
    fn remake(mut self: Box<Self>, vector: Box<MovedVector>, context: &Context<'_>) -> Next {
        let proposal = Proposal {
            name: vector.from.name.clone(),
            dimension: vector.from.dimension,
            graph: vector.from.graph,
            made_by: vector.from.made_by,
            label: vector.from.label.clone(),
            if_there: IfThere::Take,
        };
        self.stage = RenameStage::Remaking(vector);
        let owner = Target::Shard(context.placement().shard_of(&proposal.name));
        Next::Request(
            Gather::RenameOrCopy(self),
            vec![(owner, RequestBody::Create(Box::new(proposal)))],
        )
    }

    /// If another client has set the source meanwhile, its value stays.
    fn turn_back(self: Box<Self>, moved: MovedData, context: &Context<'_>) -> Next {
        let from = self.transfer.from.clone();
        self.put_value(RenameStage::Returning, from, moved, false, context)
    }

    fn count(mut self: Box<Self>, stage: RenameStage, context: &Context<'_>) -> Next {
        let key = match stage {
            RenameStage::Seeking => &self.transfer.from,
            _ => &self.transfer.to,
        };
        self.stage = stage;
        let shard = Target::Shard(context.placement().shard_of(key));
        // As MSETNX looks: this is no read, and no client is told of a miss.
        let body = RequestBody::MultiKey(MultiKeyRequest::CountPairs(Words::pair(key, b"")));
        Next::Request(Gather::RenameOrCopy(self), vec![(shard, body)])
    }

    fn take_value(mut self: Box<Self>, context: &Context<'_>) -> Next {
        self.stage = RenameStage::Taking;
        let key = self.transfer.from.clone();
        let shard = Target::Shard(context.placement().shard_of(&key));
        let (to, keep) = (self.transfer.to.clone(), self.transfer.kind.is_copy());
        let body = RequestBody::TakeValue(Box::new(TakeValue { key, to, keep }));
        Next::Request(Gather::RenameOrCopy(self), vec![(shard, body)])
    }

    fn put_value(
        mut self: Box<Self>,
        stage: RenameStage,
        key: Bytes,
        moved: MovedData,
        replaces: bool,
        context: &Context<'_>,
    ) -> Next {
        let is_return = matches!(stage, RenameStage::Returning);
        self.stage = stage;
        let shard = Target::Shard(context.placement().shard_of(&key));
        let put = PutValue {
            key,
            moved,
            replaces,
            is_return,
        };
        Next::Request(
            Gather::RenameOrCopy(self),
            vec![(shard, RequestBody::PutValue(Box::new(put)))],
        )
    }
}
