//! All users at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::limits::{USER_NAME_BYTES_MAX, USERS_MAX};
use crate::rules::{has_spaces, joined, shown};
use crate::user::User;

/// All users at one moment. One of them is `default`: connections that have not logged in are its.
#[derive(Clone, Debug)]
pub struct Users {
    by_name: BTreeMap<Bytes, Arc<User>>,
    /// How many changes came before.
    version: u64,
    /// No user has had this id.
    next_id: u64,
}

/// What users begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewUsers {
    /// They may hear all channels (`acl-pubsub-default`).
    pub have_all_channels: bool,
}

impl Default for Users {
    /// One user: `default`, who may do everything without a password.
    fn default() -> Users {
        let mut users = Users {
            by_name: BTreeMap::new(),
            version: 0,
            next_id: 0,
        };
        users.complete(&users.clone());
        users
    }
}

impl Users {
    /// Larger after each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A user by its name.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<User>> {
        self.by_name.get(name)
    }

    /// The user of connections that have not logged in.
    pub fn default_user(&self) -> &Arc<User> {
        self.get(DEFAULT).expect("there is always a default user")
    }

    /// True if connections have to log in.
    pub fn need_login(&self) -> bool {
        let user = self.default_user();
        !user.needs_no_password || !user.is_enabled
    }

    /// True if some user may do less than everything.
    pub fn are_limited(&self) -> bool {
        self.by_name.values().any(|user| !user.is_unlimited())
    }

    /// All users, by their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<User>> {
        self.by_name.values()
    }

    /// The user of that name, if it may log in with this password.
    pub fn authenticate(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        match self.get(name) {
            Some(user) => user.accepts(password).then(|| Arc::clone(user)),
            None => {
                // A name that there is not takes as long as one that there is.
                let _ = User::new(Bytes::new(), 0, false).accepts(password);
                None
            }
        }
    }

    /// These with a user whose rules were changed, or who is new.
    ///
    /// # Errors
    /// A text that says what is wrong, as Redis has it.
    pub fn with_rules(&self, name: &[u8], rules: &[Bytes], new_users: NewUsers) -> Result<Users, String> {
        if !self.may_be_named(name) {
            return Err("Usernames can't contain spaces or null characters".to_owned());
        }
        let mut next = self.next();
        let mut user = match self.get(name) {
            Some(user) => User::clone(user),
            None => next.new_user(self, name, new_users),
        };
        let rules = joined(rules.iter().map(AsRef::as_ref)).map_err(|first| {
            let first = shown(&first);
            format!("Unmatched parenthesis in acl selector starting at '{first}'.")
        })?;
        for rule in rules {
            user.apply(&rule, new_users.have_all_channels).map_err(|error| {
                let rule = shown(&rule);
                format!("Error in ACL SETUSER modifier '{rule}': {error}")
            })?;
        }
        next.put(user)?;
        Ok(next)
    }

    /// These without some, and how many that were.
    ///
    /// # Errors
    /// `default` is one of them.
    pub fn without(&self, names: &[Bytes]) -> Result<(Users, usize), &'static str> {
        if names.iter().any(|name| name == DEFAULT) {
            return Err("The 'default' user cannot be removed");
        }
        let mut next = self.next();
        let removed = names.iter().filter(|name| next.by_name.remove(*name).is_some());
        let count = removed.count();
        Ok((next, count))
    }

    /// These with another password of `default`: this one only, or none.
    pub fn with_password(&self, password: Option<&str>) -> Users {
        let mut user = User::clone(self.default_user());
        let rule = password.map(|password| format!(">{password}"));
        for rule in ["resetpass", rule.as_deref().unwrap_or("nopass")] {
            user.apply(rule.as_bytes(), false).expect("rules that there are");
        }
        let mut next = self.next();
        next.by_name.insert(user.name.clone(), Arc::new(user));
        next
    }

    pub(crate) fn may_be_named(&self, name: &[u8]) -> bool {
        !has_spaces(name) && name.len() <= USER_NAME_BYTES_MAX
    }

    /// A new user, or one that has been there before and begins anew.
    pub(crate) fn new_user(&mut self, before: &Users, name: &[u8], new_users: NewUsers) -> User {
        let name = Bytes::copy_from_slice(name);
        let id = self.id_for(before, &name);
        User::new(name, id, new_users.have_all_channels)
    }

    pub(crate) fn put(&mut self, user: User) -> Result<(), String> {
        if self.by_name.len() >= USERS_MAX && !self.by_name.contains_key(&user.name) {
            return Err(format!("There can't be more than {USERS_MAX} users"));
        }
        self.by_name.insert(user.name.clone(), Arc::new(user));
        Ok(())
    }

    /// No users, to be put in the place of these.
    pub(crate) fn none(&self) -> Users {
        Users {
            by_name: BTreeMap::new(),
            ..self.next()
        }
    }

    /// Adds `default` if it is not there: it may do everything.
    pub(crate) fn complete(&mut self, before: &Users) {
        if self.get(DEFAULT).is_none() {
            let id = self.id_for(before, DEFAULT);
            self.by_name
                .insert(Bytes::from_static(DEFAULT), Arc::new(User::unlimited(id)));
        }
    }

    fn id_for(&mut self, before: &Users, name: &[u8]) -> u64 {
        match before.get(name) {
            Some(user) => user.id,
            None => {
                self.next_id += 1;
                self.next_id
            }
        }
    }

    fn next(&self) -> Users {
        Users {
            version: self.version + 1,
            ..self.clone()
        }
    }
}

const DEFAULT: &[u8] = b"default";

#[cfg(test)]
mod tests;
