//! kora-tests
