//! How much memory a block takes that the program asks its allocator for.

/// Bytes that an allocation of `bytes` takes: those of its size class in mimalloc, which `kora-server` holds this to.
///
/// Up to 64 bytes a class has a multiple of 16 bytes (but 8 for the least), beyond that there are four classes for each
/// doubling (`mi_bin` in mimalloc's page-queue.c). An allocation of nothing takes nothing.
pub fn block_bytes(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=64 => bytes.next_multiple_of(16),
        65..=CLASS_BYTES_MAX => {
            let step = 1 << ((bytes - 1).ilog2() - 2);
            bytes.next_multiple_of(step)
        }
        _ => bytes.next_multiple_of(PAGE_BYTES),
    }
}

/// Above that a block consists of whole pages of the system (`MI_LARGE_MAX_OBJ_SIZE` in mimalloc 3.3).
const CLASS_BYTES_MAX: usize = 512 << 10;

const PAGE_BYTES: usize = 4096;
