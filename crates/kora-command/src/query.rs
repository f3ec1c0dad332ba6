//! Syntax of VECQUERY.

use kora_filter::{Dialect, Path};
use kora_resp::number;
use kora_values::said_name;

use crate::arguments::{Arguments, COLLECTION};
use crate::error::ClientError;
use crate::limits::{CENTER_KEYS_MAX, EF_MAX, GROUP_LIMIT_MAX, K_MAX};
use crate::row::{CommandEntry, VECTOR_READ};
use crate::syntax::{Argument, NAMED};
use crate::vectors::{floats_of_blob, floats_of_words};
use crate::wish::{Center, Grouping, VectorQuery, Wish};
use crate::{Command, attributes};

/// `VECQUERY`
pub(crate) const ENTRY: CommandEntry = CommandEntry {
    name: "vecquery",
    reply: "The nearest vectors with their distances, nearest first: in RESP2 a flat array `key, distance, key, …`, in RESP3 an array of `[key, distance]`. Empty if nothing of that name exists.",
    notes: "`collection` is a collection's exact name, or that name followed by `:*`, or the key of a vector that exists (its collection is meant), in this order, or an alias of a collection in one of these (VECALIAS). Distances: cosine = 1 − cosine similarity, in [0, 2]; l2 = the Euclidean distance; ip = the negative inner product; lower is nearer for all three. A vector is at cosine and l2 distance exactly 0 from itself. Ties are broken by key among the vectors that were found; of more equal ones than EF, or than a thousand, which are found is not defined. A distance beyond the largest 32-bit float is shown as that float. Distances are printed with the fewest digits that read back to the same 32-bit float, whole numbers without a point.\n\n`EF` is how many candidates are kept while searching (at least k; the collection's `EF_SEARCH` otherwise): more finds more of the true neighbours and costs more. Up to 1,024 it is an average: half as many for a query whose neighbours are far from other vectors, up to three times as many where many vectors lie at nearly the same distance. With `IP` it is exact. A collection that is spread over S shards is searched on each with ⌈EF/√S⌉. `FILTER` returns only vectors whose attributes pass the expression: the k nearest of them, and fewer only if fewer pass. The language is that of Redis's vector sets: numbers, texts in either quotes, lists (`[1, \"a\"]`), fields (`.year`), and from tight to loose `not`, `**`, `* / %`, `+ -`, then `< <= > >= == != in`, then `and`, then `or`; a field that is missing makes the whole expression false. Beyond it there are `true`, `false`, `null` in lists, inner fields (`.author.name`, `.tags[0]`), ranges with both ends (`.year in 1980..1989`), `.name starts \"A\"`, `exists .field`, and the escapes `\\n`, `\\r`, `\\t`. Each shard tests all attributes the first time and then remembers which vectors pass; for up to 16 expressions of a collection it keeps the result up to date. Where few pass, each of them is measured, and the answer is exact.\n\n`RADIUS` leaves out vectors farther than `r`, in the distances of the reply; the reply holds at most k. `KEY` searches for the neighbours of the vector with this key. With cosine and l2 it is among them itself, unless k others are its equals and come first by key; with IP others may be nearer. With several keys, or with `WEIGHT`, the neighbours of the weighted mean of their vectors are searched (Σ w·v / Σ |w|; each weight is 1 unless it is given, and may be negative to move away from a vector; under COSINE each vector is scaled to length 1 first). At most 64 keys. The vectors of these keys may be among the neighbours: `NOT` leaves vectors out by their keys. Behind `KEY` and `NOT` an element may be named by `COLLECTION c ELEMENT e` instead.\n\n`OFFSET` leaves out the n nearest, to page through neighbours: `k`, `OFFSET` and the number of keys behind `NOT` together are at most 100,000. `GROUP BY path LIMIT n` returns at most n neighbours with the same value at the path of their attributes (the same JSON text), and none without a value there; fewer than k are returned only if there are no more groups among the 100,000 nearest.\n\n`WITHATTR` adds the attributes to each neighbour, as the third of each in RESP3 and behind the distance in RESP2: their JSON text or null, or with paths, each of which begins with a dot, an array of the values' JSON texts. `WITHVECTOR` adds the components of each neighbour behind that, as little-endian 32-bit floats like `VECGET … FP32`.\n\nWith `WITHINFO` the reply is an array of two: the neighbours, and a map of `distances` (how many were computed), `nodes` (whose links were read), `mode` (`exact` if every vector was measured on every shard, so that nothing nearer can exist, else `approximate`) and `rounds` (0 if there is nothing of that name: then `note` says so, and names a collection that may have been made instead, as `docs:https` by the key `docs:https://a/b`; else 1, and one more each time that a shard was queried again) and `astray` (walks whose results lie much nearer to each other than to the query: then the shard was searched once more, from more entries, and if that did not help a collection of few vectors was measured whole; 0 for nearly all queries); with `FILTER` also `matches` (how many vectors pass), `vectors` (how many there are) and `plan` (`exact`: those that pass were measured; `walk`: the graph was walked; `walk+exact`: the one and then the other).",
    arity: -4,
    summary: "Returns the k nearest vectors of a collection with their distances, nearest first. The collection is \
              named exactly, or as name:*, or by the key of one of its vectors.",
    arguments: &ARGUMENTS,
    parse: query,
    ..VECTOR_READ
};

