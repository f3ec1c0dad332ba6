//! Events of keys: what the setting `notify-keyspace-events` has told to channels.
//!
//! An outcome says what became true and not by which command, and Redis names most events after commands. So a command that
//! begins leaves a hint: what it is called if it changes something.

use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::keys::ValueRef;
use kora_keyspace::{Cause, KeyType, NEVER_MS, Outcome, ResolvedKey, key_of};
use kora_values::{Database, said_name};

use super::Shard;
use crate::command::{
    Action, EventClass, EventClasses, FieldDeadlineAction, HashAction, Lifetime, Message, StringAction,
};
use crate::setup::Setup;

/// The events of one shard.
pub(crate) struct Notices {
    setup: Arc<Setup>,
    /// The data is being loaded: nothing happens.
    is_loading: bool,
    hint: Hint,
    /// The key's type before the command, if that is looked at.
    before: Option<KeyType>,
    /// The events of fields that were told for the command that is executed: three at most.
    fields_told: Vec<&'static str>,
    /// What the worker is to publish. Bounded by the changes of one slice.
    messages: Vec<Arc<Message>>,
}

/// What a command's changes are called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hint {
    event: &'static str,
    /// It gives the value a time to live.
    expires: bool,
    /// It gives the key a value whatever was there.
    replaces: bool,
}

impl Hint {
    const fn of(event: &'static str) -> Hint {
        Hint {
            event,
            expires: false,
            replaces: false,
        }
    }

    /// SET and its like.
    pub(super) fn set(lifetime: Lifetime) -> Hint {
        Hint {
            event: "set",
            expires: matches!(lifetime, Lifetime::Until(_)),
            replaces: true,
        }
    }

    pub(super) const RENAME: Hint = Hint::of("rename_to");
    pub(super) const COPY: Hint = Hint::of("copy_to");
    pub(super) const MOVE: Hint = Hint::of("move_to");

    /// What leaves a key for another one, in its database or in another.
    pub(super) fn of_transfer(from: &[u8], to: &[u8]) -> Hint {
        match Database::of(from) == Database::of(to) {
            true => Hint::RENAME,
            false => Hint::MOVE,
        }
    }

    /// At a time in milliseconds of Unix time.
    fn of_action(action: &Action, now_ms: u64) -> Hint {
        match action {
            Action::String(action) => match action {
                StringAction::Set(setting) => Hint::set(setting.lifetime),
                StringAction::SetIfAbsent(_) => Hint::set(Lifetime::Forever),
                StringAction::Append(_) => Hint::of("append"),
                StringAction::SetRange(..) => Hint::of("setrange"),
                StringAction::Add(_) => Hint::of("incrby"),
                StringAction::AddFloat(_) => Hint::of("incrbyfloat"),
                _ => Hint::of("set"),
            },
            Action::Hash(action) => match action {
                HashAction::Add(..) => Hint::of("hincrby"),
                HashAction::AddFloat(..) => Hint::of("hincrbyfloat"),
                HashAction::Deadlines(action) => Hint {
                    expires: matches!(&**action, FieldDeadlineAction::SetFields(setting) if setting
                        .lifetime
                        .at_ms(now_ms)
                        .is_ok_and(|at_ms| at_ms > Some(now_ms) && at_ms < Some(NEVER_MS))),
                    ..Hint::of("hset")
                },
                _ => Hint::of("hset"),
            },
            Action::Attributes(_) | Action::Key(_) | Action::VectorSet(_) => Hint::of("set"),
        }
    }
}

impl Shard {
    /// A command on a key begins.
    #[inline]
    pub(super) fn hint_at_action(&mut self, place: ResolvedKey<'_>, action: &Action) {
        if self.keyspace.observers().notices.is_listening() {
            self.hint_at(place, Hint::of_action(action, place.now_ms));
        }
    }

    /// What happens to the key next is called so.
    pub(super) fn hint_at(&mut self, place: ResolvedKey<'_>, hint: Hint) {
        let notices = &self.keyspace.observers().notices;
        if !notices.is_listening() {
            return;
        }
        let looks = [EventClass::NEW, EventClass::OVERWRITTEN, EventClass::TYPE_CHANGED];
        let looks = looks.iter().any(|class| notices.classes().has(*class));
        let before = if looks { self.keyspace.kind(place) } else { None };
        let notices = &mut self.keyspace.observers_mut().notices;
        (notices.hint, notices.before) = (hint, before);
        notices.fields_told.clear();
    }

