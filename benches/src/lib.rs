//! kora-bench
