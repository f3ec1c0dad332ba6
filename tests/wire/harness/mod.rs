//! A real server in this process, and clients that speak to it in raw bytes.

#![allow(dead_code, unused_imports, reason = "each test program uses its part")]

mod client;
mod server;

pub(crate) use client::{Client, request, shown, whole_reply, words};
pub(crate) use server::{Server, WORKER_COUNTS, config, on_each_worker_count};
