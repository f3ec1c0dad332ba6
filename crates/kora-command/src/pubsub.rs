//! Syntax of publishing and subscribing.

use bytes::Bytes;
use kora_resp::Words;
use kora_resp::glob::Pattern;
use kora_resp::limits::PATTERN_BYTES_MAX;

use crate::Command;
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::keys;
use crate::limits::{CHANNEL_BYTES_MAX, COUNTED_CHANNELS_MAX};
use crate::row::{CommandEntry, PLAIN};
use crate::syntax::Argument;

/// What a client subscribes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicKind {
    /// A channel by its name.
    Channel,
    /// All channels whose names match a glob pattern.
    Pattern,
    /// A shard channel: a name of its own, for clients that know Redis Cluster.
    Shard,
}

impl TopicKind {
    /// All kinds, each in the place of its number.
    pub const ALL: [TopicKind; 3] = [TopicKind::Channel, TopicKind::Pattern, TopicKind::Shard];

    /// What a message says that follows from such a subscription.
    pub fn message_word(self) -> &'static str {
        ["message", "pmessage", "smessage"][self as usize]
    }

    /// What confirms a subscription.
    pub fn subscribe_word(self) -> &'static str {
        ["subscribe", "psubscribe", "ssubscribe"][self as usize]
    }

    /// What confirms its end.
    pub fn unsubscribe_word(self) -> &'static str {
        ["unsubscribe", "punsubscribe", "sunsubscribe"][self as usize]
    }
}

/// Which subscriptions a client wants to begin or to end.
#[derive(Debug)]
pub struct SubscriptionChange {
    /// Of which kind.
    pub kind: TopicKind,
    /// Names of channels, or patterns; `None` for all that the client has.
    pub names: Option<Words>,
    /// Whether it ends them.
    pub ends: bool,
}

/// A message to all subscribers of a channel.
#[derive(Debug)]
pub struct Message {
    /// The channel's name.
    pub channel: Bytes,
    /// What is said.
    pub payload: Bytes,
    /// It goes to a shard channel.
    pub is_sharded: bool,
}

/// What PUBSUB asks.
#[derive(Debug)]
pub enum PubSubQuery {
    /// The names of channels of this kind that have subscribers, and that match.
    Names(TopicKind, Option<Pattern>),
    /// How many subscribe to each of these channels.
    Counts(TopicKind, Vec<Bytes>),
    /// How many patterns there are.
    PatternCount,
}

fn change(arguments: &Arguments<'_>, kind: TopicKind, ends: bool, bytes_max: usize) -> Result<Command, ClientError> {
    if let Some(bytes) = arguments.longer_than(bytes_max) {
        return Err(match kind {
            TopicKind::Pattern => ClientError::PatternTooLong { bytes, max: bytes_max },
            _ => ClientError::ChannelTooLong { bytes },
        });
    }
    let names = (arguments.count() > 1).then(|| arguments.words_from(1));
    Ok(Command::ChangeSubscriptions(Box::new(SubscriptionChange {
        kind,
        names,
        ends,
    })))
}

fn subscribe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    change(arguments, TopicKind::Channel, false, CHANNEL_BYTES_MAX)
}

fn unsubscribe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    change(arguments, TopicKind::Channel, true, CHANNEL_BYTES_MAX)
}

fn psubscribe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    change(arguments, TopicKind::Pattern, false, PATTERN_BYTES_MAX)
}

fn punsubscribe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    change(arguments, TopicKind::Pattern, true, PATTERN_BYTES_MAX)
}

fn ssubscribe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    change(arguments, TopicKind::Shard, false, CHANNEL_BYTES_MAX)
}

fn sunsubscribe(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    change(arguments, TopicKind::Shard, true, CHANNEL_BYTES_MAX)
}

fn message(arguments: &Arguments<'_>, is_sharded: bool) -> Result<Command, ClientError> {
    let bytes = arguments.word(1).len();
    if bytes > CHANNEL_BYTES_MAX {
        return Err(ClientError::ChannelTooLong { bytes });
    }
    Ok(Command::Publish(Box::new(Message {
        channel: arguments.owned(1),
        payload: arguments.owned(2),
        is_sharded,
    })))
}

