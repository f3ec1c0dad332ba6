//! What workers say to each other: an ask to a shard or a worker, and the part of an answer that comes back.

use std::sync::Arc;

use bytes::Bytes;
use kora_filter::AskedFilter;
use kora_keyspace::catalog::{Generation, GraphSettings, MadeBy, Schema};
use kora_keyspace::collections::{Collection, Description};
use kora_mesh::WorkerId;
use kora_resp::{Bulks, Reply, Words};
use kora_script::Run;
use kora_values::Database;
use kora_vector::{SearchParameters, Statistics};

use crate::command::scripting::ScriptRights;
use crate::command::{
    Action, AliasChange, AttributesAction, ClientFilter, Element, ElementList, FunctionChange, Lifetime, Message, Only,
    ScanFilter, ShortKey, TrackingOptions, Transfer,
};
use crate::cursor::ScanPlace;
use crate::error::ClientError;
use crate::moved::MovedData;
use crate::pubsub::{Subscribing, TopicPage, TopicsRequest};
use crate::router::{ShardId, share_of_part};
use crate::slow::{SlowPart, SlowQuestion};
use crate::stats::WorkerStats;
use crate::tracking::{NewsItem, PrefixList, Tracker};

/// The slot of a reply: which client, and which place in its reply queue.
///
/// A reply queue is given to another client only when all its slots are filled, so a reply id never outlives its client's reply
/// queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReplyId {
    pub(crate) reply_queue: u32,
    pub(crate) sequence: u32,
}

/// Which client asked: its worker and its reply queue there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Origin {
    pub(crate) worker: WorkerId,
    pub(crate) reply_queue: u32,
}

/// Who is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Shard(ShardId),
    Worker(WorkerId),
}

/// One ask on its way.
pub struct Request {
    pub(crate) reply_id: ReplyId,
    pub(crate) target: Target,
    /// When its command was taken from its connection, in milliseconds of Unix time: what has expired by then is not
    /// there for it, on whatever shards it is executed.
    pub(crate) at_ms: u64,
    pub(crate) body: RequestBody,
}

/// One answer on its way back.
pub struct Response {
    pub(crate) reply_id: ReplyId,
    pub(crate) from: Target,
    pub(crate) part: PartialReply,
}

