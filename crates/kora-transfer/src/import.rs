//! `kora import`: rows from a file or from a running server into a server.

use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use crate::address::ServerAddress;
use crate::bad_rows::BadRows;
use crate::commands;
use crate::error::TransferError;
use crate::formats::{AttributeChoice, FileToRead, Format, MemberNames, Naming};
use crate::load::Loader;
use crate::progress::{Bar, Progress, ProgressFile, Summary};
use crate::row::{Content, Row, Schema, shown};
use crate::server_source::{Scope, ServerSource};
use crate::source::{Position, RowSource, Taken};
use crate::target::Target;
use crate::vector_sets::AsCollections;

/// What to import, and into which server.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Where the rows come from.
    pub from: ImportFrom,
    /// The server that gets them.
    pub to: ServerAddress,
    /// What stands in the place of a `:` in a name that a file or a set gives to a vector.
    pub colon: Option<String>,
    /// Connections to the target, at least one.
    pub connections: usize,
    /// The file in which progress is kept, and from which an import goes on.
    pub progress: Option<PathBuf>,
    /// Rows of the source that are passed over.
    pub skip: u64,
    /// With more bad rows than these the import stops.
    pub bad_rows_max: Option<u64>,
}

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum ImportFrom {
    /// A file.
    File {
        /// Its name.
        path: PathBuf,
        /// Its format; the ending of the name says it otherwise.
        format: Option<Format>,
        /// The collection of its vectors, for formats without keys.
        collection: Option<String>,
        /// The file with the keys.
        keys: Option<PathBuf>,
        /// Which members of a JSON object, or columns, become attributes: `all`, `none`, or their names with commas.
        attributes: Option<String>,
        /// The member or column that names a vector, and the one that holds it.
        members: (Option<String>, Option<String>),
        /// How the collection is created, if it does not exist.
        creation: Creation,
    },
    /// A running Redis or Kōra.
    Server {
        /// Which one.
        address: ServerAddress,
        /// The keys that travel; all otherwise.
        pattern: Option<String>,
    },
}

/// Parameters of a collection that an import creates; the target's settings count where none is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Creation {
    /// COSINE, L2 or IP.
    pub metric: Option<String>,
    /// F32, F16, Q16 or Q8.
    pub quant: Option<String>,
    /// Links of a vector.
    pub m: Option<u64>,
    /// Candidates while the graph is built.
    pub ef_construction: Option<u64>,
    /// Candidates while it is searched.
    pub ef_search: Option<u64>,
}

/// Imports.
///
/// # Errors
/// What made it stop; rows that are bad do not, unless there are more than was allowed.
pub fn import(options: &ImportOptions) -> Result<Summary, TransferError> {
    let file = match &options.from {
        ImportFrom::File { .. } => Some(file_of(options)?),
        ImportFrom::Server { .. } => None,
    };
    let source_name = source_name(options, file.as_ref())?;
    let name = format!("import of {source_name} to {}", options.to);
    let (progress_file, before) = ProgressFile::open(options.progress.as_deref(), &name)?;
    let from = before.map(|progress| progress.position).unwrap_or_default();
    let source: Box<dyn RowSource> = match (&options.from, &file) {
        (ImportFrom::Server { address, pattern }, _) => {
            let scope = Scope {
                pattern: pattern.clone(),
                ..Scope::default()
            };
            Box::new(ServerSource::open(address, scope, from)?)
        }
        (_, Some(file)) => file.open(from)?,
        (_, None) => return Err(TransferError::Options("there is nothing to import".into())),
    };
    let target = Target::open(&options.to)?;
    let is_bytes = file.as_ref().is_some_and(|file| file.format.has_bytes());
    let mut run = Import {
        bar: Bar::new("Importing", source.length(), is_bytes),
        loader: Loader::open(&options.to, options.connections.max(1))?,
        sets: (!target.has_vector_sets).then(|| AsCollections::new(options.colon.clone())),
        creation: creation_of(options),
        place: match &file {
            Some(file) if file.format.has_lines() => Place::Line,
            Some(_) => Place::Row,
            None => Place::Key,
        },
        target,
        summary: Summary {
            bad: BadRows::with_max(options.bad_rows_max),
            ..Summary::default()
        },
        progress_file,
        name,
        source,
    };
    let outcome = run.run(options.skip);
    run.end(outcome)
}

/// One import under way.
struct Import {
    source: Box<dyn RowSource>,
    loader: Loader,
    target: Target,
    /// Set if the target has no vector sets.
    sets: Option<AsCollections>,
    /// The collection to be created with the first vector.
    creation: Option<(String, Creation)>,
    place: Place,
    summary: Summary,
    bar: Bar,
    progress_file: ProgressFile,
    name: String,
}

impl Import {
    fn run(&mut self, skip: u64) -> Result<(), TransferError> {
        let mut count = 0u64;
        while let Some(Taken { position, row }) = self.source.next_row()? {
            if position.rows >= skip {
                self.take(position, row)?;
            }
            count += 1;
            if count.is_multiple_of(ROWS_BETWEEN_LOOKS) {
                self.look()?;
            }
        }
        self.loader.finish()?;
        self.look()
    }

    fn take(&mut self, position: Position, row: Result<Row, String>) -> Result<(), TransferError> {
        let rows = row.and_then(|row| match &mut self.sets {
            Some(sets) => sets.rows(row),
            None => Ok(vec![row]),
        });
        let rows = match rows {
            Ok(rows) => rows,
            Err(reason) => return self.summary.bad.note(&self.place.name(position, None), &reason),
        };
        for row in rows {
            if commands::has_expired(&row) {
                self.summary.expired += 1;
                continue;
            }
            if let Content::Vector(vector) = &row.content
                && let Some((name, creation)) = self.creation.take()
            {
                let schema = creation.schema(vector.components.len());
                self.target.create(name.as_bytes(), &schema, None)?;
            }
            match &row.content {
                Content::Collection(schema) => {
                    self.target.create(&row.key, schema, row.expires_at_ms)?;
                    self.summary.rows += 1;
                }
                _ => self.loader.push(&row, position)?,
            }
        }
        Ok(())
    }