fn publish(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    message(arguments, false)
}

fn spublish(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    message(arguments, true)
}

fn names(arguments: &Arguments<'_>, kind: TopicKind) -> Result<Command, ClientError> {
    let pattern = match arguments.count() {
        2 => None,
        3 => keys::pattern(arguments, 2)?,
        _ => return Err(unknown(arguments)),
    };
    Ok(Command::PubSub(Box::new(PubSubQuery::Names(kind, pattern))))
}

fn channels(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    names(arguments, TopicKind::Channel)
}

fn shardchannels(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    names(arguments, TopicKind::Shard)
}

fn counts(arguments: &Arguments<'_>, kind: TopicKind) -> Result<Command, ClientError> {
    let channels = arguments.count() - 2;
    if channels > COUNTED_CHANNELS_MAX {
        return Err(ClientError::OutOfRange {
            what: "the number of channels",
            min: 0,
            max: COUNTED_CHANNELS_MAX,
            got: channels.to_string().into_bytes(),
        });
    }
    let query = PubSubQuery::Counts(kind, arguments.owned_from(2));
    Ok(Command::PubSub(Box::new(query)))
}

fn numsub(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    counts(arguments, TopicKind::Channel)
}

fn shardnumsub(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    counts(arguments, TopicKind::Shard)
}

fn numpat(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::PubSub(Box::new(PubSubQuery::PatternCount)))
}

fn help(_: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::Help(&[
        "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        "HELP",
        "    Print this help.",
    ]))
}

/// Redis's answer to a subcommand with words that it does not take.
fn unknown(arguments: &Arguments<'_>) -> ClientError {
    ClientError::UnknownSubcommandOrArguments {
        command: "pubsub",
        subcommand: arguments.word(1).to_vec(),
    }
}

/// The commands of this family.
pub(super) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "psubscribe",
        reply: "For each pattern a message: `psubscribe`, the pattern, and how many channels and patterns the connection subscribes to. Then come messages: `pmessage`, the pattern, the channel, the text.",
        notes: "See SUBSCRIBE. A pattern has at most 1,024 bytes.",
        arity: -2,
        summary: "Subscribes to all channels whose names match a glob pattern.",
        arguments: &[Argument::pattern("pattern").multiple()],
        parse: psubscribe,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "publish",
        reply: "How many clients were sent the message, on all workers.",
        notes: "Messages of one connection reach each subscriber in the order in which they were published. Many subscribers are served a slice at a time; the reply comes when all have been.",
        arity: 3,
        is_fast: true,
        other_flags: &["pubsub", "loading", "stale"],
        summary: "Sends a message to all subscribers of a channel.",
        arguments: &[Argument::string("channel"), Argument::string("message")],
        parse: publish,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "pubsub",
        arity: -2,
        other_flags: &[],
        categories: &[],
        summary: "A container for questions about subscriptions.",
        subcommands: PUBSUB,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "punsubscribe",
        reply: "For each pattern a message: `punsubscribe`, the pattern, and how many subscriptions are left. Without a pattern all are ended; if there is none, the pattern is null.",
        arity: -1,
        summary: "Ends subscriptions to patterns.",
        arguments: &[Argument::pattern("pattern").optional().multiple()],
        parse: punsubscribe,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "spublish",
        reply: "How many clients were sent the message, on all workers.",
        notes: "Shard channels have names of their own; patterns do not see them.",
        arity: 3,
        is_fast: true,
        other_flags: &["pubsub", "loading", "stale"],
        keys: (1, 1, 1),
        summary: "Sends a message to all subscribers of a shard channel.",
        arguments: &[Argument::string("shardchannel"), Argument::string("message")],
        parse: spublish,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "ssubscribe",
        reply: "For each shard channel a message: `ssubscribe`, its name, and how many shard channels the connection subscribes to. Then come messages: `smessage`, the name, the text.",
        notes: "See SUBSCRIBE. Shard channels of several slots may be named in one command.",
        arity: -2,
        keys: (1, -1, 1),
        summary: "Subscribes to shard channels.",
        arguments: &[Argument::string("shardchannel").multiple()],
        parse: ssubscribe,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "subscribe",
        reply: "For each channel a message: `subscribe`, its name, and how many channels and patterns the connection subscribes to. Then come messages: `message`, the channel, the text.",
        notes: "In RESP3 messages are pushes, and the connection goes on as before. In RESP2 they are arrays, and while the connection subscribes to something it may only say SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE, their opposites, PING, QUIT and RESET. A client that does not read its messages is disconnected at the limit for `pubsub` in `client-output-buffer-limit`. A connection may have 100,000 subscriptions; a channel's name has at most 65,536 bytes. Not allowed inside MULTI.",
        arity: -2,
        summary: "Subscribes to channels.",
        arguments: &[Argument::string("channel").multiple()],
        parse: subscribe,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "sunsubscribe",
        reply: "For each shard channel a message: `sunsubscribe`, its name, and how many are left. Without a name all are ended; if there is none, the name is null.",
        arity: -1,
        keys: (1, -1, 1),
        summary: "Ends subscriptions to shard channels.",
        arguments: &[Argument::string("shardchannel").optional().multiple()],
        parse: sunsubscribe,
        ..SUBSCRIPTION
    },
    CommandEntry {
        name: "unsubscribe",
        reply: "For each channel a message: `unsubscribe`, its name, and how many subscriptions are left. Without a name all are ended; if there is none, the name is null.",
        arity: -1,
        summary: "Ends subscriptions to channels.",
        arguments: &[Argument::string("channel").optional().multiple()],
        parse: unsubscribe,
        ..SUBSCRIPTION
    },
];

