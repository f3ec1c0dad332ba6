//! What the twin says about scripts. It runs none: those of the model touch no data, and what scripts do to data is held against
//! Redis in `tests/differential/test_scripts.py`.

use super::{Answer, Expected, Words};
use crate::name::Name;
use crate::say::Say;

pub(super) fn answer(name: Name, words: &Words<'_>) -> Answer {
    let reply = match name {
        Name::Eval | Name::EvalRo | Name::EvalSha | Name::EvalShaRo => return evaluated(name, words),
        Name::ScriptExists => Say::Array((2..words.count()).map(|_| Say::Integer(0)).collect()),
        Name::ScriptFlush if words.count() > 3 || (words.count() == 3 && !is_mode(&words.0[2])) => {
            return Say::error("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        }
        Name::ScriptFlush => Say::ok(),
        Name::ScriptKill => return Say::error("NOTBUSY No scripts in execution right now."),
        Name::ScriptLoad if words.0[2] == b"return(1)" => Say::bulk("930269f31393d0be681588b6ab08dccee7d6bb67"),
        Name::ScriptLoad => {
            return Say::error(
                "ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
            );
        }
        name => unreachable!("{name:?} is no command of scripts"),
    };
    Ok(Expected::Reply(reply))
}

fn evaluated(name: Name, words: &Words<'_>) -> Answer {
    // Redis takes a number in the one way only in which it would print it.
    let text = std::str::from_utf8(&words.0[2]).unwrap_or_default();
    let count: i64 = match text.parse::<i64>() {
        Ok(count) if count.to_string() == text => count,
        _ => return Say::error("ERR value is not an integer or out of range"),
    };
    let given = words.count() - 3;
    match usize::try_from(count) {
        Err(_) => return Say::error("ERR Number of keys can't be negative"),
        Ok(count) if count > given => return Say::error("ERR Number of keys can't be greater than number of args"),
        Ok(2) => return Say::error("CROSSSLOT Keys in request don't hash to the same slot"),
        Ok(_) => {}
    }
    let reply = match name {
        Name::EvalSha | Name::EvalShaRo => return Say::error("NOSCRIPT No matching script. Please use EVAL."),
        _ if words.0[1].contains(&b'{') => {
            Say::Array((3..words.count()).map(|index| Say::Bulk(words.owned(index))).collect())
        }
        _ => Say::Integer(1),
    };
    Ok(Expected::Reply(reply))
}

fn is_mode(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"sync") || word.eq_ignore_ascii_case(b"async")
}