    /// A key that is not there was read.
    pub(super) fn note_miss(&mut self, key: &[u8]) {
        self.keyspace.observers_mut().notices.tell_miss(key);
    }

    /// What is to be published of this shard's changes.
    pub(crate) fn take_notices(&mut self) -> Vec<Arc<Message>> {
        let notices = &mut self.keyspace.observers_mut().notices;
        std::mem::take(&mut notices.messages)
    }

    pub(crate) fn has_notices(&self) -> bool {
        !self.keyspace.observers().notices.messages.is_empty()
    }
}

impl Notices {
    pub(super) fn new(setup: Arc<Setup>) -> Notices {
        Notices {
            setup,
            is_loading: false,
            hint: Hint::of("set"),
            before: None,
            fields_told: Vec::new(),
            messages: Vec::new(),
        }
    }

    pub(super) fn set_loading(&mut self, is_loading: bool) {
        self.is_loading = is_loading;
    }

    /// A key that is not there was read.
    pub(super) fn tell_miss(&mut self, key: &[u8]) {
        if self.is_listening() {
            self.tell(EventClass::MISS, "keymiss", key);
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.classes().are_told() && !self.is_loading
    }

    fn classes(&self) -> EventClasses {
        EventClasses::from_bits(self.setup.live.notified_events.get())
    }

    pub(super) fn see(&mut self, outcome: &Outcome<'_>) {
        let Hint { event, expires, .. } = self.hint;
        match *outcome {
            Outcome::Put { key, value, .. } => self.see_put(key, value, expires),
            Outcome::Edited { key, .. } => self.tell(EventClass::STRING, event, key),
            Outcome::FieldSet { key, .. } if event.starts_with('h') => self.tell_fields_set(key),
            Outcome::FieldDeadline { key, deadline_ms, .. } => {
                let event = if deadline_ms == NEVER_MS { "hpersist" } else { "hexpire" };
                self.tell_fields(event, key);
            }
            Outcome::FieldsExpired { key, .. } => self.tell(EventClass::HASH, "hexpired", key),
            Outcome::FieldGone { key, .. } => self.tell_fields("hdel", key),
            Outcome::Deadline { key, deadline_ms } => self.tell_deadline(key, deadline_ms),
            Outcome::Removed { key, cause } => self.tell_removal(key, cause),
            // Elements of a vector set are no keys: the set is.
            Outcome::VectorSet { schema, .. } if schema.set_form().is_some() => {
                self.tell(EventClass::VECTOR, "vadd", &schema.name);
            }
            Outcome::VectorRemoved { schema, cause, .. } if schema.set_form().is_some() => match cause {
                Cause::Evicted => self.tell(EventClass::EVICTED, "evicted", &schema.name),
                _ => self.tell(EventClass::VECTOR, "vrem", &schema.name),
            },
            Outcome::Attributes { schema, .. } if schema.set_form().is_some() => {
                self.tell(EventClass::VECTOR, "vsetattr", &schema.name);
            }
            Outcome::VectorSet { schema, name, .. } => {
                self.tell(EventClass::VECTOR, "vecset", &key_of(&schema.name, name));
            }
            Outcome::VectorDeadline {
                schema,
                name,
                deadline_ms,
            } => self.tell_deadline(&key_of(&schema.name, name), deadline_ms),
            Outcome::Attributes { schema, name, .. } => {
                self.tell(EventClass::VECTOR, "vecsetattr", &key_of(&schema.name, name));
            }
            Outcome::VectorRemoved { schema, name, cause } => self.tell_removal(&key_of(&schema.name, name), cause),
            Outcome::Created { schema } if schema.set_form().is_some() && matches!(event, "rename_to" | "move_to") => {
                self.tell(EventClass::NEW, "new", &schema.name);
                self.tell(EventClass::GENERIC, event, &schema.name);
            }
            Outcome::Created { schema } => self.tell(EventClass::VECTOR, "veccreate", &schema.name),
            Outcome::Aliased { alias, .. } => self.tell(EventClass::VECTOR, "vecalias", alias),
            Outcome::CollectionDeadline { schema, deadline_ms } => self.tell_deadline(&schema.name, deadline_ms),
            Outcome::Withdrawn { schema, cause } => self.tell_removal(&schema.name, cause),
            Outcome::FieldSet { .. }
            | Outcome::PartDropped { .. }
            | Outcome::Flushed { .. }
            | Outcome::Landed { .. }
            | Outcome::LibrarySet { .. }
            | Outcome::LibraryGone { .. }
            | Outcome::BatchBegin
            | Outcome::BatchEnd => {}
        }
    }

    fn see_put(&mut self, key: &[u8], value: ValueRef<'_>, expires: bool) {
        let Hint { event, replaces, .. } = self.hint;
        let kind = value.kind();
        // Of a value that was moved or copied Redis tells first that it is new, whatever was there.
        let moves = matches!(event, "rename_to" | "copy_to" | "move_to");
        if self.before.is_none() || moves {
            self.tell(EventClass::NEW, "new", key);
        }
        if replaces {
            self.tell_overwritten(key, kind);
        }
        match kind {
            _ if moves => self.tell(EventClass::GENERIC, event, key),
            // Its first field is part of the value.
            KeyType::Hash if event.starts_with('h') => return self.tell_fields_set(key),
            KeyType::Hash => {}
            _ => self.tell(EventClass::STRING, event, key),
        }
        if moves {
            self.tell_overwritten(key, kind);
        }
        if expires {
            self.tell(EventClass::GENERIC, "expire", key);
        }
    }

    fn tell_overwritten(&mut self, key: &[u8], kind: KeyType) {
        let Some(before) = self.before else { return };
        self.tell(EventClass::OVERWRITTEN, "overwritten", key);
        if before != kind {
            self.tell(EventClass::TYPE_CHANGED, "type_changed", key);
        }
    }

    /// Each event once for each command.
    fn tell_fields(&mut self, event: &'static str, key: &[u8]) {
        if !self.fields_told.contains(&event) {
            self.fields_told.push(event);
            self.tell(EventClass::HASH, event, key);
        }
    }

    fn tell_fields_set(&mut self, key: &[u8]) {
        self.tell_fields(self.hint.event, key);
        if self.hint.expires {
            self.tell_fields("hexpire", key);
        }
    }

    fn tell_deadline(&mut self, key: &[u8], deadline_ms: u64) {
        let event = if deadline_ms == NEVER_MS { "persist" } else { "expire" };
        self.tell(EventClass::GENERIC, event, key);
    }

    fn tell_removal(&mut self, key: &[u8], cause: Cause) {
        match cause {
            Cause::Command | Cause::Dropped => self.tell(EventClass::GENERIC, "del", key),
            Cause::Expired => self.tell(EventClass::EXPIRED, "expired", key),
            Cause::Evicted => self.tell(EventClass::EVICTED, "evicted", key),
            Cause::Moved { .. } if self.hint == Hint::MOVE => self.tell(EventClass::GENERIC, "move_from", key),
            Cause::Moved { .. } => self.tell(EventClass::GENERIC, "rename_from", key),
            Cause::Overwritten => {}
        }
    }

    fn tell(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        let classes = self.classes();
        if !classes.has(class) {
            return;
        }
        let (database, key) = (Database::of(key).number(), said_name(key));
        let message = |channel: Vec<u8>, payload: Bytes| {
            Arc::new(Message {
                channel: channel.into(),
                payload,
                is_sharded: false,
            })
        };
        if classes.has(EventClass::KEYSPACE) {
            let channel = [format!("__keyspace@{database}__:").as_bytes(), key].concat();
            self.messages
                .push(message(channel, Bytes::from_static(event.as_bytes())));
        }
        if classes.has(EventClass::KEYEVENT) {
            let channel = format!("__keyevent@{database}__:{event}").into_bytes();
            self.messages.push(message(channel, Bytes::copy_from_slice(key)));
        }
    }
}