const PUBSUB: &[CommandEntry] = &[
    CommandEntry {
        name: "pubsub|channels",
        reply: "An array of names.",
        arity: -2,
        summary: "Returns the channels that have subscribers.",
        arguments: &[Argument::pattern("pattern").optional()],
        parse: channels,
        ..QUESTION
    },
    CommandEntry {
        name: "pubsub|help",
        reply: "An array of lines.",
        arity: 2,
        other_flags: &["loading", "stale"],
        categories: &[],
        summary: "Returns help about PUBSUB.",
        parse: help,
        ..QUESTION
    },
    CommandEntry {
        name: "pubsub|numpat",
        reply: "A number.",
        arity: 2,
        summary: "Returns how many patterns have subscribers.",
        parse: numpat,
        ..QUESTION
    },
    CommandEntry {
        name: "pubsub|numsub",
        reply: "An array in which names and numbers alternate.",
        arity: -2,
        summary: "Returns how many clients subscribe to each channel, patterns aside.",
        arguments: &[Argument::string("channel").optional().multiple()],
        parse: numsub,
        ..QUESTION
    },
    CommandEntry {
        name: "pubsub|shardchannels",
        reply: "An array of names.",
        arity: -2,
        summary: "Returns the shard channels that have subscribers.",
        arguments: &[Argument::pattern("pattern").optional()],
        parse: shardchannels,
        ..QUESTION
    },
    CommandEntry {
        name: "pubsub|shardnumsub",
        reply: "An array in which names and numbers alternate.",
        arity: -2,
        summary: "Returns how many clients subscribe to each shard channel.",
        arguments: &[Argument::string("shardchannel").optional().multiple()],
        parse: shardnumsub,
        ..QUESTION
    },
];

const SUBSCRIPTION: CommandEntry = CommandEntry {
    group: "pubsub",
    other_flags: &["pubsub", "noscript", "loading", "stale"],
    categories: &["@pubsub"],
    ..PLAIN
};

const QUESTION: CommandEntry = CommandEntry {
    other_flags: &["pubsub", "loading", "stale"],
    ..SUBSCRIPTION
};
