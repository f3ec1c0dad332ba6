//! What clients can say: every command, parsed. The list of all commands is `table.rs`; the syntax of each stands in
//! the file of its family.

mod action;
mod admin;
mod arguments;
mod connection;
mod element;
mod hashes;
mod key_entries;
mod keys;
mod recall;
mod string_entries;
mod strings;
pub mod syntax;
pub mod table;
mod transactions;
mod vector_entries;
mod vectors;

use bytes::Bytes;
use kora_resp::Words;
use kora_resp::glob::Pattern;

pub use self::action::{
    Action, Deadline, ExpireOnly, HashAction, HashPart, HashScan, HashSetReply, KeyAction, Lifetime, LifetimeForm,
    Only, Sample, ShortKey, StringAction, StringSetting,
};
pub(crate) use self::admin::listed;
pub use self::admin::{ClientFilter, ClientPage, ClientPlace};
pub use self::connection::{Credentials, Hello};
pub(crate) use self::element::element_of;
pub use self::element::{Element, ElementList};
pub use self::keys::{KeyType, ScanFilter, ScanRequest};
pub use self::recall::RecallRequest;
pub use self::vectors::VectorOptions;
pub use self::vectors::{Center, Creation, VectorForm, VectorQuery, Wish};
pub(crate) use self::vectors::{fit, vet};

use crate::catalog::Catalog;
use crate::error::ClientError;
use crate::limits::{FEW_KEYS_MAX, SCAN_REPLY_BYTES_MAX};
use crate::router::Spread;
use crate::setup::Setup;

/// A command with its arguments, checked as far as that can be done without looking at any data.
#[derive(Debug)]
pub enum Command {
    /// Something that is no command, or not with these arguments. It takes its place in the order of replies.
    Refused(ClientError),

    /// `PING [message]`
    Ping(Option<Bytes>),
    /// `ECHO message`
    Echo(Bytes),
    /// `QUIT`
    Quit,
    /// `HELLO [version [AUTH user password] [SETNAME name]]`
    Hello(Box<Hello>),
    /// `AUTH [user] password`
    Authenticate(Credentials),
    /// `SELECT 0`
    Select,
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
    /// `CONFIG RESETSTAT`
    ConfigResetStat,
    /// `INFO [section …]`
    Info(Vec<Bytes>),
    /// `DBSIZE`
    DatabaseSize,
    /// `FLUSHALL`, `FLUSHDB`
    Flush,
    /// `SHUTDOWN`
    Shutdown,

    /// `TIME`
    Time,

    /// What lies whole on the shard of one key.
    OnKey(ShortKey, Action),
    /// What is split over the shards of several keys.
    Several(SeveralKeys),
    /// `RENAME`, `RENAMENX`, `COPY`
    Transfer(Box<Transfer>),
    /// `SCAN cursor …`
    Scan(Box<ScanRequest>),
    /// `KEYS pattern`
    Keys(Option<Pattern>),
    /// `RANDOMKEY`
    RandomKey,

    /// `MULTI`
    Multi,
    /// `EXEC`
    Exec,
    /// `DISCARD`
    Discard,
    /// `WATCH key [key …]`
    Watch(Vec<Bytes>),
    /// `UNWATCH`
    Unwatch,

    /// `VECSET key dim …`
    VectorSet(Element, Box<[f32]>, VectorOptions),
    /// `VECGET key [FP32]`
    VectorGet(Element, VectorForm),
    /// `VECDEL key [key …]`
    VectorDelete(ElementList),
    /// `VECQUERY collection k …`
    VectorQuery(Box<VectorQuery>),
    /// `VECCREATE collection DIM d …`
    VectorCreate(Box<Creation>),
    /// `VECDROP collection`
    VectorDrop(Bytes),
    /// `VECLIST`
    VectorList,
    /// `VECINFO collection`
    VectorInfo(Bytes),
    /// `VECRECALL collection …`
    VectorRecall(Box<RecallRequest>),
}

/// A command on several keys that each shard can do its part of.
#[derive(Debug)]
pub enum SeveralKeys {
    /// `DEL`, `UNLINK`
    Delete(Words),
    /// `EXISTS`
    Exist(Words),
    /// `TOUCH`
    Touch(Words),
    /// `MGET`
    GetStrings(Words),
    /// `MSET`: keys and values in turn.
    SetStrings(Words),
    /// `MSETNX`: the same.
    SetStringsIfAbsent(Words),
}

impl SeveralKeys {
    /// What stands behind the command's name, and how many words there are for each key.
    fn words(&self) -> (&Words, usize) {
        match self {
            SeveralKeys::Delete(keys)
            | SeveralKeys::Exist(keys)
            | SeveralKeys::Touch(keys)
            | SeveralKeys::GetStrings(keys) => (keys, 1),
            SeveralKeys::SetStrings(pairs) | SeveralKeys::SetStringsIfAbsent(pairs) => (pairs, 2),
        }
    }

    /// The keys, if they are so few that they are looked for before the command begins.
    pub(crate) fn few_keys(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let (words, step) = self.words();
        (words.len() <= FEW_KEYS_MAX * step).then(|| words.iter().step_by(step))
    }

    fn bytes_held(&self) -> usize {
        self.words().0.bytes_held()
    }
}

/// `RENAME`, `RENAMENX`, `COPY`
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Where the value is.
    pub from: Bytes,
    /// Where it shall be.
    pub to: Bytes,
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
}

