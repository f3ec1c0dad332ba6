//! What the twin says about when keys expire.

use super::{Answer, Expected, Twin, Words, syntax};
use crate::name::Name;
use crate::say::Say;

/// What stands behind a SET or a GETEX.
pub(super) struct Options {
    pub(super) flags: Vec<&'static str>,
    /// When the key shall expire, if that was said; or why not.
    pub(super) expires_ms: Result<Option<i64>, Say>,
}

impl Twin {
    /// What happens between two commands: whatever has expired is gone, and so is a collection that a first VECSET made and
    /// that has no vector left.
    pub(crate) fn settle(&mut self) {
        self.in_each_database(Twin::settle_one);
    }

    fn settle_one(&mut self) {
        self.expire();
        let is_left = |collection: &super::Collection| !collection.stays && collection.vectors.is_empty();
        let emptied = self.collections.iter().filter(|(_, collection)| is_left(collection));
        let emptied: Vec<bytes::Bytes> = emptied.map(|(name, _)| name.clone()).collect();
        for name in emptied {
            self.drop_collection(&name);
        }
    }

    /// Whatever has expired is gone.
    pub(super) fn expire(&mut self) {
        let now_ms = self.now_ms();
        let due = |held: &super::Held| held.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms);
        let keys: Vec<bytes::Bytes> = self
            .values
            .iter()
            .filter(|(_, held)| due(held))
            .map(|(key, _)| key.clone())
            .collect();
        let vectors = self
            .vector_expiries
            .iter()
            .filter(|(_, expires_ms)| **expires_ms <= now_ms);
        let vectors: Vec<bytes::Bytes> = vectors.map(|(key, _)| key.clone()).collect();
        for key in keys.into_iter().chain(vectors) {
            self.remove(&key);
        }
        self.expire_fields(now_ms);
        self.expire_elements(now_ms);
        let due = |(_, collection): &(_, &super::Collection)| collection.expires_ms.is_some_and(|at| at <= now_ms);
        let due: Vec<bytes::Bytes> = self
            .collections
            .iter()
            .filter(due)
            .map(|(name, _)| name.clone())
            .collect();
        for name in due {
            self.drop_collection(&name);
        }
    }

    /// When a key expires, if it does.
    fn expiry(&self, key: &bytes::Bytes) -> Option<i64> {
        match (self.values.get(key), self.collections.get(key)) {
            (Some(held), _) => held.expires_ms,
            (None, Some(collection)) => collection.expires_ms,
            (None, None) => self.vector_expiries.get(key).copied(),
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        (self.now_us / 1000) as i64
    }

    pub(super) fn lifetime_command(&mut self, name: Name, words: &Words<'_>) -> Answer {
        let say = match name {
            Name::Expire => return self.set_expiry(words, 1000, false, "expire"),
            Name::ExpireAt => return self.set_expiry(words, 1000, true, "expireat"),
            Name::PExpire => return self.set_expiry(words, 1, false, "pexpire"),
            Name::PExpireAt => return self.set_expiry(words, 1, true, "pexpireat"),
            Name::Persist => {
                let key = words.any_key(1)?;
                let before = match (self.values.get_mut(&key), self.collections.get_mut(&key)) {
                    (Some(held), _) => held.expires_ms.take(),
                    (None, Some(collection)) => collection.expires_ms.take(),
                    (None, None) => self.vector_expiries.remove(&key),
                };
                if before.is_some() {
                    self.touch(&key);
                }
                i64::from(before.is_some())
            }
            _ => {
                let key = words.any_key(1)?;
                let now_ms = self.now_ms();
                match (self.kind(&key), self.expiry(&key)) {
                    (None, _) => -2,
                    (_, None) => -1,
                    (_, Some(at)) => match name {
                        Name::Ttl => (at - now_ms + 500) / 1000,
                        Name::PTtl => at - now_ms,
                        Name::ExpireTime => (at + 500) / 1000,
                        _ => at,
                    },
                }
            }
        };
        Ok(Expected::Reply(Say::Integer(say)))
    }

    fn set_expiry(&mut self, words: &Words<'_>, unit_ms: i64, absolute: bool, command: &str) -> Answer {
        let has = |word| (3..words.count()).any(|index| words.is(index, word));
        let known = |index: &usize| ["NX", "XX", "GT", "LT"].iter().any(|word| words.is(*index, word));
        if let Some(index) = (3..words.count()).find(|index| !known(index)) {
            let option = super::quoted(&words.0[index]);
            return Say::error(format!("ERR Unsupported option {option}"));
        }
        if has("NX") && (has("XX") || has("GT") || has("LT")) {
            return Say::error("ERR NX and XX, GT or LT options at the same time are not compatible");
        }
        if has("GT") && has("LT") {
            return Say::error("ERR GT and LT options at the same time are not compatible");
        }
        let number = words.needed_integer(2)?;
        let start = if absolute { 0 } else { self.now_ms() };
        let at = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(start));
        let Some(at) = at else {
            return Say::error(format!("ERR invalid expire time in '{command}' command"));
        };
        let key = words.any_key(1)?;
        if self.kind(&key).is_none() {
            return Ok(Expected::Reply(Say::Integer(0)));
        }
        let before = self.expiry(&key);
        let is_refused = (has("NX") && before.is_some())
            || (has("XX") && before.is_none())
            || (has("GT") && before.is_none_or(|before| at <= before))
            || (has("LT") && before.is_some_and(|before| at >= before));
        if !is_refused {
            match (self.values.get_mut(&key), self.collections.get_mut(&key)) {
                (Some(held), _) => held.expires_ms = Some(at),
                (None, Some(collection)) => collection.expires_ms = Some(at),
                (None, None) => drop(self.vector_expiries.insert(key.clone(), at)),
            }
            self.touch(&key);
            self.expire();
        }
        Ok(Expected::Reply(Say::Integer(i64::from(!is_refused))))
    }

    /// A time above zero, as SET takes it.
    pub(super) fn deadline(&self, text: &[u8], unit_ms: i64, absolute: bool, command: &str) -> Result<i64, Say> {
        let Some(number) = super::values::integer(text) else {
            return Say::error("ERR value is not an integer or out of range");
        };
        let start = if absolute { 0 } else { self.now_ms() };
        let at = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(start));
        match at.filter(|_| number > 0) {
            Some(at) => Ok(at),
            None => Say::error(format!("ERR invalid expire time in '{command}' command")),
        }
    }

    pub(super) fn options(
        &self,
        words: &Words<'_>,
        start: usize,
        command: &str,
        known: &[&'static str],
    ) -> Result<Options, Say> {
        let (mut flags, mut time, mut at) = (Vec::new(), None, start);
        while at < words.count() {
            let units = [
                ("EX", 1000, false),
                ("PX", 1, false),
                ("EXAT", 1000, true),
                ("PXAT", 1, true),
            ];
            if let Some(flag) = known.iter().find(|flag| words.is(at, flag)) {
                flags.push(*flag);
                at += 1;
            } else if command == "vecset" && words.is(at, "ATTR") {
                if at + 1 == words.count() {
                    return syntax();
                }
                at += 2;
            } else if let Some(unit) = units.into_iter().find(|(word, ..)| words.is(at, word)) {
                if at + 1 == words.count() || time.is_some_and(|(before, _)| before != unit) {
                    return syntax();
                }
                time = Some((unit, at + 1));
                at += 2;
            } else {
                return syntax();
            }
        }
        let is_timeless = flags.contains(&"KEEPTTL") || flags.contains(&"PERSIST");
        if (is_timeless && time.is_some()) || (flags.contains(&"NX") && flags.contains(&"XX")) {
            return syntax();
        }
        let expires_ms = match time {
            None => Ok(None),
            Some(((_, unit_ms, absolute), index)) => {
                self.deadline(&words.0[index], unit_ms, absolute, command).map(Some)
            }
        };
        // SET and MSETEX look at it before everything else.
        if matches!(command, "set" | "msetex")
            && let Err(error) = expires_ms
        {
            return Err(error);
        }
        Ok(Options { flags, expires_ms })
    }
}
