//! What the scripted clients say.

use kora_tests::random::Random;
use kora_tests::reply::Protocol;
use kora_tests::request::{blob, words};

use crate::aliases::ALIAS;
use crate::scenario::{Occurrence, Scenario, WIDE};

/// One command of a script. Collections and elements are named by their number in the [`Scenario`].
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    Ping(Option<u64>),
    Echo(u64),
    Hello(Protocol),
    Set(Key, Vector),
    Get(Key),
    Delete(Vec<Key>),
    Query(Query),
    Create(usize, usize),
    Drop(usize),
    /// The collection, and in how many milliseconds it expires.
    Expire(usize, u64),
    Persist(usize),
    /// When does the collection expire?
    End(usize),
    Flush,
    List,
    /// Let the alias mean this collection.
    SetAlias(usize),
    QueryAlias(Vector),
    Aliases,
    Info(usize),
    Size,
    /// From the beginning to the end.
    Scan,
    Type(Key),
    ClientList,
    /// The session to close, and whether it is the asking one.
    Kill(u64, Victim),
    Unknown,
    Quit,
    Shutdown,
}

/// A vector's key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    pub(crate) collection: usize,
    pub(crate) element: usize,
}

/// The vector (value, 1, 0, 0, …). No two VECSETs have the same value, so a vector that is read tells who wrote it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Vector {
    pub(crate) value: u64,
    pub(crate) dimension: usize,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Query {
    pub(crate) target: Target,
    pub(crate) collection: usize,
    pub(crate) k: usize,
    pub(crate) ef: Option<usize>,
    pub(crate) vector: Vector,
    /// Asked so many times at once with VECMQUERY, or by itself.
    pub(crate) times: Option<usize>,
}

