//! How partial answers become one reply.
//!
//! A command asks one shard or many, perhaps in stages: what its seat in the line holds meanwhile is a [`Gather`]. Each
//! part that comes in either is not the last one, or completes the reply, or leads to further asks.

mod clients;
mod collections;
mod executing;
mod finding;
mod leaving;
mod moving;
mod query;
mod recalling;
mod scanning;
mod several;
mod splitting;
mod topics;

use std::sync::mpsc::{Receiver, TryRecvError};

use bytes::Bytes;
use kora_resp::Reply;

pub(crate) use self::clients::{Informing, KillingClients, ListingClients};
pub(crate) use self::collections::{DescribeForm, Describing, Dropping, Flushing, Joining, set, vet};
pub(crate) use self::executing::{Entry, Executing};
pub(crate) use self::finding::{Fetching, Finding, query};
pub(crate) use self::leaving::Leaving;
pub(crate) use self::moving::{Moving, lands_in_leaving};
pub(crate) use self::query::Querying;
pub(crate) use self::recalling::{Found, Recalling};
pub(crate) use self::scanning::Scanning;
pub(crate) use self::several::{Choosing, Deleting, Placing, SettingIf};
pub(crate) use self::splitting::{Splitting, several};
pub(crate) use self::topics::AskingTopics;

use crate::command::VectorForm;
use crate::error::ClientError;
use crate::mail::{Ask, Part, Target};
use crate::router::Placement;
use crate::settings::SettingError;
use crate::setup::{Host, Setup};
use crate::shard::Reading;
use crate::transaction::Preparing;
use kora_keyspace::catalog::CatalogView;

/// What is being gathered in one seat.
pub(crate) enum Gather {
    /// The one part that comes is the reply.
    One(Shape),
    /// The sum of the parts.
    Sum { missing: usize, total: u64 },
    /// MSET: this reply, if no part says something else.
    AllDone { missing: usize, reply: Reply },
    /// This is the reply, unless the part refuses.
    Replying(Reply),
    /// EXEC, before its commands are sent: the engine goes on with it, since they may change its client's session.
    Preparing(Box<Preparing>),
    /// A command on several keys that is divided between the shards.
    Splitting(Box<Splitting>),
    /// MGET.
    Placing(Box<Placing>),
    /// MSETNX and its like over several shards.
    SettingIf(Box<SettingIf>),
    /// DEL of keys of which some are names of collections.
    Deleting(Box<Deleting>),
    /// RENAME, RENAMENX and COPY between shards.
    Moving(Box<Moving>),
    /// RANDOMKEY.
    Choosing(Choosing),
    /// EXEC.
    Executing(Box<Executing>),
    /// VECCREATE.
    Creating,
    /// The first VECSET of a collection.
    Joining(Box<Joining>),
    /// EXPIRE and PERSIST of a collection: what comes behind depends on it.
    Ageing,
    /// VECDROP.
    Dropping(Dropping),
    /// FLUSHALL.
    Flushing(Flushing),
    /// A collection that may go because it is empty.
    Leaving(Box<Leaving>),
    /// VECQUERY for the neighbours of a stored vector, which is asked for first.
    Fetching(Box<Fetching>),
    /// VECQUERY by the key of a vector, whose existence is asked for first.
    Finding(Box<Finding>),
    /// VECQUERY.
    Querying(Box<Querying>),
    /// VECRECALL.
    Recalling(Box<Recalling>),
    /// SCAN.
    Scanning(Box<Scanning>),
    /// VECINFO.
    Describing(Box<Describing>),
    /// CLIENT LIST.
    ListingClients(Box<ListingClients>),
    /// CLIENT KILL.
    KillingClients(Box<KillingClients>),
    /// INFO.
    Informing(Box<Informing>),
    /// CONFIG REWRITE: a thread of its own writes the file.
    Rewriting(Receiver<Result<(), SettingError>>),
    /// SUBSCRIBE and its like: what comes behind meets its client as a subscriber, or as none.
    Subscribing,
    /// PUBSUB.
    AskingTopics(Box<AskingTopics>),
    /// SAVE: how many snapshots had ended when it began.
    Saving(u64),
}

