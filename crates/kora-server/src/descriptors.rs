//! How many files the kernel lets this process have open: every connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as `maxclients` needs and the kernel allows; returns how many clients there is room for.
///
/// Shells, service managers and containers mostly start a process with room for 1,024 and let it ask for more. Without
/// that, clients beyond would neither be served nor told why: they would wait in the kernel's queue.
pub(crate) fn room_for(maxclients: u32, workers: usize) -> u32 {
    let others = OWN_DESCRIPTORS + DESCRIPTORS_PER_WORKER * workers as u64;
    let wanted = u64::from(maxclients) + others;
    let limit = getrlimit(Resource::Nofile);
    // No number means no limit.
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < wanted {
        let highest = limit.maximum.unwrap_or(u64::MAX).min(wanted);
        let raised = Rlimit {
            current: Some(highest),
            maximum: limit.maximum,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => allowed = highest,
            Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
        }
    }
    let room = allowed.saturating_sub(others).max(1);
    if room < u64::from(maxclients) {
        tracing::warn!(
            maxclients,
            "the limit of open files ({allowed}) leaves room for {room} clients; raise it (`ulimit -n`) or lower maxclients"
        );
    }
    u32::try_from(room).unwrap_or(u32::MAX).min(maxclients)
}

/// Standard streams, listeners, the acceptor's event loop and signals, connections about to be refused, and some that
/// libraries open for a moment.
const OWN_DESCRIPTORS: u64 = 128;

/// An event loop with its waker, and INFO's look into /proc.
const DESCRIPTORS_PER_WORKER: u64 = 8;
