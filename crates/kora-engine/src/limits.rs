//! Every bound of the engine, by name. Bounds of the protocol are in `kora_resp::limits`, of what a client may say in
//! `kora_command::limits`, of the index in `kora_vector::limits`, of the mesh in `kora_mesh`. Budgets of time and prices of
//! work are in `budgets.rs`.

use crate::budgets::{KEY_BYTE_WORK, KEY_WORK, SLICE_WORK, STRING_BYTE_WORK};
pub use kora_command::limits::{
    ALIASES_MAX, COLLECTIONS_MAX, KEY_BYTES_MAX, KEYS_REPLY_BYTES_MAX, SUBSCRIPTIONS_MAX, TRANSACTION_COMMANDS_MAX,
    WATCHED_KEYS_MAX,
};

/// Replies that may be owed to one connection; it is not read from while it is owed that many, and read again as soon
/// as one of them has left. So a client's pipeline may be of any depth.
pub const PIPELINE_DEPTH: usize = 1024;

/// Bytes of replies that are spelled at once and wait for a socket: as much as most sockets take in one go.
pub const SPELLED_BYTES_MAX: usize = 256 * 1024;

/// The same while memory is short, for clients that hold much: still a hundred small replies in one write.
pub const SPELLED_BYTES_MAX_SHORT: usize = 16 * 1024;

/// A client that takes nothing of what it is sent for so long, in microseconds, goes while clients have to wait for memory.
pub const STALLED_US: u64 = 5_000_000;

/// The same while clients hold more than they may.
pub const STALLED_US_SHORT: u64 = 1_000_000;

/// The same for a client that has shown that it reads: on a busy machine, one of hundreds that a single thread reads for has
/// waited for its turn for 4 seconds.
pub const STALLED_US_READ: u64 = 20_000_000;

/// Commands in a row that lead to one other worker, after which their client goes there: what the way costs, some ten
/// microseconds for each thread, is small beside what so many crossings cost.
pub const DRAWN_COMMANDS: u32 = 64;

/// A worker lets one client go in this time, in microseconds, so that not all have gone before it is seen how busy the other
/// one has become.
pub const DEPARTURE_US: u64 = 20_000;

/// How long may pass, in microseconds, before a worker tells the others again how busy it is.
pub const LOAD_LOOK_US: u64 = 50_000;

/// How long may pass, in microseconds, before the time of day is read again: a change of it is noticed
/// with this delay.
pub const DAY_LOOK_US: u64 = 100_000;

/// Collections looked at for one whose name begins with a name that a query has not found: some tenths of a millisecond.
pub const NAMES_LOOKED_AT_MAX: usize = 4_096;

/// A vector set of more bytes is not renamed where a log or snapshots are kept: its vectors are written down at once, under the
/// new key, and nothing else is done on their shard meanwhile. So much takes some tenths of a second.
pub const MOVED_SET_BYTES_MAX: usize = 256 << 20;

/// Slices for which RENAME waits until no element is being added to a vector set: a second at least.
pub const SET_WAITS_MAX: u32 = 10_000;

/// Times that a query is asked again because its parts answered for different generations of the collection.
pub const QUERY_AGAIN_MAX: u8 = 2;

/// A worker spends this part of its time on samples of collections' recall at most, in so far as they cost what is expected
/// ([`SAMPLE_READS_PER_US`]): under half a percent, which is not measurable.
pub const SAMPLE_SHARE: u64 = 256;

/// Component reads a microsecond while every vector is measured: a slice of [`SLICE_WORK`] in half a millisecond, the slower
/// end of what was seen.
pub const SAMPLE_READS_PER_US: usize = 2_048;

/// Component reads after which a worker takes no more samples of a collection in one go: some ten milliseconds, in slices.
pub const SAMPLE_READS: usize = 1 << 24;

/// Samples taken in one go of a small collection, which take some milliseconds then.
pub const SAMPLES_AT_ONCE_MAX: usize = 16;