/// `VECEXPLAIN`
pub(crate) const EXPLAIN_ENTRY: CommandEntry = CommandEntry {
    name: "vecexplain",
    reply: "A map: `collection` (its name), `k` (neighbours that were looked for: k, OFFSET and the keys behind NOT together, more if GROUP needed more), `ef` (EF, or the collection's `EF_SEARCH`, at least k), `plan` (`exact`: the vectors that pass were measured, all of them if there is no FILTER; `walk`: the graph was walked; `walk+exact`: the one and then the other; `mixed`: not the same on all shards), `mode` (`exact` if nothing nearer can exist, else `approximate`), `vectors`, `matches` (how many of them pass the filter), `selectivity` (the share of these), `tested` (vectors whose attributes were held against the filter now: 0 if it was remembered which pass), `distances`, `nodes`, `rounds` and `astray` as with WITHINFO of VECQUERY, `returned` (neighbours that VECQUERY would return), and under `shards` for each shard that holds a part a map of `shard`, `plan`, `ef` (its share), `vectors`, `matches`, `tested`, `distances`, `nodes`, `found` (neighbours that it found) and `taken` (how many of those were among the nearest of all). With `note` if there is nothing of that name.",
    notes: "Runs the VECQUERY with the same arguments and tells how it was answered in place of what was found. A filter that is asked for the first time is tested against all attributes: ask twice to see what it costs from then on.",
    summary: "Runs a VECQUERY and returns which plan it took and what it cost, in all and on each shard, in place of the neighbours.",
    parse: explain,
    ..ENTRY
};

/// `VECEXPLAIN collection k …`
fn explain(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let mut query = parsed(arguments)?;
    query.wish.explains = true;
    Ok(Command::VectorQuery(Box::new(query)))
}

/// `VECQUERY collection k …`
fn query(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    Ok(Command::VectorQuery(Box::new(parsed(arguments)?)))
}

fn parsed(arguments: &Arguments<'_>) -> Result<VectorQuery, ClientError> {
    let target = arguments.word(1);
    let bytes = said_name(target).len();
    if bytes > crate::limits::KEY_BYTES_MAX {
        return Err(ClientError::KeyTooLong { bytes });
    }
    let mut wish = Wish::new(arguments.number(2, "k", 1, K_MAX)?);
    let count = arguments.count();
    let center = if arguments.is(3, "FP32") && count > 4 {
        let vector = floats_of_blob(arguments.word(4))?;
        wish.read(arguments, 5)?;
        Center::Given(vector)
    } else if arguments.is(3, KEY) && count > 4 {
        let (center, options) = center_of_keys(arguments)?;
        wish.read(arguments, options)?;
        center
    } else {
        let options = options_start(arguments, 4);
        wish.read(arguments, options)?;
        Center::Given(floats_of_words(arguments, 3, options)?)
    };
    Ok(VectorQuery {
        target: arguments.owned(1),
        center,
        wish,
    })
}

