//! What the twin says about what clients are told of commands and keys. In the model no command is slow and no client tracks:
//! what clients are told unasked comes at any time, and is held against Redis in tests/clients/test_tracking.py.

use super::compatibility::integer;
use super::{Answer, Expected, Words, quoted, syntax};
use crate::name::Name;
use crate::say::Say;

pub(super) fn answer(name: Name, words: &Words<'_>) -> Answer {
    let reply = match name {
        Name::ClientCaching if words.is(2, "YES") || words.is(2, "NO") => {
            return Say::error(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
            );
        }
        Name::ClientCaching => return syntax(),
        Name::ClientGetRedir => Say::Integer(-1),
        Name::ClientTracking => return tracking(words),
        Name::ClientTrackingInfo => {
            return Ok(Expected::Has(vec![
                ("redirect", Say::Integer(-1)),
                ("prefixes", Say::Array(Vec::new())),
            ]));
        }
        Name::LatencyDoctor => return Ok(Expected::Lines(Vec::new())),
        Name::LatencyHistogram => return Ok(Expected::Has(Vec::new())),
        Name::LatencyReset | Name::SlowlogLen => Say::Integer(0),
        Name::LatencyHistory | Name::LatencyLatest => Say::Array(Vec::new()),
        Name::SlowlogGet => return slow(words),
        Name::SlowlogReset => Say::ok(),
        name => unreachable!("{name:?} is none of them"),
    };
    Ok(Expected::Reply(reply))
}

fn slow(words: &Words<'_>) -> Answer {
    match words.count() {
        2 => {}
        3 if integer(&words.0[2]).is_ok_and(|count| count >= -1) => {}
        3 => return Say::error("ERR count should be greater than or equal to -1"),
        _ => {
            let subcommand = quoted(&words.0[1]);
            return Say::error(format!(
                "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try SLOWLOG HELP."
            ));
        }
    }
    Ok(Expected::Reply(Say::Array(Vec::new())))
}

/// None of the requests of the model switches it on.
fn tracking(words: &Words<'_>) -> Answer {
    let has = |word: &str| (3..words.count()).any(|index| words.is(index, word));
    match are_tracking_words(words) {
        false if has("REDIRECT") => return Say::error("ERR value is not an integer or out of range"),
        false => return syntax(),
        true if words.is(2, "OFF") => return Ok(Expected::Reply(Say::ok())),
        true => {}
    }
    Say::error(match () {
        () if has("REDIRECT") => "ERR The client ID you want redirect to does not exist",
        () if has("PREFIX") && !has("BCAST") => "ERR PREFIX option requires BCAST mode to be enabled",
        () if has("BCAST") && has("OPTIN") => "ERR OPTIN and OPTOUT are not compatible with BCAST",
        () if has("OPTIN") => "ERR You can't specify both OPTIN mode and OPTOUT mode",
        () => {
            "ERR Prefix 'a' overlaps with another provided prefix 'ab'. Prefixes for a single client must not overlap."
        }
    })
}

/// Whether the words of CLIENT TRACKING are its own: else they are refused before anything else is looked at.
pub(super) fn are_tracking_words(words: &Words<'_>) -> bool {
    let redirect = (3..words.count()).find(|index| words.is(*index, "REDIRECT"));
    let is_number = redirect.is_none_or(|index| integer(&words.0[index + 1]).is_ok());
    is_number && (words.is(2, "ON") || words.is(2, "OFF"))
}
