//! What the tests of the whole system share: chance from a seed, requests in bytes, replies out of bytes, and distances
//! computed as naively as can be.

pub mod distance;
pub mod random;
pub mod rebuilt;
pub mod reply;
pub mod request;
