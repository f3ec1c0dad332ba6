//! `kora check` and `kora repair`: what a directory holds, without a server, and cutting a log that is damaged.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kora_log::repair::{self, Cut, Place};

use crate::persistence::{Found, check_directory, with_directory};

/// The options of `kora check`.
#[derive(Clone, Debug, Args)]
pub struct CheckOptions {
    /// The directory that a server would be given as `dir`. No server may be using it
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// The options of `kora repair`.
#[derive(Clone, Debug, Args)]
pub struct RepairOptions {
    /// The directory that a server would be given as `dir`. No server may be using it
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Where the log is cut: a file of the log and a byte of it, as `kora check` names them. All that follows goes
    #[arg(long, value_name = "FILE:OFFSET")]
    truncate_at: String,

    /// Cuts it. Without this it is only said what would go
    #[arg(long)]
    yes: bool,
}

/// Reads all that a server would read, and checks it as one does.
pub fn check(options: &CheckOptions) -> ExitCode {
    match check_directory(&options.directory) {
        Ok(found) => {
            println!("{}", text_of(&found));
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("kora check: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Cuts the log, or says what that would take away.
pub fn repair(options: &RepairOptions) -> ExitCode {
    match cut(options) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(what) => {
            eprintln!("kora repair: {what}");
            ExitCode::FAILURE
        }
    }
}

fn cut(options: &RepairOptions) -> Result<String, String> {
    let place: Place = options.truncate_at.parse()?;
    with_directory(&options.directory, |directory, manifest| {
        let cut = repair::survey(directory, manifest, place).map_err(|error| error.to_string())?;
        let goes = goes_of(&cut);
        if !options.yes {
            return Ok(format!(
                "would go: {goes}. Nothing was changed; say --yes to cut the log there"
            ));
        }
        repair::apply(directory, &cut).map_err(|error| format!("the log could not be cut: {error}"))?;
        Ok(format!(
            "gone: {goes}. `kora check` says whether what is left can be read"
        ))
    })
}

fn goes_of(cut: &Cut) -> String {
    let segments = match cut.segments.len() {
        0 => String::new(),
        1 => ", with one later file".to_owned(),
        more => format!(", with {more} later files"),
    };
    let Cut { frames, bytes, .. } = cut;
    format!("{frames} changes that are whole, in {bytes} bytes{segments}")
}

fn text_of(found: &Found) -> String {
    let Found {
        shards,
        snapshot_bytes,
        log_bytes,
        keys,
        vectors,
        collections,
        tail,
    } = found;
    let mut text = format!(
        "sound: {keys} strings and hashes, {vectors} vectors in {collections} collections; {shards} shards, \
         a snapshot of {snapshot_bytes} bytes and a log of {log_bytes}"
    );
    if let Some(tail) = tail {
        text += &format!(
            "\n{} ends at byte {} with {} bytes that are not whole ({}), as a crash leaves it: a start cuts them off",
            tail.file, tail.offset, tail.bytes, tail.what
        );
    }
    text
}
