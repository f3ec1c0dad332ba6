//! What is asked about functions.

use bytes::Bytes;
use kora_resp::glob::Pattern;

/// What is asked about functions, or done to the libraries that have them.
#[derive(Debug)]
pub enum FunctionRequest {
    /// Something that the shard does that decides about libraries.
    Change(FunctionChange),
    /// `FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]`
    List {
        /// Which libraries; all if it is not given.
        pattern: Option<Pattern>,
        /// With their code.
        with_code: bool,
    },
    /// `FUNCTION STATS`
    Stats,
    /// `FUNCTION KILL`
    Kill,
}

/// What is done where it is decided which libraries there are.
#[derive(Debug)]
pub enum FunctionChange {
    /// `FUNCTION LOAD [REPLACE] code`
    Load {
        /// The library's code.
        code: Bytes,
        /// Another library of that name gives way.
        replaces: bool,
    },
    /// `FUNCTION DELETE name`
    Delete(Bytes),
    /// `FUNCTION FLUSH`
    Flush,
    /// `FUNCTION DUMP`
    Dump,
    /// `FUNCTION RESTORE payload [FLUSH | APPEND | REPLACE]`
    Restore {
        /// What FUNCTION DUMP has answered.
        payload: Bytes,
        /// What becomes of the libraries that are there.
        policy: RestorePolicy,
    },
}

/// What FUNCTION RESTORE does to libraries that are there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RestorePolicy {
    /// All of them go.
    Flush,
    /// They stay, and one of the same name is an error.
    Append,
    /// Those of the same names go.
    Replace,
}

impl FunctionRequest {
    pub(crate) fn bytes_held(&self) -> usize {
        match self {
            FunctionRequest::Change(
                FunctionChange::Load { code: text, .. }
                | FunctionChange::Delete(text)
                | FunctionChange::Restore { payload: text, .. },
            ) => text.len(),
            FunctionRequest::List { pattern, .. } => pattern.as_ref().map_or(0, Pattern::bytes),
            _ => 0,
        }
    }
}
