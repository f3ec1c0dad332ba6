//! What clients can say: every command, parsed. The list of all commands is `table.rs`; the syntax and the documentation
//! of each are in the file of its family; what can be wrong with a command is in `error.rs`. Nothing here knows data,
//! shards or threads.

#![forbid(unsafe_code)]

pub mod acl;
mod action;
mod admin;
mod admin_entries;
mod alias_change;
mod aliases;
mod arguments;
mod attributes;
mod clients;
mod command_keys;
mod compatibility;
mod connection;
pub mod coverage;
pub mod docs;
mod element;
pub mod error;
mod event_classes;
mod field_deadlines;
mod function_request;
mod functions;
mod hashes;
mod key_entries;
mod keys;
mod lifetime;
pub mod limits;
mod many_queries;
mod many_vectors;
mod monitoring;
mod name_error;
pub mod names_used;
mod pubsub;
mod query;
mod recall;
pub mod reference;
mod row;
pub mod scripting;
pub mod secrets;
mod server_requests;
mod setting_error;
mod string_entries;
mod strings;
pub mod syntax;
pub mod table;
mod tracking;
mod transactions;
mod vector_entries;
mod vector_set_action;
mod vector_set_entries;
mod vector_sets;
mod vectors;
mod wish;

use bytes::Bytes;
use kora_resp::glob::Pattern;
use kora_resp::{Reply, Words};
use kora_values::Database;

pub use self::action::{
    Action, AttributesAction, ExpireOnly, KeyAction, LifetimeForm, Only, ShortKey, StringAction, StringSetting,
    StringsReply, StringsSetting,
};
pub use self::admin::ClientFilter;
pub use self::alias_change::AliasChange;
pub use self::arguments::vet_collection_name;
pub use self::connection::{Credentials, Hello};
pub use self::element::{Element, ElementList};
pub use self::error::ClientError;
pub use self::event_classes::{EventClass, EventClasses};
pub use self::field_deadlines::{
    FieldDeadlineAction, FieldLifetime, FieldTime, FieldsDeadline, FieldsSetting, FieldsWanted,
};
pub use self::function_request::{FunctionChange, FunctionRequest, RestorePolicy};
pub use self::hashes::{HashAction, HashPart, HashScan, HashSetReply, Sample};
pub use self::keys::{ScanFilter, ScanRequest};
pub use self::lifetime::{Deadline, Lifetime};
pub use self::name_error::NameError;
pub use self::pubsub::{Message, PubSubQuery, SubscriptionChange, TopicKind};
pub use self::recall::RecallRequest;
pub use self::scripting::{Evaluation, ScriptSource};
pub use self::server_requests::{ClientSwitch, LatencyRequest, ReplyMode, SlowlogRequest, TrackingOptions};
pub use self::setting_error::SettingError;
pub use self::vector_set_action::{Addition, ElementRange, RangeEnd, Similar, SimilarTo, SimilarWish, VectorSetAction};
pub use self::vectors::{Creation, VectorForm, VectorOptions, vet};
pub use self::wish::{Center, Grouping, ManyQueries, VectorQuery, Wish};

/// How a client wants a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SaveWish {
    /// `SAVE`: the reply comes when it is complete.
    Foreground,
    /// `BGSAVE`
    Background,
    /// `BGSAVE SCHEDULE`: after one that is under way.
    Scheduled,
    /// `BGREWRITEAOF`: so that the log begins anew.
    Rewrite,
}

/// A command with its arguments, checked as far as that can be done without looking at any data.
#[derive(Debug)]
pub enum Command {
    /// Something that is no command, or not with these arguments. It takes its place in the order of replies.
    Refused(ClientError),
    /// What is answered from its words alone.
    Answered(Box<Reply>),