/// How long a worker waits between two looks for a collection to sample, in microseconds.
pub const SAMPLE_LOOK_US: u64 = 100_000;

/// Collections looked at in one such look: each takes some tens of nanoseconds.
pub const SAMPLE_PARTS_LOOKED_AT: usize = 512;

/// The k of the recall in INFO: what queries usually ask for, and the default of VECRECALL.
pub const SAMPLE_K: usize = 10;

/// Samples after which a collection is left alone until it changes: the recall of 1,280 neighbours is known to half a
/// percent.
pub const SAMPLES_ENOUGH: u64 = 128;

/// Samples that the recall in INFO is of, at most; older ones lose their weight.
pub const SAMPLES_KEPT: u64 = 256;

/// Collections whose recall one worker remembers, those that were sampled last; and as many are in INFO at most, of all
/// workers together. Some hundred bytes each.
pub const SAMPLED_COLLECTIONS_MAX: usize = 64;

/// Clients described in one part of a CLIENT LIST, so that ten thousand of them are listed in slices.
pub const CLIENTS_PER_PART: usize = 256;

/// Keys of one command that are looked at where it is decided which shards it takes: as many as in a slice. Of more it is
/// taken for granted that they are everywhere.
pub const KEYS_ROUTED_MAX: usize = (SLICE_WORK / KEY_WORK) as usize;

/// Bytes of such keys that are hashed there.
pub const KEY_BYTES_ROUTED_MAX: usize = (SLICE_WORK / KEY_BYTE_WORK) as usize;

/// Keys of one command up to which all are looked for before it begins, and its worker's own part is done at once: some
/// microseconds' work.
pub const FEW_KEYS_MAX: usize = 32;

/// Commands of a transaction that one slice looks at, sends, executes or takes the answers of: each takes about a microsecond.
pub const QUEUED_PER_SLICE: usize = 128;

/// Withdrawn collections of which all shards are asked to let go in one step of a DEL.
pub const RELEASES_PER_SLICE: usize = 64;

/// Bytes of a string that APPEND and SETRANGE copy or clear at once: as many as in a slice.
pub const STRING_BYTES_AT_ONCE_MAX: usize = (SLICE_WORK / STRING_BYTE_WORK) as usize;

/// Room for so many more bytes that a string which was copied gets at most: as where it grows in one step (Redis's
/// `SDS_MAX_PREALLOC`).
pub const STRING_ROOM_BYTES_MAX: usize = 1 << 20;

/// Commands of one pipeline that travel to another worker as one message. So many small ones take some ten microseconds.
pub const ACTS_MAX: usize = 32;

/// Entries evicted after one command if there is too much data: each takes some microseconds. More than one, so that a
/// larger entry finds room; a much larger one waits.
pub const VICTIMS_PER_COMMAND: usize = 8;

/// Entries evicted in one slice that does nothing else.
pub const VICTIMS_PER_CHORE: usize = 32;

/// Slices for which a VECSET waits until a slot of its collection is free, before it is refused: a batch of a million vectors
/// takes fewer.
pub const SLOT_WAIT_SLICES_MAX: u32 = 20_000;

/// Rounds in which it asks all shards what they could evict: one, and one more when other vectors have come between what a
/// shard told and what it holds. More than a few in a row mean that others change data which can't be evicted.
pub const ASKED_ROUNDS_MAX: u32 = 64;

/// And slices in which it can only wait until a query or a snapshot frees slots: such a slice takes about a microsecond,
/// and a snapshot holds them for some tenths of a second.
pub const SLOT_WAIT_IDLE_SLICES_MAX: u32 = 10_000_000;

/// A command that has found no memory for so long, in microseconds, is refused.
pub const MEMORY_WAIT_US_MAX: u64 = 5_000_000;

/// Bytes of one reply, however much clients may hold: as many as one string may have at most. A request of a few bytes may
/// ask for one value a thousand times.
pub const REPLY_BYTES_MAX: usize = kora_resp::limits::BULK_BYTES_CEILING;

