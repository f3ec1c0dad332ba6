//! Programs by chance: requests that are right most of the time, and wrong in many ways.

mod values;

use kora_tests::random::Random;
use kora_tests::request::{blob, words};

use crate::name::{Family, Name};
use crate::subject::address;

/// One request of one client.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Step {
    /// Which of the clients that are connected, counted in order of their sessions.
    pub(crate) client: usize,
    /// What passes before it.
    pub(crate) wait_ms: u64,
    pub(crate) words: Vec<Vec<u8>>,
}

/// Whoever writes a program.
struct Author {
    random: Random,
    /// How many names of elements it uses.
    elements: usize,
}

/// A program.
pub(crate) fn program(mut random: Random) -> Vec<Step> {
    // One in ten is long and names many vectors, so that a search does not see all of them.
    let is_long = random.percent(10);
    let steps = if is_long { 1500 } else { random.between(50, 500) };
    let author = &mut Author {
        random,
        elements: if is_long { 600 } else { 60 },
    };
    (0..steps)
        .map(|_| {
            let name = name(author);
            let mut words = request(name, author);
            let adds_floats = matches!(name, Name::IncrByFloat | Name::HIncrByFloat);
            // With one more word it would be a subscription; with another one it would change the users, or its client would be
            // told what it did not ask.
            let is_told = words[0] == b"MONITOR" || words.get(1).is_some_and(|word| word == b"TRACKING");
            let is_alone = words[0].ends_with(b"SUBSCRIBE") || words[0] == b"ACL" || is_told;
            if author.random.percent(8) && !adds_floats && !is_alone {
                spoil(&mut words, author);
            }
            Step {
                wait_ms: *author.random.pick(&[0, 0, 0, 0, 0, 0, 1, 40, 1500]),
                client: author.random.below(3),
                words,
            }
        })
        .collect()
}

/// Vectors are what it is about; everything else comes now and then.
fn name(author: &mut Author) -> Name {
    match author.random.below(100) {
        0..40 => Name::VecSet,
        40..60 => Name::VecQuery,
        60..66 => Name::VecDel,
        66..71 => Name::VecGet,
        71..73 => Name::VecCreate,
        73 => Name::VecSetAttr,
        74 => Name::VecDrop,
        86..89 => Name::VAdd,
        89 => *author
            .random
            .pick(&[Name::VSim, Name::VRem, Name::VCard, Name::VIsMember, Name::VGetAttr]),
        75 => *author.random.pick(&[Name::VecInfo, Name::VecMSet, Name::VecMSet]),
        90 => *author
            .random
            .pick(&[Name::VecMQuery, Name::VecMQuery, Name::VecExplain]),
        76..80 => Name::Set,
        80..83 => Name::HSet,
        83..85 => Name::Exec,
        85 => *author.random.pick(&[
            Name::Rename,
            Name::RenameNx,
            Name::Copy,
            Name::PExpire,
            Name::Persist,
            Name::Move,
            Name::Select,
        ]),
        _ => *author.random.pick(&Name::ALL),
    }
}