    /// `PING [message]`
    Ping(Option<Bytes>),
    /// `ECHO message`
    Echo(Bytes),
    /// `QUIT`
    Quit,
    /// `RESET`
    Reset,
    /// `HELLO [version [AUTH user password] [SETNAME name]]`
    Hello(Box<Hello>),
    /// `AUTH [user] password`
    Authenticate(Credentials),
    /// `ACL …`
    Acl(Box<acl::AclRequest>),
    /// `SELECT index`
    Select(Database),
    /// `CLIENT ID`
    ClientId,
    /// `CLIENT GETNAME`
    ClientGetName,
    /// `CLIENT SETNAME name`
    ClientSetName(Bytes),
    /// `CLIENT SETINFO LIB-NAME|LIB-VER value`
    ClientSetInfo(LibraryAttribute, Bytes),
    /// `CLIENT INFO`
    ClientInfo,
    /// `CLIENT NO-EVICT`, `NO-TOUCH`, `REPLY`
    ClientSwitch(ClientSwitch),
    /// `CLIENT PAUSE milliseconds [WRITE|ALL]`
    ClientPause {
        /// For how long, in milliseconds.
        ms: u64,
        /// Only what may write waits.
        writes_only: bool,
    },
    /// `CLIENT UNPAUSE`
    ClientUnpause,
    /// `CLIENT TRACKING ON …`; none is OFF.
    ClientTracking(Option<Box<TrackingOptions>>),
    /// `CLIENT CACHING YES|NO`
    ClientCaching(bool),
    /// `CLIENT TRACKINGINFO`
    ClientTrackingInfo,
    /// `MONITOR`: all commands are told to this client from now on.
    Monitor,
    /// `CLIENT GETREDIR`
    ClientGetRedirect,
    /// `SLOWLOG …`
    Slowlog(SlowlogRequest),
    /// `LATENCY …`
    Latency(Box<LatencyRequest>),
    /// `WAITAOF local replicas timeout`
    WaitLog {
        /// What was written is to be on this server's disk.
        local: bool,
    },
    /// `CLIENT LIST`
    ClientList(Box<ClientFilter>),
    /// `CLIENT KILL`
    ClientKill(Box<ClientFilter>, KillReply),

    /// `COMMAND`, and `COMMAND INFO [name …]`
    CommandInfo(Option<Vec<Bytes>>),
    /// `COMMAND COUNT`
    CommandCount,
    /// `COMMAND LIST [FILTERBY MODULE|ACLCAT|PATTERN x]`
    CommandList(Option<table::Filter>),
    /// `COMMAND DOCS [name …]`
    CommandDocs(Option<Vec<Bytes>>),
    /// `… HELP` of a container command
    Help(&'static [&'static str]),
    /// `CONFIG GET pattern [pattern …]`
    ConfigGet(Vec<Bytes>),
    /// `CONFIG SET name value [name value …]`
    ConfigSet(Vec<(String, String)>),
    /// `CONFIG REWRITE`
    ConfigRewrite,
    /// `CONFIG RESETSTAT`
    ConfigResetStat,
    /// `INFO [section …]`
    Info(Vec<Bytes>),
    /// `MEMORY STATS`, `DOCTOR`, `PURGE` and `MALLOC-STATS`
    Memory(MemoryRequest),
    /// `DBSIZE`
    DatabaseSize(Database),
    /// `FLUSHALL`, or `FLUSHDB` of this database
    Flush(Option<Database>),
    /// `SHUTDOWN`: whether a snapshot is taken first, if that was said.
    Shutdown(Option<bool>),
    /// `SAVE`, `BGSAVE`, `BGREWRITEAOF`
    Save(SaveWish),
    /// `LASTSAVE`
    LastSave,

    /// `TIME`
    Time,

    /// What lies whole on the shard of one key.
    OnKey(ShortKey, Action),
    /// What is split over the shards of several keys.
    MultiKey(MultiKeyCommand),
    /// `RENAME`, `RENAMENX`, `COPY`, `MOVE`
    Transfer(Box<Transfer>),
    /// `SCAN cursor …`
    Scan(Box<ScanRequest>),
    /// `KEYS pattern`
    Keys(Option<Pattern>, Database),
    /// `RANDOMKEY`
    RandomKey(Database),

    /// `SUBSCRIBE`, `PSUBSCRIBE`, `SSUBSCRIBE`, and their opposites
    ChangeSubscriptions(Box<SubscriptionChange>),
    /// `PUBLISH`, `SPUBLISH`
    Publish(Box<Message>),
    /// `PUBSUB …`
    PubSub(Box<PubSubQuery>),

    /// `EVAL`, `EVALSHA`, `EVAL_RO`, `EVALSHA_RO`, `FCALL`, `FCALL_RO`
    Evaluate(Box<Evaluation>),
    /// `FUNCTION …`
    Function(Box<FunctionRequest>),
    /// `SCRIPT LOAD script`
    ScriptLoad(Bytes),
    /// `SCRIPT EXISTS sha1 [sha1 …]`
    ScriptExists(Vec<Bytes>),
    /// `SCRIPT FLUSH`
    ScriptFlush,
    /// `SCRIPT KILL`
    ScriptKill,

    /// `MULTI`
    Multi,
    /// `EXEC`
    Exec,
    /// `DISCARD`
    Discard,
    /// `WATCH key [key …]`
    Watch(Words),
    /// `UNWATCH`
    Unwatch,

    /// `VECSET key dim …`
    VectorSet(Element, Box<[f32]>, VectorOptions),
    /// `VECMSET dim key blob [key blob …]`: all of one collection.
    VectorSetMany(Vec<(Element, Box<[f32]>)>),
    /// `VECGET key [FP32]`
    VectorGet(Element, VectorForm),
    /// `VECSETATTR` and `VECGETATTR` of an element that is named by two words.
    VectorAttributes(Element, Box<AttributesAction>),
    /// `VECDEL key [key …]`
    VectorDelete(ElementList),
    /// `VECQUERY collection k …`, `VECEXPLAIN collection k …`
    VectorQuery(Box<VectorQuery>),
    /// `VECMQUERY collection n k FP32 blob [blob …] …`
    VectorQueryMany(Box<ManyQueries>),
    /// `VECCREATE collection DIM d …`
    VectorCreate(Box<Creation>),
    /// `VECDROP collection`
    VectorDrop(Bytes),
    /// `VECLIST [WITHALIASES]`: whether aliases are shown, too.
    VectorList(bool, Database),
    /// `VECALIAS ADD`, `SET`, `DEL`
    ChangeAlias(Box<AliasChange>),
    /// `VECALIAS LIST [collection]`
    ListAliases(Option<Bytes>, Database),
    /// `VECINFO collection`
    VectorInfo(Bytes),
    /// `VECRECALL collection …`
    VectorRecall(Box<RecallRequest>),
}

