//! An HNSW index owned by one thread: geometry, no I/O.
