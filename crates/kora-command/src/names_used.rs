//! Which words of a request name keys, collections and channels, and what is done to what they name: what the rules of
//! users are about. The uses are Redis 8.2's key specifications.

use std::collections::HashMap;
use std::sync::LazyLock;

use kora_resp::number;
use smallvec::SmallVec;

use crate::arguments::COLLECTION;
use crate::limits::CENTER_KEYS_MAX;
use crate::table::{self, CommandEntry, DataAccess};

/// What a command does to a key. `exists` and the like do neither: any pattern of a user lets them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// It returns, copies or moves some of what the key holds.
    pub reads: bool,
    /// It sets, changes or deletes it.
    pub writes: bool,
}

impl KeyUse {
    const NONE: KeyUse = KeyUse::new(false, false);
    const READ: KeyUse = KeyUse::new(true, false);
    const WRITE: KeyUse = KeyUse::new(false, true);
    const BOTH: KeyUse = KeyUse::new(true, true);

    const fn new(reads: bool, writes: bool) -> KeyUse {
        KeyUse { reads, writes }
    }
}

/// What some words of a request name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// Keys.
    Key(KeyUse),
    /// Elements, each named by a word of its own and the collection's, which stands there.
    Element(KeyUse, usize),
    /// Collections as a whole: with all keys that begin with the name and a colon.
    Collection(KeyUse),
    /// What VECQUERY searches: a collection, `collection:*`, or a key whose collection is meant.
    Target,
    /// Channels.
    Channel,
    /// Patterns of channels.
    ChannelPattern,
}

/// Words of a request that name things of one sort: `first`, and each `step`th behind it before `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameRange {
    /// What they name.
    pub named: Named,
    /// The first of them.
    pub first: usize,
    /// None of them stands there or behind it.
    pub end: usize,
    /// How far they are apart.
    pub step: usize,
}

impl NameRange {
    /// What the word at a place names, if it is one of these. Of elements it is the collection's name that is one.
    pub fn name_at(&self, place: usize) -> Option<Named> {
        let is_name = match self.named {
            Named::Element(_, collection) => place == collection,
            _ => (self.first..self.end).contains(&place) && (place - self.first).is_multiple_of(self.step),
        };
        is_name.then_some(self.named)
    }
}

/// Where the words stand in requests of one command, and what they name. Made once for each command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NameTraits {
    /// What the first of them names.
    first: Named,
    /// What the others name.
    others: Named,
    places: Places,
    option: NameOption,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Places {
    /// Nowhere.
    None,
    /// First, last (negative from the end) and step.
    Fixed(i32, i32, i32),
    /// Behind a word that says how many, each with so many words.
    Counted { count_at: usize, step: usize },
    /// The first word names one, then they are counted from the second on.
    DestinationAndCounted,
}

/// Words that change what is done to the keys, or name one more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NameOption {
    None,
    /// SET with GET reads.
    GetOfSet,
    /// BITFIELD that only gets does not write.
    GetOfBitfield,
    /// VECQUERY with KEY reads that key.
    KeyOfQuery,
    /// A key may be named by `COLLECTION c ELEMENT e`; and how far the names of elements are apart then.
    Elements(usize),
}

/// All words of a request, the command's name first.
pub trait WordList<'w>: ExactSizeIterator<Item = &'w [u8]> + Clone {}

impl<'w, T: ExactSizeIterator<Item = &'w [u8]> + Clone> WordList<'w> for T {}

/// The places of words that name keys and collections in a request of this command, ascending: names that each database has
/// for itself.
pub fn places_of_names<'w>(entry: &CommandEntry, words: impl WordList<'w>) -> impl Iterator<Item = usize> {
    static TRAITS: LazyLock<HashMap<&'static str, NameTraits>> = LazyLock::new(|| {
        let entries = table::all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands));
        entries.map(|entry| (entry.name, NameTraits::of(entry))).collect()
    });
    let ranges = TRAITS.get(entry.name).map(|traits| traits.ranges(words));
    let names = |range: &NameRange| !matches!(range.named, Named::Channel | Named::ChannelPattern);
    let ranges = ranges.unwrap_or_default().into_iter().filter(names);
    ranges.flat_map(|range| match range.named {
        Named::Element(_, collection) => (collection..collection + 1).step_by(1),
        _ => (range.first..range.end).step_by(range.step),
    })
}