fn request(name: Name, author: &mut Author) -> Vec<Vec<u8>> {
    let text = match name {
        Name::VecSet => return set(author),
        Name::VecMSet => return set_many(author),
        Name::VecQuery => return query(author),
        Name::VecMQuery => return query_many(author),
        Name::VecExplain => {
            let mut request = query(author);
            request[0] = b"VECEXPLAIN".to_vec();
            return request;
        }
        Name::VecCreate => create(author),
        Name::VecAliasAdd => format!("VECALIAS ADD {} {}", alias(author), collection(author)),
        Name::VecAliasSet => format!("VECALIAS SET {} {}", alias(author), collection(author)),
        Name::VecAliasDel => format!("VECALIAS DEL {}", alias(author)),
        Name::VecDel => {
            let count = author.random.between(1, 4);
            if author.random.percent(10) {
                let collection = collection(author);
                let elements = (0..count).map(|_| format!(" ELEMENT {}", author.random.below(author.elements)));
                return words(&format!(
                    "VECDEL COLLECTION {collection}{}",
                    elements.collect::<String>()
                ));
            }
            let keys: Vec<String> = (0..count).map(|_| key(author)).collect();
            format!("VECDEL {}", keys.join(" "))
        }
        Name::VecGet => format!(
            "VECGET {}{}",
            key_or_names(author),
            author.random.pick(&["", "", " FP32", " fp32", " NUMBERS"])
        ),
        Name::VecGetAttr => {
            let path = author.random.pick(&["", "", "", " .n", " .m", " n"]);
            format!("VECGETATTR {}{path}", key(author))
        }
        Name::VecSetAttr => {
            let text = *author.random.pick(ATTRIBUTES);
            let merges = author.random.pick(&["", "", "", " MERGE", " MORE"]);
            format!("VECSETATTR {} {text}{merges}", key(author))
        }
        Name::VecDrop => format!("VECDROP {}", collection(author)),
        Name::VecInfo => format!("VECINFO {}", collection(author)),
        Name::VecRecall => format!(
            "VECRECALL {}{}",
            collection(author),
            author.random.pick(&[
                "",
                " K 3",
                " SAMPLES 7",
                " EF 1 samples 3",
                " K 0",
                " K",
                " SAMPLES 2 K 1001",
                " EF x",
                " Q 1"
            ])
        ),
        Name::Scan => scan(author),
        name if name.family() == Family::VectorSet => vector_set(name, author),
        name if values::has(name) => values::request(name, author),
        Name::ClientKill => kill(author),
        Name::Echo => format!("ECHO {}", author.random.any()),
        // Not too often, or nothing is ever there.
        Name::FlushAll | Name::FlushDb if author.random.percent(70) => "FLUSHALL NOW".to_owned(),
        // So that there is something in each of a few.
        Name::Select if author.random.percent(75) => format!("SELECT {}", author.random.below(3)),
        name => (*author.random.pick(forms(name))).to_owned(),
    };
    words(&text)
}

