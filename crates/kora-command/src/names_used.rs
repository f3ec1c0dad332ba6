//! Which words of a request name keys, collections and channels, and what is done to what they name: what the rules of
//! users are about. The uses are Redis 8.2's key specifications.

use kora_resp::{Words, number};
use smallvec::SmallVec;

use crate::limits::CENTER_KEYS_MAX;
use crate::table::{CommandEntry, DataAccess};

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
}

impl NameTraits {
    /// What a command's requests name.
    pub fn of(entry: &CommandEntry) -> NameTraits {
        let (first, others) = match entry.name {
            "subscribe" | "ssubscribe" | "publish" | "spublish" => (Named::Channel, Named::Channel),
            "psubscribe" => (Named::ChannelPattern, Named::ChannelPattern),
            "vecquery" => (Named::Target, Named::Target),
            "vecinfo" | "vecrecall" => (Named::Collection(KeyUse::READ), Named::Collection(KeyUse::READ)),
            "veccreate" | "vecdrop" => (Named::Collection(KeyUse::WRITE), Named::Collection(KeyUse::WRITE)),
            name => {
                let (first, others) = key_uses(name, entry.access);
                (Named::Key(first), Named::Key(others))
            }
        };
        let option = match entry.name {
            "set" => NameOption::GetOfSet,
            "bitfield" => NameOption::GetOfBitfield,
            "vecquery" => NameOption::KeyOfQuery,
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
    pub fn ranges(&self, words: &Words) -> SmallVec<[NameRange; 3]> {
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
            Places::Counted { count_at, step } => counted(words, count_at, step),
            Places::DestinationAndCounted => {
                ranges.push(range(self.first, 1, 2, 1));
                let (first, end, step) = counted(words, 2, 1);
                ranges.push(range(self.others, first, end, step));
                return ranges;
            }
        };
        let end = end.min(words.len());
        let first_use = match self.option {
            NameOption::GetOfSet if words.iter().skip(3).any(|word| word.eq_ignore_ascii_case(b"get")) => {
                Named::Key(KeyUse::BOTH)
            }
            NameOption::GetOfBitfield if only_gets(words) => Named::Key(KeyUse::READ),
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

/// The keys of `KEY key [WEIGHT w]`, again and again, from the third word on. The parser refuses more than so many.
fn keys_of_query(words: &Words) -> impl Iterator<Item = NameRange> {
    let (mut words, mut at) = (words.iter().skip(3).peekable(), 3);
    let keys = std::iter::from_fn(move || {
        words.next_if(|word| word.eq_ignore_ascii_case(b"key"))?;
        words.next()?;
        let key = range(Named::Key(KeyUse::READ), at + 1, at + 2, 1);
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
fn counted(words: &Words, count_at: usize, step: usize) -> (usize, usize, usize) {
    let count = words.iter().nth(count_at).and_then(number::parse_i64);
    let count = count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let first = count_at + 1;
    let end = first.saturating_add(count.saturating_mul(step)).min(words.len());
    (first, end, step)
}

/// True of a BITFIELD of which each operation is GET.
fn only_gets(words: &Words) -> bool {
    let mut operations = words.iter().skip(2);
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
    use crate::table;

    fn words(text: &str) -> Words {
        let mut reader = kora_resp::Reader::new(kora_resp::ReaderLimits::default());
        let line = format!("{text}\r\n");
        let request = reader.read(line.as_bytes()).expect("sound").expect("whole");
        request.words(0)
    }

    fn named(text: &str) -> Vec<(String, Named)> {
        let words = words(text);
        let entry = table::find(words.first().expect("a name")).expect("a command");
        let all: Vec<&[u8]> = words.iter().collect();
        let ranges = NameTraits::of(entry).ranges(&words);
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
    fn collections_and_channels_are_told_from_keys() {
        assert_eq!(named("VECDROP c"), [("c".to_owned(), Named::Collection(KeyUse::WRITE))]);
        let mut query = vec![("c".to_owned(), Named::Target)];
        assert_eq!(named("VECQUERY c 3 1 2"), query);
        query.extend(keys(&["d:1"], KeyUse::READ));
        assert_eq!(named("VECQUERY c 3 key d:1 EF 10"), query);
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
