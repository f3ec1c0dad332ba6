//! Attributes of vectors, which are JSON text, and the expressions that choose vectors by them.
//!
//! This crate knows no vector, no key, no command and no clock. All input is hostile: text is read without recursion, and
//! every length has a limit in [`limits`].
//!
//! | question | file |
//! |---|---|
//! | what may a filter say, and what does it mean? | [`filter`] |
//! | how does an expression become tokens, and where is it wrong? | `token.rs` |
//! | how do tokens become a program, in which precedence? | `compile.rs` |
//! | when is a value true, and when are two equal? | `value.rs` |
//! | how does a filter find a field in JSON text? | `field.rs` |
//! | which field does a path name? | [`path`] |
//! | is this text a JSON object, and if not, where does it go wrong? | [`json`] |
//! | what comes of attributes and a patch to them? | [`merge`](fn@merge) |
//! | which text is a number for C's `strtod`? | [`c_double`] |

#![forbid(unsafe_code)]

pub mod c_double;
mod compile;
mod field;
pub mod filter;
pub mod json;
pub mod limits;
mod merge;
pub mod path;
mod token;
mod value;

pub use filter::{AskedFilter, Dialect, Filter, FilterError};
pub use json::{JsonError, check};
pub use merge::merge;
pub use path::{Path, PathError};