/// The requests that need no names of vectors.
fn forms(name: Name) -> &'static [&'static str] {
    match name {
        Name::VecSet
        | Name::VecMSet
        | Name::VecQuery
        | Name::VecMQuery
        | Name::VecExplain
        | Name::VecCreate
        | Name::VecDel
        | Name::VecGet
        | Name::VecGetAttr
        | Name::VecSetAttr
        | Name::VecDrop
        | Name::VecInfo
        | Name::VecRecall => {
            unreachable!("made of names")
        }
        Name::ClientKill | Name::Echo | Name::Scan => unreachable!("made of sessions, numbers and names"),
        Name::Acl => &["ACL", "ACL NOTHING"],
        Name::AclCat => &["ACL CAT nothing", "ACL CAT a b"],
        Name::AclDelUser => &["ACL DELUSER nobody other", "ACL DELUSER default"],
        Name::AclDryRun => &[
            "ACL DRYRUN nobody GET k",
            "ACL DRYRUN default GET k",
            "ACL DRYRUN default GET",
            "ACL DRYRUN default NOTHING",
        ],
        Name::AclGenPass => &["ACL GENPASS 0", "ACL GENPASS 4097", "ACL GENPASS x", "ACL GENPASS 1 2"],
        Name::AclGetUser => &["ACL GETUSER nobody", "ACL GETUSER"],
        Name::AclHelp => &["ACL HELP"],
        Name::AclList => &["ACL LIST now"],
        Name::AclLoad => &["ACL LOAD"],
        Name::AclLog => &["ACL LOG RESET", "ACL LOG 0", "ACL LOG -1", "ACL LOG 1 2"],
        Name::AclSave => &["ACL SAVE"],
        Name::AclSetUser => &["ACL SETUSER u on foo", "ACL SETUSER"],
        Name::AclUsers => &["ACL USERS"],
        Name::AclWhoAmI => &["ACL WHOAMI"],
        Name::Discard => &["DISCARD"],
        Name::Exec => &["EXEC"],
        Name::Multi => &["MULTI"],
        Name::Unwatch => &["UNWATCH"],
        Name::RandomKey => &["RANDOMKEY"],
        Name::Time => &["TIME"],
        Name::Keys => &["KEYS *", "KEYS k*", "KEYS a:1?", "KEYS nothing"],
        Name::Memory => &["MEMORY", "MEMORY NOTHING"],
        Name::MemoryDoctor => &["MEMORY DOCTOR"],
        Name::MemoryHelp => &["MEMORY HELP"],
        Name::MemoryMallocStats => &["MEMORY MALLOC-STATS"],
        Name::MemoryPurge => &["MEMORY PURGE"],
        Name::MemoryStats => &["MEMORY STATS"],
        Name::Object => &["OBJECT", "OBJECT NOTHING k1"],
        Name::ObjectHelp => &["OBJECT HELP"],
        Name::VecList => &["VECLIST", "VECLIST WITHALIASES", "VECLIST ALL"],
        Name::VecAlias => &["VECALIAS", "VECALIAS NOTHING"],
        Name::VecAliasHelp => &["VECALIAS HELP"],
        Name::VecAliasList => &["VECALIAS LIST", "VECALIAS LIST a", "VECALIAS LIST a b"],
        Name::Auth => &[
            "AUTH sesame",
            "AUTH default sesame",
            "AUTH wrong",
            "AUTH other sesame",
            "AUTH a b c",
        ],
        Name::Hello => HELLO,
        Name::Client => &["CLIENT", "CLIENT NOTHING"],
        Name::ClientGetname => &["CLIENT GETNAME"],
        Name::ClientHelp => &["CLIENT HELP"],
        Name::ClientNoEvict => &["CLIENT NO-EVICT OFF", "CLIENT NO-EVICT maybe"],
        Name::ClientNoTouch => &["CLIENT NO-TOUCH off", "CLIENT NO-TOUCH maybe"],
        Name::ClientPause => &[
            "CLIENT PAUSE 0",
            "CLIENT PAUSE 0 WRITE",
            "CLIENT PAUSE 0 ALL",
            "CLIENT PAUSE 0 SOME",
            "CLIENT PAUSE soon",
            "CLIENT PAUSE 0 ALL 1",
        ],
        Name::ClientReply => &["CLIENT REPLY ON", "CLIENT REPLY maybe"],
        Name::ClientUnblock => &[
            "CLIENT UNBLOCK 1",
            "CLIENT UNBLOCK 1 TIMEOUT",
            "CLIENT UNBLOCK 2 ERROR",
            "CLIENT UNBLOCK 1 NOW",
            "CLIENT UNBLOCK x",
            "CLIENT UNBLOCK 1 ERROR 2",
        ],
        Name::ClientUnpause => &["CLIENT UNPAUSE"],
        Name::ClientCaching => &["CLIENT CACHING YES", "CLIENT CACHING no", "CLIENT CACHING maybe"],
        Name::ClientGetRedir => &["CLIENT GETREDIR"],
        Name::ClientTracking => &[
            "CLIENT TRACKING OFF",
            "CLIENT TRACKING off BCAST PREFIX a",
            "CLIENT TRACKING maybe",
            "CLIENT TRACKING ON PREFIX a",
            "CLIENT TRACKING ON BCAST OPTIN",
            "CLIENT TRACKING ON OPTIN OPTOUT",
            "CLIENT TRACKING ON REDIRECT x",
            "CLIENT TRACKING ON REDIRECT 99999",
            "CLIENT TRACKING ON BCAST PREFIX a PREFIX ab",
        ],
        Name::ClientTrackingInfo => &["CLIENT TRACKINGINFO"],
        Name::Latency => &["LATENCY", "LATENCY NOTHING"],
        Name::LatencyDoctor => &["LATENCY DOCTOR"],
        Name::LatencyHelp => &["LATENCY HELP"],
        Name::LatencyHistogram => &["LATENCY HISTOGRAM", "LATENCY HISTOGRAM get client nothing"],
        Name::LatencyHistory => &["LATENCY HISTORY command", "LATENCY HISTORY nothing"],
        Name::LatencyLatest => &["LATENCY LATEST"],
        Name::LatencyReset => &["LATENCY RESET", "LATENCY RESET command nothing"],
        Name::Slowlog => &["SLOWLOG", "SLOWLOG NOTHING"],
        Name::SlowlogGet => &[
            "SLOWLOG GET",
            "SLOWLOG GET 3",
            "SLOWLOG GET -1",
            "SLOWLOG GET -2",
            "SLOWLOG GET x",
        ],
        Name::SlowlogHelp => &["SLOWLOG HELP"],
        Name::SlowlogLen => &["SLOWLOG LEN"],
        Name::SlowlogReset => &["SLOWLOG RESET"],
        Name::Monitor => &["MONITOR now"],
        Name::CommandGetKeys => &["COMMAND GETKEYS GET k1", "COMMAND GETKEYS PING"],
        Name::CommandGetKeysAndFlags => &["COMMAND GETKEYSANDFLAGS GET k1", "COMMAND GETKEYSANDFLAGS PING"],
        Name::Debug => &["DEBUG JMAP", "DEBUG SLEEP 0"],
        Name::Lolwut => &["LOLWUT", "LOLWUT VERSION 5", "LOLWUT VERSION x"],
        Name::Module => &["MODULE", "MODULE NOTHING"],
        Name::ModuleHelp => &["MODULE HELP"],
        Name::ModuleList => &["MODULE LIST"],
        Name::ModuleLoad => &["MODULE LOAD path"],
        Name::ModuleLoadEx => &["MODULE LOADEX path ARGS 1"],
        Name::ModuleUnload => &["MODULE UNLOAD name"],
        Name::Role => &["ROLE"],
        Name::Wait => &["WAIT 0 10", "WAIT 1 0", "WAIT x 10", "WAIT 0 x"],
        Name::WaitAof => &[
            "WAITAOF 0 0 10",
            "WAITAOF 1 0 0",
            "WAITAOF 0 1 0",
            "WAITAOF 2 0 0",
            "WAITAOF 0 0 x",
        ],
        Name::ClientId => &["CLIENT ID"],
        Name::ClientInfo => &["CLIENT INFO"],
        Name::ClientList => CLIENT_LIST,
        Name::ClientSetInfo => CLIENT_SETINFO,
        Name::ClientSetname => &[
            "CLIENT SETNAME one",
            "CLIENT SETNAME two",
            "CLIENT SETNAME ",
            "CLIENT SETNAME \u{fc}",
        ],
        Name::Command => &["COMMAND", "COMMAND NOTHING"],
        Name::CommandCount => &["COMMAND COUNT"],
        Name::CommandDocs => &[
            "COMMAND DOCS",
            "COMMAND DOCS vecset ECHO",
            "COMMAND DOCS client|list nothing",
        ],
        Name::CommandHelp => &["COMMAND HELP"],
        Name::CommandInfo => &[
            "COMMAND INFO",
            "COMMAND INFO vecset ECHO",
            "COMMAND INFO client|list nothing",
        ],
        Name::CommandList => COMMAND_LIST,
        Name::Config => &["CONFIG", "CONFIG FORGET port 1"],
        Name::ConfigGet => &[
            "CONFIG GET *",
            "CONFIG GET port",
            "CONFIG GET MAX* vector-m",
            "CONFIG GET nothing",
        ],
        Name::ConfigHelp => &["CONFIG HELP"],
        Name::ConfigResetStat => &["CONFIG RESETSTAT"],
        Name::ConfigRewrite => &["CONFIG REWRITE"],
        Name::ConfigSet => &[
            "CONFIG SET port 1",
            "CONFIG SET databases 16 APPENDONLY no",
            "CONFIG SET Databases 16",
            "CONFIG SET databases 2",
            "CONFIG SET nothing 1",
            "CONFIG SET port",
            "CONFIG SET port 1 vector-m",
            "CONFIG SET databases 1 databases 1",
        ],
        Name::DbSize => &["DBSIZE"],
        Name::FlushAll => &["FLUSHALL", "FLUSHALL sync"],
        Name::FlushDb => &["FLUSHDB", "FLUSHDB ASYNC"],
        Name::Info => &[
            "INFO",
            "INFO keyspace",
            "INFO SERVER clients",
            "INFO all",
            "INFO nothing",
            "INFO commandstats",
        ],
        Name::Ping => &["PING", "PING hello", "PING one two"],
        Name::Quit => &["QUIT", "QUIT now"],
        Name::BgRewriteAof => &["BGREWRITEAOF", "BGREWRITEAOF now"],
        Name::BgSave => &["BGSAVE", "BGSAVE SCHEDULE", "BGSAVE later", "BGSAVE SCHEDULE now"],
        Name::LastSave => &["LASTSAVE", "LASTSAVE now"],
        Name::Save => &["SAVE", "SAVE now"],
        Name::Reset => &["RESET", "RESET now"],
        Name::Publish => &["PUBLISH news hello", "PUBLISH news"],
        Name::Eval => &[
            "EVAL return(1) 0",
            "EVAL return{KEYS[1],ARGV[1]} 1 b c",
            "EVAL return(1) x",
            "EVAL return(1) -1",
            "EVAL return(1) 2 a",
            "EVAL return(1)",
            "EVAL return(1) 2 {a}b c",
        ],
        Name::EvalRo => &["EVAL_RO return(1) 0", "EVAL_RO return(1)"],
        Name::EvalSha => &["EVALSHA ffff 0", "EVALSHA ffff x"],
        Name::EvalShaRo => &["EVALSHA_RO ffff 0"],
        Name::FCall => &[
            "FCALL fa 0",
            "FCALL FA 0",
            "FCALL fb 1 k x",
            "FCALL fb 1 k",
            "FCALL fb 0 x",
            "FCALL fb x",
            "FCALL fb 2 k",
            "FCALL fb -1",
            "FCALL nothing x",
        ],
        Name::FCallRo => &["FCALL_RO fa 0", "FCALL_RO fb 1 k x", "FCALL_RO nothing 0"],
        Name::Function => &["FUNCTION", "FUNCTION NOTHING"],
        Name::FunctionDelete => &["FUNCTION DELETE la", "FUNCTION DELETE lb", "FUNCTION DELETE LA"],
        Name::FunctionDump => &["FUNCTION DUMP"],
        Name::FunctionFlush => &[
            "FUNCTION FLUSH",
            "FUNCTION FLUSH async",
            "FUNCTION FLUSH now",
            "FUNCTION FLUSH now now",
        ],
        Name::FunctionHelp => &["FUNCTION HELP"],
        Name::FunctionKill => &["FUNCTION KILL"],
        Name::FunctionList => &[
            "FUNCTION LIST",
            "FUNCTION LIST withcode",
            "FUNCTION LIST LIBRARYNAME LA",
            "FUNCTION LIST LIBRARYNAME",
            "FUNCTION LIST nothing",
        ],
        Name::FunctionLoad => &[
            "FUNCTION LOAD #!lua\tname=la\nredis.register_function('fa',function()return(1)end)",
            "FUNCTION LOAD REPLACE #!lua\tname=la\nredis.register_function('fa',function()return(1)end)",
            "FUNCTION LOAD #!lua\tname=lb\nredis.register_function{function_name='FB',flags={'no-writes'},callback=function(k,a)return{k[1],a[1]}end}",
            "FUNCTION LOAD replace #!lua\tname=lb\nredis.register_function{function_name='FB',flags={'no-writes'},callback=function(k,a)return{k[1],a[1]}end}",
            "FUNCTION LOAD #!lua\tname=lc\nredis.register_function('fa',function()return(1)end)",
            "FUNCTION LOAD return(1)",
        ],
        Name::FunctionRestore => &["FUNCTION RESTORE x", "FUNCTION RESTORE x replace"],
        Name::FunctionStats => &["FUNCTION STATS"],
        Name::Script => &["SCRIPT", "SCRIPT NOTHING"],
        Name::ScriptExists => &["SCRIPT EXISTS ffff", "SCRIPT EXISTS a b"],
        Name::ScriptFlush => &["SCRIPT FLUSH", "SCRIPT FLUSH async", "SCRIPT FLUSH now"],
        Name::ScriptHelp => &["SCRIPT HELP"],
        Name::ScriptKill => &["SCRIPT KILL"],
        Name::ScriptLoad => &["SCRIPT LOAD return(1)", "SCRIPT LOAD return("],
        Name::SPublish => &["SPUBLISH news hello", "SPUBLISH news"],
        Name::PubSub => &["PUBSUB", "PUBSUB NOTHING"],
        Name::PubSubChannels => &["PUBSUB CHANNELS", "PUBSUB CHANNELS n*", "PUBSUB CHANNELS a b"],
        Name::PubSubHelp => &["PUBSUB HELP"],
        Name::PubSubNumPat => &["PUBSUB NUMPAT"],
        Name::PubSubNumSub => &["PUBSUB NUMSUB", "PUBSUB NUMSUB news other"],
        Name::PubSubShardChannels => &["PUBSUB SHARDCHANNELS", "PUBSUB SHARDCHANNELS n*"],
        Name::PubSubShardNumSub => &["PUBSUB SHARDNUMSUB", "PUBSUB SHARDNUMSUB news"],
        // No client subscribes here, see the twin's `subscriptions.rs`.
        Name::Subscribe | Name::Unsubscribe => &["SUBSCRIBE"],
        Name::PSubscribe | Name::PUnsubscribe => &["PSUBSCRIBE"],
        Name::SSubscribe | Name::SUnsubscribe => &["SSUBSCRIBE"],
        Name::Select => &[
            "SELECT 0",
            "SELECT 15",
            "SELECT 16",
            "SELECT zero",
            "SELECT -1",
            "SELECT 4294967296",
        ],
        Name::Shutdown => &["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN SAVE FORCE", "SHUTDOWN LATER"],
        name => unreachable!("{name:?} is made of keys"),
    }
}

