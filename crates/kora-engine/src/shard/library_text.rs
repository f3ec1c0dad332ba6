//! Libraries of functions as records spell them.

use bytes::Bytes;
use kora_keyspace::{Library, LibraryFunction};
use kora_log::record::List;
use kora_script::LibraryCode;
use kora_script::limits::{DESCRIPTION_BYTES_MAX, LIBRARY_FUNCTIONS_MAX, NAME_BYTES_MAX};

/// The library that a record tells of; `None` if no server has written that.
pub(super) fn read_library(name: &[u8], code: &[u8], functions: List<'_>) -> Option<Library> {
    let code = LibraryCode::new(Bytes::copy_from_slice(code), 0).ok()?;
    let count = functions.len() / 3;
    if code.name.as_bytes() != name || count == 0 || count > LIBRARY_FUNCTIONS_MAX as u64 {
        return None;
    }
    let texts: Vec<&[u8]> = functions.iter().collect();
    let functions = texts.chunks_exact(3).map(read_function).collect::<Option<Vec<_>>>()?;
    Some(Library::new(Bytes::copy_from_slice(name), code.code, functions))
}

fn read_function(texts: &[&[u8]]) -> Option<LibraryFunction> {
    let [name, [flags], description] = texts else {
        return None;
    };
    let description = match description {
        [] => None,
        [1, text @ ..] if text.len() <= DESCRIPTION_BYTES_MAX => Some(Bytes::copy_from_slice(text)),
        _ => return None,
    };
    let is_short = !name.is_empty() && name.len() <= NAME_BYTES_MAX;
    is_short.then(|| LibraryFunction {
        name: Bytes::copy_from_slice(name),
        description,
        flags: *flags,
    })
}