impl NameTraits {
    /// What a command's requests name.
    pub fn of(entry: &CommandEntry) -> NameTraits {
        let (first, others) = match entry.name {
            "subscribe" | "ssubscribe" | "publish" | "spublish" => (Named::Channel, Named::Channel),
            "psubscribe" => (Named::ChannelPattern, Named::ChannelPattern),
            "vecquery" | "vecmquery" | "vecexplain" => (Named::Target, Named::Target),
            "vecinfo" | "vecrecall" => (Named::Collection(KeyUse::READ), Named::Collection(KeyUse::READ)),
            "vecalias|add" | "vecalias|set" => (Named::Collection(KeyUse::WRITE), Named::Collection(KeyUse::READ)),
            "veccreate" | "vecdrop" | "vecalias|del" => {
                (Named::Collection(KeyUse::WRITE), Named::Collection(KeyUse::WRITE))
            }
            name => {
                let (first, others) = key_uses(name, entry.access);
                (Named::Key(first), Named::Key(others))
            }
        };
        let option = match entry.name {
            "set" => NameOption::GetOfSet,
            "bitfield" => NameOption::GetOfBitfield,
            "vecquery" | "vecexplain" => NameOption::KeyOfQuery,
            "vecset" | "vecget" | "vecsetattr" | "vecgetattr" | "vecdel" => NameOption::Elements(2),
            "vecmset" => NameOption::Elements(3),
            _ => NameOption::None,
        };
        let places = places(entry);
        NameTraits {
            first,
            others,
            places,
            option,
        }
    }

    /// True if requests of this command name anything.
    pub fn names_anything(&self) -> bool {
        self.places != Places::None
    }

    /// The words of a request that name something. `words` begin with the command's name.
    pub fn ranges<'w>(&self, words: impl WordList<'w>) -> SmallVec<[NameRange; 3]> {
        let mut ranges = SmallVec::new();
        let (first, end, step) = match self.places {
            Places::None => return ranges,
            Places::Fixed(first, last, step) => {
                let (first, step) = (first.unsigned_abs() as usize, step.max(1).unsigned_abs() as usize);
                let end = match usize::try_from(last) {
                    Ok(last) => last + 1,
                    Err(_) => (words.len() + 1).saturating_sub(last.unsigned_abs() as usize),
                };
                (first, end, step)
            }
            Places::Counted { count_at, step } => counted(&words, count_at, step),
            Places::DestinationAndCounted => {
                ranges.push(range(self.first, 1, 2, 1));
                let (first, end, step) = counted(&words, 2, 1);
                ranges.push(range(self.others, first, end, step));
                return ranges;
            }
        };
        let end = end.min(words.len());
        if let NameOption::Elements(apart) = self.option
            && is_word(&words, first, COLLECTION)
        {
            // Of VECSET and its like only one is named.
            let end = if end == first + 1 { first + 4 } else { words.len() };
            ranges.push(elements(
                self.first,
                first + 1,
                (first + 3, end.min(words.len()), apart),
            ));
            return ranges;
        }
        let first_use = match self.option {
            NameOption::GetOfSet if words.clone().skip(3).any(|word| word.eq_ignore_ascii_case(b"get")) => {
                Named::Key(KeyUse::BOTH)
            }
            NameOption::GetOfBitfield if only_gets(words.clone()) => Named::Key(KeyUse::READ),
            _ => self.first,
        };
        if first_use == self.others {
            ranges.push(range(first_use, first, end, step));
        } else {
            ranges.push(range(first_use, first, end.min(first + 1), step));
            ranges.push(range(self.others, first + step, end, step));
        }
        if self.option == NameOption::KeyOfQuery {
            ranges.extend(keys_of_query(words));
        }
        ranges
    }
}