/// Three collections of unlike placement, which some programs give other metrics; now and then by what may be an alias.
fn collection(author: &mut Author) -> &'static str {
    match author.random.below(12) {
        0 => "al",
        1 => "{t}al",
        number => ["a", "a", "b:c", "{t}d"][number % 4],
    }
}

/// The same names, and some that are aliases of them now and then.
fn alias(author: &mut Author) -> &'static str {
    ["al", "al", "{t}al", "s1", "a", "b"][author.random.below(6)]
}

/// The key of a vector, or the two words for it.
fn key_or_names(author: &mut Author) -> String {
    let key = key(author);
    match (author.random.percent(10), key.rsplit_once(':')) {
        (true, Some((collection, element))) => format!("COLLECTION {collection} element {element}"),
        _ => key,
    }
}

/// A command on a vector set. Its vectors are few and far from each other, so that it is known which are nearest.
fn vector_set(name: Name, author: &mut Author) -> String {
    let random = &mut author.random;
    let set = *random.pick(&["k1", "k1", "k2", "{t}k3", "s1", "s1", "s2", "a"]);
    let element = *random.pick(&["x", "y", "z", "x:y", "w"]);
    let vector = *random.pick(&["1 0", "0 1", "-1 0", "1 1", "-1 -1", "2 0", "0 0"]);
    let text = *random.pick(&["{\"n\":1}", "{\"n\":2}", "no-json"]);
    let rest = match name {
        Name::VAdd => {
            let some = [
                "",
                "",
                "",
                " M 16",
                " M 17",
                " Q8",
                " CAS",
                " EF 0",
                " EX 1000000",
                " M",
                " NOQUANTS",
            ];
            let attributes = random.pick(&["", "", " SETATTR "]).to_string();
            let attributes = if attributes.is_empty() {
                attributes
            } else {
                attributes + text
            };
            let vector = random
                .pick(&["VALUES 2 ", "VALUES 2 ", "VALUES 2 ", "VALUES 3 1 "])
                .to_string()
                + vector;
            format!(" {vector} {element} NOQUANT{}{attributes}", random.pick(&some))
        }
        Name::VSim => {
            let center = match random.below(2) {
                0 => format!("ELE {element}"),
                _ => format!("VALUES 2 {vector}"),
            };
            let some = [
                "",
                "",
                " COUNT 2",
                " COUNT 0",
                " TRUTH",
                " FILTER .n==1",
                " FILTER .n=1",
                " EPSILON 0.3",
                " NO",
            ];
            format!(" {center}{}", random.pick(&some))
        }
        Name::VCard | Name::VDim | Name::VInfo => String::new(),
        Name::VRandMember => (*random.pick(&["", " 0", " 2", " 10", " -3", " x"])).to_owned(),
        Name::VRange => {
            (*random.pick(&[" - +", " [x +", " (x [y", " - + 1", " + -", " x +", " - [ 1", " - + x"])).to_owned()
        }
        Name::VSetAttr => format!(" {element} {text}"),
        Name::VEmb => format!(" {element}{}", random.pick(&["", "", " ROW"])),
        Name::VLinks => format!(" {element}{}", random.pick(&["", "", " WITHSCORE"])),
        _ => format!(" {element}"),
    };
    format!("{}{}{rest}", name.text().to_uppercase(), format_args!(" {set}"))
}

