//! Why settings stay as they are.

use std::fmt;

use crate::error::Quoted;

/// Why CONFIG SET or CONFIG REWRITE did nothing. `Display` is the error reply, in Redis's words.
#[derive(Clone, PartialEq, Debug)]
pub enum SettingError {
    /// There is no such setting.
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The setting can't have this value, or can't change.
    Refused {
        /// The setting.
        name: String,
        /// What would be right.
        reason: String,
    },
    /// The server was started without a file.
    NoFile,
    /// The file could not be written.
    Unwritable {
        /// What the kernel or the file's reader says.
        reason: String,
    },
}

impl SettingError {
    /// The setting is read when the server starts, and not again.
    pub fn immutable(name: &str) -> SettingError {
        SettingError::Refused {
            name: name.to_owned(),
            reason: "can't set immutable config".to_owned(),
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => write!(
                f,
                "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                Quoted(name.as_bytes())
            ),
            Self::Refused { name, reason } => write!(
                f,
                "ERR CONFIG SET failed (possibly related to argument '{}') - {}",
                Quoted(name.as_bytes()),
                Quoted(reason.as_bytes())
            ),
            Self::NoFile => f.write_str("ERR The server is running without a config file"),
            Self::Unwritable { reason } => write!(f, "ERR Rewriting config file: {}", Quoted(reason.as_bytes())),
        }
    }
}

impl std::error::Error for SettingError {}
