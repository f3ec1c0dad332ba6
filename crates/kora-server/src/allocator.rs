//! The allocator of the program.
//!
//! A cache allocates and frees with every command, and often frees on one worker what was allocated on another: the system's
//! allocator takes a lock for that, mimalloc does not. Large pages stay off: cleared at first touch, one made a SET of 100 kB
//! cost three times as much, and it keeps memory that nearly all of has been freed.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: DeferringAllocator = DeferringAllocator;

/// mimalloc, but a thread of its own frees large blocks: to give 60 MB back takes the system five milliseconds and more, in
/// which a worker would serve no client.
struct DeferringAllocator;

/// A block that nothing refers to any more.
struct FreedBlock {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: the thread that freed the block gave it up, so the receiver is its only owner; mimalloc takes blocks back on any
// thread.
unsafe impl Send for FreedBlock {}

/// The thread that frees large blocks listens here.
static FREED_BLOCKS: OnceLock<SyncSender<FreedBlock>> = OnceLock::new();

/// Frees large blocks for as long as the process lives: to be called by a thread that does nothing else, once.
pub(crate) fn free_large_blocks() {
    let (sender, blocks) = sync_channel::<FreedBlock>(FREED_BLOCKS_MAX);
    if FREED_BLOCKS.set(sender).is_err() {
        return;
    }
    while let Ok(FreedBlock { start, layout }) = blocks.recv() {
        // SAFETY: the block came from this allocator with this layout, and has no other owner.
        unsafe { MiMalloc.dealloc(start, layout) }
    }
}

// SAFETY: every call is passed on to mimalloc as it came; a block that is handed over is passed on once, by the thread that
// receives it, or here if it can't be handed over.
unsafe impl GlobalAlloc for DeferringAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is mimalloc's condition.
        unsafe { MiMalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { MiMalloc.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { MiMalloc.realloc(start, layout, new_size) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if layout.size() >= LARGE_BLOCK_BYTES_MIN
            && let Some(sender) = FREED_BLOCKS.get()
        {
            // A channel with a bound has the memory that it needs: nothing is allocated here.
            match sender.try_send(FreedBlock { start, layout }) {
                Ok(()) => return,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
        // SAFETY: as above.
        unsafe { MiMalloc.dealloc(start, layout) }
    }
}

/// Lets memory that is free go back to the system at once. By default that happens a second later, and only if the thread
/// allocates something then: a server from which everything was deleted and that nobody asks anything would keep it all.
pub(crate) fn give_back_at_once() {
    // SAFETY: sets one number of a static table, from the only thread there is yet; an option that it does not know is ignored.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}

/// Lets all threads share one arena of libc's allocator, which serves only libc itself. By default each thread reserves 64 MiB of
/// addresses for one, so that under a limit of the address space data found no room in a third of it.
#[cfg(target_env = "gnu")]
pub(crate) fn share_arena_of_libc() {
    unsafe extern "C" {
        fn mallopt(parameter: core::ffi::c_int, value: core::ffi::c_int) -> core::ffi::c_int;
    }
    // SAFETY: sets one number of libc's, from the only thread there is yet; a parameter that it does not know is ignored.
    unsafe { mallopt(ARENA_MAX, 1) };
}

/// Other C libraries have no such arenas.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn share_arena_of_libc() {}

/// `M_ARENA_MAX` in glibc's malloc.h.
#[cfg(target_env = "gnu")]
const ARENA_MAX: core::ffi::c_int = -8;

/// Takes in what other threads have freed of what this thread allocated, and gives it back: until then no thread can use it.
pub(crate) fn collect_freed() {
    // SAFETY: looks at the calling thread's own heap.
    unsafe { libmimalloc_sys::mi_collect(false) }
}

/// To give a block of this size back takes the system about 0.1 ms.
const LARGE_BLOCK_BYTES_MIN: usize = 1 << 20;

/// Large blocks that wait to be freed; one more is freed by the thread that has it.
const FREED_BLOCKS_MAX: usize = 1024;

/// Runs before `main`, and so before the first allocation.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = spare_addresses;

/// Does without arenas where the address space is limited. mimalloc reserves 1 GiB for the first of them and never gives
/// addresses back: with 1.5 GB an allocation failed, and ended the process, when three fifths of them held data.
#[cfg(target_os = "linux")]
extern "C" fn spare_addresses() {
    use rustix::process::{Resource, getrlimit};
    if getrlimit(Resource::As).current.is_some() {
        // SAFETY: sets one number of a static table, from the only thread there is yet.
        unsafe { libmimalloc_sys::mi_option_set(DISALLOW_ARENA_ALLOC, 1) }
    }
}

/// `mi_option_purge_delay` in mimalloc.h (version 3.3), for which the crate has no name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// `mi_option_disallow_arena_alloc`, likewise.
#[cfg(target_os = "linux")]
const DISALLOW_ARENA_ALLOC: libmimalloc_sys::mi_option_t = 26;

#[cfg(test)]
mod tests {
    use std::thread;

    use kora_values::block_bytes;

    use super::*;

    #[test]
    fn a_block_is_counted_as_it_is_given() {
        for bytes in (1..=9_000).chain((1..=600).map(|step| step * 1_001)) {
            // SAFETY: computes a number.
            let given = unsafe { libmimalloc_sys::mi_good_size(bytes) };
            assert_eq!(block_bytes(bytes), given, "of {bytes} bytes");
        }
    }

    #[test]
    fn large_blocks_are_freed_and_used_again_whichever_thread_frees_them() {
        thread::spawn(free_large_blocks);
        for round in 0..100 {
            let block = vec![round; 2 << 20];
            assert_eq!(thread::spawn(move || block[1 << 20]).join().expect("it reads"), round);
        }
    }
}
