//! What the twin says about users. There is one, `default`: what rules mean is held against Redis in
//! `tests/differential/test_acl.py`, and against a list of rules in kora-access.

use super::{Answer, Expected, Words};
use crate::name::Name;
use crate::say::Say;

pub(super) fn answer(name: Name, words: &Words<'_>) -> Answer {
    let unknown = |subcommand: &str| -> Answer {
        Say::error(format!(
            "ERR unknown subcommand or wrong number of arguments for '{subcommand}'. Try ACL HELP."
        ))
    };
    let reply = match name {
        Name::AclCat if words.count() > 3 => return unknown("CAT"),
        Name::AclCat => return Say::error("ERR Unknown category 'nothing'"),
        Name::AclDelUser if words.0[2] == b"default" => {
            return Say::error("ERR The 'default' user cannot be removed");
        }
        Name::AclDelUser => Say::Integer(0),
        Name::AclDryRun if words.0[2] != b"default" => return Say::error("ERR User 'nobody' not found"),
        Name::AclDryRun if words.0[3] != b"GET" => return Say::error("ERR Command 'NOTHING' not found"),
        Name::AclDryRun if words.count() != 5 => {
            return Say::error("ERR wrong number of arguments for 'get' command");
        }
        Name::AclDryRun => Say::ok(),
        Name::AclGenPass if words.count() > 3 => return unknown("GENPASS"),
        Name::AclGenPass if words.0[2] == b"x" => return Say::error("ERR value is not an integer or out of range"),
        Name::AclGenPass => {
            return Say::error(
                "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
                 4096",
            );
        }
        Name::AclGetUser => Say::Null,
        Name::AclLoad | Name::AclSave => {
            return Say::error(
                "ERR This Redis instance is not configured to use an ACL file. Start the server with the setting \
                 aclfile to keep users in one",
            );
        }
        Name::AclLog if words.count() > 3 => return unknown("LOG"),
        Name::AclLog if words.is(2, "RESET") => Say::ok(),
        Name::AclLog => Say::Array(Vec::new()),
        Name::AclSetUser => return Say::error("ERR Error in ACL SETUSER modifier 'foo': Syntax error"),
        Name::AclUsers => Say::Array(vec![Say::bulk("default")]),
        Name::AclWhoAmI => Say::bulk("default"),
        name => unreachable!("{name:?} is no command about users"),
    };
    Ok(Expected::Reply(reply))
}