/// Bytes of keys after which a SCAN replies, however many it was asked for: a client that asks for a billion would else
/// make the server hold them all. COUNT is a wish in Redis too.
pub const SCAN_REPLY_BYTES_MAX: usize = 1 << 20;

/// Commands that a script calls in one slice: each takes some microseconds, as on a connection.
pub const CALLS_PER_SLICE: usize = 64;

/// Bytes of messages that one script may publish.
pub const SCRIPT_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Scripts that EVAL has brought and that are remembered for EVALSHA, as in Redis; one more, and they are forgotten.
pub const EVALUATED_SCRIPTS_MAX: usize = 500;

/// Bytes of all scripts that SCRIPT LOAD has brought.
pub const LOADED_SCRIPT_BYTES_MAX: usize = 16 << 20;

/// Libraries of functions. To change one copies the table of all, whose length these two bound: some tens of microseconds.
pub const LIBRARIES_MAX: usize = 512;

/// Functions of all libraries: FUNCTION LIST shows them in one go, in about a millisecond.
pub const FUNCTIONS_MAX: usize = 2_048;

/// Bytes of the code of all libraries: FUNCTION RESTORE writes them down in one go, in about a millisecond.
pub const LIBRARY_CODE_BYTES_MAX: usize = 4 << 20;

/// Slices of Lua in which libraries must have registered their functions: half a second, as in Redis.
pub const LOAD_SLICES_MAX: u32 = 2_500;

/// Bytes of a dump of functions that its checksum takes in one step.
pub(crate) const CHECKED_BYTES: usize = 16 << 10;

/// Words of a function's command that FUNCTION STATS shows, and bytes of each: as many as SLOWLOG.
pub(crate) const RUNNING_WORDS_MAX: usize = 32;
pub(crate) const RUNNING_WORD_BYTES_MAX: usize = 128;

const _: () = assert!(DEPARTURE_US < LOAD_LOOK_US);

/// Names that one slice of SUBSCRIBE, UNSUBSCRIBE or PUBSUB looks at, and subscriptions of clients that have gone which one
/// slice forgets: each takes up to a microsecond, a pattern's table included.
pub const TOPICS_PER_SLICE: usize = 256;

/// Subscribers that one slice of a PUBLISH serves: each takes about a tenth of a microsecond, and its wake-up as much.
pub const DELIVERIES_PER_SLICE: usize = 512;

/// Steps of matching a pattern that count as one subscriber served.
pub const PATTERN_STEPS_PER_DELIVERY: usize = 256;

/// A message of more bytes is shared by its subscribers until each is sent it; a shorter one is spelled once and copied.
pub const COPIED_MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// What happened on shards is sent to workers in pieces of so many messages and invalidations.
pub(crate) const NEWS_PER_TASK: usize = 256;

/// Such pieces of one worker that are under way: a worker that lags behind is not sent more.
pub(crate) const NEWS_TASKS_MAX: usize = 16;

/// Messages and invalidations of one worker that wait meanwhile: some megabytes. Beyond, messages are dropped, as for a
/// subscriber that is too slow, and clients with caches are told that everything may have changed.
pub(crate) const NEWS_WAITING_MAX: usize = 1 << 16;

/// Bytes of the same: a worker's share of what waits for slow workers.
pub(crate) const NEWS_BYTES_MAX: usize = 16 << 20;

/// Bytes of a word that MONITOR shows.
pub(crate) const MONITOR_WORD_BYTES_MAX: usize = 4096;

/// Bytes of a line of MONITOR, behind which it begins no further word.
pub(crate) const MONITOR_LINE_BYTES_MAX: usize = 64 << 10;

/// Clients that have read a key, on average of the keys that may be remembered: 8 bytes each.
pub(crate) const TRACKERS_PER_KEY_MAX: u64 = 16;

/// Keys that clients had read of a dropped collection and are told of one by one: some tens of microseconds.
pub(crate) const TRACKED_OF_COLLECTION_MAX: usize = 256;
