//! Libraries of functions: every worker reads them, and one shard changes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

/// A library of functions. What its code means is not known here.
#[derive(Clone, Debug)]
pub struct Library {
    /// Its name.
    pub name: Bytes,
    /// All of its code, first line included.
    pub code: Bytes,
    /// What it registers, by name.
    pub functions: Vec<LibraryFunction>,
    /// Tells it from all others of this process, also from earlier ones of the same name. Given by [`Libraries`]; nothing
    /// that is kept depends on it.
    pub id: u64,
}

/// A function of a library.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LibraryFunction {
    /// Its name.
    pub name: Bytes,
    /// What its author says of it.
    pub description: Option<Bytes>,
    /// What it promises to do or not to do, as the caller spells it.
    pub flags: u8,
}

/// All libraries as they are at one moment.
#[derive(Clone, Default, Debug)]
pub struct Libraries {
    by_name: BTreeMap<Bytes, Arc<Library>>,
    /// By the functions' names in lower case: the library, and the function's place there.
    functions: BTreeMap<Bytes, (Arc<Library>, usize)>,
    bytes: usize,
    /// How many there ever were.
    made: u64,
}

impl Library {
    /// A library that is not among others yet.
    pub fn new(name: Bytes, code: Bytes, mut functions: Vec<LibraryFunction>) -> Library {
        functions.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Library {
            name,
            code,
            functions,
            id: 0,
        }
    }

    /// Memory that it takes, roughly.
    pub fn bytes(&self) -> usize {
        let of_function = |function: &LibraryFunction| {
            let description = function.description.as_ref().map_or(0, Bytes::len);
            2 * function.name.len() + description + FUNCTION_BYTES
        };
        self.name.len() + self.code.len() + LIBRARY_BYTES + self.functions.iter().map(of_function).sum::<usize>()
    }

    /// True if both say the same.
    pub fn is_same(&self, other: &Library) -> bool {
        (&self.name, &self.code, &self.functions) == (&other.name, &other.code, &other.functions)
    }
}

impl Libraries {
    /// The library of this name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Library>> {
        self.by_name.get(name)
    }

    /// The library that has a function of this name, in any case of letters, and the function.
    pub fn function(&self, name: &[u8]) -> Option<(&Arc<Library>, &LibraryFunction)> {
        let (library, place) = self.functions.get(&name.to_ascii_lowercase()[..])?;
        Some((library, library.functions.get(*place)?))
    }

    /// All of them, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.by_name.values()
    }

    /// The first one behind this name.
    pub fn after(&self, name: Option<&Bytes>) -> Option<&Arc<Library>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = name.map_or(Unbounded, Excluded);
        self.by_name
            .range::<Bytes, _>((from, Unbounded))
            .next()
            .map(|(_, library)| library)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// How many functions they have.
    pub fn function_count(&self) -> usize {
        self.functions.len()
    }

    /// Memory that they take, roughly.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// These without some, and with others, which replace those of the same name.
    pub(crate) fn changed(&self, gone: &[Bytes], set: &[Library]) -> Libraries {
        let mut changed = self.clone();
        gone.iter().for_each(|name| changed.remove(name));
        for library in set {
            changed.remove(&library.name);
            changed.insert(library);
        }
        changed
    }

    fn insert(&mut self, library: &Library) {
        self.made += 1;
        let library = Arc::new(Library {
            id: self.made,
            ..library.clone()
        });
        self.bytes += library.bytes();
        for (place, function) in library.functions.iter().enumerate() {
            let name = function.name.to_ascii_lowercase().into();
            self.functions.insert(name, (Arc::clone(&library), place));
        }
        self.by_name.insert(library.name.clone(), library);
    }

    fn remove(&mut self, name: &Bytes) {
        let Some(library) = self.by_name.remove(name) else {
            return;
        };
        self.bytes -= library.bytes();
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase()[..]);
        }
    }
}

/// What a library takes beside its texts.
const LIBRARY_BYTES: usize = 200;

/// The same of a function: its place in the library, and in the table of all.
const FUNCTION_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    fn library(name: &'static str, functions: &[&'static str]) -> Library {
        let functions = functions.iter().map(|name| LibraryFunction {
            name: Bytes::from_static(name.as_bytes()),
            description: None,
            flags: 0,
        });
        let code = Bytes::from(format!("code of {name}"));
        Library::new(Bytes::from_static(name.as_bytes()), code, functions.collect())
    }

    #[test]
    fn functions_are_found_while_their_library_is_there() {
        let none = Libraries::default();
        let two = none.changed(&[], &[library("b", &["Second", "third"]), library("a", &["first"])]);
        assert_eq!((two.len(), two.function_count()), (2, 3));
        let (of, function) = two.function(b"sECOND").expect("letters have no case");
        assert_eq!((&of.name[..], &function.name[..]), (&b"b"[..], &b"Second"[..]));
        let names: Vec<&[u8]> = two.iter().map(|library| &library.name[..]).collect();
        assert_eq!(names, [b"a", b"b"]);
        let first = two.after(None).expect("there are two");
        assert_eq!(two.after(Some(&first.name)).map(|next| &next.name[..]), Some(&b"b"[..]));
        assert!(two.after(Some(&Bytes::from_static(b"b"))).is_none());

        let id = of.id;
        let replaced = two.changed(&[], &[library("b", &["fourth"])]);
        assert_eq!((replaced.len(), replaced.function_count()), (2, 2));
        assert!(replaced.function(b"second").is_none() && replaced.function(b"fourth").is_some());
        assert_ne!(replaced.get(b"b").expect("it was set").id, id);

        let gone = replaced.changed(&[Bytes::from_static(b"a"), Bytes::from_static(b"b")], &[]);
        assert_eq!((gone.len(), gone.function_count(), gone.bytes()), (0, 0, 0));
        assert!(gone.is_empty() && two.len() == 2);
    }
}
