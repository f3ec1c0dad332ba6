//! What the twin says about connections.

use bytes::Bytes;
use kora_tests::reply::Protocol;

use super::{Answer, Expected, Twin, Words, syntax};
use crate::say::Say;
use crate::subject::address;

impl Twin {
    pub(super) fn auth(&mut self, id: u64, words: &Words<'_>) -> Answer {
        let (user, password) = match words.count() {
            2 => (None, words.owned(1)),
            3 => (Some(words.owned(1)), words.owned(2)),
            _ => return syntax(),
        };
        self.authenticate(id, user, &password)?;
        Ok(Expected::Reply(Say::ok()))
    }

    fn authenticate(&mut self, id: u64, user: Option<Bytes>, password: &[u8]) -> Result<(), Say> {
        let is_default = user.as_ref().is_none_or(|user| user.as_ref() == b"default");
        match self.password {
            None if user.is_none() => Say::error(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                 configuration is correct?",
            ),
            None if is_default => Ok(()),
            Some(right) if is_default && right.as_bytes() == password => {
                self.session(id).is_authenticated = true;
                Ok(())
            }
            _ => Say::error("WRONGPASS invalid username-password pair or user is disabled."),
        }
    }

    pub(super) fn hello(&mut self, id: u64, words: &Words<'_>) -> Answer {
        let mut protocol = self.session(id).protocol;
        if words.count() > 1 {
            protocol = match words.integer(1) {
                Some(2) => Protocol::Two,
                Some(3) => Protocol::Three,
                Some(_) => return Say::error("NOPROTO unsupported protocol version"),
                None => return Say::error("ERR Protocol version is not an integer or out of range"),
            };
        }
        let (mut credentials, mut name) = (None, None);
        let mut next = 2;
        while next < words.count() {
            if words.is(next, "AUTH") && next + 2 < words.count() {
                credentials = Some((words.owned(next + 1), words.owned(next + 2)));
                next += 3;
            } else if words.is(next, "SETNAME") && next + 1 < words.count() {
                name = Some(client_text(words, next + 1, "Client names")?);
                next += 2;
            } else {
                let option = super::quoted(&words.0[next]);
                return Say::error(format!("ERR Syntax error in HELLO option '{option}'"));
            }
        }
        if let Some((user, password)) = credentials {
            self.authenticate(id, Some(user), &password)?;
        }
        if !self.session(id).is_authenticated {
            return Say::error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
                 <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
                 the same time",
            );
        }
        let session = self.session(id);
        session.protocol = protocol;
        if let Some(name) = name {
            session.name = name;
        }
        let version = if protocol == Protocol::Two { 2 } else { 3 };
        let fields = [
            ("server", Say::bulk("redis")),
            ("version", Say::bulk("8.2.3")),
            ("proto", Say::Integer(version)),
            ("id", Say::count(id as usize)),
            ("mode", Say::bulk("standalone")),
            ("role", Say::bulk("master")),
            ("modules", Say::Array(Vec::new())),
        ];
        let fields = fields.map(|(name, value)| (Say::bulk(name), value));
        Ok(Expected::Reply(Say::Map(fields.to_vec())))
    }

    pub(super) fn client_setname(&mut self, id: u64, words: &Words<'_>) -> Answer {
        self.session(id).name = client_text(words, 2, "Client names")?;
        Ok(Expected::Reply(Say::ok()))
    }

    pub(super) fn client_setinfo(&mut self, id: u64, words: &Words<'_>) -> Answer {
        if words.is(2, "LIB-NAME") {
            self.session(id).library_name = client_text(words, 3, "lib-name")?;
        } else if words.is(2, "LIB-VER") {
            self.session(id).library_version = client_text(words, 3, "lib-ver")?;
        } else {
            return Say::error(format!("ERR Unrecognized option '{}'", super::quoted(&words.0[2])));
        }
        Ok(Expected::Reply(Say::ok()))
    }

    pub(super) fn client_list(&mut self, words: &Words<'_>) -> Answer {
        let mut ids: Vec<u64> = self.sessions.keys().copied().collect();
        if words.is(2, "TYPE") && words.count() == 4 {
            if !is_normal(words, 3)? {
                ids.clear();
            }
        } else if words.is(2, "ID") && words.count() > 3 {
            let wanted: Vec<u64> = (3..words.count())
                .map(|index| client_id(words, index))
                .collect::<Result<_, Say>>()?;
            ids.retain(|id| wanted.contains(id));
        } else if words.count() > 2 {
            return syntax();
        }
        let lines = ids.into_iter().map(|id| self.line(id));
        Ok(Expected::Reply(Say::Verbatim(lines.collect())))
    }

    pub(super) fn client_kill(&mut self, id: u64, words: &Words<'_>) -> Answer {
        let mut meant: Vec<u64> = self.sessions.keys().copied().collect();
        if words.count() == 3 {
            meant.retain(|id| address(*id).as_bytes() == words.0[2]);
            if meant.is_empty() {
                return Say::error("ERR No such client");
            }
            self.kill(&meant);
            return Ok(Expected::Reply(Say::ok()));
        }
        let mut spares_me = true;
        // Each option excludes some; the last one given of a kind is the one that counts.
        let mut filters: Vec<(&str, Vec<u64>)> = Vec::new();
        for option in (2..words.count()).step_by(2) {
            let value = option + 1;
            if value == words.count() {
                return syntax();
            }
            let all = || self.sessions.keys().copied();
            let text = words.owned(value);
            if words.is(option, "ID") {
                let wanted = client_id(words, value)?;
                filters.push(("ID", all().filter(|id| *id == wanted).collect()));
            } else if words.is(option, "ADDR") {
                filters.push(("ADDR", all().filter(|id| address(*id).as_bytes() == text).collect()));
            } else if words.is(option, "LADDR") {
                filters.push((
                    "LADDR",
                    all().filter(|_| text == crate::subject::LOCAL_ADDRESS).collect(),
                ));
            } else if words.is(option, "USER") {
                filters.push(("USER", all().filter(|_| text == "default").collect()));
            } else if words.is(option, "TYPE") {
                if !is_normal(words, value)? {
                    meant.clear();
                }
            } else if words.is(option, "SKIPME") && words.is(value, "yes") {
                spares_me = true;
            } else if words.is(option, "SKIPME") && words.is(value, "no") {
                spares_me = false;
            } else {
                return syntax();
            }
        }
        for (place, (kind, of_kind)) in filters.iter().enumerate() {
            if filters[place + 1..].iter().all(|(later, _)| later != kind) {
                meant.retain(|id| of_kind.contains(id));
            }
        }
        meant.retain(|victim| !(spares_me && *victim == id));
        self.kill(&meant);
        Ok(Expected::Reply(Say::count(meant.len())))
    }

    fn kill(&mut self, ids: &[u64]) {
        self.sessions.retain(|id, _| !ids.contains(id));
    }

    /// A line of CLIENT LIST.
    pub(super) fn line(&self, id: u64) -> String {
        let session = &self.sessions[&id];
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let seconds = |since_us: u64| (self.now_us - since_us) / 1_000_000;
        format!(
            "id={id} addr={} laddr={} name={} age={} idle={} flags=N db={} sub=0 psub=0 ssub=0 cmd={} user=default resp={} \
             lib-name={} lib-ver={}\n",
            address(id),
            crate::subject::LOCAL_ADDRESS,
            text(&session.name),
            seconds(session.since_us),
            seconds(session.last_us),
            session.database,
            session.last_command,
            if session.protocol == Protocol::Two { 2 } else { 3 },
            text(&session.library_name),
            text(&session.library_version),
        )
    }
}

fn client_text(words: &Words<'_>, index: usize, what: &str) -> Result<Bytes, Say> {
    if words.0[index].iter().all(u8::is_ascii_graphic) {
        Ok(words.owned(index))
    } else {
        Say::error(format!(
            "ERR {what} cannot contain spaces, newlines or special characters."
        ))
    }
}

fn client_id(words: &Words<'_>, index: usize) -> Result<u64, Say> {
    match words.integer(index) {
        Some(id @ 1..) => Ok(id.unsigned_abs()),
        _ => Say::error("ERR client-id should be greater than 0"),
    }
}

fn is_normal(words: &Words<'_>, index: usize) -> Result<bool, Say> {
    if words.is(index, "normal") {
        return Ok(true);
    }
    let others = ["master", "replica", "slave", "pubsub"];
    if others.iter().any(|other| words.is(index, other)) {
        return Ok(false);
    }
    syntax()
}
