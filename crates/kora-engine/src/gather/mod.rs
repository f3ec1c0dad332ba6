//! How partial answers become one reply.
//!
//! A command asks one shard or many, perhaps in stages: what its slot in the reply queue holds meanwhile is a [`Gather`]. Each
//! part that comes in either is not the last one, or completes the reply, or leads to further asks.

mod clients;
mod collect_empty;
mod collections;
mod executing;
mod explain;
mod finding;
mod merging;
mod multi_key;
mod query;
mod query_reply;
mod question;
mod recalling;
mod rename;
mod scanning;
mod slow;
mod splitting;
mod switching;
mod topics;

use std::sync::mpsc::{Receiver, TryRecvError};

use bytes::Bytes;
use kora_resp::Reply;
use kora_values::Database;
use kora_vector::Work;

pub(crate) use self::clients::{Informing, KillingClients, ListingClients, Report};
pub(crate) use self::collect_empty::CollectEmpty;
pub(crate) use self::collections::{
    DescribeForm, Describing, Dropping, Flushing, ImplicitCreate, set_vector, set_vectors,
};
pub(crate) use self::executing::{Executing, Preparing, QueuedCommand};
pub(crate) use self::finding::{Fetching, Finding, query, query_many};
pub(crate) use self::multi_key::{Deleting, MultiGet, RandomKey, SettingIf};
pub(crate) use self::query::{MultiQuerying, Querying};
pub(crate) use self::recalling::Recalling;
pub(crate) use self::rename::{RenameOrCopy, moves_into_closing};
pub(crate) use self::scanning::Scanning;
pub(crate) use self::slow::{Asked, AskingSlow, histogram};
pub(crate) use self::splitting::{Splitting, multi_key};
pub(crate) use self::switching::{Switched, Switching};
pub(crate) use self::topics::AskingTopics;

use crate::access::{self, UsersFile};
use crate::aliases;
use crate::command::{Element, VectorForm};
use crate::counts::integer;
use crate::error::ClientError;
use crate::mail::{PartialReply, RequestBody, Target};
use crate::router::{Placement, ShardId};
use crate::settings::SettingError;
use crate::setup::{Host, Setup};
use crate::shard::SharedReads;
use crate::transaction::Watching;
use kora_keyspace::catalog::CatalogView;

/// What is being gathered in one slot.
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
    /// WATCH, before its keys' shard is asked: the engine goes on with it, too.
    Watching(Box<Watching>),
    /// A command on several keys that is divided between the shards.
    Splitting(Box<Splitting>),
    /// MGET.
    MultiGet(Box<MultiGet>),
    /// MSETNX and its like over several shards.
    SettingIf(Box<SettingIf>),
    /// DEL of keys of which some are names of collections.
    Deleting(Box<Deleting>),
    /// RENAME, RENAMENX and COPY on one shard, of what may be a vector set: what comes behind depends on it.
    RenameOnShard,
    /// RENAME, RENAMENX and COPY between shards.
    RenameOrCopy(Box<RenameOrCopy>),
    /// RANDOMKEY.
    RandomKey(RandomKey),
    /// EXEC.
    Executing(Box<Executing>),
    /// VECCREATE.
    Creating,
    /// VECALIAS: what names mean behind it depends on it.
    ChangingAlias,
    /// VECLIST WITHALIASES.
    ListingWithAliases(Database),
    /// The first VECSET of a collection.
    ImplicitCreate(Box<ImplicitCreate>),
    /// EXPIRE and PERSIST of a collection: what comes behind depends on it.
    ExpireCollection,
    /// VECDROP.
    Dropping(Dropping),
    /// FLUSHALL.
    Flushing(Flushing),
    /// A collection that may go because it is empty.
    CollectEmpty(Box<CollectEmpty>),
    /// VECQUERY for the neighbours of a stored vector, which is asked for first.
    Fetching(Box<Fetching>),
    /// VECQUERY by the key of a vector, whose existence is asked for first.
    Finding(Box<Finding>),
    /// VECQUERY.
    Querying(Box<Querying>),
    /// VECMQUERY.
    MultiQuerying(Box<MultiQuerying>),
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
    /// ACL LOAD of this client: a thread of its own reads the file.
    LoadingUsers(Receiver<Result<UsersFile, String>>, u64),
    /// ACL SAVE: a thread of its own writes the file.
    SavingUsers(Receiver<Result<(), String>>),
    /// SUBSCRIBE and its like: what comes behind meets its client as a subscriber, or as none.
    Subscribing,
    /// SLOWLOG, LATENCY.
    AskingSlow(Box<AskingSlow>),
    /// CLIENT TRACKING.
    Switching(Box<Switching>),
    /// PUBSUB.
    AskingTopics(Box<AskingTopics>),
    /// SAVE: how many snapshots had ended when it began.
    Saving(u64),
    /// A script that declares no keys, and may have to go where those are that it calls for.
    Scripting,
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
    Request(Gather, Vec<(Target, RequestBody)>),
    /// That was all.
    Reply(Reply),
}