/// A command on several keys that each shard can do its part of.
#[derive(Debug)]
pub enum MultiKeyCommand {
    /// `DEL`, `UNLINK`
    Delete(Words),
    /// `EXISTS`
    Exist(Words),
    /// `TOUCH`
    Touch(Words),
    /// `MGET`
    GetStrings(Words),
    /// `MSET`, `MSETNX`
    SetStrings(StringsSetting),
}

impl MultiKeyCommand {
    /// What stands behind the command's name, and how many words there are for each key.
    fn words(&self) -> (&Words, usize) {
        match self {
            MultiKeyCommand::Delete(keys)
            | MultiKeyCommand::Exist(keys)
            | MultiKeyCommand::Touch(keys)
            | MultiKeyCommand::GetStrings(keys) => (keys, 1),
            MultiKeyCommand::SetStrings(setting) => (&setting.pairs, 2),
        }
    }

    /// The keys, without values.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let (words, step) = self.words();
        words.iter().step_by(step)
    }

    fn bytes_held(&self) -> usize {
        self.words().0.bytes_held()
    }
}

/// `RENAME`, `RENAMENX`, `COPY`, `MOVE`
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where the value is.
    pub from: Bytes,
    /// Where it shall be.
    pub to: Bytes,
    /// In which database that is, if it was said.
    pub to_database: Option<Database>,
    /// Under which conditions.
    pub kind: TransferKind,
}

/// What a value leaves behind, and what may be in its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferKind {
    /// `RENAME`
    Rename,
    /// `RENAMENX`
    RenameIfAbsent,
    /// `COPY … REPLACE`
    Copy,
    /// `COPY`
    CopyIfAbsent,
    /// `MOVE`
    Move,
}

impl TransferKind {
    /// True if the value stays where it was, too.
    pub fn is_copy(self) -> bool {
        matches!(self, TransferKind::Copy | TransferKind::CopyIfAbsent)
    }

    /// True if it is no error that there is no value.
    pub fn may_miss(self) -> bool {
        self.is_copy() || self == TransferKind::Move
    }

    /// True if a value at the new key gives way.
    pub fn replaces(self) -> bool {
        matches!(self, TransferKind::Copy | TransferKind::Rename)
    }
}

impl Command {
    /// Lets the command be about this database, as far as the names in it do not say that.
    pub fn set_database(&mut self, database: Database) {
        match self {
            Command::DatabaseSize(own)
            | Command::Flush(Some(own))
            | Command::Keys(_, own)
            | Command::RandomKey(own)
            | Command::VectorList(_, own) => *own = database,
            Command::ListAliases(collection, own) => {
                *own = database;
                *collection = collection.as_ref().map(|name| database.stored(name).into());
            }
            Command::Scan(request) => request.filter.database = database,
            Command::Evaluate(evaluation) => evaluation.database = database,
            Command::VectorQuery(query) => {
                query
                    .wish
                    .without
                    .iter_mut()
                    .for_each(|element| element.enter(database));
            }
            Command::VectorQueryMany(query) => {
                query
                    .wish
                    .without
                    .iter_mut()
                    .for_each(|element| element.enter(database));
            }
            _ => {}
        }
    }

