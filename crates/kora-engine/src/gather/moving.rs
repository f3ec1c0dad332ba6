//! RENAME, RENAMENX and COPY. Between two keys of one shard they are one step; between shards the value is lifted from one
//! and lands on the other.

use bytes::Bytes;
use kora_resp::{Reply, Words};

use super::{Around, Gather, Next, Shape};
use crate::command::{Transfer, TransferKind};
use crate::error::ClientError;
use crate::mail::{Ask, IfThere, Landing, Lift, Part, Proposal, SeveralAsk, Target};
use crate::shard::{Cargo, CarriedVector};
use kora_keyspace::catalog::CatalogView;
use kora_keyspace::element_of;

/// A value under way between two shards.
pub(crate) struct Moving {
    transfer: Transfer,
    stage: Stage,
}

enum Stage {
    /// The collection that a vector goes to may go itself: its owner hears that it stays.
    Keeping,
    /// If it must not replace anything: is there something to move?
    Seeking,
    /// And is its place free?
    Looking,
    Lifting,
    Landing,
    /// Its place was taken meanwhile: it goes back to where it was. For a vector that is a collection which may have gone
    /// with its last one.
    Remaking(Box<CarriedVector>),
    Returning,
}

/// True if a vector that moves would come into a collection that may go.
pub(crate) fn lands_in_leaving(transfer: &Transfer, catalog: CatalogView<'_>) -> bool {
    let collection = element_of(&transfer.to).map(|(collection, _)| collection);
    collection.is_some_and(|collection| catalog.holds(collection) && !catalog.takes_vectors(collection))
}

impl Moving {
    pub(crate) fn start(transfer: Transfer, around: &Around<'_>) -> Next {
        let placement = around.placement();
        if let Some((collection, _)) = element_of(&transfer.to)
            && lands_in_leaving(&transfer, around.catalog())
        {
            let ask = Ask::Keep(Bytes::copy_from_slice(collection));
            let owner = Target::Shard(placement.shard_of(collection));
            let stage = Stage::Keeping;
            return Next::Ask(Gather::Moving(Box::new(Moving { transfer, stage })), vec![(owner, ask)]);
        }
        Moving::begin(transfer, around)
    }

    fn begin(transfer: Transfer, around: &Around<'_>) -> Next {
        let placement = around.placement();
        let (from, to) = (placement.shard_of(&transfer.from), placement.shard_of(&transfer.to));
        if from == to {
            let ask = Ask::Transfer(Box::new(transfer));
            return Next::Ask(Gather::One(Shape::Whole), vec![(Target::Shard(from), ask)]);
        }
        let moving = Box::new(Moving {
            stage: Stage::Lifting,
            transfer,
        });
        match moving.transfer.kind.replaces() {
            false => moving.count(Stage::Seeking, around),
            true => moving.lift(around),
        }
    }

