//! The atomics, from the standard library or from loom.
//!
//! Under `--cfg loom` the same code runs on loom's atomics, which explore every order the memory model allows.

#[cfg(not(loom))]
pub(crate) use atomic_waker::AtomicWaker;
#[cfg(loom)]
pub(crate) use loom::future::AtomicWaker;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::RwLock;
#[cfg(not(loom))]
pub(crate) use std::sync::RwLock;