/// What is asked of one shard, or of one worker.
pub(crate) enum RequestBody {
    /// Do this to a key; answers the whole reply.
    KeyOperation(Box<KeyOperation>),
    /// Do this, one after the other, for slots of one reply queue.
    Pipeline(Vec<(u32, Step)>),
    /// Do this to several keys.
    MultiKey(MultiKeyRequest),
    /// Move or copy a value between two keys of this shard; answers the whole reply.
    Transfer(Box<Transfer>),
    /// Hand over what a key holds, and forget it or keep it.
    TakeValue(Box<TakeValue>),
    /// Take what another shard's key held.
    PutValue(Box<PutValue>),
    /// Some key of a database, by chance.
    RandomKey(Database),
    /// Tell the client's next EXEC if one of these keys is changed.
    Watch(Words),
    /// Forget what the client watches.
    Unwatch,
    /// Run a script; answers the whole reply, or where else it is to run.
    Script(Box<ScriptRun>),
    /// To the shard that decides about libraries of functions: do this; answers the whole reply.
    ChangeFunctions(Box<FunctionChange>),
    /// A transaction's part on this shard, executed in one go.
    Batch(Box<Batch>),
    /// The client has gone: what it asked to read and has not begun need not be read.
    Leave,
    /// Set a vector in this generation of its collection.
    Set(Box<SetVector>),
    /// Set several of one collection, one after the other; answers the last refusal if there is one.
    SetMany(Vec<SetVector>),
    /// Delete vectors; answers their number, or [`PartialReply::Refused`] if one of the keys holds a string or a hash.
    Delete(ElementList),
    /// Answers [`PartialReply::Refused`] if this key holds a string or a hash.
    Vet(Bytes),
    /// A vector's components.
    Get(Element),
    /// Do this to the attributes of an element; answers the whole reply.
    Attributes(Box<(Element, AttributesAction)>),
    /// Is there such a vector?
    Holds(Element),
    /// The nearest vectors on this shard, searched with this ef.
    Query { question: Arc<Question>, ef: usize },
    /// The same of several questions about one generation of a collection, each with its ef; at least one.
    QueryMany(Vec<(Arc<Question>, usize)>),
    /// To the owner of a name: make this collection.
    Create(Box<Proposal>),
    /// To the owner of a name: there shall be no such collection.
    Withdraw(Bytes),
    /// To the owner of an alias's name: change what it means; answers the whole reply.
    ChangeAlias(Box<AliasChange>),
    /// To the owner of a name: this collection may go.
    Close(Arc<Schema>),
    /// To the owner of a name: its collection stays.
    Keep(Bytes),
    /// To the owner of a name: this collection goes, if this attempt is still under way.
    WithdrawEmpty { schema: Arc<Schema>, attempt: u64 },
    /// Free what is held of a collection that was withdrawn.
    Release { name: Bytes, generation: Generation },
    /// To every owner: withdraw all collections older than this, or those of a database.
    WithdrawBefore(Generation, Option<Database>),
    /// Free all keys and what is held of collections older than this, or those of a database.
    ReleaseBefore(Generation, Option<Database>),
    /// What this shard holds of a collection.
    Describe(Arc<Schema>),
    /// Some vector of a collection, chosen by this number, and a query near it.
    Sample { schema: Arc<Schema>, random: u64 },
    /// Number of a database's keys on this shard.
    Count(Database),
    /// The names of all collections of a database.
    List(Database),
    /// Some keys of this shard.
    Scan(Box<ScanPart>),

    /// To a worker: lines of CLIENT LIST, from this place on.
    Clients {
        filter: Arc<ClientFilter>,
        start: ClientPlace,
    },
    /// To a worker: close connections; answers how many were not being closed before, and whether any matching ones
    /// have migrated to other workers.
    Kill { filter: Arc<ClientFilter>, me: u64 },
    /// To the client's own worker: begin or end subscriptions; answers the whole reply.
    ChangeSubscriptions(Box<Subscribing>),
    /// To a worker: send this to its connections that subscribe to it; answers how many there were.
    Publish(Arc<Message>),
    /// To a worker: what its connections subscribe to.
    Topics(Box<TopicsRequest>),
    /// To a worker: its counters.
    Stats,
    /// To a worker: the users have changed, so look at those of all connections. `me` is the client that changed them.
    ReviewUsers { me: u64 },
    /// To a worker: count from 0 again.
    ResetStats,
    /// To a worker: what it knows of slow commands.
    Slow(Box<SlowQuestion>),
    /// To a worker: tell its clients of this.
    News(Vec<NewsItem>),
    /// To a worker: answers 1 if the client with this id is one of its own.
    HasClient(u64),
    /// To the client's own worker: switch its tracking.
    SwitchTracking(Option<Box<TrackingOptions>>),
    /// To a shard: a client hears of all keys with these prefixes.
    TrackPrefixes(PrefixList),
    /// Note the client beside the keys that this reads, and do it.
    Tracked(Box<(Arc<Tracker>, RequestBody)>),
    /// To a worker: let clients try again that wait because of CLIENT PAUSE.
    Unpause,
    /// Read this without counting the keys as used.
    Untouched(Box<RequestBody>),
    /// Gives back what memory it can.
    ReleaseMemory,
    /// To a worker: answer when all commands are answered that may set vectors and are under way now.
    Drain,
}