fn key(author: &mut Author) -> String {
    let tag = author.random.pick(&["", "", "", "{x}"]);
    format!("{}:{tag}{}", collection(author), author.random.below(author.elements))
}

/// Mostly the dimension that the collection's name suggests, so that most VECSETs fit.
fn dimension(author: &mut Author, of: &str) -> usize {
    if author.random.percent(4) {
        return author.random.between(1, 5);
    }
    match of.as_bytes()[0] {
        b'a' => 3,
        b'b' => 8,
        _ => 2,
    }
}

/// Few different components, so that many vectors are equal and many distances are ties.
fn vector(author: &mut Author, dimension: usize) -> Vec<f32> {
    let coarse = author.random.percent(40);
    (0..dimension)
        .map(|_| match author.random.below(40) {
            0 => *author.random.pick(&[0.1, -0.0, 1000.5, 0.001]),
            _ if coarse => (author.random.below(5) as f32) - 2.0,
            _ => author.random.component(),
        })
        .collect()
}

fn push_vector(request: &mut Vec<Vec<u8>>, vector: &[f32], author: &mut Author) {
    if author.random.percent(50) {
        request.extend([b"FP32".to_vec(), blob(vector)]);
    } else {
        request.extend(vector.iter().map(|component| component.to_string().into_bytes()));
    }
}

