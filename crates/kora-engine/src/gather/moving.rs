//! RENAME, RENAMENX and COPY. Between two keys of one shard they are one step; between shards the value is lifted from one
//! and lands on the other.

use bytes::Bytes;
use kora_resp::Reply;

use super::{Around, Gather, Next, Shape};
use crate::command::{Transfer, TransferKind};
use crate::error::ClientError;
use crate::mail::{Ask, Landing, Lift, Part, SeveralAsk, Target};
use crate::shard::Carried;

/// A value under way between two shards.
pub(crate) struct Moving {
    transfer: Transfer,
    stage: Stage,
}

enum Stage {
    /// If it must not replace anything: is there something to move?
    Seeking,
    /// And is its place free?
    Looking,
    Lifting,
    Landing,
    /// Its place was taken meanwhile: it goes back to where it was.
    Returning,
}

impl Moving {
    pub(crate) fn start(transfer: Transfer, around: &Around<'_>) -> Next {
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

    pub(crate) fn absorb(self: Box<Self>, part: Part, around: &Around<'_>) -> Next {
        let kind = self.transfer.kind;
        match (&self.stage, part) {
            (_, Part::Reply(refusal)) => Next::Reply(refusal),
            (Stage::Seeking, Part::Count(0)) if kind.is_copy() => Next::Reply(Reply::Integer(0)),
            (Stage::Seeking, Part::Count(0)) => Next::error(&ClientError::NoSuchKey),
            (Stage::Seeking, _) => self.count(Stage::Looking, around),
            (Stage::Looking, Part::Count(0)) => self.lift(around),
            (Stage::Looking, _) => Next::Reply(Reply::Integer(0)),
            (Stage::Lifting, Part::Carried(None)) if kind.is_copy() => Next::Reply(Reply::Integer(0)),
            (Stage::Lifting, Part::Carried(None)) => Next::error(&ClientError::NoSuchKey),
            (Stage::Lifting, Part::Carried(Some(carried))) => {
                let to = self.transfer.to.clone();
                self.land(Stage::Landing, to, carried, kind.replaces(), around)
            }
            (Stage::Landing, Part::Carried(None)) if kind == TransferKind::Rename => Next::Reply(Reply::ok()),
            (Stage::Landing, Part::Carried(None)) => Next::Reply(Reply::Integer(1)),
            (Stage::Landing, Part::Carried(Some(_))) if kind.is_copy() => self.refuse(),
            (Stage::Landing, Part::Carried(Some(carried))) => {
                let from = self.transfer.from.clone();
                // If somebody has set the source meanwhile, that came behind what did not happen, and replaced it.
                self.land(Stage::Returning, from, carried, false, around)
            }
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

    fn count(mut self: Box<Self>, stage: Stage, around: &Around<'_>) -> Next {
        let key = match stage {
            Stage::Seeking => self.transfer.from.clone(),
            _ => self.transfer.to.clone(),
        };
        self.stage = stage;
        let shard = Target::Shard(around.placement().shard_of(&key));
        let ask = Ask::Several(Box::new(SeveralAsk::Count(vec![key])));
        Next::Ask(Gather::Moving(self), vec![(shard, ask)])
    }

    fn lift(mut self: Box<Self>, around: &Around<'_>) -> Next {
        self.stage = Stage::Lifting;
        let key = self.transfer.from.clone();
        let shard = Target::Shard(around.placement().shard_of(&key));
        let keep = self.transfer.kind.is_copy();
        let ask = Ask::Lift(Box::new(Lift { key, keep }));
        Next::Ask(Gather::Moving(self), vec![(shard, ask)])
    }

    fn land(
        mut self: Box<Self>,
        stage: Stage,
        key: Bytes,
        carried: Carried,
        replaces: bool,
        around: &Around<'_>,
    ) -> Next {
        self.stage = stage;
        let shard = Target::Shard(around.placement().shard_of(&key));
        let landing = Landing { key, carried, replaces };
        Next::Ask(Gather::Moving(self), vec![(shard, Ask::Land(Box::new(landing)))])
    }
}