/// `KEY key [WEIGHT w] [KEY key [WEIGHT w] …]`, and where it ends.
fn center_of_keys(arguments: &Arguments<'_>) -> Result<(Center, usize), ClientError> {
    let (mut keys, mut at, mut has_weight) = (Vec::new(), 3, false);
    while arguments.is(at, KEY) && at + 1 < arguments.count() {
        if keys.len() == CENTER_KEYS_MAX {
            return Err(ClientError::TooManyCenterKeys);
        }
        let (element, behind) = arguments.element_and_end(at + 1)?;
        at = behind;
        let mut weight = 1.0;
        if arguments.is(at, WEIGHT) && at + 1 < arguments.count() {
            weight = finite(arguments, at + 1, WEIGHT)?;
            has_weight = true;
            at += 2;
        }
        keys.push((element, weight));
    }
    let center = match keys.len() {
        1 if !has_weight => Center::Stored(keys.remove(0).0),
        _ => Center::Mean(keys),
    };
    Ok((center, at))
}

/// Where the options behind the components begin: with the first word from `min` on that is the name of one, which is no
/// number.
fn options_start(arguments: &Arguments<'_>, min: usize) -> usize {
    let is_option = |at: &usize| {
        let is_word = arguments.word(*at).first().is_some_and(u8::is_ascii_alphabetic);
        is_word && OPTIONS.iter().any(|option| arguments.is(*at, option))
    };
    (min..arguments.count()).find(is_option).unwrap_or(arguments.count())
}

impl Wish {
    /// Reads the options from `start` to the end.
    pub(crate) fn read(&mut self, arguments: &Arguments<'_>, start: usize) -> Result<(), ClientError> {
        let mut at = start;
        while at < arguments.count() {
            at = match self.read_flag(arguments, at)? {
                Some(next) => next,
                None if at + 1 < arguments.count() => self.read_value(arguments, at)?,
                None => return Err(unknown_option(arguments, at)),
            };
        }
        match self.nearest() {
            nearest if nearest > K_MAX => Err(ClientError::TooManyNeighbours { nearest }),
            _ => Ok(()),
        }
    }

    /// Reads an option that stands for itself; where the next begins, or none if it is another one.
    fn read_flag(&mut self, arguments: &Arguments<'_>, at: usize) -> Result<Option<usize>, ClientError> {
        if arguments.is(at, WITH_INFO) {
            self.with_info = true;
        } else if arguments.is(at, WITH_VECTOR) {
            self.with_vector = true;
        } else if arguments.is(at, WITH_ATTRIBUTES) {
            let is_path = |at: &usize| arguments.word(*at).first() == Some(&b'.');
            let paths = (at + 1..arguments.count()).take_while(is_path);
            let paths: Result<Vec<Path>, ClientError> = paths.map(|at| attributes::path(arguments, at)).collect();
            let paths = paths?;
            let next = at + 1 + paths.len();
            self.with_attributes = Some(paths);
            return Ok(Some(next));
        } else {
            return Ok(None);
        }
        Ok(Some(at + 1))
    }

    /// Reads an option that has a value, which is there; where the next begins.
    fn read_value(&mut self, arguments: &Arguments<'_>, at: usize) -> Result<usize, ClientError> {
        let value = at + 1;
        if arguments.is(at, "EF") {
            self.ef = Some(arguments.number(value, "EF", 1, EF_MAX)?);
        } else if arguments.is(at, OFFSET) {
            self.offset = arguments.number(value, OFFSET, 0, K_MAX)?;
        } else if arguments.is(at, "RADIUS") {
            self.radius = Some(finite(arguments, value, "RADIUS")?);
        } else if arguments.is(at, FILTER) {
            self.filter = Some(attributes::filter(arguments, value, Dialect::Kora)?);
        } else if arguments.is(at, NOT) {
            // A key has a `:`, and no option has one.
            let is_key = |at: usize| arguments.word(at).contains(&b':') || arguments.is(at, COLLECTION);
            let mut at = value;
            while at < arguments.count() && (at == value || is_key(at)) {
                let (element, behind) = arguments.element_and_end(at)?;
                self.without.push(element);
                at = behind;
            }
            return Ok(at);
        } else if arguments.is(at, GROUP) {
            if !arguments.is(value, "BY") || !arguments.is(at + 3, "LIMIT") || at + 4 >= arguments.count() {
                return Err(ClientError::GroupSyntax);
            }
            self.group = Some(Grouping {
                path: attributes::path(arguments, at + 2)?,
                limit: arguments.number(at + 4, "LIMIT", 1, GROUP_LIMIT_MAX)?,
            });
            return Ok(at + 5);
        } else {
            return Err(unknown_option(arguments, at));
        }
        Ok(at + 2)
    }
}