fn set(author: &mut Author) -> Vec<Vec<u8>> {
    let key = key_or_names(author);
    let dimension = dimension(author, key.trim_start_matches("COLLECTION "));
    let mut request = words(&format!("VECSET {key} {dimension}"));
    let vector = vector(author, dimension);
    push_vector(&mut request, &vector, author);
    for option in [
        "EX 1",
        "px 30",
        "PXAT 5",
        "EXAT 9999999999",
        "KEEPTTL",
        "NX",
        "xx",
        "EX 0",
        "PX x",
    ] {
        if author.random.percent(4) {
            request.extend(words(option));
        }
    }
    if author.random.percent(40) {
        request.extend([b"ATTR".to_vec(), author.random.pick(ATTRIBUTES).as_bytes().to_vec()]);
    }
    request
}

fn set_many(author: &mut Author) -> Vec<Vec<u8>> {
    let collection = collection(author);
    let dimension = dimension(author, collection);
    let mut request = words(&format!("VECMSET {dimension}"));
    for _ in 0..author.random.between(1, 4) {
        let key = match author.random.below(20) {
            0 => key(author),
            number => format!("{collection}:{number}"),
        };
        let vector = vector(author, dimension);
        request.extend([key.into_bytes(), blob(&vector)]);
    }
    request
}