/// How a single part is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    Ok,
    Vector(VectorForm),
    Names,
    /// The part is the reply.
    Whole,
}

/// What a command lets happen behind it while it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    /// Everything: whatever comes behind it meets it on its shard in order.
    Open,
    /// Nothing that writes: it may be asked again, and must not see what was sent after it.
    ReadOnly,
    /// Nothing: what comes behind it depends on what is decided.
    Closed,
}

/// What follows from a part.
pub(crate) enum Next {
    /// More parts are to come.
    Wait(Gather),
    /// It took long and is not done: it goes on when others have had their turn.
    Again(Gather),
    /// These must be asked.
    Ask(Gather, Vec<(Target, Ask)>),
    /// That was all.
    Reply(Reply),
}

/// What a gather may look at.
pub(crate) struct Around<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) host: &'a dyn Host,
    /// When the command was taken from its connection, in milliseconds of Unix time.
    pub(crate) at_ms: u64,
    /// Collections that their owners have lent.
    pub(crate) reading: Reading<'a>,
    pub(crate) reads: Reads,
}

/// Whether a query may be answered from what the owners of its collection have lent: all that its client asked before must be
/// answered then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reads {
    Now,
    /// When others have had their turn: that is all its client waits for, or too much was done outside of turns.
    Later,
    Never,
}

impl Around<'_> {
    pub(crate) fn placement(&self) -> Placement {
        self.setup.placement
    }

    /// The collections that are there for the command.
    pub(crate) fn catalog(&self) -> CatalogView<'_> {
        self.setup.catalog.at(self.at_ms)
    }
}

impl Next {
    /// What follows in the end, however long it takes.
    fn settled(mut self, around: &Around<'_>) -> Next {
        while let Next::Again(gather) = self {
            self = gather.go_on(around);
        }
        self
    }

    /// This reply, unless the key of that name holds a string or a hash.
    pub(crate) fn reply_unless_wrong_type(reply: Reply, name: &[u8], around: &Around<'_>) -> Next {
        let owner = Target::Shard(around.placement().shard_of(name));
        let vet = Ask::Vet(Bytes::copy_from_slice(name));
        Next::Ask(Gather::Replying(reply), vec![(owner, vet)])
    }

    pub(crate) fn error(error: &ClientError) -> Next {
        Next::Reply(Reply::Error(error.to_string()))
    }
}

impl Gather {
    pub(crate) fn gate(&self) -> Gate {
        match self {
            Gather::One(_)
            | Gather::Sum { .. }
            | Gather::AllDone { .. }
            | Gather::Replying(_)
            | Gather::Placing(_)
            | Gather::Choosing(_)
            | Gather::Describing(_)
            | Gather::ListingClients(_)
            | Gather::Rewriting(_)
            | Gather::AskingTopics(_)
            | Gather::Saving(_)
            | Gather::Informing(_) => Gate::Open,
            Gather::Subscribing => Gate::Closed,
            Gather::Creating | Gather::Joining(_) | Gather::Dropping(_) | Gather::Flushing(_) => Gate::Closed,
            Gather::Ageing => Gate::Closed,
            // Nothing was asked yet, and what comes behind it must not be asked before.
            Gather::Splitting(_) => Gate::Closed,
            Gather::SettingIf(_) | Gather::Deleting(_) | Gather::Moving(_) => Gate::Closed,
            Gather::Preparing(_) | Gather::Executing(_) | Gather::Leaving(_) => Gate::Closed,
            Gather::Fetching(_) | Gather::Finding(_) => Gate::Closed,
            // Whoever kills itself is not heard any more, on however many workers it is looked for.
            Gather::KillingClients(_) => Gate::Closed,
            Gather::Querying(querying) => querying.gate(),
            Gather::Recalling(recalling) => recalling.gate(),
            Gather::Scanning(_) => Gate::ReadOnly,
        }
    }

