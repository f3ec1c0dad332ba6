//! Who may do what: users, their rules, and whether these allow a command. Redis's access control lists, with the same
//! words, errors and effects.
//!
//! [`Users`] are all users at one moment. They never change: a change makes new ones, and the engine puts these in the place
//! of the old. [`User::check`] holds one request against one user's rules. A user whose rules allow everything
//! ([`User::is_unlimited`]) need not be asked.
//!
//! A collection is more than its name: it holds all keys that begin with the name and a colon. So what concerns a collection
//! as a whole takes a pattern that covers `name:*`, that is one that ends in a star and matches `name:`. Such a pattern
//! matches every key of the collection.

#![forbid(unsafe_code)]

mod commands;
mod denials;
mod file;
pub mod limits;
mod passwords;
mod patterns;
mod rules;
mod selector;
mod user;
mod users;

pub use commands::{CATEGORIES, in_category};
pub use denials::{Context, Denial, DenialLog, Entry, Reason};
pub use passwords::draw_password;
pub use rules::RuleError;
pub use selector::Selector;
pub use user::User;
pub use users::{NewUsers, Users};