    pub(crate) fn absorb(mut self: Box<Self>, part: Part, around: &Around<'_>) -> Next {
        let kind = self.transfer.kind;
        let stage = std::mem::replace(&mut self.stage, Stage::Lifting);
        match (stage, part) {
            (_, Part::Reply(refusal)) => Next::Reply(refusal),
            (Stage::Keeping, _) => Moving::begin(self.transfer, around),
            (Stage::Seeking, Part::Count(0)) if kind.is_copy() => Next::Reply(Reply::Integer(0)),
            (Stage::Seeking, Part::Count(0)) => Next::error(&ClientError::NoSuchKey),
            (Stage::Seeking, _) => self.count(Stage::Looking, around),
            (Stage::Looking, Part::Count(0)) => self.lift(around),
            (Stage::Looking, _) => Next::Reply(Reply::Integer(0)),
            (Stage::Lifting, Part::Carried(None)) if kind.is_copy() => Next::Reply(Reply::Integer(0)),
            (Stage::Lifting, Part::Carried(None)) => Next::error(&ClientError::NoSuchKey),
            (Stage::Lifting, Part::Carried(Some(cargo))) => {
                let to = self.transfer.to.clone();
                self.land(Stage::Landing, to, cargo, kind.replaces(), around)
            }
            (Stage::Landing, Part::Carried(None)) if kind == TransferKind::Rename => Next::Reply(Reply::ok()),
            (Stage::Landing, Part::Carried(None)) => Next::Reply(Reply::Integer(1)),
            (Stage::Landing, Part::Carried(Some(_))) if kind.is_copy() => self.refuse(),
            (Stage::Landing, Part::Carried(Some(Cargo::Vector(carried)))) => self.remake(carried, around),
            (Stage::Landing, Part::Carried(Some(cargo))) => self.turn_back(cargo, around),
            (Stage::Remaking(carried), Part::Decided(Ok(schema))) if schema.dimension == carried.vector.len() => {
                let to = schema;
                self.turn_back(Cargo::Vector(Box::new(CarriedVector { to, ..*carried })), around)
            }
            // Somebody has made another of that name, behind what did not happen.
            (Stage::Remaking(_), Part::Decided(_)) => self.refuse(),
            (Stage::Returning, Part::Carried(_)) => self.refuse(),
            _ => unreachable!("each ask has one kind of answer"),
        }
    }

    /// Its place is taken: by something that is not replaced, or by a collection.
    fn refuse(&self) -> Next {
        match self.transfer.kind.replaces() {
            true => Next::error(&ClientError::NameOfCollection {
                name: self.transfer.to.to_vec(),
            }),
            false => Next::Reply(Reply::Integer(0)),
        }
    }

    /// The collection that a vector came from is made again, if it has gone.
    fn remake(mut self: Box<Self>, carried: Box<CarriedVector>, around: &Around<'_>) -> Next {
        let proposal = Proposal {
            name: carried.from.name.clone(),
            dimension: carried.from.dimension,
            graph: carried.from.graph,
            made_by: carried.from.made_by,
            if_there: IfThere::Take,
        };
        self.stage = Stage::Remaking(carried);
        let owner = Target::Shard(around.placement().shard_of(&proposal.name));
        Next::Ask(Gather::Moving(self), vec![(owner, Ask::Create(Box::new(proposal)))])
    }

    /// If somebody has set the source meanwhile, that came behind what did not happen, and replaced it.
    fn turn_back(self: Box<Self>, cargo: Cargo, around: &Around<'_>) -> Next {
        let from = self.transfer.from.clone();
        self.land(Stage::Returning, from, cargo, false, around)
    }

    fn count(mut self: Box<Self>, stage: Stage, around: &Around<'_>) -> Next {
        let key = match stage {
            Stage::Seeking => &self.transfer.from,
            _ => &self.transfer.to,
        };
        self.stage = stage;
        let shard = Target::Shard(around.placement().shard_of(key));
        let ask = Ask::Several(SeveralAsk::Count(Words::one(key)));
        Next::Ask(Gather::Moving(self), vec![(shard, ask)])
    }

    fn lift(mut self: Box<Self>, around: &Around<'_>) -> Next {
        self.stage = Stage::Lifting;
        let key = self.transfer.from.clone();
        let shard = Target::Shard(around.placement().shard_of(&key));
        let (to, keep) = (self.transfer.to.clone(), self.transfer.kind.is_copy());
        let ask = Ask::Lift(Box::new(Lift { key, to, keep }));
        Next::Ask(Gather::Moving(self), vec![(shard, ask)])
    }

    fn land(mut self: Box<Self>, stage: Stage, key: Bytes, cargo: Cargo, replaces: bool, around: &Around<'_>) -> Next {
        let is_return = matches!(stage, Stage::Returning);
        self.stage = stage;
        let shard = Target::Shard(around.placement().shard_of(&key));
        let landing = Landing {
            key,
            cargo,
            replaces,
            is_return,
        };
        Next::Ask(Gather::Moving(self), vec![(shard, Ask::Land(Box::new(landing)))])
    }
}
