//! `kora export`: a collection or everything from a server into a file.

use std::path::{Path, PathBuf};

use crate::address::ServerAddress;
use crate::bad_rows::BadRows;
use crate::error::TransferError;
use crate::formats::{self, Format, RowSink, Unwritten};
use crate::progress::{Bar, Progress, ProgressFile, Summary};
use crate::row::shown;
use crate::server_source::{Scope, ServerSource};
use crate::source::{Position, RowSource, Taken};

/// What to export, and into which file.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The server.
    pub from: ServerAddress,
    /// The file. It must not exist, unless progress says that an export began it.
    pub path: PathBuf,
    /// Its format; the ending of the name says it otherwise.
    pub format: Option<Format>,
    /// One collection; everything otherwise.
    pub collection: Option<String>,
    /// Keys that this glob pattern fits.
    pub pattern: Option<String>,
    /// The file in which progress is kept, and from which an export goes on.
    pub progress: Option<PathBuf>,
}

/// Exports.
///
/// # Errors
/// What made it stop.
pub fn export(options: &ExportOptions) -> Result<Summary, TransferError> {
    let format = options
        .format
        .or_else(|| Format::of_path(&options.path))
        .ok_or_else(|| {
            let name = options.path.display();
            TransferError::Options(format!("the name {name} does not say the format; --format does"))
        })?;
    if format != Format::JsonLines && options.collection.is_none() {
        let text = "--collection says which vectors; only jsonl holds everything";
        return Err(TransferError::Options(text.into()));
    }
    if format == Format::Parquet && options.progress.is_some() {
        return Err(TransferError::Options(formats::NOT_RESUMED.into()));
    }
    let scope = Scope {
        collection: options.collection.clone(),
        pattern: options.pattern.clone(),
    };
    let run = ServerSource::open(&options.from, Scope::default(), Position::default())?.identity()?;
    let name = transfer_name(options, &run);
    let (progress_file, before) = ProgressFile::open(options.progress.as_deref(), &name)?;
    let from = before.as_ref().map(|progress| progress.position).unwrap_or_default();
    let source = ServerSource::open(&options.from, scope, from)?;
    let lengths = before.map(|progress| progress.lengths);
    let mut run = Export {
        bar: Bar::new("Exporting", source.length(), false),
        sink: formats::create(&options.path, format, lengths.as_deref())?,
        source,
        summary: Summary {
            bad: BadRows::with_max(None),
            ..Summary::default()
        },
        progress_file,
        name,
    };
    let outcome = run.run();
    run.end(outcome)
}

fn transfer_name(options: &ExportOptions, run: &str) -> String {
    let path = std::path::absolute(&options.path).unwrap_or_else(|_| options.path.clone());
    let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
    let (collection, pattern) = (part(&options.collection), part(&options.pattern));
    format!(
        "export of {collection} {pattern} of {} (run {run}) to {}",
        options.from,
        Path::display(&path)
    )
}

/// One export under way.
struct Export {
    source: ServerSource,
    sink: Box<dyn RowSink>,
    summary: Summary,
    bar: Bar,
    progress_file: ProgressFile,
    name: String,
}

impl Export {
    fn run(&mut self) -> Result<(), TransferError> {
        let mut batch = self.source.position().offset;
        while let Some(Taken { row, .. }) = self.source.next_row()? {
            match row {
                Ok(row) => match self.sink.write(&row) {
                    Ok(()) => self.summary.rows += 1,
                    Err(Unwritten::Row(reason)) => self.summary.bad.note(&shown(&row.key), &reason)?,
                    Err(Unwritten::Stop(error)) => return Err(error),
                },
                Err(reason) => self.summary.bad.note("a key", &reason)?,
            }
            // Rows that were written since a batch began would be written again: only between two batches is it known how
            // long the files are.
            let position = self.source.position();
            if position.offset != batch {
                batch = position.offset;
                self.bar.set(self.source.done(), self.summary.rows);
                if self.progress_file.is_due() {
                    self.save(position)?;
                }
            }
        }
        self.sink.finish()
    }

    fn save(&mut self, position: Position) -> Result<(), TransferError> {
        let progress = Progress {
            transfer: self.name.clone(),
            position,
            lengths: self.sink.lengths()?,
        };
        self.progress_file.save(&progress)
    }

    fn end(mut self, outcome: Result<(), TransferError>) -> Result<Summary, TransferError> {
        self.summary.elapsed = self.bar.finish();
        self.summary.left_out = self.source.left_out();
        match outcome {
            Ok(()) => {
                self.progress_file.remove();
                Ok(self.summary)
            }
            Err(error) => Err(TransferError::Stopped {
                error: Box::new(error),
                summary: Box::new(self.summary),
                rows: None,
            }),
        }
    }
}