fn query_target(author: &mut Author) -> String {
    match author.random.below(10) {
        0..6 => collection(author).to_owned(),
        6 | 7 => format!("{}:*", collection(author)),
        8 => key(author),
        _ => (*author.random.pick(&["nothing", "nothing:*", "nothing:1", ":", "a:"])).to_owned(),
    }
}

fn query_many(author: &mut Author) -> Vec<Vec<u8>> {
    let target = query_target(author);
    let k = *author.random.pick(&[1, 3, 10, 10, 200]);
    let count = *author.random.pick(&[1, 2, 3, 9, 20]);
    let said = if author.random.percent(4) { count + 1 } else { count };
    let mut request = words(&format!("VECMQUERY {target} {said} {k} FP32"));
    let dimension = dimension(author, &target);
    for _ in 0..count {
        let vector = vector(author, dimension);
        request.push(blob(&vector));
    }
    push_query_options(&mut request, author);
    request
}

fn query(author: &mut Author) -> Vec<Vec<u8>> {
    let target = query_target(author);
    let k = *author.random.pick(&[1, 3, 5, 10, 10, 200]);
    let mut request = words(&format!("VECQUERY {target} {k}"));
    if author.random.percent(15) {
        request.extend(words(&format!("KEY {}", key_or_names(author))));
    } else {
        let dimension = dimension(author, &target);
        let vector = vector(author, dimension);
        push_vector(&mut request, &vector, author);
    }
    push_query_options(&mut request, author);
    request
}

fn push_query_options(request: &mut Vec<Vec<u8>>, author: &mut Author) {
    for option in [
        "EF 1",
        "EF 10",
        "ef 300",
        "RADIUS 0.5",
        "radius -1.25",
        "RADIUS 3",
        "OFFSET 2",
        "offset 99990",
        "NOT a:1",
        "NOT a:2 {t}b:1 b:3",
        "GROUP BY .n",
        "WITHINFO",
        "WithInfo",
    ] {
        if author.random.percent(8) {
            request.extend(words(option));
        }
    }
    if author.random.percent(40) {
        request.extend([b"FILTER".to_vec(), author.random.pick(FILTERS).as_bytes().to_vec()]);
    }
}

fn create(author: &mut Author) -> String {
    let collection = collection(author);
    let mut request = format!("VECCREATE {collection} DIM {}", dimension(author, collection));
    for option in [
        "METRIC L2",
        "metric ip",
        "METRIC Cosine",
        "QUANT q8",
        "QUANT Q16",
        "QUANT f16",
        "M 4",
        "EF_CONSTRUCTION 50",
        "EF_SEARCH 25",
        "LABEL model-2",
    ] {
        if author.random.percent(20) {
            request.push_str(&format!(" {option}"));
        }
    }
    request
}

fn scan(author: &mut Author) -> String {
    let mut request = format!(
        "SCAN {}",
        author.random.pick(&["0", "0", "0", "1", "9007199254740991", "abc"])
    );
    for option in [
        "COUNT 1000",
        "COUNT 3",
        "MATCH a:*",
        "match *{t}*1",
        "MATCH ??c:1*",
        "TYPE vector",
        "TYPE VectorSet",
        "TYPE string",
        "TYPE hash",
    ] {
        if author.random.percent(20) {
            request.push_str(&format!(" {option}"));
        }
    }
    request
}