    /// True of a query that nobody was asked yet: it will be answered in place, if it can be.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self, Gather::Querying(querying) if querying.is_unread())
    }

    /// True if every part is done by the shard that is asked first: several such commands may be asked together.
    pub(crate) fn is_one_step(&self) -> bool {
        matches!(
            self,
            Gather::One(_) | Gather::Sum { .. } | Gather::AllDone { .. } | Gather::Placing(_) | Gather::Replying(_)
        )
    }

    /// True if it awaits no more than some keys' shards, which takes microseconds: a command on many keys is divided first.
    pub(crate) fn is_brief(&self) -> bool {
        matches!(
            self,
            Gather::One(Shape::Whole) | Gather::Sum { .. } | Gather::AllDone { .. } | Gather::Placing(_)
        )
    }

    /// Goes on with what took long.
    pub(crate) fn go_on(self, around: &Around<'_>) -> Next {
        match self {
            Gather::Splitting(splitting) => splitting.go_on(around),
            Gather::Querying(querying) => querying.go_on(around),
            Gather::Executing(executing) => executing.go_on(around),
            Gather::Rewriting(outcome) => look_for(outcome),
            Gather::Saving(ended) => look_for_snapshot(ended, around),
            _ => unreachable!("all others are done with a part in one step"),
        }
    }

    /// Takes one part in.
    pub(crate) fn absorb(self, from: Target, part: Part, around: &Around<'_>) -> Next {
        match (self, part) {
            (Gather::One(_), Part::Refused(error)) => Next::error(&error),
            (Gather::Ageing | Gather::Subscribing, part) => Next::Reply(Shape::Whole.show(part)),
            (Gather::One(shape), part) => Next::Reply(shape.show(part)),
            (Gather::Replying(_) | Gather::Fetching(_) | Gather::Finding(_), Part::Refused(error)) => {
                Next::error(&error)
            }
            (Gather::Replying(reply), _) => Next::Reply(reply),
            (Gather::Sum { missing, total }, Part::Deleted(count, withdrawn)) => {
                debug_assert!(withdrawn.is_empty(), "nobody asked for it");
                Gather::Sum { missing, total }.absorb(from, Part::Count(count), around)
            }
            (Gather::AllDone { missing, reply }, part) => {
                let reply = match part {
                    Part::Reply(refusal) => refusal,
                    _ => reply,
                };
                match missing - 1 {
                    0 => Next::Reply(reply),
                    missing => Next::Wait(Gather::AllDone { missing, reply }),
                }
            }
            (Gather::Placing(placing), Part::Bulks(bulks)) => placing.absorb(from, Ok(bulks), around),
            (Gather::Placing(placing), Part::Refused(error)) => placing.absorb(from, Err(error), around),
            (Gather::SettingIf(setting), part) => setting.absorb(part),
            (Gather::Deleting(deleting), part) => deleting.absorb(part, around),
            (Gather::Moving(moving), part) => moving.absorb(part, around),
            (Gather::Choosing(choosing), Part::Chosen { key, among, draw }) => choosing.absorb(key, among, draw),
            (Gather::Executing(executing), part) => executing.absorb(from, part, around),
            // The other parts are done all the same.
            (Gather::Sum { missing, .. }, Part::Refused(error)) => match missing - 1 {
                0 => Next::error(&error),
                missing => {
                    let reply = Reply::Error(error.to_string());
                    Next::Wait(Gather::AllDone { missing, reply })
                }
            },
            (Gather::Sum { missing, total }, Part::Count(count)) => match missing - 1 {
                0 => Next::Reply(Reply::Integer(integer(total + count))),
                missing => Next::Wait(Gather::Sum {
                    missing,
                    total: total + count,
                }),
            },
            (Gather::Creating, Part::Decided(decision)) => match decision {
                Ok(_) => Next::Reply(Reply::ok()),
                Err(error) => Next::error(&error),
            },
            (Gather::Joining(joining), part) => joining.absorb(part, around),
            (Gather::Dropping(dropping), part) => dropping.absorb(part, around),
            (Gather::Flushing(flushing), Part::Done) => flushing.absorb(around),
            (Gather::Leaving(leaving), part) => leaving.absorb(part, around),
            (Gather::Fetching(fetching), Part::Vector(vector)) => fetching.fetched(vector, around),
            (Gather::Finding(finding), Part::Holds(there)) => finding.found(there, around),
            (Gather::Querying(querying), Part::Hits(hits)) => querying.absorb(from, hits, around),
            (Gather::Recalling(recalling), Part::Vector(sample)) => recalling.sampled(sample, around),
            (Gather::Scanning(scanning), Part::Scanned(part)) => scanning.absorb(*part, around),
            (Gather::Describing(describing), Part::Description(part)) => describing.absorb(from, part),
            (Gather::ListingClients(listing), Part::Clients(page)) => listing.absorb(from, page),
            (Gather::KillingClients(killing), Part::Killed { count, has_marked }) => {
                killing.absorb(count, has_marked, around)
            }
            (Gather::Informing(informing), Part::Stats(stats)) => informing.absorb(*stats, around),
            (Gather::AskingTopics(asking), Part::Topics(page)) => asking.absorb(from, page, around),
            _ => unreachable!("each ask has one kind of answer, and each gather asks its own kind"),
        }
    }
}