fn finite(arguments: &Arguments<'_>, at: usize, what: &'static str) -> Result<f32, ClientError> {
    number::parse_finite_f32(arguments.word(at)).map_err(|_| ClientError::NotFiniteOption {
        what,
        got: arguments.word(at).to_vec(),
    })
}

/// What is wrong with a word that stands where an option is expected: it is none, or lacks its value.
fn unknown_option(arguments: &Arguments<'_>, at: usize) -> ClientError {
    match OPTIONS.iter().find(|option| arguments.is(at, option)) {
        Some(option) => ClientError::OptionWithoutValue { option },
        None => ClientError::UnknownOption {
            option: arguments.word(at).to_vec(),
        },
    }
}

const KEY: &str = "KEY";
const WEIGHT: &str = "WEIGHT";
const OFFSET: &str = "OFFSET";
const FILTER: &str = "FILTER";
const NOT: &str = "NOT";
const GROUP: &str = "GROUP";
const WITH_ATTRIBUTES: &str = "WITHATTR";
const WITH_VECTOR: &str = "WITHVECTOR";
const WITH_INFO: &str = "WITHINFO";

/// The options, all of which are words that are no numbers.
const OPTIONS: &[&str] = &[
    "EF",
    "RADIUS",
    OFFSET,
    FILTER,
    NOT,
    GROUP,
    WITH_ATTRIBUTES,
    WITH_VECTOR,
    WITH_INFO,
];

const CENTER: Argument = Argument::one_of(
    "center",
    &[
        Argument::double("component").multiple(),
        Argument::string("blob").after("FP32"),
        Argument::block("keys", CENTER_KEY).multiple(),
    ],
);

const CENTER_KEY: &[Argument] = &[
    Argument::word("key", KEY),
    NAMED,
    Argument::double("w").after(WEIGHT).optional(),
];

const ARGUMENTS: [Argument; 12] = with_options([Argument::key("collection"), Argument::integer("k"), CENTER]);

/// These arguments, and behind them the options.
pub(crate) const fn with_options<const HEAD: usize, const ALL: usize>(head: [Argument; HEAD]) -> [Argument; ALL] {
    let (mut all, mut at) = ([OPTION_ARGUMENTS[0]; ALL], 0);
    while at < ALL {
        all[at] = if at < HEAD {
            head[at]
        } else {
            OPTION_ARGUMENTS[at - HEAD]
        };
        at += 1;
    }
    all
}

const OPTION_ARGUMENTS: [Argument; 9] = [
    Argument::integer("n").after("EF").optional(),
    Argument::integer("n").after(OFFSET).optional(),
    Argument::double("r").after("RADIUS").optional(),
    Argument::string("expression").after(FILTER).optional(),
    Argument::key("key").multiple().after(NOT).optional(),
    Argument::block("grouping", GROUPING).optional(),
    Argument::string("path").multiple().after(WITH_ATTRIBUTES).optional(),
    Argument::word("withvector", WITH_VECTOR).optional(),
    Argument::word("withinfo", WITH_INFO).optional(),
];

const GROUPING: &[Argument] = &[
    Argument::word("group", "GROUP"),
    Argument::string("path").after("BY"),
    Argument::integer("n").after("LIMIT"),
];
