//! The naive twin: what a server with these commands would say, with maps for collections and a loop for a search.
//!
//! It reads the words of a request by itself and shares no code with the engine.

mod aliases;
mod attributes;
mod compatibility;
mod connection;
mod databases;
mod field_deadlines;
mod form;
mod functions;
mod keys;
mod lifetimes;
mod observing;
mod query;
mod scripts;
mod server;
mod subscriptions;
mod transactions;
mod users;
mod values;
mod vector_sets;
mod vectors;
mod wish;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kora_tests::reply::Protocol;
use kora_vector::Metric;

use self::form::Form;
pub(crate) use self::keys::Scannable;
pub(crate) use self::query::{Asked, Recall};
pub(crate) use self::server::SETTINGS;
use self::transactions::{Transaction, Watched};
use self::values::Held;
use self::vector_sets::VectorSet;
use crate::name::{Family, Name};
use crate::say::Say;

/// The whole server.
pub(crate) struct Twin {
    pub(crate) shards: usize,
    pub(crate) password: Option<&'static str>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) collections: BTreeMap<Bytes, Collection>,
    /// Aliases, and the names of the collections that they mean.
    aliases: BTreeMap<Bytes, Bytes>,
    /// Strings and hashes.
    values: BTreeMap<Bytes, Held>,
    /// When vectors expire, by their keys, in milliseconds of Unix time.
    vector_expiries: BTreeMap<Bytes, i64>,
    /// Attributes of vectors, by their keys; none of them is empty.
    attributes: BTreeMap<Bytes, Bytes>,
    /// Which database all of that is of.
    database: usize,
    /// What the others hold.
    aside: BTreeMap<usize, databases::Data>,
    /// Names of the libraries of functions that are there.
    libraries: BTreeSet<&'static str>,
    /// The time of day, in microseconds of Unix time.
    pub(crate) now_us: u64,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) protocol: Protocol,
    /// The one that it has selected.
    database: usize,
    is_authenticated: bool,
    name: Bytes,
    library_name: Bytes,
    library_version: Bytes,
    last_command: &'static str,
    /// When it came, and when it last said something, in microseconds of Unix time.
    since_us: u64,
    last_us: u64,
    transaction: Option<Transaction>,
    watched: Watched,
}

/// A collection: its parameters, and vectors by element.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    dimension: usize,
    metric: Metric,
    form: Form,
    /// The coarsest form that any of its vectors was ever kept in: one that was copied here is what it was there.
    blur: Form,
    m: usize,
    ef_construction: usize,
    ef_search: usize,
    /// VECCREATE made it, so that it stays without vectors.
    stays: bool,
    vectors: BTreeMap<Bytes, Vec<f32>>,
    /// When it expires, in milliseconds of Unix time.
    expires_ms: Option<i64>,
    /// What its maker wanted to remember.
    label: Option<Bytes>,
    /// What only a vector set has.
    set: Option<VectorSet>,
}

