//! The house rules that a compiler does not know: which crate may know which, where `unsafe`, atomics and the clock may
//! stand, how long files and lines may be, and that every command is in the documentation.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kora_command::table::{self, CommandEntry};

#[test]
fn crates_know_only_those_below_them() {
    for (name, known) in ARROWS {
        let manifest = read(&root().join("crates").join(name).join("Cargo.toml"));
        let found: BTreeSet<String> = dependencies(&manifest, &["kora-"]).into_iter().collect();
        for dependency in &found {
            assert!(
                known.contains(&dependency.as_str()),
                "{name} must not know {dependency}"
            );
        }
        if *name != "kora-server" {
            let runtime = dependencies(&manifest, &["tokio", "mio", "socket2", "clap"]);
            assert!(
                runtime.is_empty(),
                "{name} is synchronous and has no sockets: {runtime:?}"
            );
        }
    }
    let listed: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<String> = fs::read_dir(root().join("crates"))
        .expect("there are crates")
        .map(|entry| entry.expect("it can be read"))
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().expect("names are ASCII"))
        .collect();
    assert!(
        there.iter().map(String::as_str).eq(listed),
        "each crate has its arrows: {there:?}"
    );
}

#[test]
fn no_circle_has_many_files() {
    let sources = sources();
    for (name, _) in ARROWS {
        let folder = format!("crates/{name}/src/");
        let files: Vec<circles::File> = sources
            .iter()
            .filter(|source| source.path.starts_with(&folder) && source.code().next().is_some())
            .filter_map(|source| {
                let code: Vec<&str> = source.code().map(|(_, line)| line).collect();
                let (module, code) = (circles::module_of(&source.path)?, code.join("\n"));
                Some(circles::File { module, code })
            })
            .collect();
        let largest = circles::largest_circle(&files);
        let excess = CIRCLES.iter().find(|(crate_name, _)| crate_name == name);
        let max = excess.map_or(CIRCLE_FILES_MAX, |(_, files)| *files);
        assert!(
            largest.len() <= max,
            "{} files of {name} import each other: {largest:?}",
            largest.len()
        );
    }
}

#[test]
fn unsafe_stands_where_it_is_declared() {
    for name in ARROWS.iter().map(|(name, _)| name) {
        let head = read(&root().join("crates").join(name).join("src/lib.rs"));
        let attribute = if ["kora-script", "kora-vector"].contains(name) {
            "#![deny(unsafe_code)]"
        } else {
            "#![forbid(unsafe_code)]"
        };
        assert!(head.contains(attribute), "{name}/src/lib.rs lacks {attribute}");
    }
    let may = |path: &str| {
        path.starts_with("crates/kora-vector/src/distance/")
            || [
                "crates/kora-script/src/fiber.rs",
                "crates/kora-script/src/machine.rs",
                "crates/kora-vector/src/arena.rs",
                "crates/kora-server/src/allocator.rs",
            ]
            .contains(&path)
    };
    for source in sources() {
        let used = source
            .code()
            .any(|(_, line)| line.contains("unsafe {") || line.contains("unsafe fn"));
        assert!(!used || may(&source.path), "{} has unsafe code", source.path);
    }
}

#[test]
fn atomics_stand_in_the_mesh_and_in_the_graph() {
    let may = |path: &str| {
        path.starts_with("crates/kora-mesh/")
            || path.starts_with("crates/kora-vector/src/arena/")
            || path.starts_with("crates/kora-vector/src/graph/")
            || ["crates/kora-vector/src/graph.rs", "crates/kora-vector/src/arena.rs"].contains(&path)
    };
    refuse_words(
        &["sync::atomic", "AtomicU", "AtomicBool", "AtomicI", "Mutex", "RwLock"],
        may,
    );
}

#[test]
fn time_comes_in_as_an_argument() {
    refuse_words(&["Instant::now", "SystemTime"], |path| {
        path.starts_with("crates/kora-server/") || path.starts_with("crates/kora-transfer/")
    });
}

#[test]
fn nothing_is_left_to_be_done() {
    // Put together, or this file would be the first to be found.
    let words = [
        ["to", "do!"],
        ["unimple", "mented!"],
        ["TO", "DO"],
        ["FIX", "ME"],
        ["XX", "X"],
        ["dbg", "!("],
    ]
    .map(|word| word.concat());
    for source in sources() {
        for (number, line) in source.lines() {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            assert!(found.is_none(), "{}:{number}: {line}", source.path);
        }
    }
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    refuse_words(&[".unwrap()"], |path| !path.starts_with("crates/"));
}

