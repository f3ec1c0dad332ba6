//! How many files the kernel lets this process have open: every connection is one.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as `maxclients` needs and the kernel allows; returns how many clients there is room for.
///
/// Shells, service managers and containers mostly start a process with room for 1,024 and let it ask for more. Without
/// that, clients beyond would neither be served nor told why: they would wait in the kernel's queue.
pub(crate) fn room_for(maxclients: u32, connected: u64) -> u32 {
    let others = open_now().saturating_sub(connected) + SPARE_DESCRIPTORS;
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

/// How many files are open now: the standard streams, listeners, event loops with their wakers.
fn open_now() -> u64 {
    match fs::read_dir("/proc/self/fd") {
        Ok(entries) => entries.count() as u64,
        Err(_) => UNKNOWN_DESCRIPTORS,
    }
}

/// For what is open for a moment: connections about to be refused, INFO's look into /proc, the settings' file.
const SPARE_DESCRIPTORS: u64 = 16;

/// Where /proc is not there: what a server of a dozen workers has.
const UNKNOWN_DESCRIPTORS: u64 = 64;