    /// Memory that the data may take more for it, roughly: what the command carries, or the length to which it extends a
    /// string.
    pub fn data_bytes(&self) -> usize {
        match self {
            Command::OnKey(_, Action::String(StringAction::SetRange(offset, part))) if !part.is_empty() => {
                offset.saturating_add(part.len())
            }
            command => command.bytes_held() - SEAT_BYTES,
        }
    }

    /// Memory that the command holds until it is answered, roughly: what its client is charged for it.
    pub fn bytes_held(&self) -> usize {
        let payload = match self {
            Command::VectorSet(element, vector, options) => {
                let attributes = options.attributes.as_ref().map_or(0, |text| text.len());
                element.collection.len() + element.name.len() + size_of_val::<[f32]>(vector) + attributes
            }
            Command::VectorSetMany(vectors) => {
                let bytes = |(element, vector): &(Element, Box<[f32]>)| {
                    element.collection.len() + element.name.len() + size_of_val::<[f32]>(vector) + VECTOR_BYTES
                };
                vectors.iter().map(bytes).sum()
            }
            Command::VectorQuery(query) => query.target.len() + query.center.bytes_held() + query.wish.bytes_held(),
            Command::VectorQueryMany(query) => query.bytes_held(),
            Command::VectorAttributes(element, action) => {
                element.collection.len() + element.name.len() + action.bytes_held()
            }
            Command::VectorDelete(elements) => elements.bytes(),
            Command::Answered(reply) => reply.bytes_hint(),
            Command::Ping(Some(text)) | Command::Echo(text) => text.len(),
            Command::Keys(Some(pattern), _) => pattern.bytes(),
            Command::OnKey(key, action) => key.len() + action.bytes_held(),
            Command::MultiKey(multi_key) => multi_key.bytes_held(),
            Command::Transfer(transfer) => transfer.from.len() + transfer.to.len(),
            Command::Watch(keys) => keys.bytes_held(),
            Command::VectorRecall(request) => request.collection.len(),
            Command::ChangeAlias(change) => change.bytes_held(),
            Command::ClientSetName(text) | Command::ClientSetInfo(_, text) => text.len(),
            Command::Scan(request) => request.filter.pattern.as_ref().map_or(0, Pattern::bytes),
            Command::Info(names) | Command::ConfigGet(names) => bytes_of(names),
            Command::CommandInfo(Some(names)) | Command::CommandDocs(Some(names)) => bytes_of(names),
            Command::ConfigSet(changes) => changes.iter().map(|(name, value)| name.len() + value.len()).sum(),
            Command::ChangeSubscriptions(change) => change.names.as_ref().map_or(0, Words::bytes_held),
            Command::Publish(message) => message.channel.len() + message.payload.len(),
            Command::PubSub(query) => match &**query {
                PubSubQuery::Names(_, pattern) => pattern.as_ref().map_or(0, Pattern::bytes),
                PubSubQuery::Counts(_, names) => bytes_of(names),
                PubSubQuery::PatternCount => 0,
            },
            Command::ClientList(filter) | Command::ClientKill(filter, _) => filter.bytes(),
            Command::Evaluate(evaluation) => evaluation.bytes_held(),
            Command::ScriptLoad(text) => text.len(),
            Command::Function(request) => request.bytes_held(),
            Command::Latency(request) => request.bytes_held(),
            Command::ClientTracking(Some(options)) => bytes_of(&options.prefixes),
            Command::ScriptExists(names) => bytes_of(names),
            Command::Acl(request) => request.bytes_held(),
            _ => 0,
        };
        payload + SEAT_BYTES
    }
}

fn bytes_of(names: &[Bytes]) -> usize {
    names.iter().map(|name| name.len() + size_of::<Bytes>()).sum()
}

/// A vector of several that are set, beside its key and its components.
const VECTOR_BYTES: usize = size_of::<(Element, Box<[f32]>)>();

/// A slot in the reply queue and a request under way, without what they point to.
const SEAT_BYTES: usize = 256;

/// What a client library may say of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LibraryAttribute {
    /// LIB-NAME
    Name,
    /// LIB-VER
    Version,
}

/// What MEMORY is asked about the server as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryRequest {
    /// `MEMORY STATS`
    Stats,
    /// `MEMORY DOCTOR`
    Doctor,
    /// `MEMORY PURGE`
    Purge,
    /// `MEMORY MALLOC-STATS`
    AllocatorStats,
}

/// What CLIENT KILL answers: its old form says OK or an error, its new one a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KillReply {
    /// `CLIENT KILL address`
    Ok,
    /// `CLIENT KILL ID … ADDR …`
    Count,
}