#[test]
fn files_and_lines_have_a_bound() {
    for source in sources() {
        let lines = source.code().count();
        assert!(
            lines <= FILE_LINES_MAX || !source.path.starts_with("crates/"),
            "{} has {lines} lines",
            source.path
        );
        for (number, line) in source.lines() {
            let width = line.chars().count();
            let comment = line.trim_start();
            // Code is broken by rustfmt, as far as it can be. A table's row stays on its line.
            let is_bound = comment.starts_with("//") && !comment.contains(" | ");
            assert!(
                width <= COMMENT_WIDTH_MAX || !is_bound,
                "{}:{number} is {width} wide",
                source.path
            );
        }
    }
}

#[test]
fn the_map_names_files_and_words_that_exist() {
    let map = read(&root().join("crates/README.md"));
    let (_, table) = map.split_once("## Find it in a minute").expect("the map has its table");
    let (table, _) = table.split_once("\n## ").expect("a section follows");
    let mut found = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")) {
        let (_, answer) = row[2..].split_once(" | ").expect("a row has a question and an answer");
        let mut last: Option<PathBuf> = None;
        // Every second piece stands between backticks: a path, or a word of the file named before it.
        for span in answer.split('`').skip(1).step_by(2) {
            let is_path = span.contains('/') || [".rs", ".md", ".toml"].iter().any(|end| span.ends_with(end));
            if is_path {
                let path = path_in_map(span, last.as_deref());
                last = Some(path.unwrap_or_else(|| panic!("the map names {span}, which does not exist: {row}")));
                found += 1;
            } else if let Some(file) = last.as_ref().filter(|path| path.is_file()) {
                assert!(read(file).contains(span), "{} has no {span}: {row}", file.display());
            }
        }
    }
    assert!(found > 50, "the table was read");
}

/// A path of the map: from the repository, from `crates/`, or from a folder of the path before it, up to its crate's `src`.
fn path_in_map(path: &str, before: Option<&Path>) -> Option<PathBuf> {
    let mut bases = vec![root().join("crates"), root()];
    for folder in before.into_iter().flat_map(Path::ancestors) {
        bases.push(folder.to_owned());
        if folder.ends_with("src") {
            break;
        }
    }
    bases.into_iter().map(|base| base.join(path)).find(|path| path.exists())
}

#[test]
fn every_file_is_part_of_its_crate() {
    let sources = sources();
    for source in &sources {
        let path = Path::new(&source.path);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("it has a name");
        if !source.path.contains("/src/") || source.path.contains("/src/bin/") || ["lib", "main", "mod"].contains(&stem)
        {
            continue;
        }
        let declared = sources.iter().any(|other| {
            let declares = |(_, line): (usize, &str)| line.trim_end().ends_with(&format!("mod {stem};"));
            other.crate_folder() == source.crate_folder() && other.lines().any(declares)
        });
        assert!(declared, "no file says `mod {stem};` for {}", source.path);
    }
}

#[test]
fn every_command_is_documented_with_its_syntax() {
    let reference = read(&root().join("docs/commands.md"));
    let check = |entry: &CommandEntry| {
        let usage = entry.syntax();
        assert!(reference.contains(&usage), "docs/commands.md does not have: {usage}");
        assert!(
            reference.contains(entry.summary),
            "docs/commands.md does not say: {}",
            entry.summary
        );
    };
    for entry in table::all() {
        match entry.subcommands {
            [] => check(entry),
            subcommands => subcommands.iter().for_each(check),
        }
    }
}

/// A command that no seed says is one that fuzzing finds late, if at all.
#[test]
fn every_command_is_in_a_seed_of_the_fuzzer() {
    let mut said = Vec::new();
    for seed in fs::read_dir(root().join("tests/fuzz/seeds/command")).expect("there are seeds") {
        said.extend(fs::read(seed.expect("it can be read").path()).expect("it can be read"));
    }
    said.make_ascii_lowercase();
    let check = |entry: &CommandEntry| {
        // A subcommand's own word, behind its container's.
        let word = entry.name.rsplit('|').next().unwrap_or(entry.name);
        let spelled = format!("${}\r\n{word}\r\n", word.len());
        let is_said = said.windows(spelled.len()).any(|part| part == spelled.as_bytes());
        assert!(is_said, "no file in tests/fuzz/seeds/command says {}", entry.name);
    };
    for entry in table::all() {
        check(entry);
        entry.subcommands.iter().for_each(check);
    }
}

