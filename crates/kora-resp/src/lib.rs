//! RESP syntax: bytes to requests, replies to bytes.
//!
//! This crate knows how a request and a reply are spelled and nothing of what they mean: no command, no key, no socket.
//!
//! *In.* [`Reader`] reads requests out of a connection's buffer. A request is a flat array of bulk strings or one inline
//! line; nothing a client may send is nested, so nothing here recurses over what a client sent. It resumes where it
//! stopped, allocates nothing per request once warm, and every size a client can name is held against [`ReaderLimits`].
//!
//! *Out.* [`Reply`] is what a server can say, [`write_reply`] spells it in the [`Version`] the client chose.
//!
//! *Between.* [`number`] is the one place where text becomes a number and a number becomes text; [`glob`] is the pattern
//! language of CONFIG GET, KEYS and SCAN.
//!
//! | question | file |
//! |---|---|
//! | how large may a request be? | `limits.rs` |
//! | how is a request cut out of the bytes? | `request.rs`, a header line in `header.rs`, a typed line in `inline.rs` |
//! | how do a million arguments outlive their request? | `words.rs` |
//! | how do some words get a prefix without a copy? | `prefixed.rs` |
//! | what does a client read when it broke the protocol? | `error.rs` |
//! | which text is a number, how is an f32 printed? | `number.rs` |
//! | how is a reply spelled in RESP2, in RESP3? | `reply.rs` |
//! | how is a list of a million bulks kept until it is spelled? | `bulks.rs` |
//! | what does `h[^a-c]llo*` match? | `glob.rs` |

#![forbid(unsafe_code)]

mod bulks;
mod error;
pub mod glob;
mod header;
mod inline;
pub mod limits;
pub mod number;
mod prefixed;
mod reply;
mod request;
mod words;

pub use crate::bulks::{Bulks, Interleaved};
pub use crate::error::ProtocolError;
pub use crate::limits::{Login, ReaderLimits};
pub use crate::prefixed::PrefixedRequest;
pub use crate::reply::{Reply, Version, Writing, write_reply};
pub use crate::request::{KeptRequest, Reader, Request};
pub use crate::words::Words;