impl Shape {
    fn show(self, part: Part) -> Reply {
        match (self, part) {
            (_, Part::Reply(reply)) => reply,
            (Shape::Ok, Part::Done) => Reply::ok(),
            (Shape::Whole, Part::Count(count)) => Reply::Integer(integer(count)),
            (Shape::Whole, Part::Bulks(bulks)) => Reply::Bulks(Box::new(bulks)),
            (Shape::Vector(_), Part::Vector(None)) => Reply::Null,
            (Shape::Vector(VectorForm::Numbers), Part::Vector(Some(vector))) => Reply::Floats(vector.into_vec()),
            (Shape::Vector(VectorForm::Fp32), Part::Vector(Some(vector))) => {
                let bytes: Vec<u8> = vector.iter().flat_map(|component| component.to_le_bytes()).collect();
                Reply::Bulk(bytes.into())
            }
            (Shape::Names, Part::Names(names)) => Reply::Array(names.into_iter().map(Reply::Bulk).collect()),
            _ => unreachable!("each ask has one kind of answer"),
        }
    }
}

/// Answers when another snapshot has ended. Until then it is looked at in each round.
fn look_for_snapshot(ended: u64, around: &Around<'_>) -> Next {
    let told = &around.setup.durability.told;
    match (told.saves_ended.get() > ended, told.save_failed.get()) {
        (false, _) => Next::Again(Gather::Saving(ended)),
        (true, 0) => Next::Reply(Reply::ok()),
        (true, _) => Next::error(&ClientError::SaveFailed),
    }
}

/// Answers when the settings' file is written. Until then it is looked at in each round, for the milliseconds that takes.
fn look_for(outcome: Receiver<Result<(), SettingError>>) -> Next {
    match outcome.try_recv() {
        Err(TryRecvError::Empty) => Next::Again(Gather::Rewriting(outcome)),
        Err(TryRecvError::Disconnected) => {
            let reason = "the thread that writes it has ended".to_owned();
            Next::error(&ClientError::Setting(SettingError::Unwritable { reason }))
        }
        Ok(Ok(())) => Next::Reply(Reply::ok()),
        Ok(Err(error)) => Next::error(&ClientError::Setting(error)),
    }
}

/// A count as RESP's signed integer.
pub(crate) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
