//! RESP syntax: bytes to requests, replies to bytes.
