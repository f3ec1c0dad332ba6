//! What a part of a collection consists of.

/// What one shard holds of a collection, or several together.
#[derive(Clone, Copy, Default, Debug)]
pub struct Description {
    /// Vectors that are there.
    pub live: usize,
    /// Vectors that were deleted and still take their slot.
    pub deleted: usize,
    /// Slots, taken or vacant.
    pub slots: usize,
    /// Slots for the next insertions.
    pub vacant: usize,
    /// Blocks of memory that its tables are made of.
    pub chunks: usize,
    /// How much of the consolidation under way is done, if one is: the least of all shards' shares.
    pub consolidated: Option<f64>,
    /// Layers of the graph.
    pub levels: usize,
    /// Bytes of the vectors.
    pub vectors_bytes: usize,
    /// Bytes of the graph.
    pub links_bytes: usize,
    /// Bytes of the names.
    pub keys_bytes: usize,
    /// Vectors that have attributes.
    pub attributed: usize,
    /// Bytes of the attributes, and of what is remembered of filters.
    pub attributes_bytes: usize,
}

impl Description {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: &Description) -> Description {
        Description {
            live: self.live + other.live,
            deleted: self.deleted + other.deleted,
            slots: self.slots + other.slots,
            vacant: self.vacant + other.vacant,
            chunks: self.chunks + other.chunks,
            consolidated: match (self.consolidated, other.consolidated) {
                (Some(one), Some(two)) => Some(one.min(two)),
                (one, two) => one.or(two),
            },
            levels: self.levels.max(other.levels),
            vectors_bytes: self.vectors_bytes + other.vectors_bytes,
            links_bytes: self.links_bytes + other.links_bytes,
            keys_bytes: self.keys_bytes + other.keys_bytes,
            attributed: self.attributed + other.attributed,
            attributes_bytes: self.attributes_bytes + other.attributes_bytes,
        }
    }
}