impl RequestBody {
    /// The same for a client that is told of changes to what it reads.
    pub(crate) fn tracked(self, tracker: &Arc<Tracker>) -> RequestBody {
        let mut reads = false;
        self.for_each_key_read(&mut |_| reads = true);
        match self {
            RequestBody::Batch(mut batch) => {
                let requests = batch.requests.into_iter();
                batch.requests = requests.map(|(place, body)| (place, body.tracked(tracker))).collect();
                RequestBody::Batch(batch)
            }
            body if reads => RequestBody::Tracked(Box::new((Arc::clone(tracker), body))),
            body => body,
        }
    }

    /// Calls `see` with each key that this reads: those of commands that change nothing, and all keys of a script.
    pub(crate) fn for_each_key_read(&self, see: &mut dyn FnMut(&[u8])) {
        match self {
            RequestBody::KeyOperation(operation) if operation.action.changes_nothing() => see(&operation.key),
            RequestBody::MultiKey(
                MultiKeyRequest::GetStrings(keys) | MultiKeyRequest::Count(keys) | MultiKeyRequest::Touch(keys),
            ) => keys.iter().for_each(see),
            RequestBody::Get(element) => see(&element.key()),
            RequestBody::Attributes(body) if matches!(body.1, AttributesAction::Get(_)) => see(&body.0.key()),
            RequestBody::Script(run) => {
                let stored = run.run.keys.iter().map(|key| run.database.stored(key));
                stored.for_each(|key| see(&key));
            }
            RequestBody::Untouched(body) => body.for_each_key_read(see),
            _ => {}
        }
    }

    /// The same for a client whose reads do not count as uses.
    pub(crate) fn untouched(self) -> RequestBody {
        match self {
            RequestBody::KeyOperation(_)
            | RequestBody::MultiKey(_)
            | RequestBody::Transfer(_)
            | RequestBody::Get(_)
            | RequestBody::Batch(_)
            | RequestBody::Script(_) => RequestBody::Untouched(Box::new(self)),
            _ => self,
        }
    }

    /// True of what may take long and changes nothing.
    pub(crate) fn only_reads(&self) -> bool {
        match self {
            RequestBody::KeyOperation(operation) => operation.action.only_reads(),
            RequestBody::MultiKey(multi_key) => matches!(multi_key, MultiKeyRequest::GetStrings(_)),
            RequestBody::Query { .. } | RequestBody::QueryMany(_) | RequestBody::Scan(_) => true,
            RequestBody::Untouched(body) => body.only_reads(),
            RequestBody::Tracked(tracked) => tracked.1.only_reads(),
            _ => false,
        }
    }

    /// The answer to a client that has gone.
    pub(crate) fn unheard(self) -> PartialReply {
        match self {
            RequestBody::KeyOperation(_) => PartialReply::Reply(Reply::Null),
            RequestBody::MultiKey(_) => PartialReply::Refused(ClientError::OutOfClientMemory),
            RequestBody::Query { .. } => PartialReply::Hits(Hits::default()),
            RequestBody::QueryMany(_) => PartialReply::HitsMany(Vec::new()),
            RequestBody::Untouched(body) => body.unheard(),
            RequestBody::Tracked(tracked) => tracked.1.unheard(),
            RequestBody::Scan(scan) => PartialReply::Scanned(Box::new(Scanned {
                keys: Bulks::default(),
                left: scan.left,
                bytes_left: scan.bytes_left,
                next: None,
            })),
            // It may change something.
            _ => PartialReply::Refused(ClientError::other_answer()),
        }
    }
}

/// What is to be done to a key.
pub(crate) struct KeyOperation {
    pub(crate) key: ShortKey,
    pub(crate) action: Action,
}

/// One command of a pipeline, or a shard's part of it.
pub(crate) enum Step {
    /// Answers the whole reply.
    KeyOperation(KeyOperation),
    MultiKey(MultiKeyRequest),
}