/// What a gather may look at.
pub(crate) struct Context<'a> {
    pub(crate) setup: &'a Setup,
    pub(crate) host: &'a dyn Host,
    /// When the command was taken from its connection, in milliseconds of Unix time.
    pub(crate) at_ms: u64,
    /// Leased collections, if they may be read.
    pub(crate) shared_reads: Option<SharedReads<'a>>,
    pub(crate) reads: ReadTiming,
}

/// Whether a query may be answered from leased collections: all that its client asked before must be
/// answered then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReadTiming {
    Now,
    /// When others have had their turn: that is all its client waits for, or too much was done outside of turns.
    Later,
    Never,
}

impl Context<'_> {
    pub(crate) fn placement(&self) -> Placement {
        self.setup.placement
    }

    /// The shard of a vector.
    pub(crate) fn home_of(&self, element: &Element) -> ShardId {
        self.placement()
            .shard_of_name(self.catalog(), &element.collection, &element.name)
    }

    /// The collections that are there for the command.
    pub(crate) fn catalog(&self) -> CatalogView<'_> {
        self.setup.catalog.at(self.at_ms)
    }
}

impl From<Asked> for Next {
    fn from((asking, requests): Asked) -> Next {
        Next::Request(Gather::AskingSlow(asking), requests)
    }
}

impl From<Switched> for Next {
    fn from(switched: Switched) -> Next {
        match switched {
            Switched::Asks(switching, requests) => Next::Request(Gather::Switching(switching), requests),
            Switched::Waits(switching) => Next::Wait(Gather::Switching(switching)),
            Switched::Replies(reply) => Next::Reply(reply),
        }
    }
}

impl Next {
    /// What follows in the end, however long it takes.
    fn settled(mut self, context: &Context<'_>) -> Next {
        while let Next::Again(gather) = self {
            self = gather.go_on(context);
        }
        self
    }

    /// This reply, unless the key of that name holds a string or a hash.
    pub(crate) fn reply_unless_wrong_type(reply: Reply, name: &[u8], context: &Context<'_>) -> Next {
        let owner = Target::Shard(context.placement().shard_of(name));
        let vet = RequestBody::Vet(Bytes::copy_from_slice(name));
        Next::Request(Gather::Replying(reply), vec![(owner, vet)])
    }

