//! Which words of a request are secrets: those that SLOWLOG and MONITOR show as `(redacted)`.

use crate::row::CommandEntry;

/// Which words of a command's requests are secrets. What is wrong in a request counts as a secret when in doubt: a password
/// with a blank in it is two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secrets {
    /// None.
    None,
    /// AUTH: all behind the name, as in Redis.
    Auth,
    /// HELLO: the two words behind AUTH.
    Hello,
    /// CONFIG SET: what stands behind `requirepass`.
    ConfigSet,
    /// ACL SETUSER: all about the user, as in Redis.
    AclSetUser,
}

/// What is shown in the place of a secret, as in Redis.
pub const REDACTED: &[u8] = b"(redacted)";

impl Secrets {
    /// Those of a command.
    pub fn of(entry: &CommandEntry) -> Secrets {
        if !entry.before_auth && !entry.is_admin {
            return Secrets::None;
        }
        match entry.name {
            "auth" => Secrets::Auth,
            "hello" => Secrets::Hello,
            "config|set" => Secrets::ConfigSet,
            "acl|setuser" => Secrets::AclSetUser,
            _ => Secrets::None,
        }
    }

    /// True if the word at this place is one. The request has `count` words, of which `word` returns each.
    pub fn hide<'a>(self, index: usize, count: usize, word: impl Fn(usize) -> &'a [u8]) -> bool {
        let is = |index: usize, name: &str| word(index).eq_ignore_ascii_case(name.as_bytes());
        match self {
            Secrets::None => false,
            Secrets::Auth => index >= 1,
            Secrets::Hello => (1..index).any(|before| is(before, "AUTH") && (index - before <= 2 || count > 7)),
            Secrets::ConfigSet => (2..index).any(|before| is(before, "requirepass")),
            Secrets::AclSetUser => index >= 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    fn shown(name: &str, text: &str) -> String {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        let secrets = Secrets::of(table::find(name.as_bytes()).expect("a command"));
        let show = |index: usize| match secrets.hide(index, words.len(), |index| words[index]) {
            true => "-".to_owned(),
            false => String::from_utf8_lossy(words[index]).into_owned(),
        };
        (0..words.len()).map(show).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn passwords_are_never_shown() {
        assert_eq!(shown("auth", "AUTH word"), "AUTH -");
        assert_eq!(shown("auth", "auth ann word"), "auth - -");
        assert_eq!(shown("auth", "AUTH ann two words"), "AUTH - - -");
        assert_eq!(
            shown("hello", "HELLO 3 auth ann word SETNAME x"),
            "HELLO 3 auth - - SETNAME x"
        );
        assert_eq!(shown("hello", "HELLO 3 AUTH auth word"), "HELLO 3 AUTH - -");
        assert_eq!(shown("hello", "HELLO 3 SETNAME x"), "HELLO 3 SETNAME x");
        assert_eq!(
            shown("hello", "HELLO 3 AUTH ann two words SETNAME x"),
            "HELLO 3 AUTH - - - - -"
        );
        assert_eq!(
            shown("config|set", "CONFIG SET maxclients 5 RequirePass word"),
            "CONFIG SET maxclients 5 RequirePass -"
        );
        assert_eq!(
            shown("config|set", "CONFIG SET requirepass two words"),
            "CONFIG SET requirepass - -"
        );
        assert_eq!(shown("acl|setuser", "ACL SETUSER ann >word"), "ACL SETUSER - -");
        assert_eq!(shown("set", "SET auth word"), "SET auth word");
    }
}
