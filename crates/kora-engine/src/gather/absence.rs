//! What is answered where there is no collection of a name.

use bytes::Bytes;
use kora_resp::Reply;

use super::finding::{Sought, find};
use super::{Context, Next, explain};
use crate::aliases::OwnNames;
use crate::command::Wish;
use crate::limits::NAMES_LOOKED_AT_MAX;

/// There is nothing of that name, and that is certain: it is what is answered, unless the name was meant by an alias that means
/// another one by now.
pub(super) fn absent(name: &[u8], sought: Sought, mut wish: Wish, context: &Context<'_>) -> Next {
    match meant_anew(name, &mut wish, context) {
        Some(target) => find(target, sought, wish, context),
        None => Next::Reply(sought.nothing(name, &wish, context)),
    }
}

/// What an alias means by now that stands in what was said, if that is something else than it was. This is asked once.
pub(super) fn meant_anew(before: &[u8], wish: &mut Wish, context: &Context<'_>) -> Option<Bytes> {
    let said = wish.said.take()?;
    let aliases = context.setup.catalog.aliases().now();
    let target = OwnNames::new(&aliases, context.catalog()).of_target(&said)?;
    (target != before).then(|| target.into())
}

/// The same, whatever was meant.
pub(super) fn nothing(name: &[u8], wish: &Wish, context: &Context<'_>) -> Reply {
    explain::nothing(wish, || note_of_absence(name, context))
}

/// What a client is told that looks for a collection that is not there: of one that it may have made instead, since a key's
/// collection is what stands before its last `:`.
fn note_of_absence(name: &[u8], context: &Context<'_>) -> String {
    let name = name.strip_suffix(b":*").unwrap_or(name);
    match context.catalog().one_below(name, NAMES_LOOKED_AT_MAX) {
        None => "no such collection".to_owned(),
        Some(below) => format!(
            "no such collection; there is '{}': a key's collection is what stands before its last ':', unless COLLECTION \
             and ELEMENT name the two",
            below.name.escape_ascii()
        ),
    }
}