    /// A part is of another kind than what was asked for. The guards of two places have drifted apart: its client is told, and a
    /// test fails.
    pub(crate) fn other_answer() -> Next {
        Next::error(&ClientError::other_answer())
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
            | Gather::MultiGet(_)
            | Gather::RandomKey(_)
            | Gather::Describing(_)
            | Gather::ListingClients(_)
            | Gather::Rewriting(_)
            | Gather::SavingUsers(_)
            | Gather::AskingTopics(_)
            | Gather::ListingWithAliases(_)
            | Gather::AskingSlow(_)
            | Gather::Saving(_)
            | Gather::Informing(_) => Gate::Open,
            // What comes behind it may concern keys of the shard that it goes to.
            Gather::Scripting => Gate::Closed,
            Gather::Subscribing | Gather::Switching(_) | Gather::LoadingUsers(..) => Gate::Closed,
            Gather::Creating | Gather::ImplicitCreate(_) | Gather::Dropping(_) | Gather::Flushing(_) => Gate::Closed,
            Gather::ExpireCollection | Gather::ChangingAlias | Gather::RenameOnShard => Gate::Closed,
            // Nothing was asked yet, and what comes behind it must not be asked before.
            Gather::Splitting(_) => Gate::Closed,
            Gather::SettingIf(_) | Gather::Deleting(_) | Gather::RenameOrCopy(_) => Gate::Closed,
            Gather::Preparing(_) | Gather::Watching(_) | Gather::Executing(_) | Gather::CollectEmpty(_) => Gate::Closed,
            Gather::Fetching(_) | Gather::Finding(_) => Gate::Closed,
            // A client that kills itself is not served any more, on however many workers it is looked for.
            Gather::KillingClients(_) => Gate::Closed,
            Gather::Querying(querying) => querying.gate(),
            Gather::Recalling(recalling) => recalling.gate(),
            Gather::Scanning(_) | Gather::MultiQuerying(_) => Gate::ReadOnly,
        }
    }

    /// True for a query that has sent no request yet: it will be answered in place, if possible.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self, Gather::Querying(querying) if querying.is_unread())
    }

    /// True of what may end between two of its steps, when nothing is under way and its client has gone.
    pub(crate) fn only_reads(&self) -> bool {
        matches!(
            self,
            Gather::Querying(_)
                | Gather::MultiQuerying(_)
                | Gather::Recalling(_)
                | Gather::Scanning(_)
                | Gather::Splitting(_)
        )
    }

    /// True if every part is done by the shard that is asked first: several such commands may be asked together.
    pub(crate) fn is_one_step(&self) -> bool {
        matches!(
            self,
            Gather::One(_) | Gather::Sum { .. } | Gather::AllDone { .. } | Gather::MultiGet(_) | Gather::Replying(_)
        )
    }

    /// True if it awaits no more than some keys' shards, which takes microseconds: a command on many keys is divided first.
    pub(crate) fn is_brief(&self) -> bool {
        matches!(
            self,
            Gather::One(Shape::Whole) | Gather::Sum { .. } | Gather::AllDone { .. } | Gather::MultiGet(_)
        )
    }

    /// Goes on with what took long.
    pub(crate) fn go_on(self, context: &Context<'_>) -> Next {
        match self {
            Gather::Splitting(splitting) => splitting.go_on(context),
            Gather::Querying(querying) => querying.go_on(&mut Work::new(context.setup.slice_work), context),
            Gather::MultiQuerying(querying) => querying.go_on(context),
            Gather::Executing(executing) => executing.go_on(context),
            Gather::Rewriting(outcome) => prefetch(outcome),
            Gather::LoadingUsers(file, me) => access::load(file, me, context),
            Gather::SavingUsers(outcome) => access::save(outcome),
            Gather::Saving(ended) => look_for_snapshot(ended, context),
            // All others are done with a part in one step.
            _ => Next::other_answer(),
        }
    }

    /// Takes one part in.
    pub(crate) fn absorb(self, from: Target, part: PartialReply, context: &Context<'_>) -> Next {
        match (self, part) {
            (
                Gather::One(_) | Gather::ChangingAlias | Gather::ListingWithAliases(_) | Gather::RenameOnShard,
                PartialReply::Refused(error),
            ) => Next::error(&error),
            (Gather::Scripting, PartialReply::Elsewhere(shard, body)) => Next::Request(
                Gather::Scripting,
                vec![(Target::Shard(shard), RequestBody::Script(body))],
            ),
            (Gather::Scripting, part) => Next::Reply(Shape::Whole.show(part)),
            (Gather::ExpireCollection | Gather::Subscribing | Gather::ChangingAlias | Gather::RenameOnShard, part) => {
                Next::Reply(Shape::Whole.show(part))
            }
            (Gather::ListingWithAliases(database), PartialReply::Names(names)) => Next::Reply(aliases::listed_with(
                names,
                database,
                &context.setup.catalog.aliases().now(),
            )),
            (Gather::One(shape), part) => Next::Reply(shape.show(part)),
            (Gather::Replying(_) | Gather::Fetching(_) | Gather::Finding(_), PartialReply::Refused(error)) => {
                Next::error(&error)
            }
            (Gather::Replying(reply), _) => Next::Reply(reply),
            (Gather::Sum { missing, total }, PartialReply::Deleted(count, withdrawn)) => {
                debug_assert!(withdrawn.is_empty(), "nobody asked for it");
                Gather::Sum { missing, total }.absorb(from, PartialReply::Count(count), context)
            }
            (Gather::AllDone { missing, reply }, part) => {
                let reply = match part {
                    PartialReply::Reply(refusal) => refusal,
                    _ => reply,
                };
                match missing - 1 {
                    0 => Next::Reply(reply),
                    missing => Next::Wait(Gather::AllDone { missing, reply }),
                }
            }
            (Gather::MultiGet(multi_get), PartialReply::Bulks(bulks)) => multi_get.absorb(from, Ok(bulks), context),
            (Gather::MultiGet(multi_get), PartialReply::Refused(error)) => multi_get.absorb(from, Err(error), context),
            (Gather::SettingIf(setting), part) => setting.absorb(part),
            (Gather::Deleting(deleting), part) => deleting.absorb(part, context),
            (Gather::RenameOrCopy(rename), part) => rename.absorb(part, context),
            (Gather::RandomKey(random_key), PartialReply::Chosen(chosen)) => random_key.absorb(chosen),
            (Gather::Executing(executing), part) => executing.absorb(from, part, context),
            // The other parts are done all the same.
            (Gather::Sum { missing, .. }, PartialReply::Refused(error)) => match missing - 1 {
                0 => Next::error(&error),
                missing => {
                    let reply = Reply::Error(error.to_string());
                    Next::Wait(Gather::AllDone { missing, reply })
                }
            },
            (Gather::Sum { missing, total }, PartialReply::Count(count)) => match missing - 1 {
                0 => Next::Reply(Reply::Integer(integer(total + count))),
                missing => Next::Wait(Gather::Sum {
                    missing,
                    total: total + count,
                }),
            },
            (Gather::Creating, PartialReply::Decided(decision)) => match decision {
                Ok(_) => Next::Reply(Reply::ok()),
                Err(error) => Next::error(&error),
            },
            (Gather::ImplicitCreate(create), part) => create.absorb(part, context),
            (Gather::Dropping(dropping), part) => dropping.absorb(part, context),
            (Gather::Flushing(flushing), PartialReply::Done) => flushing.absorb(context),
            (Gather::CollectEmpty(collect_empty), part) => collect_empty.absorb(part, context),
            (Gather::Fetching(fetching), PartialReply::Vector(vector)) => fetching.fetched(vector, context),
            (Gather::Finding(finding), PartialReply::Holds(there)) => finding.found(there, context),
            (Gather::Querying(querying), PartialReply::Hits(hits)) => {
                querying.absorb(from, hits, &mut Work::new(context.setup.slice_work), context)
            }
            (Gather::MultiQuerying(querying), PartialReply::HitsMany(found)) => querying.absorb(from, found, context),
            (Gather::Recalling(recalling), PartialReply::Sample(sample)) => recalling.sampled(sample, context),
            (Gather::Scanning(scanning), PartialReply::Scanned(part)) => scanning.absorb(*part, context),
            (Gather::Describing(describing), PartialReply::Description(part)) => describing.absorb(from, part),
            (Gather::ListingClients(listing), PartialReply::Clients(page)) => listing.absorb(from, page),
            (Gather::KillingClients(killing), PartialReply::Killed { count, has_marked }) => {
                killing.absorb(count, has_marked, context)
            }
            (Gather::Informing(informing), PartialReply::Stats(stats)) => informing.absorb(*stats, context),
            (Gather::AskingSlow(asking), PartialReply::Slow(part)) => match asking.absorb(*part, context.setup) {
                Ok(reply) => Next::Reply(reply),
                Err(asking) => Next::Wait(Gather::AskingSlow(asking)),
            },
            (Gather::Switching(switching), part) => switching.absorb(part, context.setup).into(),
            (Gather::AskingTopics(asking), PartialReply::Topics(page)) => asking.absorb(from, page, context),
            _ => Next::other_answer(),
        }
    }
}

