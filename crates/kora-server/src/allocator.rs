//! The allocator of the program.
//!
//! A cache allocates and frees with every command, and often frees on one worker what was allocated on another: the system's
//! allocator takes a lock for that, mimalloc does not. Large pages stay off: cleared at first touch, one made a SET of 100 kB
//! cost three times as much, and it keeps memory that nearly all of has been freed.

#![allow(unsafe_code)]

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Lets memory that is free go back to the system at once. By default that happens a second later, and only if the thread
/// allocates something then: a server from which everything was deleted and that nobody asks anything would keep it all.
pub(crate) fn give_back_at_once() {
    // SAFETY: sets one number of a static table, from the only thread there is yet; an option that it does not know is ignored.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, 0) }
}

/// `mi_option_purge_delay` in mimalloc.h (version 3.3), for which the crate has no name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

#[cfg(test)]
mod tests {
    use kora_values::block_bytes;

    #[test]
    fn a_block_is_counted_as_it_is_given() {
        for bytes in (1..=9_000).chain((1..=600).map(|step| step * 1_001)) {
            // SAFETY: computes a number.
            let given = unsafe { libmimalloc_sys::mi_good_size(bytes) };
            assert_eq!(block_bytes(bytes), given, "of {bytes} bytes");
        }
    }
}