/// The three ways to name a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    Name,
    Star,
    Element(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Victim {
    Myself,
    Other,
}

impl Vector {
    pub(crate) fn components(self) -> Vec<f32> {
        let mut components = vec![0.0; self.dimension];
        components[0] = self.value as f32;
        components[1] = 1.0;
        components
    }

    /// The two components in which such vectors differ.
    pub(crate) fn plane(self) -> [f32; 2] {
        [self.value as f32, 1.0]
    }

    /// Whose components these are.
    pub(crate) fn of_components(components: &[f32]) -> Option<Vector> {
        let vector = Vector {
            value: *components.first()? as u64,
            dimension: components.len(),
        };
        (components.len() >= 2 && vector.components() == components).then_some(vector)
    }

    fn words(self) -> Vec<Vec<u8>> {
        if self.dimension == WIDE || self.value.is_multiple_of(2) {
            return vec![b"FP32".to_vec(), blob(&self.components())];
        }
        self.components()
            .iter()
            .map(|component| component.to_string().into_bytes())
            .collect()
    }
}

impl Command {
    /// The words of the request.
    pub(crate) fn words(&self, scenario: &Scenario) -> Vec<Vec<u8>> {
        let name = |collection: usize| scenario.collections[collection].name;
        match self {
            Command::Ping(None) => words("PING"),
            Command::Ping(Some(payload)) => words(&format!("PING {payload}")),
            Command::Echo(payload) => words(&format!("ECHO {payload}")),
            Command::Hello(Protocol::Two) => words("HELLO 2"),
            Command::Hello(Protocol::Three) => words("HELLO 3"),
            Command::Set(key, vector) => {
                let mut request = words(&format!("VECSET {} {}", key.text(scenario), vector.dimension));
                request.extend(vector.words());
                request
            }
            Command::Get(key) if scenario.collections[key.collection].is_wide() => {
                words(&format!("VECGET {} FP32", key.text(scenario)))
            }
            Command::Get(key) => words(&format!("VECGET {}", key.text(scenario))),
            Command::Delete(keys) => {
                let keys: Vec<String> = keys.iter().map(|key| key.text(scenario)).collect();
                words(&format!("VECDEL {}", keys.join(" ")))
            }
            Command::Query(query) => query.words(scenario),
            Command::Create(collection, dimension) => {
                words(&format!("VECCREATE {} DIM {dimension}", name(*collection)))
            }
            Command::Drop(collection) => words(&format!("VECDROP {}", name(*collection))),
            Command::Expire(collection, ms) => words(&format!("PEXPIRE {} {ms}", name(*collection))),
            Command::Persist(collection) => words(&format!("PERSIST {}", name(*collection))),
            Command::End(collection) => words(&format!("PEXPIRETIME {}", name(*collection))),
            Command::Flush => words("FLUSHALL"),
            Command::List => words("VECLIST"),
            Command::SetAlias(collection) => words(&format!("VECALIAS SET {ALIAS} {}", name(*collection))),
            Command::QueryAlias(vector) => {
                let mut request = words(&format!("VECQUERY {ALIAS} {WHOLE}"));
                request.extend(vector.words());
                request
            }
            Command::Aliases => words("VECALIAS LIST"),
            Command::Info(collection) => words(&format!("VECINFO {}", name(*collection))),
            Command::Size => words("DBSIZE"),
            // More than there are, so that the whole of it is one reply.
            Command::Scan => words("SCAN 0 COUNT 1000"),
            Command::Type(key) => words(&format!("TYPE {}", key.text(scenario))),
            Command::ClientList => words("CLIENT LIST"),
            Command::Kill(id, _) => words(&format!("CLIENT KILL ID {id} SKIPME no")),
            Command::Unknown => words("NONSENSE 1 2"),
            Command::Quit => words("QUIT"),
            Command::Shutdown => words("SHUTDOWN"),
        }
    }
}

impl Key {
    pub(crate) fn text(self, scenario: &Scenario) -> String {
        let collection = &scenario.collections[self.collection];
        format!("{}:{}", collection.name, collection.element(self.element))
    }
}

impl Query {
    /// True if the reply holds every vector of the collection: no collection has as many elements.
    pub(crate) fn is_whole(&self) -> bool {
        self.k >= WHOLE
    }

    fn words(&self, scenario: &Scenario) -> Vec<Vec<u8>> {
        let collection = &scenario.collections[self.collection];
        let target = match self.target {
            Target::Name => collection.name.to_owned(),
            Target::Star => format!("{}:*", collection.name),
            Target::Element(element) => format!("{}:{}", collection.name, collection.element(element)),
        };
        let mut request = match self.times {
            None => words(&format!("VECQUERY {target} {}", self.k)),
            Some(times) => words(&format!("VECMQUERY {target} {times} {} FP32", self.k)),
        };
        match self.times {
            None => request.extend(self.vector.words()),
            Some(times) => request.extend(vec![blob(&self.vector.components()); times]),
        }
        if let Some(ef) = self.ef {
            request.extend(words(&format!("EF {ef}")));
        }
        request
    }
}

/// Chooses what one client says next.
pub(crate) struct Speaker {
    pub(crate) random: Random,
    /// Queries and reads only.
    pub(crate) only_reads: bool,
}

impl Speaker {
    /// The next command. `unique` is a number that nobody was given before, `sessions` who could be killed, the own
    /// first.
    pub(crate) fn next(&mut self, scenario: &Scenario, unique: u64, sessions: &[u64]) -> Command {
        let random = &mut self.random;
        let collection = random.below(scenario.collections.len());
        let of = &scenario.collections[collection];
        let key = Key {
            collection,
            element: random.below(of.elements),
        };
        let dimension = *random.pick(&of.dimensions);
        let vector = Vector {
            value: unique,
            dimension,
        };
        // Wide vectors are a quarter of a megabyte each: fewer of them.
        if of.is_wide() && random.percent(70) {
            return Command::Echo(unique);
        }
        let choice = if self.only_reads {
            random.between(40, 79)
        } else {
            random.below(100)
        };
        match choice {
            0..30 => Command::Set(key, vector),
            30..38 => Command::Delete(some_keys(random, key, of.elements)),
            38..40 if of.drops == Occurrence::Sometimes => Command::Create(collection, dimension),
            40..52 => Command::Get(key),
            70 => Command::QueryAlias(Vector {
                value: random.below(1000) as u64,
                dimension,
            }),
            71 => Command::Aliases,
            99 => Command::SetAlias(collection),
            52..70 => Command::Query(some_query(random, key, dimension)),
            72..76 => Command::Echo(unique),
            76 => Command::Ping(Some(unique)),
            77 => Command::Size,
            78 => Command::Info(collection),
            79 => Command::List,
            80..84 if of.drops == Occurrence::Sometimes => Command::Drop(collection),
            95..97 if of.drops == Occurrence::Sometimes => {
                Command::Expire(collection, *random.pick(&[0, 1, 1, 2, 5, 50, 1000, 3000]))
            }
            97 if of.drops == Occurrence::Sometimes => Command::Persist(collection),
            98 => Command::End(collection),
            84 if scenario.flushes == Occurrence::Sometimes => Command::Flush,
            85..87 => Command::Hello(*random.pick(&[Protocol::Two, Protocol::Three])),
            87 => Command::ClientList,
            88 if scenario.kills == Occurrence::Sometimes => match random.below(sessions.len()) {
                0 => Command::Kill(sessions[0], Victim::Myself),
                other => Command::Kill(sessions[other], Victim::Other),
            },
            89 => Command::Unknown,
            90 if scenario.kills == Occurrence::Sometimes && random.percent(20) => Command::Quit,
            91 if scenario.kills == Occurrence::Sometimes && random.percent(10) => Command::Shutdown,
            92 => Command::Ping(None),
            93 => Command::Scan,
            94 => Command::Type(key),
            _ => Command::Get(key),
        }
    }
}

fn some_keys(random: &mut Random, first: Key, elements: usize) -> Vec<Key> {
    if random.percent(60) {
        return vec![first];
    }
    (0..elements.min(random.between(1, 4)))
        .map(|next| Key {
            collection: first.collection,
            element: (first.element + next) % elements,
        })
        .collect()
}

fn some_query(random: &mut Random, key: Key, dimension: usize) -> Query {
    let value = random.below(1000) as u64;
    Query {
        target: match random.below(4) {
            0 => Target::Star,
            1 => Target::Element(key.element),
            _ => Target::Name,
        },
        collection: key.collection,
        k: if random.percent(70) {
            WHOLE
        } else {
            random.between(1, 5)
        },
        ef: random.percent(30).then(|| random.between(1, 200)),
        vector: Vector { value, dimension },
        times: random.percent(25).then(|| random.between(1, 4)),
    }
}

/// More than any collection has elements.
pub(crate) const WHOLE: usize = 50;
