//! What commands mean and where they run: synchronous, no sockets, no clock.