impl Shape {
    pub(crate) fn show(self, part: PartialReply) -> Reply {
        match (self, part) {
            (_, PartialReply::Reply(reply)) => reply,
            (Shape::Ok, PartialReply::Done) => Reply::ok(),
            (Shape::Whole, PartialReply::Count(count)) => Reply::Integer(integer(count)),
            (Shape::Whole, PartialReply::Bulks(bulks)) => Reply::Bulks(Box::new(bulks)),
            (Shape::Vector(_), PartialReply::Vector(None)) => Reply::Null,
            (Shape::Vector(VectorForm::Numbers), PartialReply::Vector(Some(vector))) => {
                Reply::Floats(vector.into_vec())
            }
            (Shape::Vector(VectorForm::Fp32), PartialReply::Vector(Some(vector))) => {
                let bytes: Vec<u8> = vector.iter().flat_map(|component| component.to_le_bytes()).collect();
                Reply::Bulk(bytes.into())
            }
            (Shape::Names, PartialReply::Names(names)) => Reply::Array(names.into_iter().map(Reply::Bulk).collect()),
            _ => Reply::Error(ClientError::other_answer().to_string()),
        }
    }
}

/// Answers when another snapshot has ended. Until then it is looked at in each round.
fn look_for_snapshot(ended: u64, context: &Context<'_>) -> Next {
    let told = &context.setup.durability.told;
    match (told.saves_ended.get() > ended, told.save_failed.get()) {
        (false, _) => Next::Again(Gather::Saving(ended)),
        (true, 0) => Next::Reply(Reply::ok()),
        (true, _) => Next::error(&ClientError::SaveFailed),
    }
}

/// Answers when the settings' file is written. Until then it is looked at in each round, for the milliseconds that takes.
fn prefetch(outcome: Receiver<Result<(), SettingError>>) -> Next {
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
