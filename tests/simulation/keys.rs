//! Whether what was read could have been read: for every key, some order of the commands that fits the times explains
//! every reply about it.
//!
//! Nothing is searched for. Two rules need only which event surely came before which ([`History::precedes`]), and are
//! exact where one client alone writes a key:
//!
//! 1. *Nothing stale and nothing early.* A read that shows what W wrote is wrong if it came before W, or if something
//!    that overwrote or removed the key came after W and before the read.
//!    Nor may anything be seen of a collection that had expired when the read was taken.
//! 2. *Nothing lost.* A read that shows nothing is wrong if a write came before it, and nothing that could have removed
//!    the key came after that write and before the end of the read. That its collection expires is such a removal, at its
//!    time: what was set later in another collection of that name stays.

use crate::command::{Command, Key, Query, Target, Vector};
use crate::history::{Event, History};
use crate::replies::{got, hits, is_distance, scanned};
use crate::scenario::Scenario;
use kora_engine::budgets::SLICE_WORK;
use kora_tests::reply::Value;

/// # Panics
/// If some reply has no explanation.
pub(crate) fn check(history: &History, scenario: &Scenario) {
    for (collection, of) in scenario.collections.iter().enumerate() {
        for element in 0..of.elements {
            KeyHistory::new(history, scenario, Key { collection, element }).check();
        }
    }
    for (number, event) in history.events.iter().enumerate() {
        if let (Command::Delete(keys), Some(Value::Integer(count))) = (&event.command, event.reply()) {
            check_count(history, scenario, (number, event), keys, *count);
        }
    }
}

/// VECDEL of several keys: how many there were lies between how many surely and how many possibly were.
fn check_count(history: &History, scenario: &Scenario, (number, event): (usize, &Event), keys: &[Key], count: i64) {
    let of_key = |key: &Key| KeyHistory::new(history, scenario, *key);
    let surely = keys.iter().filter(|key| of_key(key).lost(number).is_some()).count() as i64;
    let possibly = keys.iter().filter(|key| of_key(key).may_be_there(number)).count() as i64;
    assert!(
        (surely..=possibly).contains(&count),
        "{event:?} deleted {count}, between {surely} and {possibly} were there"
    );
}

/// The events about one key.
struct KeyHistory<'a> {
    history: &'a History,
    scenario: &'a Scenario,
    key: Key,
    writes: Vec<(usize, Vector)>,
    /// Events after which the key was gone for a moment, whether they removed it or found it gone.
    removals: Vec<usize>,
    /// Events that let its collection expire, or stay.
    expiries: Vec<usize>,
    persisting: Vec<usize>,
}

