//! What a client can do wrong. Each variant is one error on the wire; the connection lives on.

use std::fmt;

use kora_values::said_name;

use crate::{limits::QUOTED_BYTES_MAX, name_error::NameError, setting_error::SettingError};

/// A refused command. `Display` is the whole error reply, code first, in Redis's words where clients read them.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum ClientError {
    /// Its user may not do that; what, in Redis's words.
    NoPermission(String),
    /// Its user may not say EXEC: the transaction is over all the same.
    ExecDenied(String),
    /// The data is being loaded.
    Loading,
    /// The log can't be written; what the disk says.
    LogFails(&'static str),
    /// The last snapshot failed, and the settings want snapshots.
    SnapshotFails,
    /// There is no directory to save to.
    NoDirectory,
    /// There is too much data, and nothing may be evicted.
    OutOfMemory,
    /// The same, for a transaction.
    ExecOutOfMemory,
    /// A snapshot is under way.
    SaveUnderWay,
    /// The snapshot failed that was waited for.
    SaveFailed,
    /// A part of an answer was of another kind than what was asked for: a fault of the server's.
    OtherAnswer,
    /// No such command; its name and arguments as they were sent.
    UnknownCommand { name: Vec<u8>, arguments: Vec<Vec<u8>> },
    /// No such subcommand of a container command.
    UnknownSubcommand { command: &'static str, subcommand: Vec<u8> },
    /// A subcommand of a container command with words that it does not take.
    UnknownSubcommandOrArguments { command: &'static str, subcommand: Vec<u8> },
    /// A command that a client may not say in RESP2 while it subscribes to something.
    Subscribed { command: String },
    /// Prefixes of CLIENT TRACKING of which one begins with the other; `which` is that other.
    PrefixesOverlap {
        prefix: Vec<u8>,
        other: Vec<u8>,
        which: &'static str,
    },
    /// More subscriptions than a connection may have.
    TooManySubscriptions,
    /// A channel's name longer than the limit.
    ChannelTooLong { bytes: usize },
    /// Too few or too many arguments; `command` is lower case, `container|subcommand` for a subcommand.
    WrongArity { command: String },
    /// A number of arguments that the arity allows and the command does not: a key without its value.
    UnfitCount { command: &'static str },
    /// What only one command can be told, in whole: its family's file has the text.
    Said(&'static str),
    /// An option that the command does not know, or one without its value.
    Syntax,
    /// HSETEX with a word that it does not know.
    UnknownArgument { argument: Vec<u8> },
    /// An option that the command does not know; its name.
    UnknownOption { option: Vec<u8> },
    /// An option of the command that stands last and lacks its value.
    OptionWithoutValue { option: &'static str },
    /// An option of HELLO that it does not know, or one without its values.
    HelloSyntax { option: Vec<u8> },
    /// A number was wanted.
    NotInteger,
    /// The key holds something else.
    WrongType,
    /// RENAME of nothing.
    NoSuchKey,
    /// COPY of a key to itself.
    SameObject,
    /// A time that is not above zero where it must be, or too far away; which command.
    InvalidExpiry { command: &'static str },
    /// EXPIRE with an option it does not know.
    UnsupportedOption { option: Vec<u8> },
    /// EXPIRE NX with another condition.
    ExpireNotCompatible,
    /// EXPIRE GT LT.
    ExpireGreaterAndLess,
    /// SETRANGE before the beginning.
    NegativeOffset,
    /// DECRBY of the smallest number.
    DecrementOverflow,
    /// HRANDFIELD of the smallest number.
    OutOfRangeBetween { least: i64, most: i64 },
    /// HRANDFIELD WITHVALUES of more pairs than can be counted.
    OutOfRangeShort,
    /// What a value itself says that is wrong.
    Value(kora_values::ValueError),
    /// SET of the name of a collection.
    NameOfCollection { name: Vec<u8> },
    /// RENAME or COPY of a collection.
    CollectionStays { name: Vec<u8> },
    /// RENAME or COPY of a vector to a collection that does not exist.
    NoSuchCollection { collection: Vec<u8> },
    /// OBJECT FREQ where nothing counts.
    NoFrequency,
    /// How long ago keys were used is not noted under this policy.
    NoIdleTime,
    /// KEYS of more than a reply may hold.
    TooManyKeys,
    /// MULTI within MULTI.
    NestedMulti,
    /// WATCH within MULTI.
    WatchInMulti,
    /// EXEC without MULTI.
    ExecWithoutMulti,
    /// DISCARD without MULTI.
    DiscardWithoutMulti,
    /// EXEC behind a command that was refused.
    ExecAborted,
    /// EXEC with arguments.
    ExecArity,
    /// A command that cannot be queued.
    NotInTransaction,
    /// More commands than a transaction may have.
    TransactionTooLong,
    /// More keys than a connection may watch.
    TooManyWatched,
    /// Keys of several slots, where one is wanted.
    CrossSlot,
    /// The connection has to AUTH first.
    NotAuthenticated,
    /// AUTH with a wrong name or password.
    WrongPassword,
    /// AUTH, but no password is configured.
    NoPasswordConfigured,
    /// HELLO with a version other than 2 and 3.
    UnsupportedProtocol,
    /// HELLO with a version that is no number.
    ProtocolNotInteger,
    /// HELLO on a connection that has neither authenticated nor brought AUTH.
    HelloNotAuthenticated,
    /// CONFIG SET or CONFIG REWRITE that did nothing.
    Setting(SettingError),
    /// SELECT of anything but 0.
    DatabaseIndex,
    /// CLIENT SETNAME or SETINFO with bytes outside `!` to `~`; which attribute.
    ClientText { attribute: &'static str },
    /// CLIENT SETINFO with an attribute other than LIB-NAME and LIB-VER.
    UnrecognizedOption { option: Vec<u8> },
    /// CLIENT KILL of an address that no client has.
    NoSuchClient,
    /// CLIENT KILL ID with something that is no id.
    ClientId,
    /// A command on vector sets about a collection that is none.
    NoVectorSet { name: Vec<u8> },
    /// A vector of another dimension than a vector set's.
    SetDimension { dimension: usize, got: usize },
    /// A vector of another dimension than those that a vector set projects.
    ProjectionDimension { dimension: usize, got: usize },
    /// Attributes longer than the limit.
    AttributesTooLong { bytes: usize },
    /// Attributes that are no JSON object.
    Attributes { error: kora_filter::JsonError },
    /// FILTER with something that is no expression; what stands where it goes wrong.
    Filter {
        near: Vec<u8>,
        error: kora_filter::FilterError,
    },
    /// Something that is no path into attributes.
    Path {
        got: Vec<u8>,
        error: kora_filter::PathError,
    },
    /// A vector's key without a `:`.
    KeyWithoutCollection { key: Vec<u8> },
    /// The collection's name is empty.
    NameEmpty,
    /// The collection's name is longer than the limit.
    NameTooLong { bytes: usize },
    /// The key is longer than the limit.
    KeyTooLong { bytes: usize },
    /// The name of a hash's field is longer than the limit.
    FieldTooLong { bytes: usize },
    /// An argument that must be a whole number in a range.
    OutOfRange {
        what: &'static str,
        min: usize,
        max: usize,
        got: Vec<u8>,
    },
    /// `dim` and the number of components that follow it differ.
    ComponentCount { dimension: usize, got: usize },
    /// A binary vector of the wrong length.
    BlobLength { dimension: usize, got: usize },
    /// A binary vector that is not a whole number of floats, or none.
    BlobNotFloats { got: usize },
    /// A component that is no number; positions count from 1.
    NotNumber { position: usize, got: Vec<u8> },
    /// A component that is NaN, infinite, or too large for 32 bits.
    NotFinite { position: usize, got: Vec<u8> },
    /// An option whose value is no finite number.
    NotFiniteOption { what: &'static str, got: Vec<u8> },
    /// VECQUERY with more keys than a mean is made of.
    TooManyCenterKeys,
    /// VECQUERY with an OFFSET or keys behind NOT that make more neighbours necessary than a query finds.
    TooManyNeighbours { nearest: usize },
    /// A label longer than the limit.
    LabelTooLong { bytes: usize },
    /// VECMSET with more vectors than one command sets.
    TooManyVectors,
    /// VECMSET with keys of several collections.
    SeveralCollections,
    /// GROUP without what belongs to it.
    GroupSyntax,
    /// VECQUERY with the keys of vectors of several dimensions.
    MixedDimensions,
    /// VECQUERY with keys whose weights are all zero.
    NoMean,
    /// VECQUERY KEY of a vector that is not there.
    NoSuchVector { key: Vec<u8> },
    /// A vector without direction, under cosine.
    ZeroVector,
    /// A vector of another dimension than the collection's.
    DimensionMismatch {
        collection: Vec<u8>,
        dimension: usize,
        got: usize,
    },
    /// VECCREATE with a metric that does not exist.
    UnknownMetric { got: Vec<u8> },
    /// VECCREATE with a form of vectors that does not exist.
    UnknownStorage { got: Vec<u8> },
    /// VECCREATE of a collection that exists.
    CollectionExists { collection: Vec<u8> },
    /// What is wrong with the name of a collection or of an element.
    Name(NameError),
    /// There are as many collections as there can be.
    TooManyCollections,
    /// A reply that would take more memory than clients may hold.
    ReplyTooLarge { bytes_max: usize },
    /// Clients hold as much as they may, and have for a while.
    OutOfClientMemory,
    /// A request larger than what clients may hold.
    LargerThanClientMemory,
    /// SCAN with an option of HSCAN.
    ScanNoValues,
    /// SCAN with something that is no cursor.
    InvalidCursor,
    /// A pattern longer than the limit.
    PatternTooLong { bytes: usize, max: usize },
    /// A name of a connection or its library longer than the limit.
    ClientTextTooLong { attribute: &'static str, bytes: usize },
    /// The collection was dropped and made again each time that the query was asked.
    QueryOvertaken { collection: Vec<u8> },
}

impl ClientError {
    /// [`ClientError::OtherAnswer`]: the guards of two places have drifted apart. A client is told, and a test fails.
    pub fn other_answer() -> ClientError {
        debug_assert!(false, "a part is of another kind than what was asked for");
        ClientError::OtherAnswer
    }

    /// True if it is seen from the command's name and the number of its words: a transaction does not queue that.
    pub fn is_about_the_words(&self) -> bool {
        matches!(
            self,
            Self::UnknownCommand { .. }
                | Self::UnknownSubcommand { .. }
                | Self::WrongArity { .. }
                | Self::NotAuthenticated
                | Self::NoPermission(_)
                | Self::ExecDenied(_)
        )
    }
}

/// In Redis's words, which clients know.
const OUT_OF_MEMORY: &str = "OOM command not allowed when used memory > 'maxmemory'.";

impl ClientError {
    /// More prefixes than CLIENT TRACKING takes.
    pub const TOO_MANY_PREFIXES: ClientError = ClientError::Said("ERR a client can have at most 128 prefixes");
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::limits::{COLLECTION_NAME_BYTES_MAX, KEY_BYTES_MAX};
        match self {
            Self::Said(text) => f.write_str(text),
            Self::ExecDenied(text) => write!(f, "EXECABORT Transaction discarded because of: NOPERM {text}"),
            Self::NoPermission(text) => write!(f, "NOPERM {text}"),
            Self::Loading => f.write_str("LOADING Redis is loading the dataset in memory"),
            Self::LogFails(error) => write!(f, "MISCONF Errors writing to the AOF file: {error}"),
            Self::SnapshotFails => f.write_str(
                "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
                 Commands that may modify the data set are disabled, because this instance is configured to report \
                 errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the \
                 Redis logs for details about the RDB error.",
            ),
            Self::NoDirectory => f.write_str("ERR there is no directory to save to: see the setting `dir`"),
            Self::SaveUnderWay => f.write_str("ERR Background save already in progress"),
            Self::OtherAnswer => f.write_str("ERR internal error: a part of the answer is of another kind than what was asked for"),
            Self::SaveFailed => f.write_str("ERR the snapshot could not be saved: the server's log says why"),
            Self::UnknownCommand { name, arguments } => {
                write!(f, "ERR unknown command '{}', with args beginning with: ", Quoted(name))?;
                for argument in arguments {
                    write!(f, "'{}' ", Quoted(argument))?;
                }
                Ok(())
            }
            Self::UnknownSubcommand { command, subcommand } => {
                let help = command.to_uppercase();
                write!(f, "ERR unknown subcommand '{}'. Try {help} HELP.", Quoted(subcommand))
            }
            Self::UnknownSubcommandOrArguments { command, subcommand } => {
                let help = command.to_uppercase();
                write!(
                    f,
                    "ERR unknown subcommand or wrong number of arguments for '{}'. Try {help} HELP.",
                    Quoted(subcommand)
                )
            }
            Self::Subscribed { command } => write!(
                f,
                "ERR Can't execute '{command}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            ),
            Self::PrefixesOverlap { prefix, other, which } => write!(
                f,
                "ERR Prefix '{}' overlaps with {which} prefix '{}'. Prefixes for a single client must not overlap.",
                Quoted(prefix),
                Quoted(other)
            ),
            Self::TooManySubscriptions => {
                let max = crate::limits::SUBSCRIPTIONS_MAX;
                write!(f, "ERR too many subscriptions, at most {max} are allowed")
            }
            Self::ChannelTooLong { bytes } => {
                let max = crate::limits::CHANNEL_BYTES_MAX;
                write!(f, "ERR the channel's name has {bytes} bytes, at most {max} are allowed")
            }
            Self::UnfitCount { command } => write!(f, "ERR wrong number of arguments for '{command}' command"),
            Self::WrongArity { command } => write!(f, "ERR wrong number of arguments for '{command}' command"),
            Self::Syntax => f.write_str("ERR syntax error"),
            Self::UnknownOption { option } => write!(f, "ERR syntax error: unknown option '{}'", Quoted(option)),
            Self::NoVectorSet { name } => write!(
                f,
                "WRONGTYPE '{}' is a collection that VECSET or VECCREATE made: its vectors are reached by the VEC commands",
                Quoted(said_name(name))
            ),
            Self::SetDimension { dimension, got } => {
                write!(f, "ERR Vector dimension mismatch - got {got} but set has {dimension}")
            }
            Self::ProjectionDimension { dimension, got } => write!(
                f,
                "ERR Input dimension mismatch for projection - got {got} but projection expects {dimension}"
            ),
            Self::AttributesTooLong { bytes } => {
                let max = kora_filter::limits::ATTRIBUTES_BYTES_MAX;
                write!(f, "ERR attributes have {bytes} bytes, at most {max} are allowed")
            }
            Self::OptionWithoutValue { option } => write!(f, "ERR syntax error: {option} needs a value"),
            Self::HelloSyntax { option } => write!(f, "ERR Syntax error in HELLO option '{}'", Quoted(option)),
            Self::NotInteger => f.write_str("ERR value is not an integer or out of range"),
            Self::WrongType => f.write_str("WRONGTYPE Operation against a key holding the wrong kind of value"),
            Self::NoSuchKey => f.write_str("ERR no such key"),
            Self::SameObject => f.write_str("ERR source and destination objects are the same"),
            Self::InvalidExpiry { command } => write!(f, "ERR invalid expire time in '{command}' command"),
            Self::UnknownArgument { argument } => write!(f, "ERR unknown argument: {}", Quoted(argument)),
            Self::UnsupportedOption { option } => write!(f, "ERR Unsupported option {}", Quoted(option)),
            Self::ExpireNotCompatible => {
                f.write_str("ERR NX and XX, GT or LT options at the same time are not compatible")
            }
            Self::ExpireGreaterAndLess => f.write_str("ERR GT and LT options at the same time are not compatible"),
            Self::NegativeOffset => f.write_str("ERR offset is out of range"),
            Self::DecrementOverflow => f.write_str("ERR decrement would overflow"),
            Self::OutOfRangeBetween { least, most } => {
                write!(f, "ERR value is out of range, value must between {least} and {most}")
            }
            Self::OutOfRangeShort => f.write_str("ERR value is out of range"),
            Self::Value(error) => write!(f, "ERR {error}"),
            Self::CollectionStays { name } => write!(
                f,
                "ERR '{}' is the name of a collection, which cannot be renamed or copied: VECALIAS gives it another name",
                Quoted(said_name(name))
            ),
            Self::NoSuchCollection { collection } => write!(
                f,
                "ERR no such collection '{}': a vector is renamed or copied within its collection, or to another of its dimension that exists",
                Quoted(said_name(collection))
            ),
            Self::NameOfCollection { name } => write!(
                f,
                "ERR '{}' is the name of a collection: DEL or VECDROP drops it with all its vectors",
                Quoted(said_name(name))
            ),
            Self::OutOfMemory => f.write_str(OUT_OF_MEMORY),
            Self::ExecOutOfMemory => write!(f, "EXECABORT Transaction discarded because of: {OUT_OF_MEMORY}"),
            Self::NoIdleTime => f.write_str(
                "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
                 policies at runtime LRU and LFU data will take some time to adjust.",
            ),
            Self::NoFrequency => f.write_str(
                "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when \
                 switching between policies at runtime LRU and LFU data will take some time to adjust.",
            ),
            Self::TooManyKeys => {
                let max = crate::limits::KEYS_REPLY_BYTES_MAX >> 20;
                write!(f, "ERR more than {max} MiB of keys match: use SCAN")
            }
            Self::NestedMulti => f.write_str("ERR MULTI calls can not be nested"),
            Self::WatchInMulti => f.write_str("ERR WATCH inside MULTI is not allowed"),
            Self::ExecWithoutMulti => f.write_str("ERR EXEC without MULTI"),
            Self::DiscardWithoutMulti => f.write_str("ERR DISCARD without MULTI"),
            Self::ExecAborted => f.write_str("EXECABORT Transaction discarded because of previous errors."),
            Self::ExecArity => {
                f.write_str("EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command")
            }
            Self::NotInTransaction => f.write_str("ERR Command not allowed inside a transaction"),
            Self::TransactionTooLong => {
                let max = crate::limits::TRANSACTION_COMMANDS_MAX;
                write!(f, "ERR too many commands in a transaction, at most {max} are allowed")
            }
            Self::TooManyWatched => {
                let max = crate::limits::WATCHED_KEYS_MAX;
                write!(f, "ERR too many watched keys, at most {max} are allowed")
            }
            Self::CrossSlot => f.write_str("CROSSSLOT Keys in request don't hash to the same slot"),
            Self::NotAuthenticated => f.write_str("NOAUTH Authentication required."),
            Self::WrongPassword => f.write_str("WRONGPASS invalid username-password pair or user is disabled."),
            Self::NoPasswordConfigured => f.write_str(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            ),
            Self::UnsupportedProtocol => f.write_str("NOPROTO unsupported protocol version"),
            Self::ProtocolNotInteger => f.write_str("ERR Protocol version is not an integer or out of range"),
            Self::HelloNotAuthenticated => f.write_str(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                 <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                 the same time",
            ),
            Self::Setting(error) => error.fmt(f),
            Self::DatabaseIndex => f.write_str("ERR DB index is out of range"),
            Self::ClientText { attribute } => {
                write!(
                    f,
                    "ERR {attribute} cannot contain spaces, newlines or special characters."
                )
            }
            Self::UnrecognizedOption { option } => write!(f, "ERR Unrecognized option '{}'", Quoted(option)),
            Self::NoSuchClient => f.write_str("ERR No such client"),
            Self::ClientId => f.write_str("ERR client-id should be greater than 0"),
            Self::KeyWithoutCollection { key } => write!(
                f,
                "ERR invalid key '{}': a vector's key is collection:element, and this one has no ':'",
                Quoted(said_name(key))
            ),
            Self::NameEmpty => f.write_str("ERR the collection's name is empty"),
            Self::NameTooLong { bytes } => write!(
                f,
                "ERR the collection's name has {bytes} bytes, at most {COLLECTION_NAME_BYTES_MAX} are allowed"
            ),
            Self::KeyTooLong { bytes } => {
                write!(f, "ERR the key has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed")
            }
            Self::FieldTooLong { bytes } => {
                write!(
                    f,
                    "ERR the field has {bytes} bytes, at most {KEY_BYTES_MAX} are allowed"
                )
            }
            Self::OutOfRange { what, min, max, got } => {
                write!(
                    f,
                    "ERR {what} must be a whole number between {min} and {max}, got '{}'",
                    Quoted(got)
                )
            }
            Self::ComponentCount { dimension, got } => {
                write!(
                    f,
                    "ERR vector dimension mismatch - dim says {dimension} but {got} components follow"
                )
            }
            Self::BlobLength { dimension, got } => write!(
                f,
                "ERR vector dimension mismatch - dim {dimension} takes a blob of {} bytes but got {got}",
                dimension * 4
            ),
            Self::BlobNotFloats { got } => {
                write!(
                    f,
                    "ERR invalid vector: a blob holds 4 bytes for each component, got {got} bytes"
                )
            }
            Self::NotNumber { position, got } => write!(
                f,
                "ERR invalid vector: component {position} is not a number: '{}'",
                Quoted(got)
            ),
            Self::NotFinite { position, got } => {
                write!(
                    f,
                    "ERR invalid vector: component {position} is not a finite 32-bit float: '{}'",
                    Quoted(got)
                )
            }
            Self::Attributes { error } => write!(f, "ERR invalid attributes: {error}"),
            Self::Filter { error, .. } if error.is_too_long() => write!(f, "ERR invalid FILTER: {error}"),
            Self::Filter { near, .. } => write!(f, "ERR syntax error in FILTER expression near: {}", Quoted(near)),
            Self::Path { got, error } => write!(f, "ERR invalid path '{}': {error}", Quoted(got)),
            Self::NotFiniteOption { what, got } => {
                write!(f, "ERR {what} must be a finite 32-bit float, got '{}'", Quoted(got))
            }
            Self::TooManyCenterKeys => {
                let max = crate::limits::CENTER_KEYS_MAX;
                write!(f, "ERR too many keys to search near, at most {max} are allowed")
            }
            Self::TooManyNeighbours { nearest } => {
                let max = crate::limits::K_MAX;
                write!(f, "ERR k, OFFSET and the number of keys behind NOT together are {nearest}, at most {max} are allowed")
            }
            Self::LabelTooLong { bytes } => {
                let max = crate::limits::LABEL_BYTES_MAX;
                write!(f, "ERR the label has {bytes} bytes, at most {max} are allowed")
            }
            Self::TooManyVectors => {
                let max = crate::limits::VECTORS_SET_MAX;
                write!(f, "ERR too many vectors, at most {max} are set at once")
            }
            Self::SeveralCollections => f.write_str("ERR the keys are of several collections"),
            Self::GroupSyntax => f.write_str("ERR syntax error: GROUP is followed by BY path LIMIT n"),
            Self::MixedDimensions => f.write_str("ERR the vectors of these keys have different dimensions"),
            Self::NoMean => f.write_str("ERR the vectors of these keys with these weights have no mean"),
            Self::NoSuchVector { key } => write!(f, "ERR no such vector '{}'", Quoted(said_name(key))),
            Self::ZeroVector => {
                f.write_str("ERR invalid vector: a zero vector has no direction, so it has no cosine distance")
            }
            Self::DimensionMismatch {
                collection,
                dimension,
                got,
            } => write!(
                f,
                "ERR vector dimension mismatch - got {got} but collection '{}' has {dimension}",
                Quoted(said_name(collection))
            ),
            Self::UnknownStorage { got } => {
                write!(
                    f,
                    "ERR unknown quantization '{}': F32, F16, Q16 and Q8 are known",
                    Quoted(got)
                )
            }
            Self::TooManyCollections => {
                let max = crate::limits::COLLECTIONS_MAX;
                write!(f, "ERR too many collections, at most {max} are allowed")
            }
            Self::ReplyTooLarge { bytes_max } => write!(
                f,
                "ERR the reply would take more than the {bytes_max} bytes of memory that clients may hold; ask for less or raise maxmemory-clients"
            ),
            Self::OutOfClientMemory => f.write_str(
                "OOM clients hold as much memory as maxmemory-clients allows: requests not answered, and replies not taken. Try again later, or raise it",
            ),
            Self::LargerThanClientMemory => {
                f.write_str("OOM the request is larger than the memory that clients may hold; see maxmemory-clients")
            }
            Self::ScanNoValues => f.write_str("ERR NOVALUES option can only be used in HSCAN"),
            Self::InvalidCursor => f.write_str("ERR invalid cursor"),
            Self::PatternTooLong { bytes, max } => {
                write!(f, "ERR the pattern has {bytes} bytes, at most {max} are allowed")
            }
            Self::ClientTextTooLong { attribute, bytes } => {
                let max = crate::limits::CLIENT_TEXT_BYTES_MAX;
                write!(f, "ERR {attribute} has {bytes} bytes, at most {max} are allowed")
            }
            Self::UnknownMetric { got } => {
                write!(f, "ERR unknown metric '{}': COSINE, L2 and IP are known", Quoted(got))
            }
            Self::Name(error) => error.fmt(f),
            Self::CollectionExists { collection } => {
                write!(f, "ERR collection '{}' already exists", Quoted(said_name(collection)))
            }
            Self::QueryOvertaken { collection } => write!(
                f,
                "TRYAGAIN collection '{}' was dropped and made again each time the query was asked",
                Quoted(said_name(collection))
            ),
        }
    }
}

impl std::error::Error for ClientError {}

/// A client's bytes inside an error: cut to a length, and without anything that could be taken for protocol.
pub(crate) struct Quoted<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A zero byte ends it, as in C.
        let text = self.0.split(|byte| *byte == 0).next().unwrap_or_default();
        let shown = &text[..text.len().min(QUOTED_BYTES_MAX)];
        for character in String::from_utf8_lossy(shown).chars() {
            let printable = if character.is_control() { ' ' } else { character };
            write!(f, "{printable}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_quotes_a_bounded_and_harmless_part_of_what_was_sent() {
        let error = ClientError::KeyWithoutCollection {
            key: b"a\r\n+OK\r\n".repeat(1000),
        };
        let text = error.to_string();
        assert!(text.len() < 2 * QUOTED_BYTES_MAX + 100);
        assert!(!text.contains('\r') && !text.contains('\n'));
    }

    #[test]
    fn an_unknown_command_is_refused_in_redis_s_words() {
        let error = ClientError::UnknownCommand {
            name: b"FOO".to_vec(),
            arguments: vec![b"a".to_vec(), b"b".to_vec()],
        };
        assert_eq!(
            error.to_string(),
            "ERR unknown command 'FOO', with args beginning with: 'a' 'b' "
        );
    }
}