impl TransferKind {
    pub(crate) fn is_copy(self) -> bool {
        matches!(self, TransferKind::Copy | TransferKind::CopyIfAbsent)
    }

    pub(crate) fn replaces(self) -> bool {
        matches!(self, TransferKind::Copy | TransferKind::Rename)
    }
}

impl Command {
    /// Memory that the command holds until it is answered, roughly: what its client is charged for it.
    pub(crate) fn bytes_held(&self) -> usize {
        let payload = match self {
            Command::VectorSet(element, vector, _) => {
                element.collection.len() + element.name.len() + size_of_val::<[f32]>(vector)
            }
            Command::VectorQuery(query) => {
                let center = match &query.center {
                    Center::Given(vector) => size_of_val::<[f32]>(vector),
                    Center::Stored(key) => key.collection.len() + key.name.len(),
                };
                query.target.len() + center
            }
            Command::VectorDelete(elements) => elements.bytes(),
            Command::Ping(Some(text)) | Command::Echo(text) => text.len(),
            Command::Keys(Some(pattern)) => pattern.bytes(),
            Command::OnKey(key, action) => key.len() + action.bytes_held(),
            Command::Several(several) => several.bytes_held(),
            Command::Transfer(transfer) => transfer.from.len() + transfer.to.len(),
            Command::Watch(keys) => bytes_of(keys),
            Command::VectorRecall(request) => request.collection.len(),
            Command::ClientSetName(text) | Command::ClientSetInfo(_, text) => text.len(),
            Command::Scan(request) => request.filter.pattern.as_ref().map_or(0, Pattern::bytes),
            Command::Info(names) | Command::ConfigGet(names) => bytes_of(names),
            Command::CommandInfo(Some(names)) | Command::CommandDocs(Some(names)) => bytes_of(names),
            Command::ClientList(filter) | Command::ClientKill(filter, _) => filter.bytes(),
            _ => 0,
        };
        payload + SEAT_BYTES
    }
}

fn bytes_of(names: &[Bytes]) -> usize {
    names.iter().map(|name| name.len() + size_of::<Bytes>()).sum()
}

/// Memory that the reply will take, roughly, from the shards' first parts until it is written: so that a client that asks
/// for much waits until there is room for it.
pub(crate) fn reply_bytes_expected(command: &Command, setup: &Setup, connections: usize) -> usize {
    let catalog = &setup.catalog;
    match command {
        Command::VectorQuery(query) => {
            // Each part may be a whole answer; then the reply counts twice.
            let times = match setup.placement.spread_of(&query.target) {
                Spread::One(_) => 2,
                Spread::All => setup.placement.shard_count().max(2),
            };
            times * query.wish.k * (HIT_BYTES + key_bytes_expected(&query.target, catalog))
        }
        Command::VectorGet(element, _) => catalog
            .newest(&element.collection)
            .map_or(0, |schema| schema.dimension * COMPONENT_BYTES),
        Command::VectorList => catalog.len() * NAME_BYTES,
        // A client that asks for more than there is gets what there is.
        Command::Scan(request) => request
            .count
            .saturating_mul(SCANNED_BYTES)
            .min(2 * SCAN_REPLY_BYTES_MAX),
        Command::ClientList(_) => connections * setup.placement.worker_count() * CLIENT_LINE_BYTES,
        Command::CommandInfo(_) | Command::CommandDocs(_) => table::all().count() * ENTRY_BYTES,
        _ => 0,
    }
}

/// How long the keys are that a query of this target finds. It may name a collection in three ways; of one that does not
/// exist there is nothing to find.
fn key_bytes_expected(target: &[u8], catalog: &Catalog) -> usize {
    let colon = target.iter().rposition(|byte| *byte == b':');
    let names = [Some(target), colon.map(|colon| &target[..colon])];
    let found = names.into_iter().flatten().find_map(|name| {
        let name_bytes = catalog.name_bytes(name)?;
        Some(name.len() + 1 + name_bytes)
    });
    found.unwrap_or(0)
}

/// What a hit is charged with in a reply beside its key. It counts twice, as every reply does: once as it is held, and once
/// as text on its way out.
const HIT_BYTES: usize = 80;

/// A collection's name of usual length, in memory and as text.
const NAME_BYTES: usize = 96;

/// What a component is charged with in a reply: its text with RESP2's header around it, twice as a hit is. Expecting less
/// than is charged later would let in more than there is room for, and then somebody is dropped for it.
const COMPONENT_BYTES: usize = 48;

/// What a key in a reply to SCAN is expected to be charged with: one of some 200 bytes, twice.
const SCANNED_BYTES: usize = 512;

/// A line of CLIENT LIST, gathered and in the reply. Connections are about as many on each worker.
const CLIENT_LINE_BYTES: usize = 1024;

/// One command's description.
const ENTRY_BYTES: usize = 2048;

/// A seat in the line and a request under way, without what they point to.
const SEAT_BYTES: usize = 256;

/// What a client library may say of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LibraryAttribute {
    /// LIB-NAME
    Name,
    /// LIB-VER
    Version,
}

/// What CLIENT KILL answers: its old form says OK or an error, its new one a count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KillReply {
    /// `CLIENT KILL address`
    Ok,
    /// `CLIENT KILL ID … ADDR …`
    Count,
}