impl<'a> KeyHistory<'a> {
    fn new(history: &'a History, scenario: &'a Scenario, key: Key) -> KeyHistory<'a> {
        let mut of_key = KeyHistory {
            history,
            scenario,
            key,
            writes: Vec::new(),
            removals: Vec::new(),
            expiries: Vec::new(),
            persisting: Vec::new(),
        };
        for (number, event) in history.events.iter().enumerate() {
            match &event.command {
                Command::Set(written, vector) if *written == key && !event.is_refused() => {
                    of_key.writes.push((number, *vector));
                }
                Command::Delete(keys) if keys.contains(&key) => of_key.removals.push(number),
                Command::Drop(collection) if *collection == key.collection => of_key.removals.push(number),
                Command::Flush => of_key.removals.push(number),
                Command::Expire(collection, _) if *collection == key.collection => of_key.expiries.push(number),
                Command::Persist(collection) if *collection == key.collection => of_key.persisting.push(number),
                _ => {}
            }
        }
        of_key
    }

    fn check(&self) {
        for (number, event) in self.history.events.iter().enumerate() {
            match (&event.command, event.reply()) {
                (Command::Get(key), Some(reply)) if *key == self.key => {
                    self.check_read(number, got(reply, event.protocol, *key, self.scenario));
                }
                (Command::Type(key), Some(reply)) if *key == self.key => {
                    self.check_presence(number, *reply == Value::Simple("vector".to_owned()));
                }
                (Command::Scan, Some(reply)) => {
                    let keys = scanned(reply, self.scenario).expect("checked when it came");
                    self.check_presence(number, keys.contains(&self.key));
                }
                (Command::Query(query), Some(_)) if query.collection == self.key.collection => {
                    self.check_query(number, event);
                }
                _ => {}
            }
        }
    }

    fn check_read(&self, read: usize, vector: Option<Vector>) {
        match vector {
            None => self.check_absent(read),
            Some(vector) => assert!(
                self.writes
                    .iter()
                    .any(|(write, written)| *written == vector && self.explains(*write, read)),
                "key {} showed {vector:?}, which was not there: {}",
                self.key.text(self.scenario),
                self.show(read)
            ),
        }
    }

    fn check_presence(&self, read: usize, is_there: bool) {
        if !is_there {
            return self.check_absent(read);
        }
        let text = self.key.text(self.scenario);
        assert!(self.may_be_there(read), "key {text} was not there: {}", self.show(read));
    }

    fn check_query(&self, read: usize, event: &Event) {
        let Command::Query(query) = &event.command else {
            unreachable!("called for queries")
        };
        let found = hits(event, query, self.scenario).unwrap_or_default();
        found.iter().for_each(|hits| self.check_hits(read, event, query, hits));
    }

    /// What one query found; of several that were asked at once each is one.
    fn check_hits(&self, read: usize, event: &Event, query: &Query, hits: &[(Key, f32)]) {
        let shown = hits.iter().find(|(key, _)| *key == self.key);
        if let Some((_, distance)) = shown {
            let explained = self.writes.iter().any(|(write, vector)| {
                is_distance(*distance, query, *vector, self.scenario) && self.explains(*write, read)
            });
            assert!(
                explained,
                "key {} was found at {distance}, where nothing was: {}",
                self.key.text(self.scenario),
                self.show(read)
            );
            return;
        }
        // By the key of a vector: no hits at all may also mean that this vector was not there.
        let meant = match query.target {
            Target::Element(element) if hits.is_empty() => element == self.key.element,
            _ => true,
        };
        if meant && query.is_whole() && event.throughout_fits(query.collection, query.vector.dimension) {
            self.check_absent(read);
        }
    }

    fn check_absent(&self, read: usize) {
        if let Some(write) = self.lost(read) {
            panic!(
                "key {} was lost: {:?} was not seen by {}",
                self.key.text(self.scenario),
                self.history.events[write],
                self.show(read)
            );
        }
    }

    /// Rule 1: could a read have shown this write?
    fn explains(&self, write: usize, read: usize) -> bool {
        let history = self.history;
        let ended_between = |other: usize| {
            other != write
                && other != read
                && history.events[other].answer.is_some()
                && history.precedes(write, other)
                && history.precedes(other, read)
        };
        // Gone with its collection, of which nothing was there any more when the read began.
        let was_gone = |write: usize, read: usize| {
            let written = history.events[write].answer.as_ref();
            let begins_later = written.is_some_and(|(end, _)| *end < history.events[read].start);
            begins_later && history.events[read].begins_without(self.key.collection) && !self.is_moved_during(read)
        };
        write != read
            && !history.precedes(read, write)
            && !was_gone(write, read)
            && !self.removals.iter().any(|removal| ended_between(*removal))
            && !self.writes.iter().any(|(other, _)| ended_between(*other))
    }

    /// Rule 2: a write that a read which showed nothing must have seen.
    fn lost(&self, read: usize) -> Option<usize> {
        let history = self.history;
        let may_remove = |write: usize, removal: usize| {
            // What found nothing has removed nothing.
            let found_nothing = history.events[removal].reply() == Some(&Value::Integer(0));
            removal != read && !found_nothing && !history.precedes(removal, write) && !history.precedes(read, removal)
        };
        let writes = self.writes.iter().map(|(write, _)| *write);
        let mut surely =
            writes.filter(|write| history.events[*write].answer.is_some() && history.precedes(*write, read));
        surely.find(|write| {
            !self.removals.iter().any(|removal| may_remove(*write, *removal))
                && !self
                    .expiries
                    .iter()
                    .any(|expiry| self.may_expire(*write, *expiry, read))
                && !self.is_replaced_during(*write, read)
        })
    }

    /// True if a command may let the collection expire later that was taken before it expired and is done only now.
    fn is_moved_during(&self, read: usize) -> bool {
        let (start, history) = (self.history.events[read].start, self.history);
        let is_under_way = |number: &usize| {
            let event = &history.events[*number];
            event.start < start && event.answer.as_ref().is_none_or(|(end, _)| *end > start)
        };
        self.expiries.iter().chain(&self.persisting).any(is_under_way)
    }

    /// True if the collection may have expired, because of this command, behind the write and before the read ended.
    fn may_expire(&self, write: usize, expiry: usize, read: usize) -> bool {
        let event = |number: usize| &self.history.events[number];
        let (earliest_us, latest_us) = event(expiry).end_us().expect("it says when");
        event(expiry).reply() != Some(&Value::Integer(0))
            && !self.history.precedes(read, expiry)
            && latest_us >= event(write).taken_us.0
            && earliest_us <= event(read).answered_us
    }

    /// A query of wide vectors, or one in short slices, takes several; and one that finds a vector just before it is replaced
    /// finds neither the old nor the new one: what a client asked for at the same time as it changed.
    fn is_replaced_during(&self, write: usize, read: usize) -> bool {
        let history = self.history;
        let is_query = matches!(history.events[read].command, Command::Query(_));
        let takes_slices =
            self.scenario.slice_work < SLICE_WORK || self.scenario.collections[self.key.collection].is_wide();
        is_query
            && takes_slices
            && self
                .writes
                .iter()
                .any(|(other, _)| *other != write && !history.precedes(*other, read) && !history.precedes(read, *other))
    }

    fn may_be_there(&self, read: usize) -> bool {
        self.writes.iter().any(|(write, _)| self.explains(*write, read))
    }

    fn show(&self, read: usize) -> String {
        let mut about: Vec<usize> = self.writes.iter().map(|(write, _)| *write).collect();
        about.extend(&self.removals);
        about.extend(&self.expiries);
        about.sort_unstable();
        let mut text = format!("{:?}\nEvents about the key:\n", self.history.events[read]);
        for number in about {
            let event = &self.history.events[number];
            text.push_str(&format!(
                "{number}: client {} {:?} from {} {:?} us to {:?} {} us\n",
                event.client, event.command, event.start, event.taken_us, event.answer, event.answered_us
            ));
        }
        text
    }
}

impl Event {
    /// False if the collection was surely of another dimension, so that the reply shows nothing for that reason.
    fn throughout_fits(&self, collection: usize, dimension: usize) -> bool {
        self.throughout(collection)
            .is_none_or(|there| there.dimension == dimension)
    }
}
