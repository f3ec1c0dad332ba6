//! The server as clients see it: raw bytes in, raw bytes out, at 1, 2 and 4 workers.

mod commands;
mod harness;
mod refusals;