/// Elements whose collection is named by the word at a place.
fn elements(named: Named, collection: usize, (first, end, step): (usize, usize, usize)) -> NameRange {
    let key_use = match named {
        Named::Key(key_use) => key_use,
        _ => KeyUse::BOTH,
    };
    range(Named::Element(key_use, collection), first, end, step)
}

fn is_word<'w>(words: &impl WordList<'w>, place: usize, word: &str) -> bool {
    let there = words.clone().nth(place);
    there.is_some_and(|there| there.eq_ignore_ascii_case(word.as_bytes()))
}

/// The keys of `KEY key [WEIGHT w]`, again and again, from the third word on. The parser refuses more than so many.
fn keys_of_query<'w>(words: impl WordList<'w>) -> impl Iterator<Item = NameRange> {
    let (mut words, mut at) = (words.skip(3).peekable(), 3);
    let keys = std::iter::from_fn(move || {
        words.next_if(|word| word.eq_ignore_ascii_case(b"key"))?;
        let mut key = range(Named::Key(KeyUse::READ), at + 1, at + 2, 1);
        if words.next()?.eq_ignore_ascii_case(COLLECTION.as_bytes()) {
            words.nth(2)?;
            key = elements(key.named, at + 2, (at + 4, at + 5, 1));
            at += 3;
        }
        at += 2;
        if words.next_if(|word| word.eq_ignore_ascii_case(b"weight")).is_some() {
            words.next();
            at += 2;
        }
        Some(key)
    });
    keys.take(CENTER_KEYS_MAX)
}

fn range(named: Named, first: usize, end: usize, step: usize) -> NameRange {
    NameRange {
        named,
        first,
        end,
        step,
    }
}

/// Words behind one that says how many there are; none if it is no such number: the command is refused for that.
fn counted<'w>(words: &impl WordList<'w>, count_at: usize, step: usize) -> (usize, usize, usize) {
    let count = words.clone().nth(count_at).and_then(number::parse_i64);
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let first = count_at + 1;
    let end = first.saturating_add(count.saturating_mul(step)).min(words.len());
    (first, end, step)
}

/// True of a BITFIELD of which each operation is GET.
fn only_gets<'w>(words: impl WordList<'w>) -> bool {
    let mut operations = words.skip(2);
    while let Some(word) = operations.next() {
        if !word.eq_ignore_ascii_case(b"get") {
            return false;
        }
        operations.next();
        operations.next();
    }
    true
}

fn places(entry: &CommandEntry) -> Places {
    match entry.name {
        "eval" | "evalsha" | "eval_ro" | "evalsha_ro" | "fcall" | "fcall_ro" | "blmpop" | "bzmpop" => {
            Places::Counted { count_at: 2, step: 1 }
        }
        "sintercard" | "zunion" | "zinter" | "zdiff" | "zintercard" | "lmpop" | "zmpop" => {
            Places::Counted { count_at: 1, step: 1 }
        }
        "msetex" => Places::Counted { count_at: 1, step: 2 },
        "zunionstore" | "zinterstore" | "zdiffstore" => Places::DestinationAndCounted,
        "subscribe" | "psubscribe" | "ssubscribe" => Places::Fixed(1, -1, 1),
        "publish" | "spublish" => Places::Fixed(1, 1, 1),
        // Who may end a subscription is asked nothing.
        "sunsubscribe" => Places::None,
        _ => match entry.keys {
            (0, ..) => Places::None,
            (first, last, step) => Places::Fixed(first, last, step),
        },
    }
}