fn kill(author: &mut Author) -> String {
    let id = author.random.between(1, 6) as u64;
    match author.random.below(8) {
        0 => format!("CLIENT KILL {}", address(id)),
        1 => format!("CLIENT KILL ID {id}"),
        2 => format!("CLIENT KILL ID {id} SKIPME no"),
        3 => format!("CLIENT KILL ADDR {} SKIPME yes", address(id)),
        4 => format!(
            "CLIENT KILL LADDR {} ID {id} USER default",
            crate::subject::LOCAL_ADDRESS
        ),
        5 => "CLIENT KILL USER nobody TYPE normal".to_owned(),
        6 => "CLIENT KILL TYPE pubsub".to_owned(),
        _ => "CLIENT KILL ID none ADDR".to_owned(),
    }
}

/// One thing goes wrong.
fn spoil(words: &mut Vec<Vec<u8>>, author: &mut Author) {
    let place = author.random.below(words.len());
    let kind = author.random.below(4);
    if is_of_script(words, place) {
        return;
    }
    match kind {
        0 if words.len() > 1 => drop(words.remove(place)),
        1 => words.insert(place + 1, garbage(author)),
        2 => words[place].make_ascii_uppercase(),
        _ => words[place] = garbage(author),
    }
}

/// Whether a fault there could change the text of a script: the twin runs none.
fn is_of_script(words: &[Vec<u8>], place: usize) -> bool {
    let name = words[0].to_ascii_lowercase();
    (name.starts_with(b"eval") && place < 2) || (name == b"script" && (1..3).contains(&place)) || name == b"function"
}

fn garbage(author: &mut Author) -> Vec<u8> {
    let garbage: [&[u8]; 16] = [
        b"",
        b"abc",
        b"-1",
        b"0",
        b"007",
        b"1e40",
        b"nan",
        b"inf",
        b"99999999999999999999",
        b"9223372036854775808",
        b"EF",
        b"FP32",
        b"no colon\r\nhere",
        b"\xff\x00\xfe",
        &[b'x'; 600],
        &[0, 0, 0xC0, 0x7F],
    ];
    author.random.pick(&garbage).to_vec()
}

/// Attributes that the twin knows: see its `attributes.rs`. Without blanks, so that a line of words can hold them.
const ATTRIBUTES: &[&str] = &[
    r#"{"n":1}"#,
    r#"{"n":1}"#,
    r#"{"n":2}"#,
    r#"{"n":3,"m":"x"}"#,
    r#"{"m":"x"}"#,
    r#"{"m":"y"}"#,
    "{}",
    r#"{"n":null}"#,
    r#"{"n":}"#,
    "[1]",
];

/// Filters that the twin knows.
const FILTERS: &[&str] = &[
    ".n == 1",
    ".n > 1",
    ".n >= 1 and .m == 'x'",
    "not (.n == 2)",
    "exists .m",
    ".n in 2..3",
    ".m in ['y', 'z']",
    ".n == 77",
    ".n >",
];

const HELLO: &[&str] = &[
    "HELLO",
    "HELLO 2",
    "HELLO 3",
    "HELLO 3",
    "HELLO 4",
    "HELLO three",
    "HELLO 3 AUTH default sesame",
    "HELLO 2 AUTH default sesame SETNAME hello",
    "HELLO 3 SETNAME me",
    "HELLO 3 AUTH default",
];

const CLIENT_LIST: &[&str] = &[
    "CLIENT LIST",
    "CLIENT LIST TYPE normal",
    "CLIENT LIST TYPE pubsub",
    "CLIENT LIST TYPE none",
    "CLIENT LIST ID 1 2 3 4",
    "CLIENT LIST ID 0",
    "CLIENT LIST ID",
];

const CLIENT_SETINFO: &[&str] = &[
    "CLIENT SETINFO LIB-NAME some-lib",
    "CLIENT SETINFO lib-ver 1.2.3",
    "CLIENT SETINFO LIB-NAME \u{fc}",
    "CLIENT SETINFO LIB-OTHER 1",
];

const COMMAND_LIST: &[&str] = &[
    "COMMAND LIST",
    "COMMAND LIST FILTERBY PATTERN vec*",
    "COMMAND LIST FILTERBY pattern C*",
    "COMMAND LIST FILTERBY MODULE any",
    "COMMAND LIST FILTERBY ACLCAT vector",
    "COMMAND LIST FILTERBY ACLCAT connection",
    "COMMAND LIST FILTERBY ACLCAT nothing",
    "COMMAND LIST FILTERBY OTHER x",
];
