//! Aliases in a request: each name in it that is an alias gives way to the collection that it means, at once and before
//! anything else is done with the command. So a command sees one meaning of each alias from its beginning to its end.

use std::collections::BTreeMap;
use std::mem::replace;

use bytes::Bytes;
use kora_command::names_used::{NameTraits, Named};
use kora_command::table::{CommandEntry, Parsed, SaidNames};
use kora_command::{Action, Center, Command, Element, ElementList, ManyQueries, ShortKey, VectorQuery};
use kora_keyspace::AliasTable;
use kora_keyspace::catalog::CatalogView;
use kora_keyspace::{element_of, key_of};
use kora_resp::{Reply, Words};
use kora_values::{Database, said_name};

use crate::databases::as_said;

/// The aliases of one moment, and the collections that there are.
#[derive(Clone, Copy)]
pub(crate) struct OwnNames<'c> {
    aliases: &'c AliasTable,
    catalog: CatalogView<'c>,
}

impl<'c> OwnNames<'c> {
    pub(crate) fn new(aliases: &'c AliasTable, catalog: CatalogView<'c>) -> OwnNames<'c> {
        OwnNames { aliases, catalog }
    }

    /// Replaces the aliases in a command, and notes what was said.
    pub(crate) fn give_to(self, parsed: &mut Parsed) {
        if parsed.said.is_some() || self.aliases.is_empty() {
            return;
        }
        let said = match &mut parsed.command {
            Command::OnKey(key, action) => {
                let own = match action {
                    Action::VectorSet(_) => self.aliases.meaning(key).map(|name| name.to_vec()),
                    Action::Attributes(_) => self.of_key(key),
                    Action::String(_) | Action::Hash(_) | Action::Key(_) => None,
                };
                own.map(|own| {
                    parsed.slot = None;
                    SaidNames::Key(replace(key, ShortKey::from_vec(own)))
                })
            }
            Command::VectorSet(element, ..)
            | Command::VectorGet(element, _)
            | Command::VectorAttributes(element, _) => {
                self.give_to_name(&mut element.collection).map(SaidNames::Collection)
            }
            Command::VectorSetMany(vectors) => {
                // All are of one collection.
                let own = self.aliases.meaning(&vectors[0].0.collection);
                own.map(|own| SaidNames::Collection(set_collection(vectors, own)))
            }
            Command::VectorDelete(elements) => self.give_to_list(elements),
            Command::VectorQuery(query) => {
                let VectorQuery { target, center, wish } = &mut **query;
                self.give_to_query(target, &mut wish.said, names_of(center, &mut wish.without))
            }
            Command::VectorQueryMany(query) => {
                let ManyQueries { target, wish, .. } = &mut **query;
                self.give_to_query(target, &mut wish.said, names_among(&mut wish.without))
            }
            Command::VectorInfo(name) => self.give_to_name(name).map(SaidNames::Collection),
            Command::VectorRecall(request) => self.give_to_name(&mut request.collection).map(SaidNames::Collection),
            _ => None,
        };
        parsed.said = said.map(Box::new);
    }

    /// The words of a request with the collections' own names, if there is an alias among them: its user needs the rights to
    /// these, too.
    pub(crate) fn words(self, entry: &CommandEntry, words: &Words, database: Database) -> Option<Words> {
        let is_of_set = entry.group == "vector_set";
        let is_of_vectors = entry.group == "vector" && !KEEP_ALIASES.contains(&entry.name);
        if self.aliases.is_empty() || !(is_of_set || is_of_vectors) {
            return None;
        }
        let own_name = |named: Named, word: &[u8]| {
            let stored = database.stored(word);
            let own = match named {
                Named::Key(_) if !is_of_set => self.of_key(&stored),
                // Of an element that is named by two words this is the collection.
                Named::Key(_) | Named::Collection(_) | Named::Element(..) => {
                    self.aliases.meaning(&stored).map(|own| own.to_vec())
                }
                Named::Target => self.of_target(&stored),
                Named::Channel | Named::ChannelPattern => None,
            };
            own.map(|own| said_name(&own).to_vec())
        };
        let ranges = NameTraits::of(entry).ranges(words.iter());
        let mut is_changed = false;
        let own: Vec<Option<Vec<u8>>> = words
            .iter()
            .enumerate()
            .map(|(place, word)| {
                let named = ranges.iter().find_map(|range| range.name_at(place))?;
                let own = own_name(named, word);
                is_changed |= own.is_some();
                own
            })
            .collect();
        let word_at = |(word, own): (&'_ [u8], &'_ Option<Vec<u8>>)| own.as_deref().unwrap_or(word).to_vec();
        is_changed.then(|| {
            let all: Vec<Vec<u8>> = words.iter().zip(&own).map(word_at).collect();
            Words::of(all.iter().map(|word| &word[..]))
        })
    }

    /// What was said instead of the own name, if that was an alias.
    fn give_to_name(self, name: &mut Bytes) -> Option<Bytes> {
        let own = self.aliases.meaning(name)?;
        Some(replace(name, own.clone()))
    }

    /// Neighbours in the list mostly are of one collection.
    fn give_to_list(self, elements: &mut ElementList) -> Option<SaidNames> {
        let (mut own, mut last): (ElementList, (&[u8], &[u8])) = (ElementList::default(), (b"", b""));
        let mut is_changed = false;
        for (collection, name) in elements.iter() {
            if last.0 != collection {
                let meaning = self.aliases.meaning(collection);
                is_changed |= meaning.is_some();
                last = (collection, meaning.map_or(collection, |own| own));
            }
            own.push(last.1, name);
        }
        is_changed.then(|| SaidNames::Elements(replace(elements, own)))
    }

    /// Of a query: its target, what is noted of it, and the collections of the elements that it names.
    fn give_to_query(self, target: &mut Bytes, said: &mut Option<Bytes>, names: Vec<&mut Bytes>) -> Option<SaidNames> {
        let before = (target.clone(), names.iter().map(|name| (**name).clone()).collect());
        let own = self.of_target(target);
        if own.is_none() && !names.iter().any(|name| self.aliases.meaning(name).is_some()) {
            return None;
        }
        if let Some(own) = own {
            *said = Some(replace(target, own.into()));
        }
        for name in names {
            self.give_to_name(name);
        }
        Some(SaidNames::Query(before.0, before.1))
    }

    /// The key of a vector, with the own name of its collection.
    fn of_key(self, key: &[u8]) -> Option<Vec<u8>> {
        let (collection, name) = element_of(key)?;
        Some(key_of(self.aliases.meaning(collection)?, name))
    }

    /// What VECQUERY searches: a name, a name with `:*` behind it, or a key whose collection is meant. A collection that is
    /// there goes before an alias.
    pub(crate) fn of_target(self, target: &[u8]) -> Option<Vec<u8>> {
        if let Some(own) = self.aliases.meaning(target) {
            return Some(own.to_vec());
        }
        match self.catalog.holds(target) {
            true => None,
            false => self.of_key(target),
        }
    }
}