/// What must come back for one request.
pub(crate) enum Expected {
    /// Exactly this.
    Reply(Say),
    /// No reply; the connection is closed.
    Silence,
    /// The nearest vectors, found approximately.
    Nearest(Asked),
    /// A map with at least these fields, and of all shards together so many vectors.
    Fields(Vec<(&'static str, Say)>, usize),
    /// A map with at least these fields.
    Has(Vec<(&'static str, Say)>),
    /// A map with at least these fields, whose names are no bulks.
    SetFields(Vec<(&'static str, Say)>),
    /// A text with these lines.
    Lines(Vec<String>),
    /// The help of a container that has these subcommands.
    Help(&'static str, Vec<String>),
    /// Descriptions of these commands, in this order; of `None` there is none.
    Described(Vec<Option<Name>>),
    /// Documentation of these commands.
    Documented(Vec<Name>),
    /// These names, in any order.
    Names(Vec<&'static str>),
    /// Numbers, each as near as said; and whether they come as bytes.
    Floats(Vec<f32>, f32, bool),
    /// A cursor and some of these keys, or all.
    Scanned(Scannable),
    /// An array of these, one for each command of a transaction.
    Many(Vec<Expected>),
    /// One of these.
    OneOf(Vec<Say>),
    /// A number above zero.
    Positive,
    /// An array of these, in any order.
    Bag(Vec<Say>),
    /// A map of these, in any order.
    Pairs(Vec<(Say, Say)>),
    /// HSCAN: cursor and some of these pairs, without values if so; from the beginning to the end all.
    FieldsScanned(Vec<(Say, Say)>, bool),
    /// HRANDFIELD: as many of these as was said, and whether with values.
    Drawn(Option<(i64, bool)>, Vec<(Say, Say)>),
}

type Answer = Result<Expected, Say>;

impl Twin {
    pub(crate) fn new(shards: usize, password: Option<&'static str>) -> Twin {
        Twin {
            shards,
            password,
            sessions: BTreeMap::new(),
            collections: BTreeMap::new(),
            aliases: BTreeMap::new(),
            values: BTreeMap::new(),
            vector_expiries: BTreeMap::new(),
            attributes: BTreeMap::new(),
            database: 0,
            aside: BTreeMap::new(),
            libraries: BTreeSet::new(),
            now_us: 0,
        }
    }

    pub(crate) fn connect(&mut self, id: u64, since_us: u64) {
        let session = Session {
            protocol: Protocol::Two,
            database: 0,
            is_authenticated: self.password.is_none(),
            name: Bytes::new(),
            library_name: Bytes::new(),
            library_version: Bytes::new(),
            last_command: "NULL",
            since_us,
            last_us: since_us,
            transaction: None,
            watched: Watched::default(),
        };
        self.sessions.insert(id, session);
    }

    /// What one request leads to. Sessions that it closes are gone then.
    pub(crate) fn answer(&mut self, id: u64, words: &[Vec<u8>]) -> Expected {
        let now_us = self.now_us;
        self.session(id).last_us = now_us;
        self.session(id).last_command = "unknown";
        self.settle();
        let database = self.session(id).database;
        self.go_to(database);
        let name = match self.name(id, words) {
            Ok(name) => name,
            Err(refusal) => {
                self.spoil(id);
                return Expected::Reply(refusal);
            }
        };
        self.session(id).last_command = name.text();
        let words = Words(words);
        if let Some(expected) = self.queue(id, name, &words) {
            return expected;
        }
        if name.family() == Family::Transaction {
            return self
                .transaction_command(id, name, &words)
                .unwrap_or_else(Expected::Reply);
        }
        match self.execute(id, name, &words) {
            Ok(expected) => expected,
            Err(refusal) => Expected::Reply(refusal),
        }
    }

    fn session(&mut self, id: u64) -> &mut Session {
        self.sessions.get_mut(&id).expect("only those who are there speak")
    }

    /// Which command this is, if it exists, has as many words, and may be said.
    fn name(&mut self, id: u64, words: &[Vec<u8>]) -> Result<Name, Say> {
        let Some(mut name) = Name::find(&words[0]).filter(|name| !name.is_subcommand()) else {
            let mut text = format!(
                "ERR unknown command '{}', with args beginning with: ",
                quoted(&words[0])
            );
            let mut room = QUOTED_BYTES;
            for word in words[1..].iter() {
                let shown = &word[..word.len().min(room)];
                if room > 0 {
                    text.push_str(&format!("'{}' ", quoted(shown)));
                }
                let printed = shown.iter().position(|byte| *byte == 0).unwrap_or(shown.len()) + 3;
                room = room.saturating_sub(printed);
            }
            return Say::error(text);
        };
        if name.is_container() && words.len() > 1 {
            let whole = [name.text().as_bytes(), b"|", &words[1]].concat();
            let text = name.text().to_uppercase();
            name = Name::find(&whole).ok_or_else(|| {
                Say::Error(format!(
                    "ERR unknown subcommand '{}'. Try {text} HELP.",
                    quoted(&words[1])
                ))
            })?;
        }
        if name == Name::Exec && words.len() > 1 {
            self.forget_transaction(id);
            let what = "wrong number of arguments for 'exec' command";
            return Say::error(format!("EXECABORT Transaction discarded because of: {what}"));
        }
        if !name.accepts(words.len()) {
            return Err(wrong_arity(name));
        }
        if !self.session(id).is_authenticated && !name.is_before_auth() {
            return Say::error("NOAUTH Authentication required.");
        }
        Ok(name)
    }

    fn execute(&mut self, id: u64, name: Name, words: &Words<'_>) -> Answer {
        let database = self.session(id).database;
        self.go_to(database);
        match name.family() {
            Family::String => return self.string_command(name, words),
            Family::Hash => return self.hash_command(name, words),
            Family::Lifetime => return self.lifetime_command(name, words),
            Family::Key => return self.key_command(name, words),
            Family::Transaction => unreachable!("looked at before"),
            Family::Vector if name.is_subcommand() => return self.alias_command(name, words),
            Family::Vector => {
                let own = self.own_words(name, words)?;
                return self.vector_command(name, &Words(&own));
            }
            Family::VectorSet => {
                let own = self.own_words(name, words)?;
                return self.set_command(name, &Words(&own));
            }
            Family::Server => {}
        }
        match name {
            Name::Auth => self.auth(id, words),
            Name::Hello => self.hello(id, words),
            Name::Ping => ping(words),
            Name::Echo => Ok(Expected::Reply(Say::Bulk(words.owned(1)))),
            Name::Quit => {
                self.sessions.remove(&id);
                Ok(Expected::Reply(Say::ok()))
            }
            Name::Select => self.select(id, words),
            Name::ClientGetname => Ok(Expected::Reply(match self.session(id).name.clone() {
                name if name.is_empty() => Say::Null,
                name => Say::Bulk(name),
            })),
            Name::ClientId => Ok(Expected::Reply(Say::count(id as usize))),
            Name::ClientInfo => Ok(Expected::Reply(Say::Verbatim(self.line(id)))),
            Name::ClientKill => self.client_kill(id, words),
            Name::ClientList => self.client_list(words),
            Name::ClientSetInfo => self.client_setinfo(id, words),
            Name::ClientSetname => self.client_setname(id, words),
            Name::AclHelp
            | Name::ClientHelp
            | Name::CommandHelp
            | Name::ConfigHelp
            | Name::FunctionHelp
            | Name::LatencyHelp
            | Name::MemoryHelp
            | Name::ModuleHelp
            | Name::ObjectHelp
            | Name::PubSubHelp
            | Name::ScriptHelp
            | Name::SlowlogHelp
            | Name::VecAliasHelp => Ok(server::help(name)),
            Name::MemoryDoctor => Ok(Expected::Lines(Vec::new())),
            Name::MemoryMallocStats => {
                let text = "Stats not supported for the current allocator";
                Ok(Expected::Reply(Say::Verbatim(text.to_owned())))
            }
            Name::MemoryPurge => Ok(Expected::Reply(Say::ok())),
            Name::MemoryStats => Ok(Expected::Has(vec![
                ("replication.backlog", Say::Integer(0)),
                ("keys.count", Say::count(self.size_of_all())),
                ("kora.dropped.bytes", Say::Integer(0)),
            ])),
            Name::Acl
            | Name::Client
            | Name::Config
            | Name::Function
            | Name::Latency
            | Name::Memory
            | Name::Module
            | Name::Object
            | Name::PubSub
            | Name::Script
            | Name::Slowlog
            | Name::VecAlias => {
                unreachable!("a container alone has too few words")
            }
            Name::AclCat
            | Name::AclDelUser
            | Name::AclDryRun
            | Name::AclGenPass
            | Name::AclGetUser
            | Name::AclList
            | Name::AclLoad
            | Name::AclLog
            | Name::AclSave
            | Name::AclSetUser
            | Name::AclUsers
            | Name::AclWhoAmI => users::answer(name, words),
            Name::Command => Ok(Expected::Described(server::commands().map(Some).collect())),
            Name::CommandCount => Ok(Expected::Reply(Say::count(server::commands().count()))),
            Name::CommandDocs => Ok(server::documented(words)),
            Name::CommandInfo => Ok(server::described(words)),
            Name::CommandList => server::listed(words),
            Name::ConfigGet => server::settings(words),
            Name::ConfigResetStat => Ok(Expected::Reply(Say::ok())),
            Name::ConfigRewrite => Say::error("ERR The server is running without a config file"),
            Name::ConfigSet => server::set_settings(words),
            Name::DbSize => Ok(Expected::Reply(Say::count(self.size()))),
            Name::FlushAll | Name::FlushDb => self.flush(name, words),
            Name::Info => Ok(self.info(words)),
            Name::Shutdown => self.shutdown(id, words),
            Name::LastSave => Ok(Expected::Reply(Say::Integer(0))),
            Name::BgRewriteAof | Name::BgSave | Name::Save => server::save(name, words),
            Name::Time => {
                let text = |number: u64| Say::bulk(&number.to_string());
                let parts = vec![text(self.now_us / 1_000_000), text(self.now_us % 1_000_000)];
                Ok(Expected::Reply(Say::Array(parts)))
            }
            Name::Reset => self.reset(id),
            Name::ClientCaching
            | Name::ClientGetRedir
            | Name::ClientTracking
            | Name::ClientTrackingInfo
            | Name::LatencyDoctor
            | Name::LatencyHistogram
            | Name::LatencyHistory
            | Name::LatencyLatest
            | Name::LatencyReset
            | Name::SlowlogGet
            | Name::SlowlogLen
            | Name::SlowlogReset => observing::answer(name, words),
            Name::ClientNoEvict
            | Name::ClientNoTouch
            | Name::ClientPause
            | Name::ClientReply
            | Name::ClientUnblock
            | Name::ClientUnpause
            | Name::CommandGetKeys
            | Name::CommandGetKeysAndFlags
            | Name::Debug
            | Name::Lolwut
            | Name::ModuleList
            | Name::ModuleLoad
            | Name::ModuleLoadEx
            | Name::ModuleUnload
            | Name::Role
            | Name::Wait
            | Name::WaitAof => compatibility::answer(name, words),
            Name::Eval
            | Name::EvalRo
            | Name::EvalSha
            | Name::EvalShaRo
            | Name::ScriptExists
            | Name::ScriptFlush
            | Name::ScriptKill
            | Name::ScriptLoad => scripts::answer(name, words),
            Name::FCall
            | Name::FCallRo
            | Name::FunctionDelete
            | Name::FunctionDump
            | Name::FunctionFlush
            | Name::FunctionKill
            | Name::FunctionList
            | Name::FunctionLoad
            | Name::FunctionRestore
            | Name::FunctionStats => self.function_command(name, words),
            name => subscriptions::answer(name, words),
        }
    }

    fn vector_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        match name {
            Name::VecCreate => self.create(words),
            Name::VecDel => self.delete(words),
            Name::VecDrop => {
                let name = words.collection(1)?;
                self.refuse_other_type(&name)?;
                self.refuse_alias(&name)?;
                let dropped = self.drop_collection(&name);
                Ok(Expected::Reply(Say::Integer(i64::from(dropped))))
            }
            Name::VecGet => self.get(words),
            Name::VecGetAttr => self.get_attributes(words),
            Name::VecSetAttr => self.set_attributes(words),
            Name::VecInfo => self.describe(words),
            Name::VecRecall => self.recall(words),
            Name::VecList if words.count() == 2 && words.is(1, "WITHALIASES") => {
                let names = self.collections.keys();
                let all = names.map(|name| (Say::Bulk(name.clone()), self.aliases_of(name)));
                Ok(Expected::Reply(Say::Map(all.collect())))
            }
            Name::VecList if words.count() > 1 => syntax(),
            Name::VecList => {
                let names = self.collections.keys().cloned().map(Say::Bulk);
                Ok(Expected::Reply(Say::Array(names.collect())))
            }
            Name::VecMSet => self.set_many(words),
            Name::VecQuery => self.query(words),
            Name::VecMQuery => self.query_many(words),
            Name::VecExplain => self.explain(words),
            _ => self.set(words),
        }
    }

    fn size_of_all(&mut self) -> usize {
        let mut all = 0;
        self.in_each_database(|twin| all += twin.size());
        all
    }

    fn size(&self) -> usize {
        self.collections
            .values()
            .map(|collection| match collection.set {
                Some(_) => collection.vectors.len().min(1),
                None => collection.vectors.len(),
            })
            .sum::<usize>()
            + self.values.len()
    }
}

/// The words of a request, the name included.
struct Words<'a>(&'a [Vec<u8>]);

impl Words<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn owned(&self, index: usize) -> Bytes {
        Bytes::copy_from_slice(&self.0[index])
    }

    fn is(&self, index: usize, word: &str) -> bool {
        self.0
            .get(index)
            .is_some_and(|found| found.eq_ignore_ascii_case(word.as_bytes()))
    }

    fn integer(&self, index: usize) -> Option<i64> {
        let text = std::str::from_utf8(&self.0[index]).ok()?;
        text.parse().ok().filter(|number: &i64| number.to_string() == text)
    }

    fn unsigned(&self, index: usize) -> Option<u64> {
        let text = std::str::from_utf8(&self.0[index]).ok()?;
        text.parse().ok()
    }

    fn needed_integer(&self, index: usize) -> Result<i64, Say> {
        self.integer(index)
            .ok_or_else(|| Say::Error("ERR value is not an integer or out of range".to_owned()))
    }

    /// A key of any type.
    fn any_key(&self, index: usize) -> Result<Bytes, Say> {
        Ok(self.owned(index))
    }

    /// Each `step`th word from `start` on, as a key.
    fn keys(&self, start: usize, step: usize) -> Result<Vec<Bytes>, Say> {
        (start..self.count())
            .step_by(step)
            .map(|index| self.any_key(index))
            .collect()
    }

    /// `[count [WITHVALUES]]` of HRANDFIELD.
    fn sample(&self) -> Result<Option<(i64, bool)>, Say> {
        if self.count() == 2 {
            return Ok(None);
        }
        let count = self.needed_integer(2)?;
        match self.count() {
            3 => Ok(Some((count, false))),
            4 if self.is(3, "WITHVALUES") => Ok(Some((count, true))),
            _ => syntax(),
        }
    }

    fn number(&self, index: usize, what: &str, min: usize, max: usize) -> Result<usize, Say> {
        let number = self.integer(index).and_then(|number| usize::try_from(number).ok());
        number.filter(|number| (min..=max).contains(number)).ok_or_else(|| {
            let got = quoted(&self.0[index]);
            Say::Error(format!(
                "ERR {what} must be a whole number between {min} and {max}, got '{got}'"
            ))
        })
    }

    fn collection(&self, index: usize) -> Result<Bytes, Say> {
        vectors::vet_name(&self.0[index])?;
        Ok(self.owned(index))
    }
}

fn ping(words: &Words<'_>) -> Answer {
    match words.count() {
        1 => Ok(Expected::Reply(Say::Simple("PONG"))),
        2 => Ok(Expected::Reply(Say::Bulk(words.owned(1)))),
        _ => Err(wrong_arity(Name::Ping)),
    }
}

fn syntax<T>() -> Result<T, Say> {
    Say::error("ERR syntax error")
}

fn wrong_arity(name: Name) -> Say {
    Say::Error(format!("ERR wrong number of arguments for '{}' command", name.text()))
}

/// A client's bytes inside an error.
fn quoted(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(&text[..text.len().min(QUOTED_BYTES)])
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

/// Bytes that an error quotes.
const QUOTED_BYTES: usize = 128;
