//! The outside world of Kōra: sockets, time, signals, CPU pinning.
