//! The server as clients see it: raw bytes in, raw bytes out, at 1, 2 and 4 workers.

mod commands;
mod connections;
mod endings;
mod fairness;
mod harness;
mod hostile;
mod memory;
mod pipelines;
mod redis_rs;
mod refusals;
mod settings;
