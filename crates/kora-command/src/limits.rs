//! Bounds of what a client may say. Bounds of the protocol are in `kora_resp::limits`, of the index in
//! `kora_vector::limits`, of execution in the engine's `limits`.

/// Longest name of a collection, in bytes. Generous for a name, small enough that 100,000 of them stay cheap.
pub const COLLECTION_NAME_BYTES_MAX: usize = 512;

/// Longest key (`collection:element`), in bytes.
pub const KEY_BYTES_MAX: usize = 64 * 1024;

/// Largest k of a query.
pub const K_MAX: usize = kora_vector::limits::K_MAX;

/// Largest ef of a query.
pub const EF_MAX: usize = kora_vector::limits::EF_MAX;

/// Keys of which a VECQUERY takes the mean: each is fetched, one after the other.
pub const CENTER_KEYS_MAX: usize = 64;

/// Bytes of a collection's label: the name of a model, its version, and a remark.
pub const LABEL_BYTES_MAX: usize = 256;

/// Vectors of one VECMSET: so many of usual length are checked and sent to their shards in about a millisecond.
pub const VECTORS_SET_MAX: usize = 1024;

/// Vectors whose neighbours one VECMQUERY seeks: so many of usual length are read in about a millisecond.
pub const QUERIES_MAX: usize = 1024;

/// Neighbours that one VECMQUERY looks for in all: ten times as many as a single query, for replies of a hundred megabytes.
pub const MANY_NEIGHBOURS_MAX: usize = 10 * K_MAX;

/// Vectors of one group that a VECQUERY may ask for.
pub const GROUP_LIMIT_MAX: usize = K_MAX;

/// Largest k of a VECRECALL: it holds that many keys while it compares.
pub const RECALL_K_MAX: usize = 1_000;

/// Most samples of a VECRECALL. Each measures every vector of the collection.
pub const RECALL_SAMPLES_MAX: usize = 10_000;

/// Bytes of keys that a KEYS may return.
pub const KEYS_REPLY_BYTES_MAX: usize = 64 << 20;

/// Commands that a connection may queue between MULTI and EXEC. Generous beside what pipelines of libraries hold.
pub const TRANSACTION_COMMANDS_MAX: usize = 1 << 16;

/// Keys that a connection may watch at one time.
pub const WATCHED_KEYS_MAX: usize = 1 << 14;

/// Aliases of collections that there can be. An application has some for each of its models; all are looked through by LIST.
pub const ALIASES_MAX: usize = 1024;

/// Collections that there can be: half of what a cursor of SCAN can tell apart on one shard, so that dropped ones that a
/// shard still holds find room.
pub const COLLECTIONS_MAX: usize = 1 << 25;

/// Names that one COMMAND INFO, COMMAND DOCS, CONFIG GET or INFO may ask for. A description takes about five kilobytes of
/// memory: the million names that fit a request would take as many gigabytes. Tools ask for a command or two.
pub const NAMES_MAX: usize = 128;

/// Prefixes of one client's CLIENT TRACKING: each is held against each changed key.
pub const TRACKED_PREFIXES_MAX: usize = 128;

/// Keys of one command that COMMAND GETKEYS tells: its reply is made in one piece.
pub const GIVEN_KEYS_MAX: usize = 16_384;

/// Bytes of a pattern for names of settings or commands, none of which is half as long.
pub const NAME_PATTERN_BYTES_MAX: usize = 64;

/// Bytes of a setting's value in CONFIG SET: no list of addresses and no password is as long.
pub const SETTING_BYTES_MAX: usize = 16 << 10;

/// Bytes of what a connection may call itself or its library. It is kept as long as the connection lives.
pub const CLIENT_TEXT_BYTES_MAX: usize = 1024;

/// Bytes of a client's text that an error quotes.
pub const QUOTED_BYTES_MAX: usize = 128;

const _: () = assert!(COLLECTION_NAME_BYTES_MAX < KEY_BYTES_MAX);

/// Longest name of a channel, in bytes: as long as a key may be, since patterns are held against both.
pub const CHANNEL_BYTES_MAX: usize = KEY_BYTES_MAX;

/// Subscriptions of one connection. Each is also charged to the memory of its client.
pub const SUBSCRIPTIONS_MAX: usize = 100_000;

/// Channels that one PUBSUB NUMSUB counts the subscribers of: its reply is made in one piece.
pub const COUNTED_CHANNELS_MAX: usize = 16_384;

/// Bits of a password that ACL GENPASS draws: Redis's bound.
pub const PASSWORD_BITS_MAX: usize = 4096;