/// What a command does to its first key, and to the others.
fn key_uses(name: &str, access: DataAccess) -> (KeyUse, KeyUse) {
    let of_all = |key_use| (key_use, key_use);
    match name {
        "watch" | "exists" | "hexists" | "hlen" | "hstrlen" | "llen" | "memory|usage" | "object|encoding"
        | "object|freq" | "object|idletime" | "object|refcount" | "scard" | "sismember" | "strlen" | "touch"
        | "type" | "xlen" | "zcard" => of_all(KeyUse::NONE),
        "eval" | "evalsha" | "fcall" | "decr" | "decrby" | "getdel" | "getex" | "getset" | "hgetdel" | "hgetex"
        | "hincrby" | "hincrbyfloat" | "incr" | "incrby" | "incrbyfloat" | "lmpop" | "lpop" | "rpop" | "blmpop"
        | "blpop" | "brpop" | "move" | "setbit" | "spop" | "zincrby" | "zmpop" | "zpopmax" | "zpopmin" | "bzmpop"
        | "bzpopmax" | "bzpopmin" | "bitfield" => of_all(KeyUse::BOTH),
        "rename" | "renamenx" | "lmove" | "rpoplpush" | "smove" | "blmove" | "brpoplpush" => {
            (KeyUse::BOTH, KeyUse::WRITE)
        }
        "copy" => (KeyUse::READ, KeyUse::WRITE),
        "bitop" | "geosearchstore" | "sdiffstore" | "sinterstore" | "sunionstore" | "zdiffstore" | "zinterstore"
        | "zrangestore" | "zunionstore" => (KeyUse::WRITE, KeyUse::READ),
        "pfmerge" => (KeyUse::BOTH, KeyUse::READ),
        _ => match access {
            DataAccess::None => of_all(KeyUse::NONE),
            DataAccess::Read => of_all(KeyUse::READ),
            DataAccess::Write => of_all(KeyUse::WRITE),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::{Argument, Kind};

    fn words(text: &str) -> kora_resp::Words {
        let mut reader = kora_resp::Reader::new(kora_resp::ReaderLimits::default());
        let line = format!("{text}\r\n");
        let request = reader.read(line.as_bytes()).expect("sound").expect("whole");
        request.words(0)
    }

    fn named(text: &str) -> Vec<(String, Named)> {
        let words = words(text);
        let entry = table::find(words.first().expect("a name")).expect("a command");
        let all: Vec<&[u8]> = words.iter().collect();
        let ranges = NameTraits::of(entry).ranges(words.iter());
        let of_range = |range: &NameRange| {
            let places = (range.first..range.end).step_by(range.step);
            let named = range.named;
            places
                .map(|place| (String::from_utf8_lossy(all[place]).into_owned(), named))
                .collect::<Vec<_>>()
        };
        ranges.iter().flat_map(of_range).collect()
    }

    fn keys(names: &[&str], key_use: KeyUse) -> Vec<(String, Named)> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), Named::Key(key_use)))
            .collect()
    }

    #[test]
    fn keys_stand_where_the_command_has_them() {
        assert_eq!(named("GET a"), keys(&["a"], KeyUse::READ));
        assert_eq!(named("MSET a 1 b 2"), keys(&["a", "b"], KeyUse::WRITE));
        assert_eq!(named("SET a 1 PX 5"), keys(&["a"], KeyUse::WRITE));
        assert_eq!(named("SET a get NX gEt"), keys(&["a"], KeyUse::BOTH));
        assert_eq!(named("EVAL x 2 a b c"), keys(&["a", "b"], KeyUse::BOTH));
        assert_eq!(named("EVAL x 0 a"), keys(&[], KeyUse::BOTH));
        assert_eq!(named("EVAL x 99 a"), keys(&["a"], KeyUse::BOTH));
        assert_eq!(named("EVAL x -1 a"), keys(&[], KeyUse::BOTH));
        let mut copied = keys(&["a"], KeyUse::READ);
        copied.extend(keys(&["b"], KeyUse::WRITE));
        assert_eq!(named("COPY a b REPLACE"), copied);
        assert_eq!(named("PING a"), []);
        assert_eq!(named("MSET"), []);
    }

    #[test]
    fn names_that_a_database_has_are_placed_in_order() {
        let places = |text: &str| {
            let words = words(text);
            let entry = table::find(words.first().expect("a name")).expect("a command");
            places_of_names(entry, words.iter()).collect::<Vec<_>>()
        };
        assert_eq!(places("MSET a 1 b 2"), [1, 3]);
        assert_eq!(places("EVAL x 2 a b c"), [3, 4]);
        assert_eq!(places("VECQUERY c 3 key d:1 WEIGHT 2 key e:1 EF 10"), [1, 4, 8]);
        assert_eq!(places("SUBSCRIBE a b"), [0_usize; 0]);
        assert_eq!(places("COPY a b DB 1"), [1, 2]);
        for entry in table::all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands)) {
            let words = entry.name.split('|').chain(["3"; 12]).map(str::as_bytes);
            let words: Vec<&[u8]> = words.collect();
            let all: Vec<usize> = places_of_names(entry, words.iter().copied()).collect();
            assert!(all.is_sorted_by(|one, other| one < other), "{}: {all:?}", entry.name);
        }
    }

    #[test]
    fn collections_and_channels_are_told_from_keys() {
        assert_eq!(named("VECDROP c"), [("c".to_owned(), Named::Collection(KeyUse::WRITE))]);
        let mut query = vec![("c".to_owned(), Named::Target)];
        assert_eq!(named("VECQUERY c 3 1 2"), query);
        assert_eq!(named("VECMQUERY c 2 3 FP32 abcd key NOT d:1"), query);
        query.extend(keys(&["d:1"], KeyUse::READ));
        assert_eq!(named("VECQUERY c 3 key d:1 EF 10"), query);
        assert_eq!(named("VECEXPLAIN c 3 key d:1 EF 10"), query);
        let element = |collection| Named::Element(KeyUse::READ, collection);
        let mut query = vec![("c".to_owned(), Named::Target), ("a:b".to_owned(), element(5))];
        query.extend(keys(&["d:1"], KeyUse::READ));
        assert_eq!(
            named("VECQUERY c 3 KEY collection d ELEMENT a:b WEIGHT 2 KEY d:1"),
            query
        );
        assert_eq!(
            named("VECGET COLLECTION d ELEMENT a:b FP32"),
            [("a:b".to_owned(), element(2))]
        );
        let written = |name: &str, collection| (name.to_owned(), Named::Element(KeyUse::WRITE, collection));
        assert_eq!(
            named("VECDEL COLLECTION d ELEMENT a ELEMENT b"),
            [written("a", 2), written("b", 2)]
        );
        assert_eq!(
            named("VECMSET 1 COLLECTION d ELEMENT a blob ELEMENT b blob"),
            [written("a", 3), written("b", 3)]
        );
        assert_eq!(named("VECSET COLLECTION d ELEMENT a 1 ELEMENT b"), [written("a", 2)]);
        assert_eq!(
            named("SUBSCRIBE x y"),
            [("x".to_owned(), Named::Channel), ("y".to_owned(), Named::Channel)]
        );
        assert_eq!(named("PSUBSCRIBE x*"), [("x*".to_owned(), Named::ChannelPattern)]);
        assert_eq!(named("UNSUBSCRIBE x"), []);
    }

    #[test]
    fn every_command_whose_syntax_has_a_key_says_where() {
        fn has_key(arguments: &[Argument]) -> bool {
            arguments
                .iter()
                .any(|argument| matches!(argument.kind, Kind::Key) || has_key(argument.kind.parts()))
        }
        for entry in table::all().flat_map(|entry| std::iter::once(entry).chain(entry.subcommands)) {
            let names_anything = NameTraits::of(entry).names_anything();
            let is_movable = entry.other_flags.contains(&"movablekeys");
            assert!(
                names_anything || !(has_key(entry.arguments) || is_movable),
                "{} has keys, and no user's rules are held against them",
                entry.name
            );
            let moves = matches!(places(entry), Places::Counted { .. } | Places::DestinationAndCounted);
            assert!(moves || !is_movable, "{} has keys in places of its own", entry.name);
        }
    }
}
