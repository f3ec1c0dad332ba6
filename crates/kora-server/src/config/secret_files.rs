//! Secrets that stand in files of their own: what orchestrators mount, and what no list of processes shows.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{Config, ConfigError};

/// The variable that names the file with the password.
pub(super) const PASSWORD_FILE: &str = "KORA_REQUIREPASS_FILE";

/// Whether the password comes from a file that the environment names. A flag wins over it.
pub(super) fn is_from_file(flags: &ArgMatches) -> bool {
    named_file().is_some() && said(flags) != Some(ValueSource::CommandLine)
}

impl Config {
    /// Takes the password from the file that the environment names, if it names one.
    pub(super) fn take_secrets(&mut self, flags: &ArgMatches) -> Result<(), ConfigError> {
        let Some(path) = named_file() else { return Ok(()) };
        let refuse = |reason: String| ConfigError::Variable {
            name: PASSWORD_FILE.to_owned(),
            reason,
        };
        match said(flags) {
            Some(ValueSource::CommandLine) => return Ok(()),
            Some(ValueSource::EnvVariable) => {
                return Err(refuse(
                    "KORA_REQUIREPASS is set as well: leave one of them out".to_owned(),
                ));
            }
            _ => {}
        }
        let path = Path::new(&path);
        let text = read(path).map_err(|error| refuse(format!("cannot read {}: {error}", path.display())))?;
        if text.is_empty() {
            return Err(refuse(format!("{} is empty", path.display())));
        }
        self.requirepass = text
            .parse()
            .map_err(|error: super::error::BadValue| refuse(error.to_string()))?;
        Ok(())
    }
}

fn said(flags: &ArgMatches) -> Option<ValueSource> {
    flags.try_contains_id("requirepass").ok()?;
    flags.value_source("requirepass")
}

fn named_file() -> Option<std::ffi::OsString> {
    std::env::var_os(PASSWORD_FILE).filter(|path| path != OsStr::new(""))
}

/// The file's text, without the end of its last line.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        let reason = format!("it has more than {SECRET_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Bytes of a file with a password: as long as a password in CONFIG SET may be.
const SECRET_BYTES_MAX: u64 = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_file_s_text_without_the_end_of_the_line() {
        let path = std::env::temp_dir().join(format!("kora-secret-{}", std::process::id()));
        let mut found = Vec::new();
        for text in ["s e", "s e\n", "s e\r\n", "s e\n\n"] {
            std::fs::write(&path, text).unwrap();
            found.push(read(&path).unwrap());
        }
        std::fs::write(&path, "x".repeat(20_000)).unwrap();
        let long = read(&path);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(found, ["s e", "s e", "s e", "s e\n"]);
        assert!(long.is_err() && read(&path).is_err());
    }
}
