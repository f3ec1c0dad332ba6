//! What is noted of the use of entries, and which of them go when memory is needed.

mod policy;
mod use_rule;
mod victims;

pub use self::policy::EvictionPolicy;
pub use self::use_rule::{UseNote, UseRule};
pub(crate) use self::victims::Candidates;
pub use self::victims::EvictionChoice;