/// Which crates a crate may know.
const ARROWS: &[(&str, &[&str])] = &[
    ("kora-access", &["kora-command", "kora-resp"]),
    (
        "kora-command",
        &["kora-filter", "kora-resp", "kora-values", "kora-vector"],
    ),
    (
        "kora-engine",
        &[
            "kora-access",
            "kora-command",
            "kora-filter",
            "kora-keyspace",
            "kora-log",
            "kora-mesh",
            "kora-resp",
            "kora-script",
            "kora-values",
            "kora-vector",
        ],
    ),
    ("kora-filter", &[]),
    (
        "kora-keyspace",
        &["kora-filter", "kora-mesh", "kora-values", "kora-vector"],
    ),
    ("kora-log", &[]),
    ("kora-mesh", &[]),
    ("kora-resp", &[]),
    (
        "kora-server",
        &[
            "kora-access",
            "kora-engine",
            "kora-log",
            "kora-mesh",
            "kora-resp",
            "kora-transfer",
            "kora-values",
            "kora-vector",
        ],
    ),
    ("kora-script", &["kora-resp"]),
    ("kora-transfer", &[]),
    ("kora-values", &[]),
    ("kora-vector", &[]),
];

/// Files that import each other, directly or through others: a change of one needs knowledge of all of them.
const CIRCLE_FILES_MAX: usize = 6;

/// Crates with a larger circle, and its size. A number here may only become smaller.
const CIRCLES: &[(&str, usize)] = &[
    // A parser makes a `Command`, and a `Command` holds what the parsers of all families make.
    ("kora-command", 16),
    // The engine's parts are methods of `Engine`, which holds the states of all of them; messages between workers hold what
    // all parts send; and a `Gather` is one of all kinds.
    ("kora-engine", 33),
    ("kora-keyspace", 9),
    ("kora-script", 15),
    ("kora-vector", 22),
];

/// Lines of a file, its tests not counted. The style asks for about 400; this is where a reader gets lost.
const FILE_LINES_MAX: usize = 500;

/// The lines end at 120; a comment may stand out by a word.
const COMMENT_WIDTH_MAX: usize = 130;

/// A Rust file of the repository.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// All lines with their numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// The lines before the tests at the end, without comments; none of a file of tests.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test =
            self.path.ends_with("/tests.rs") || self.path.contains("/tests/") || self.path.starts_with("tests/");
        self.lines()
            .take_while(move |(_, line)| {
                !is_test && !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test")
            })
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    fn crate_folder(&self) -> &str {
        let end = self.path.find("/src/").unwrap_or(self.path.len());
        &self.path[..end]
    }
}

/// None of these words stands in code, but for paths where they may.
#[track_caller]
fn refuse_words(words: &[&str], may: impl Fn(&str) -> bool) {
    for source in sources() {
        if may(&source.path) || !source.path.starts_with("crates/") || source.path.contains("/benches/") {
            continue;
        }
        for (number, line) in source.code() {
            let found = words.iter().find(|word| line.contains(**word));
            assert!(found.is_none(), "{}:{number}: {line}", source.path);
        }
    }
}

/// Names under `[dependencies]` that begin with one of these; what only tests and benches use does not count.
fn dependencies(manifest: &str, beginnings: &[&str]) -> Vec<String> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-");
        } else if inside && beginnings.iter().any(|beginning| line.starts_with(beginning)) {
            let end = line.find(['.', ' ', '=']).unwrap_or(line.len());
            found.push(line[..end].to_owned());
        }
    }
    found
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for folder in ["crates", "tests", "benches"] {
        collect(&root().join(folder), &mut sources);
    }
    assert!(sources.len() > 100, "the repository was found");
    sources
}

fn collect(folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            if !path.ends_with("target") {
                collect(&path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).expect("it is below the root");
            sources.push(Source {
                path: relative.to_str().expect("names are ASCII").to_owned(),
                text: read(&path),
            });
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
