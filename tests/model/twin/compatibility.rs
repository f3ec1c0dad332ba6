//! What the twin says about commands that are there for clients' sake. No client is paused for longer than a moment, and all
//! hear their replies: tests/clients/test_compatibility.py does more.

use super::{Answer, Expected, Words, syntax};
use crate::name::Name;
use crate::say::Say;

pub(super) fn answer(name: Name, words: &Words<'_>) -> Answer {
    let reply = match name {
        Name::ClientNoEvict | Name::ClientNoTouch if words.is(2, "OFF") => Say::ok(),
        Name::ClientReply if words.is(2, "ON") => Say::ok(),
        Name::ClientNoEvict | Name::ClientNoTouch | Name::ClientReply => return syntax(),
        Name::ClientPause => return pause(words),
        Name::ClientUnblock => return unblock(words),
        Name::ClientUnpause => Say::ok(),
        Name::CommandGetKeys | Name::CommandGetKeysAndFlags => return keys(name, words),
        Name::Debug => return refused("DEBUG", "debug"),
        Name::ModuleLoad | Name::ModuleLoadEx | Name::ModuleUnload => return refused("MODULE", "module"),
        Name::Lolwut => {
            if words.count() > 2 && words.is(1, "VERSION") {
                integer(&words.0[2])?;
            }
            return Ok(Expected::Lines(Vec::new()));
        }
        Name::ModuleList => Say::Array(Vec::new()),
        Name::Role => Say::Array(vec![Say::bulk("master"), Say::Integer(0), Say::Array(Vec::new())]),
        Name::Wait => {
            integer(&words.0[1])?;
            timeout(&words.0[2])?;
            Say::Integer(0)
        }
        Name::WaitAof => return wait_log(words),
        name => unreachable!("{name:?} is none of them"),
    };
    Ok(Expected::Reply(reply))
}

fn pause(words: &Words<'_>) -> Answer {
    match words.count() {
        3 => {}
        4 if words.is(3, "WRITE") || words.is(3, "ALL") => {}
        4 => return Say::error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        _ => return unknown(words),
    }
    timeout(&words.0[2])?;
    Ok(Expected::Reply(Say::ok()))
}

fn unblock(words: &Words<'_>) -> Answer {
    match words.count() {
        3 => {}
        4 if words.is(3, "TIMEOUT") || words.is(3, "ERROR") => {}
        4 => return Say::error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return unknown(words),
    }
    integer(&words.0[2])?;
    Ok(Expected::Reply(Say::Integer(0)))
}

fn unknown(words: &Words<'_>) -> Answer {
    let subcommand = String::from_utf8_lossy(&words.0[1]);
    let text = format!("ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try CLIENT HELP.");
    Say::error(text)
}

/// Whether WAITAOF may be queued, or is refused before that is looked at.
pub(super) fn are_wait_words(words: &Words<'_>) -> bool {
    wait_words(words).is_ok()
}

fn wait_words(words: &Words<'_>) -> Result<i64, Say> {
    let local = integer(&words.0[1])?;
    if !(0..=1).contains(&local) {
        return Say::error("ERR value is out of range, value must between 0 and 1");
    }
    if integer(&words.0[2])? < 0 {
        return Say::error("ERR value is out of range, must be positive");
    }
    timeout(&words.0[3])?;
    Ok(local)
}

fn wait_log(words: &Words<'_>) -> Answer {
    match wait_words(words)? {
        1 => Say::error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."),
        _ => Ok(Expected::Reply(Say::Array(vec![Say::Integer(0), Say::Integer(0)]))),
    }
}

/// The twin knows the keys of GET.
fn keys(name: Name, words: &Words<'_>) -> Answer {
    match Name::find(&words.0[2]) {
        None => Say::error("ERR Invalid command specified"),
        Some(Name::Get) if words.count() != 4 => Say::error("ERR Invalid number of arguments specified for command"),
        Some(Name::Get) => {
            let key = Say::Bulk(words.owned(3));
            let flags = || Say::Set(vec![Say::Simple("RO"), Say::Simple("access")]);
            let told = match name {
                Name::CommandGetKeys => key,
                _ => Say::Array(vec![key, flags()]),
            };
            Ok(Expected::Reply(Say::Array(vec![told])))
        }
        Some(_) => Say::error("ERR The command has no key arguments"),
    }
}

fn refused(command: &str, setting: &str) -> Answer {
    Say::error(format!(
        "ERR {command} command not allowed. If the enable-{setting}-command option is set to \"local\", you can run it from a \
         local connection, otherwise you need to set this option in the configuration file, and then restart the server."
    ))
}

/// Redis takes a number in the one way only in which it would print it.
fn number(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

pub(super) fn integer(word: &[u8]) -> Result<i64, Say> {
    match number(word) {
        Some(number) => Ok(number),
        None => Say::error("ERR value is not an integer or out of range"),
    }
}

fn timeout(word: &[u8]) -> Result<(), Say> {
    match number(word) {
        None => Say::error("ERR timeout is not an integer or out of range"),
        Some(..0) => Say::error("ERR timeout is negative"),
        Some(_) => Ok(()),
    }
}
