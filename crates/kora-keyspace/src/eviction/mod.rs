//! What is noted of the use of entries, and which of them are evicted when memory is needed.

mod candidates;
mod policy;
mod use_rule;
mod victims;

pub use self::candidates::EvictionChoice;
pub(crate) use self::candidates::{Candidates, below};
pub use self::policy::EvictionPolicy;
pub use self::use_rule::{UseNote, UseRule};