impl Step {
    /// The keys that are looked for.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let (one, multi_key) = match self {
            Step::KeyOperation(operation) => (Some(operation.key.as_ref()), None),
            Step::MultiKey(body) => (None, Some(body.keys())),
        };
        one.into_iter().chain(multi_key.into_iter().flatten())
    }
}

/// One shard's part of a command on several keys.
pub(crate) enum MultiKeyRequest {
    /// Delete them, but for collections; answers how many there were.
    Delete(Words),
    /// Delete them; answers how many there were, and the collections withdrawn because they had such a name.
    DeleteAll(Words),
    /// How many of them are there?
    Count(Words),
    /// How many keys of these pairs are there?
    CountPairs(Words),
    /// The same, and they count as used.
    Touch(Words),
    /// Their strings, in this order.
    GetStrings(Words),
    /// Set strings if all keys meet the condition; answers 1, or 0 if one does not.
    SetStrings(StringsPart),
}

impl MultiKeyRequest {
    fn words(&self) -> (&Words, usize) {
        match self {
            MultiKeyRequest::Delete(keys)
            | MultiKeyRequest::DeleteAll(keys)
            | MultiKeyRequest::Count(keys)
            | MultiKeyRequest::Touch(keys)
            | MultiKeyRequest::GetStrings(keys) => (keys, 1),
            MultiKeyRequest::CountPairs(pairs) => (pairs, 2),
            MultiKeyRequest::SetStrings(part) => (&part.pairs, 2),
        }
    }

    /// The keys, without values.
    pub(crate) fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let (words, step) = self.words();
        words.iter().step_by(step)
    }
}

/// Strings that one shard is to set.
pub(crate) struct StringsPart {
    /// Keys and values in turn.
    pub(crate) pairs: Words,
    pub(crate) lifetime: Lifetime,
    pub(crate) only: Only,
}

/// Takes a value from its key, to move it to another shard.
pub(crate) struct TakeValue {
    pub(crate) key: Bytes,
    /// Which key it is for.
    pub(crate) to: Bytes,
    /// A copy stays behind.
    pub(crate) keep: bool,
}

/// A value that arrives.
pub(crate) struct PutValue {
    pub(crate) key: Bytes,
    pub(crate) moved: MovedData,
    /// What is there already gives way; otherwise the value is handed back.
    pub(crate) replaces: bool,
    /// It comes back to the key that it left, since its place was taken. If that was set meanwhile, it is given up.
    pub(crate) is_return: bool,
}

/// One shard's part of a transaction.
pub(crate) struct Batch {
    /// Answers nothing but [`PartialReply::Overtaken`] if a key was changed that the client watches; forgets what it watches.
    pub(crate) is_watched: bool,
    /// What to execute, each with its command's place in the transaction.
    pub(crate) requests: Vec<(u32, RequestBody)>,
}

/// A vector to set.
pub(crate) struct SetVector {
    pub(crate) element: Element,
    /// The generation that the command was checked against when it was submitted.
    pub(crate) generation: Generation,
    pub(crate) vector: Box<[f32]>,
    pub(crate) lifetime: Lifetime,
    pub(crate) only: Only,
    /// What attributes it gets, if that is said.
    pub(crate) attributes: Option<Bytes>,
}

/// A query, the same for all shards that are asked.
#[derive(Clone)]
pub(crate) struct Question {
    pub(crate) schema: Arc<Schema>,
    pub(crate) vector: Box<[f32]>,
    pub(crate) k: usize,
    pub(crate) radius: Option<f32>,
    /// The name of the vector whose neighbours are sought, if it is one of the collection: it is found in any case.
    pub(crate) own: Option<Bytes>,
    /// Whether every vector is to be measured.
    pub(crate) exact: bool,
    /// Which vectors are meant.
    pub(crate) filter: Option<Arc<AskedFilter>>,
    /// Whether the attributes of the hits are wanted.
    pub(crate) with_attributes: bool,
    /// Whether their components are wanted.
    pub(crate) with_vectors: bool,
    /// Of how many shards the collection has a part.
    pub(crate) parts: usize,
}

