//! Syntax of the commands on attributes of vectors, and of what other commands say about them.

use std::sync::Arc;

use kora_filter::{AskedFilter, Dialect, Path};

use crate::Command;
use crate::action::{Action, AttributesAction};
use crate::arguments::Arguments;
use crate::error::ClientError;
use crate::row::{CommandEntry, VECTOR_READ, VECTOR_WRITE};
use crate::syntax::{Argument, NAMED};

/// `VECSETATTR`
pub(crate) const SET_ENTRY: CommandEntry = CommandEntry {
    name: "vecsetattr",
    reply: "1, or 0 if there is no such vector.",
    notes: "Attributes are a JSON object of at most 64 KiB, kept as it was given. Text that is not a JSON object is refused with the position of the error, and nothing is changed. An empty text removes the attributes. With `MERGE` the members of the object replace those of the same names, null removes one, and an object within is merged likewise (RFC 7396). Attributes stay when VECSET replaces the vector without `ATTR`, are deleted with the vector, and are kept by RENAME and COPY.",
    arity: -3,
    summary: "Sets the attributes of a vector, which filters use; returns whether the vector exists.",
    arguments: &[
        NAMED,
        Argument::string("json"),
        Argument::word("merge", "MERGE").optional(),
    ],
    parse: set,
    ..VECTOR_WRITE
};

/// `VECGETATTR`
pub(crate) const GET_ENTRY: CommandEntry = CommandEntry {
    name: "vecgetattr",
    reply: "The JSON text; null if there is no such vector, if it has no attributes, or if the path does not exist.",
    notes: "A path names a field of the object, or a value within it: `.year`, `.author.name`, `.tags[0]`. If several members have one name, the first is used.",
    arity: -2,
    summary: "Returns the attributes of a vector, or the value at a path.",
    arguments: &[NAMED, Argument::string("path").optional()],
    parse: get,
    ..VECTOR_READ
};

/// `VECSETATTR key json [MERGE]`
fn set(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let arguments = &arguments.with_first_element()?;
    let merges = match arguments.count() {
        3 => false,
        4 if arguments.is(3, "MERGE") => true,
        _ => return Err(ClientError::Syntax),
    };
    text(arguments, 2)?;
    let text = arguments.owned(2);
    on_vector(arguments, AttributesAction::Set { text, merges })
}

/// `VECGETATTR key [path]`
fn get(arguments: &Arguments<'_>) -> Result<Command, ClientError> {
    let arguments = &arguments.with_first_element()?;
    let path = match arguments.count() {
        2 => None,
        3 => Some(path(arguments, 2)?),
        _ => return Err(ClientError::Syntax),
    };
    on_vector(arguments, AttributesAction::Get(path))
}

fn on_vector(arguments: &Arguments<'_>, action: AttributesAction) -> Result<Command, ClientError> {
    if arguments.has_named_element() {
        return Ok(Command::VectorAttributes(arguments.element(1)?, Box::new(action)));
    }
    arguments.element_names(1)?;
    Ok(Command::OnKey(arguments.word(1).into(), Action::Attributes(action)))
}

/// Attributes: a JSON object, or nothing.
pub(crate) fn text<'r>(arguments: &Arguments<'r>, index: usize) -> Result<&'r [u8], ClientError> {
    let text = arguments.word(index);
    if !text.is_empty() {
        kora_filter::check(text).map_err(|error| ClientError::Attributes { error })?;
    }
    Ok(text)
}

/// The expression of FILTER.
pub(crate) fn filter(
    arguments: &Arguments<'_>,
    index: usize,
    dialect: Dialect,
) -> Result<Arc<AskedFilter>, ClientError> {
    let text = arguments.word(index);
    let refused = |error: kora_filter::FilterError| ClientError::Filter {
        near: error.near(text).to_vec(),
        error,
    };
    let asked = AskedFilter::compile(text, dialect).map_err(refused)?;
    Ok(Arc::new(asked))
}

/// A path of VECGETATTR or WITHATTR.
pub(crate) fn path(arguments: &Arguments<'_>, index: usize) -> Result<Path, ClientError> {
    Path::parse(arguments.word(index)).map_err(|error| ClientError::Path {
        got: arguments.word(index).to_vec(),
        error,
    })
}
