//! How much memory a reply will take.

use kora_command::{Action, Command, FunctionChange, FunctionRequest, HashAction, MultiKeyCommand, table};

use crate::limits::SCAN_REPLY_BYTES_MAX;
use crate::router::Spread;
use crate::setup::Setup;
use crate::shard::Shard;
use kora_keyspace::catalog::Catalog;

/// Memory that the reply will take, roughly, from the shards' first parts until it is written: so that a client that asks
/// for much waits until there is room for it.
pub(crate) fn reply_bytes_expected(command: &Command, setup: &Setup, connections: usize, shards: &[Shard]) -> usize {
    let catalog = &setup.catalog;
    match command {
        Command::OnKey(key, Action::Hash(HashAction::All(_) | HashAction::GetMany(_))) => {
            hash_bytes_expected(key, setup, shards).min(setup.client_bytes_max() / LARGE_PARTS)
        }
        // Values of many bytes are shared and take no memory for the reply; the mean is mostly of small ones.
        Command::MultiKey(MultiKeyCommand::GetStrings(keys)) => {
            let of_one = mean_entry_bytes(shards).min(COPIED_BYTES_MAX);
            (keys.len() * of_one).min(setup.client_bytes_max() / LARGE_PARTS)
        }
        Command::VectorQuery(query) => {
            // Each part may be a whole answer; then the reply counts twice.
            let times = match setup.placement.spread_of(&query.target) {
                Spread::One(_) => 2,
                Spread::All => setup.placement.shard_count().max(2),
            };
            times * query.wish.k * (HIT_BYTES + key_bytes_expected(&query.target, catalog))
        }
        Command::VectorQueryMany(query) => {
            let of_one = query.wish.k * (HIT_BYTES + key_bytes_expected(&query.target, catalog));
            (2 * query.vectors.len() * of_one).min(setup.client_bytes_max() / LARGE_PARTS)
        }
        Command::VectorGet(element, _) => catalog
            .newest(&element.collection)
            .map_or(0, |schema| schema.dimension * COMPONENT_BYTES),
        // No reply, but it stays as long as its client watches.
        Command::Watch(keys) => keys.iter().map(|key| key.len()).sum(),
        Command::VectorList(..) => catalog.len() * NAME_BYTES,
        // A client that asks for more than there is gets what there is.
        Command::Scan(request) => request
            .count
            .saturating_mul(SCANNED_BYTES)
            .min(2 * SCAN_REPLY_BYTES_MAX),
        Command::ClientList(_) => connections * setup.placement.worker_count() * CLIENT_LINE_BYTES,
        Command::ChangeSubscriptions(change) => change
            .names
            .as_ref()
            .map_or(0, |names| names.len() * CONFIRMATION_BYTES),
        Command::Function(request) => match &**request {
            FunctionRequest::List { with_code, .. } => {
                let libraries = catalog.libraries();
                let code_bytes = if *with_code { libraries.bytes() } else { 0 };
                (libraries.len() + libraries.function_count()) * LISTED_BYTES + code_bytes
            }
            FunctionRequest::Change(FunctionChange::Dump) => 2 * catalog.libraries().bytes(),
            _ => 0,
        },
        Command::CommandInfo(_) | Command::CommandDocs(_) => table::all().count() * ENTRY_BYTES,
        _ => 0,
    }
}

/// What the fields of a hash take: known where it lies on this worker, else as much as the mean of what lies here.
fn hash_bytes_expected(key: &[u8], setup: &Setup, shards: &[Shard]) -> usize {
    let owner = setup.placement.shard_of(key);
    match shards.iter().find(|shard| shard.id() == owner) {
        Some(shard) => shard.entry_bytes(key),
        None => mean_entry_bytes(shards),
    }
}

/// What an entry on this worker takes, on average.
fn mean_entry_bytes(shards: &[Shard]) -> usize {
    let bytes: u64 = shards.iter().map(|shard| shard.keyspace().totals().entry_bytes).sum();
    let keys: u64 = shards.iter().map(|shard| shard.key_counts().keys).sum();
    usize::try_from(bytes / keys.max(1)).unwrap_or(usize::MAX)
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

/// From this size on a string is shared with its reply.
const COPIED_BYTES_MAX: usize = 16 << 10;

/// A reply is not expected to take more than so small a part of what clients may hold: what is expected and is not true would
/// keep a client waiting.
const LARGE_PARTS: usize = 8;

/// What a hit is charged with in a reply beside its key. It counts twice, as every reply does: once as it is held, and once
/// as text on its way out.
const HIT_BYTES: usize = 80;

/// A collection's name of usual length, in memory and as text.
const NAME_BYTES: usize = 96;

/// What a component is charged with in a reply: its text with RESP2's header around it, twice as a hit is. Expecting less
/// than is charged later would let in more than there is room for, and then a client is dropped for it.
const COMPONENT_BYTES: usize = 48;

/// What a key in a reply to SCAN is expected to be charged with: one of some 200 bytes, twice.
const SCANNED_BYTES: usize = 512;

/// What confirms a subscription is charged with, twice as a hit is, beside the channel's name.
const CONFIRMATION_BYTES: usize = 512;

/// A line of CLIENT LIST, gathered and in the reply. Connections are about as many on each worker.
const CLIENT_LINE_BYTES: usize = 1024;

/// A library or a function in FUNCTION LIST.
const LISTED_BYTES: usize = 1024;

/// One command's description.
const ENTRY_BYTES: usize = 2048;