impl Question {
    /// What one part is to find with this ef.
    pub(crate) fn search_parameters(&self, ef: usize, part: &Collection) -> SearchParameters {
        SearchParameters {
            k: self.k,
            ef,
            expected: share_of_part(self.k, self.parts),
            radius: self.radius.unwrap_or(f32::INFINITY),
            also: self.own.as_ref().and_then(|name| part.slot_of(name)),
        }
    }
}

/// A request for some keys of a shard.
pub(crate) struct ScanPart {
    pub(crate) filter: Arc<ScanFilter>,
    /// Where to go on.
    pub(crate) at: ScanPlace,
    /// How many keys to look at, at least 1.
    pub(crate) left: usize,
    /// Bytes of keys after which it was enough.
    pub(crate) bytes_left: usize,
}

/// A request to create a collection.
pub(crate) struct Proposal {
    pub(crate) name: Bytes,
    pub(crate) dimension: usize,
    pub(crate) graph: GraphSettings,
    pub(crate) made_by: MadeBy,
    /// In memory of its own.
    pub(crate) label: Bytes,
    pub(crate) if_there: IfThere,
}

/// What to answer if there is a collection of that name already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IfThere {
    /// That one (a first VECSET joins it).
    Take,
    /// An error (VECCREATE).
    Refuse,
}

/// One part of an answer.
pub(crate) enum PartialReply {
    Done,
    Refused(ClientError),
    /// The whole reply.
    Reply(Reply),
    /// For several slots of one reply queue: whole replies, and parts of others.
    Pipeline(Vec<(u32, Reply)>, Vec<(u32, PartialReply)>),
    /// Strings, in the order that was asked for.
    Bulks(Bulks),
    /// How many were deleted, and collections that have been withdrawn because one of the keys was their name.
    Deleted(u64, Vec<Arc<Schema>>),
    /// What a key held, if there was anything; or what found its place taken.
    Moved(Option<MovedData>),
    /// Some key.
    Chosen(Chosen),
    /// A transaction's parts, each with its command's place.
    Batch(Vec<(u32, PartialReply)>),
    /// A watched key was changed.
    Overtaken,
    /// The script has done nothing yet, and its first key lies there.
    Elsewhere(ShardId, Box<ScriptRun>),
    Count(u64),
    Vector(Option<Box<[f32]>>),
    Sample(Option<Box<Sample>>),
    Holds(bool),
    Hits(Hits),
    /// What each of several questions found, in their order; nothing for a client that has gone.
    HitsMany(Vec<Hits>),
    Decided(Result<Arc<Schema>, ClientError>),
    Withdrawn(Option<Arc<Schema>>),
    Description(Description),
    Names(Vec<Bytes>),
    Scanned(Box<Scanned>),
    Clients(ClientPage),
    /// How many clients are to be closed that were not before, and whether some were marked that are with other workers.
    Killed {
        count: u64,
        has_marked: bool,
    },
    Stats(Box<WorkerStats>),
    Topics(TopicPage),
    Slow(Box<SlowPart>),
    /// The client is tracking now, by these prefixes; or not by any.
    Switched(Option<PrefixList>),
}

impl PartialReply {
    /// An estimate of the bytes it takes, for those that steps of a pipeline answer.
    pub(crate) fn bytes_hint(&self) -> usize {
        match self {
            PartialReply::Reply(reply) => reply.bytes_hint(),
            PartialReply::Bulks(bulks) => bulks.bytes_hint(),
            _ => 0,
        }
    }
}