    /// Counts what became of rows, shows it, and keeps the progress.
    fn look(&mut self) -> Result<(), TransferError> {
        let outcome = self.loader.take_outcome();
        self.summary.rows += outcome.written;
        self.bar.set(self.source.done(), self.summary.rows);
        for (position, key, text) in outcome.refused {
            let place = self.place.name(position, Some(&key));
            self.summary.bad.note(&place, &text)?;
        }
        match self.progress_file.is_due() {
            true => self.save(),
            false => Ok(()),
        }
    }

    fn save(&mut self) -> Result<(), TransferError> {
        let progress = Progress {
            transfer: self.name.clone(),
            position: self.loader.settled_before(self.source.position()),
            lengths: Vec::new(),
        };
        self.progress_file.save(&progress)
    }

    fn end(mut self, mut outcome: Result<(), TransferError>) -> Result<Summary, TransferError> {
        if outcome.is_err() {
            // What was read before the error is written. The first error is the one to tell.
            let finished = self.loader.finish();
            outcome = outcome.and(finished);
            let more = self.loader.take_outcome();
            self.summary.rows += more.written;
        }
        self.summary.elapsed = self.bar.finish();
        self.summary.left_out = self.source.left_out();
        match outcome {
            Ok(()) => {
                self.progress_file.remove();
                Ok(self.summary)
            }
            Err(error) => {
                self.save()?;
                let settled = self.loader.settled_before(self.source.position());
                Err(TransferError::Stopped {
                    error: Box::new(error),
                    summary: Box::new(self.summary),
                    rows: matches!(self.place, Place::Line | Place::Row).then_some(settled.rows),
                })
            }
        }
    }
}

/// What a row is called in a message.
#[derive(Clone, Copy)]
enum Place {
    Line,
    Row,
    Key,
}

impl Place {
    fn name(self, position: Position, key: Option<&[u8]>) -> String {
        let number = position.rows + 1;
        match (self, key) {
            (Self::Line, _) => format!("line {number}"),
            (Self::Row, _) => format!("row {number}"),
            (Self::Key, Some(key)) => format!("key `{}`", shown(key)),
            (Self::Key, None) => "a key".to_owned(),
        }
    }
}

impl Creation {
    fn schema(&self, dimension: usize) -> Schema {
        Schema {
            dimension,
            metric: self.metric.clone(),
            quant: self.quant.clone(),
            m: self.m,
            ef_construction: self.ef_construction,
            ef_search: self.ef_search,
        }
    }
}

fn creation_of(options: &ImportOptions) -> Option<(String, Creation)> {
    match &options.from {
        ImportFrom::File {
            collection: Some(name),
            creation,
            ..
        } if *creation != Creation::default() => Some((name.clone(), creation.clone())),
        _ => None,
    }
}

fn file_of(options: &ImportOptions) -> Result<FileToRead, TransferError> {
    let ImportFrom::File {
        path,
        format,
        collection,
        keys,
        attributes,
        members: (id, vector),
        creation,
    } = &options.from
    else {
        return Err(TransferError::Options("there is no file to import".into()));
    };
    let format = format.or_else(|| Format::of_path(path)).ok_or_else(|| {
        let name = path.display();
        TransferError::Options(format!("the name {name} does not say the format; --format does"))
    })?;
    if collection.is_none() && *creation != Creation::default() {
        let text = "--metric, --quant, --m and the others are of the collection that --collection names";
        return Err(TransferError::Options(text.into()));
    }
    if collection.is_none() && !format.has_keys() && keys.is_none() {
        return Err(TransferError::Options(
            "--collection names the collection of the vectors".into(),
        ));
    }
    let attributes = match attributes {
        Some(text) => text.parse().map_err(TransferError::Options)?,
        None => AttributeChoice::default(),
    };
    let names = MemberNames::default();
    Ok(FileToRead {
        path: path.clone(),
        format,
        naming: Naming {
            collection: collection.clone(),
            colon: options.colon.clone(),
        },
        keys: keys.clone(),
        attributes,
        members: MemberNames {
            id: id.clone().unwrap_or(names.id),
            vector: vector.clone().unwrap_or(names.vector),
        },
    })
}

/// Tells this source from others and from itself after a change: progress is of no use there.
fn source_name(options: &ImportOptions, file: Option<&FileToRead>) -> Result<String, TransferError> {
    match (&options.from, file) {
        (_, Some(file)) => {
            let metadata = fs::metadata(&file.path).map_err(|error| TransferError::file(&file.path, error))?;
            let changed = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            let changed_ns = changed.unwrap_or_default().as_nanos();
            let path = fs::canonicalize(&file.path).map_err(|error| TransferError::file(&file.path, error))?;
            let collection = file.naming.collection.as_deref().unwrap_or_default();
            Ok(format!(
                "{} ({} bytes, {changed_ns}, {collection})",
                path.display(),
                metadata.len()
            ))
        }
        (ImportFrom::Server { address, pattern }, None) => {
            let run = ServerSource::open(address, Scope::default(), Position::default())?.identity()?;
            Ok(format!("{address} {} (run {run})", pattern.as_deref().unwrap_or("*")))
        }
        (ImportFrom::File { .. }, None) => Ok(String::new()),
    }
}

/// Rows between two looks at replies, progress and clock.
const ROWS_BETWEEN_LOOKS: u64 = 256;
