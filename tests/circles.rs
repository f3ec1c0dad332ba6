//! Which files of a crate import each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

/// A file below a crate's `src`: its module, and its code without comments and tests.
pub(crate) struct File {
    pub(crate) module: Vec<String>,
    pub(crate) code: String,
}

/// The module of a path such as `crates/kora-engine/src/gather/query.rs`; none if it is not below `src`.
pub(crate) fn module_of(path: &str) -> Option<Vec<String>> {
    let (_, inner) = path.split_once("/src/")?;
    let mut module: Vec<String> = inner.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod")) || module == ["lib"] {
        module.pop();
    }
    Some(module)
}

/// The largest set of files each of which imports all others, directly or through others of them.
pub(crate) fn largest_circle(files: &[File]) -> Vec<String> {
    let modules = Modules::new(files);
    let edges: Vec<BTreeSet<usize>> = (0..files.len()).map(|file| modules.imports(file)).collect();
    let reached: Vec<BTreeSet<usize>> = (0..files.len()).map(|file| reachable(file, &edges)).collect();
    let circle_of = |file: usize| -> Vec<usize> {
        let is_in_it = |other: &usize| reached[*other].contains(&file);
        reached[file].iter().copied().filter(is_in_it).collect()
    };
    let largest = (0..files.len()).map(circle_of).max_by_key(Vec::len).unwrap_or_default();
    largest.into_iter().map(|file| files[file].module.join("::")).collect()
}

/// All files that are imported by one, directly or through others.
fn reachable(from: usize, edges: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let (mut reached, mut left) = (BTreeSet::new(), vec![from]);
    while let Some(file) = left.pop() {
        left.extend(edges[file].iter().filter(|next| reached.insert(**next)));
    }
    reached
}

struct Modules<'a> {
    files: &'a [File],
    places: BTreeMap<&'a [String], usize>,
    /// What each file's `use` statements name, and the rest of its code.
    texts: Vec<Text>,
}

struct Text {
    used: Vec<String>,
    /// Names that it re-exports, with the paths they come from.
    shown: BTreeMap<String, String>,
    body: String,
}

impl<'a> Modules<'a> {
    fn new(files: &'a [File]) -> Modules<'a> {
        Modules {
            files,
            places: files
                .iter()
                .enumerate()
                .map(|(place, file)| (&file.module[..], place))
                .collect(),
            texts: files.iter().map(|file| Text::of(&file.code)).collect(),
        }
    }

    fn imports(&self, file: usize) -> BTreeSet<usize> {
        let text = &self.texts[file];
        let words: BTreeSet<&str> = text.body.split(|c: char| !is_of_word(c)).collect();
        // A name that is only shown to others is no import; one that is also used here is.
        let used_here = text.shown.iter().filter(|(name, _)| words.contains(name.as_str()));
        let paths = text.used.iter().chain(used_here.map(|(_, path)| path));
        let named: Vec<String> = paths.cloned().chain(paths_in(&text.body)).collect();
        let imported = named.iter().filter_map(|path| self.find(file, path, 0));
        imported.filter(|other| *other != file).collect()
    }

    /// The file in which stands what a path names, seen from a file: re-exports are followed.
    fn find(&self, from: usize, path: &str, depth: usize) -> Option<usize> {
        let mut module: &[String] = &self.files[from].module;
        let mut words = path.split("::").peekable();
        match words.next()? {
            "crate" => module = &[],
            "self" => {}
            "super" => {
                module = &module[..module.len().checked_sub(1)?];
                while words.next_if_eq(&"super").is_some() {
                    module = &module[..module.len().checked_sub(1)?];
                }
            }
            _ => return None,
        }
        let mut module = module.to_vec();
        let mut place = *self.places.get(&module[..])?;
        for word in words {
            module.push(word.to_owned());
            match self.places.get(&module[..]) {
                Some(inner) => place = *inner,
                None => {
                    let source = self.texts[place].shown.get(word).filter(|_| depth < REEXPORTS_MAX);
                    return source.map_or(Some(place), |source| self.find(place, source, depth + 1));
                }
            }
        }
        Some(place)
    }
}

/// A name is shown by one file after the other so many times at most.
const REEXPORTS_MAX: usize = 8;

impl Text {
    fn of(code: &str) -> Text {
        let (mut used, mut shown, mut body) = (Vec::new(), BTreeMap::new(), String::new());
        let mut lines = code.lines();
        while let Some(line) = lines.next() {
            let start = line.trim_start();
            let is_shown = start.starts_with("pub");
            let statement = match start.split_once("use ") {
                Some((before, statement)) if before.is_empty() || (is_shown && !before.contains(['=', '"', '{'])) => {
                    statement
                }
                _ => {
                    body.push_str(line);
                    body.push('\n');
                    continue;
                }
            };
            let mut tree = statement.to_owned();
            while !tree.contains(';') {
                let Some(more) = lines.next() else { break };
                tree.push_str(more.trim());
            }
            for path in expanded(tree.split(';').next().unwrap_or_default()) {
                match is_shown {
                    true => drop(shown.insert(last_word(&path), path)),
                    false => used.push(path),
                }
            }
        }
        Text { used, shown, body }
    }
}

fn last_word(path: &str) -> String {
    path.rsplit("::").next().unwrap_or_default().to_owned()
}

/// The paths of a tree such as `crate::{a::{B, C as D}, e}`.
fn expanded(tree: &str) -> Vec<String> {
    let Some((start, inner)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.split_whitespace().collect()];
    };
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut depth, mut branches) = (0, vec![String::new()]);
    for c in inner.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(String::new());
                continue;
            }
            _ => {}
        }
        branches.last_mut().expect("there is a first branch").push(c);
    }
    let branches = branches.iter().filter(|branch| !branch.trim().is_empty());
    branches
        .flat_map(|branch| expanded(&format!("{}{}", start.trim(), branch.trim())))
        .collect()
}

/// Paths that code names outside of `use`.
fn paths_in(body: &str) -> impl Iterator<Item = String> {
    let words = body.split(|c: char| !is_of_word(c) && c != ':');
    words
        .filter(|word| {
            ["crate::", "super::", "self::"]
                .iter()
                .any(|start| word.starts_with(start))
        })
        .map(|word| word.trim_end_matches(':').to_owned())
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}
