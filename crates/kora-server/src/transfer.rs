//! `kora import` and `kora export`: their command lines. What they do is in the crate `kora-transfer`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kora_transfer::{
    Creation, ExportOptions, Format, ImportFrom, ImportOptions, ServerAddress, Summary, TransferError,
};

use crate::config::{Number, Secret};

/// The options of `kora import`.
#[derive(Clone, Debug, Args)]
pub struct ImportArguments {
    /// File to import: .jsonl, .parquet, .npy, .fvecs, .bvecs, or .txt and .vec with a word and its components on each line
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    file: Option<PathBuf>,

    /// Running Redis or Kōra to copy instead of a file: redis://[user@]host[:port][/database]
    #[arg(long, value_name = "ADDRESS")]
    from: Option<ServerAddress>,

    /// Password of that server, if the address has none
    #[arg(long, env = "KORA_FROM_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    from_password: Option<Secret>,

    /// With --from: only keys that this glob pattern fits
    #[arg(long = "match", value_name = "PATTERN", requires = "from")]
    pattern: Option<String>,

    /// Server that gets the data
    #[arg(long, value_name = "ADDRESS", default_value = "redis://127.0.0.1:6379")]
    to: ServerAddress,

    /// Its password, if the address has none
    #[arg(long, env = "KORA_TO_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    to_password: Option<Secret>,

    /// PEM file of the authorities whose certificates are accepted of rediss:// servers
    #[arg(long, value_name = "FILE")]
    tls_ca_cert_file: Option<PathBuf>,

    /// Format of the file: jsonl, parquet, npy, fvecs, bvecs or text [default: what the name ends with]
    #[arg(long)]
    format: Option<Format>,

    /// Collection of the vectors, where the file does not say it
    #[arg(long)]
    collection: Option<String>,

    /// File with the keys of .npy, .fvecs and .bvecs: .jsonl as `kora export` writes it, .npy with texts or whole numbers,
    /// else a key on each line [default: the number of the row]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Text in the place of each `:` in a name, which would be part of the collection's name
    #[arg(long, value_name = "TEXT")]
    colon: Option<String>,

    /// Members of a JSON object, or columns, that become attributes: all, none, or their names with commas between them
    #[arg(long, value_name = "NAMES")]
    attributes: Option<String>,

    /// Member of a JSON object, or column, that names a vector within the collection [default: id]
    #[arg(long, value_name = "NAME")]
    id: Option<String>,

    /// Member of a JSON object, or column, that is the vector [default: vector, and for a column also embedding]
    #[arg(long, value_name = "NAME")]
    vector: Option<String>,

    /// Metric of a collection that is created: COSINE, L2 or IP
    #[arg(long)]
    metric: Option<String>,

    /// How its vectors are stored: F32, F16, Q16 or Q8
    #[arg(long)]
    quant: Option<String>,

    /// Its links of a vector
    #[arg(long)]
    m: Option<u64>,

    /// Its candidates while the graph is built
    #[arg(long)]
    ef_construction: Option<u64>,

    /// Its candidates while it is searched
    #[arg(long)]
    ef_search: Option<u64>,

    /// File in which progress is kept: an import that was stopped goes on from there, if it is run again
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,

    /// Rows of the file that are passed over
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    skip: u64,

    /// Stop when more rows than this are bad [default: go on and name them at the end]
    #[arg(long, value_name = "ROWS")]
    bad_rows_max: Option<u64>,

    /// Connections to the server that gets the data, 1 to 64
    #[arg(long, default_value = "4")]
    connections: Number<usize, 1, 64>,
}

/// The options of `kora export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArguments {
    /// File to write, .jsonl, .npy or .parquet; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Server whose data is exported
    #[arg(long, value_name = "ADDRESS", default_value = "redis://127.0.0.1:6379")]
    from: ServerAddress,

    /// Its password, if the address has none
    #[arg(long, env = "KORA_FROM_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    from_password: Option<Secret>,

    /// PEM file of the authorities whose certificates are accepted of rediss:// servers
    #[arg(long, value_name = "FILE")]
    tls_ca_cert_file: Option<PathBuf>,

    /// Format of the file: jsonl, npy or parquet [default: what the name ends with]
    #[arg(long)]
    format: Option<Format>,

    /// Collection whose vectors are exported [default: everything]
    #[arg(long)]
    collection: Option<String>,

    /// Only keys that this glob pattern fits
    #[arg(long = "match", value_name = "PATTERN", conflicts_with = "collection")]
    pattern: Option<String>,

    /// File in which progress is kept: an export that was stopped goes on from there, if it is run again
    #[arg(long, value_name = "FILE")]
    progress: Option<PathBuf>,
}

/// Imports. Status 0 if all went well, 3 if bad rows were left out, 1 if it stopped.
pub fn import(arguments: &ImportArguments) -> ExitCode {
    report("import", kora_transfer::import(&arguments.options()))
}

/// Exports, with the same statuses.
pub fn export(arguments: &ExportArguments) -> ExitCode {
    report("export", kora_transfer::export(&arguments.options()))
}

impl ImportArguments {
    fn options(&self) -> ImportOptions {
        let with_login = |address: &ServerAddress, password: &Option<Secret>| {
            let password = password.as_ref().and_then(Secret::reveal).map(str::to_owned);
            let address = address.clone().or_password(password);
            address.with_ca_file(self.tls_ca_cert_file.clone())
        };
        let from = match &self.from {
            Some(address) => ImportFrom::Server {
                address: with_login(address, &self.from_password),
                pattern: self.pattern.clone(),
            },
            None => ImportFrom::File {
                path: self.file.clone().unwrap_or_default(),
                format: self.format,
                collection: self.collection.clone(),
                keys: self.keys.clone(),
                attributes: self.attributes.clone(),
                members: (self.id.clone(), self.vector.clone()),
                creation: Creation {
                    metric: self.metric.clone(),
                    quant: self.quant.clone(),
                    m: self.m,
                    ef_construction: self.ef_construction,
                    ef_search: self.ef_search,
                },
            },
        };
        ImportOptions {
            from,
            to: with_login(&self.to, &self.to_password),
            colon: self.colon.clone(),
            connections: self.connections.get(),
            progress: self.progress.clone(),
            skip: self.skip,
            bad_rows_max: self.bad_rows_max,
        }
    }
}

impl ExportArguments {
    fn options(&self) -> ExportOptions {
        let password = self.from_password.as_ref().and_then(Secret::reveal).map(str::to_owned);
        let from = self.from.clone().or_password(password);
        ExportOptions {
            from: from.with_ca_file(self.tls_ca_cert_file.clone()),
            path: self.file.clone(),
            format: self.format,
            collection: self.collection.clone(),
            pattern: self.pattern.clone(),
            progress: self.progress.clone(),
        }
    }
}

fn report(verb: &str, outcome: Result<Summary, TransferError>) -> ExitCode {
    match outcome {
        Ok(summary) => {
            println!("{summary}");
            match summary.bad.count {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(WITH_BAD_ROWS),
            }
        }
        Err(error) => {
            eprintln!("kora {verb}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The status of a transfer that is complete but for bad rows. 2 is what a wrong command line has.
const WITH_BAD_ROWS: u8 = 3;