/// A script or a function that is to run on a shard.
pub(crate) struct ScriptRun {
    pub(crate) run: Run,
    /// The name of its command, if it is a function.
    pub(crate) command: &'static str,
    /// Whose names it means.
    pub(crate) database: Database,
    pub(crate) is_read_only: bool,
    /// What it may call, if not everything.
    pub(crate) rights: Option<Arc<dyn ScriptRights>>,
    /// The slot of its keys; `None` if it has declared none.
    pub(crate) slot: Option<u16>,
    /// Its keys may have several slots, as long as one shard holds them.
    pub(crate) spans_slots: bool,
    /// It may still go to the shard of the first key that it calls for.
    pub(crate) may_move: bool,
}

/// Some key of a shard, chosen among so many, and a random number.
pub(crate) struct Chosen {
    pub(crate) key: Option<Bytes>,
    pub(crate) among: u64,
    pub(crate) draw: u64,
}

/// One part of a list of clients: where it goes on, if it does.
#[derive(Debug)]
pub(crate) struct ClientPage {
    /// The lines of the list, each with its client's id.
    pub(crate) lines: Vec<(u64, String)>,
    /// Lines of clients that have gone to other workers, and are listed there unless they are on their way.
    pub(crate) departed: Vec<(u64, String)>,
    /// Where the next part begins.
    pub(crate) next: Option<ClientPlace>,
}

/// A place in a worker's part of the list of clients: first come those that it serves, then those that have left.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientPlace {
    /// From this place among its lines on.
    Served(usize),
    /// From this id on.
    Departed(u64),
}

/// Some keys of one shard.
pub(crate) struct Scanned {
    pub(crate) keys: Bulks,
    /// How many keys were wanted beyond those that were looked at.
    pub(crate) left: usize,
    /// Bytes of keys that would still have been welcome.
    pub(crate) bytes_left: usize,
    /// Where to go on; `None` if the shard has no more.
    pub(crate) next: Option<ScanPlace>,
}

/// What recall is measured with.
#[derive(Default)]
pub(crate) struct Sample {
    /// A vector that is stored.
    pub(crate) vector: Box<[f32]>,
    /// What is sought: as far from it as its neighbours are.
    pub(crate) query: Box<[f32]>,
}

/// What one shard found.
#[derive(Default)]
pub(crate) struct Hits {
    /// The generation that was searched, if the collection is there at all.
    pub(crate) generation: Option<Generation>,
    /// Whole keys with their distances, by (distance, key), at most k.
    pub(crate) hits: Vec<(Bytes, f32)>,
    /// True if these are all vectors of the shard that can be in the answer: a wider search would find no more.
    pub(crate) all: bool,
    /// Their keys would take more memory than there is: there are none here.
    pub(crate) too_many: bool,
    pub(crate) statistics: Statistics,
    /// The attributes of each of them, if they are wanted.
    pub(crate) attributes: Vec<Bytes>,
    /// The components of each of them as little-endian 32-bit floats, if they are wanted.
    pub(crate) vectors: Vec<Bytes>,
    /// How many vectors of the shard are meant, of how many.
    pub(crate) matches: usize,
    pub(crate) live: usize,
    /// Vectors whose attributes were held against the filter: none if it was known which pass.
    pub(crate) tested: usize,
}

impl Hits {
    /// There is another collection of that name by now, or none.
    pub(crate) fn of_other(newest: Option<Generation>) -> Hits {
        Hits {
            generation: newest,
            ..Hits::default()
        }
    }

    /// Bytes that the hits take.
    pub(crate) fn bytes(&self) -> usize {
        let keys = self.hits.iter().map(|(key, _)| key.len() + size_of::<(Bytes, f32)>());
        let more = self.attributes.iter().chain(&self.vectors);
        keys.sum::<usize>() + more.map(|bytes| bytes.len() + size_of::<Bytes>()).sum::<usize>()
    }

    /// A part that holds no vectors.
    pub(crate) fn nothing_in(generation: Generation) -> Hits {
        let statistics = Statistics {
            is_exact: true,
            ..Statistics::default()
        };
        Hits {
            generation: Some(generation),
            all: true,
            statistics,
            ..Hits::default()
        }
    }
}