/// Puts back what was said in a command that can't begin yet.
pub(crate) fn put_back(parsed: &mut Parsed) {
    let Some(said) = parsed.said.take() else { return };
    match (*said, &mut parsed.command) {
        (SaidNames::Key(said), Command::OnKey(key, _)) => {
            parsed.slot = None;
            *key = said;
        }
        (SaidNames::Collection(said), command) => match command {
            Command::VectorSet(element, ..)
            | Command::VectorGet(element, _)
            | Command::VectorAttributes(element, _) => element.collection = said,
            Command::VectorSetMany(vectors) => drop(set_collection(vectors, &said)),
            Command::VectorInfo(name) => *name = said,
            Command::VectorRecall(request) => request.collection = said,
            _ => {}
        },
        (SaidNames::Elements(said), Command::VectorDelete(elements)) => *elements = said,
        (SaidNames::Query(target, names), Command::VectorQuery(query)) => {
            query.target = target;
            query.wish.said = None;
            let own = names_of(&mut query.center, &mut query.wish.without).into_iter();
            own.zip(names).for_each(|(name, said)| *name = said);
        }
        (SaidNames::Query(target, names), Command::VectorQueryMany(query)) => {
            query.target = target;
            query.wish.said = None;
            let own = names_among(&mut query.wish.without).into_iter();
            own.zip(names).for_each(|(name, said)| *name = said);
        }
        // A command that is refused meanwhile has no names.
        _ => {}
    }
}

/// The collection of the first before that.
fn set_collection(vectors: &mut [(Element, Box<[f32]>)], collection: &Bytes) -> Bytes {
    let before = vectors[0].0.collection.clone();
    let elements = vectors.iter_mut().map(|(element, _)| element);
    elements.for_each(|element| element.collection = collection.clone());
    before
}

/// The collections of all elements that a query names beside its target.
fn names_of<'q>(center: &'q mut Center, without: &'q mut [Element]) -> Vec<&'q mut Bytes> {
    let mut names = match center {
        Center::Given(_) => Vec::new(),
        Center::Stored(element) => vec![&mut element.collection],
        Center::Mean(keys) => keys.iter_mut().map(|(element, _)| &mut element.collection).collect(),
    };
    names.extend(names_among(without));
    names
}

/// The collections of these elements.
fn names_among(elements: &mut [Element]) -> Vec<&mut Bytes> {
    elements.iter_mut().map(|element| &mut element.collection).collect()
}

/// What VECALIAS LIST answers.
pub(crate) fn listed(collection: Option<&[u8]>, database: Database, aliases: &AliasTable) -> Reply {
    let all = aliases.iter().filter(|(name, _)| Database::of(name) == database);
    let wanted = all.filter(|(_, meant)| collection.is_none_or(|collection| **meant == *collection));
    let pair = |(name, meant): (&Bytes, &Bytes)| (Reply::Bulk(as_said(name)), Reply::Bulk(as_said(meant)));
    Reply::Map(wanted.map(pair).collect())
}

/// What VECLIST WITHALIASES answers: the names of collections, each with its aliases.
pub(crate) fn listed_with(names: Vec<Bytes>, database: Database, aliases: &AliasTable) -> Reply {
    let mut of_name: BTreeMap<Bytes, Vec<Reply>> = BTreeMap::new();
    for (name, meant) in aliases.iter().filter(|(name, _)| Database::of(name) == database) {
        of_name
            .entry(as_said(meant))
            .or_default()
            .push(Reply::Bulk(as_said(name)));
    }
    let row = |name: Bytes| {
        let aliases = of_name.remove(&name).unwrap_or_default();
        (Reply::Bulk(name), Reply::Array(aliases))
    };
    Reply::Map(names.into_iter().map(row).collect())
}

/// Commands about a name itself: an alias stays one there.
const KEEP_ALIASES: [&str; 6] = [
    "vecalias|add",
    "vecalias|del",
    "vecalias|list",
    "vecalias|set",
    "veccreate",
    "vecdrop",
];
