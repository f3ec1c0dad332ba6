//! What a key may hold, and which keys are those of vectors.

/// What a key holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    /// A string.
    String,
    /// A hash.
    Hash,
    /// A vector.
    Vector,
    /// A collection: its name, not one of its vectors' keys.
    VectorSet,
}

impl KeyType {
    /// As TYPE says it.
    pub fn name(self) -> &'static str {
        match self {
            KeyType::String => "string",
            KeyType::Hash => "hash",
            KeyType::Vector => "vector",
            KeyType::VectorSet => "vectorset",
        }
    }
}

/// Collection and name of the vector that a key stands for, if it stands for any: what is before its last `:`, and behind.
pub fn element_of(key: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = key.iter().rposition(|byte| *byte == b':')?;
    Some((&key[..colon], &key[colon + 1..]))
}

/// The whole key of a vector.
pub fn key_of(collection: &[u8], name: &[u8]) -> Vec<u8> {
    [collection, b":", name].concat()
}

/// One key as it is at a time, for the length of one command: see [`Keyspace::resolve_live`](crate::Keyspace::resolve_live).
#[derive(Clone, Copy, Debug)]
pub struct ResolvedKey<'k> {
    /// The key.
    pub key: &'k [u8],
    /// Its hash in the table of keys.
    pub(crate) hash: u32,
    /// When the command was taken from its connection, in milliseconds of Unix time.
    pub now_ms: u64,
}
