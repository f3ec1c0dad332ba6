//! Collections of vectors: what one shard holds of each, and when its vectors expire.

mod attributes;
mod collection;
mod collection_table;
mod counting;
mod description;
mod dropped;
mod element_deadlines;
mod element_table;
mod elements;
mod expiring;
mod few_elements;
mod filtered;
mod names;
mod persist;
mod resolve_keys;
mod slot_names;
mod ties;
mod upkeep;
mod vectors;
mod weights;

pub use self::collection::{Collection, Unlinked};
pub use self::collection_table::CollectionTable;
pub(crate) use self::collection_table::DroppedTable;
pub use self::counting::{PartCount, SlotNeed};
pub use self::description::Description;
pub(crate) use self::dropped::DroppedPart;
pub(crate) use self::expiring::ExpiringCollections;
pub use self::filtered::FilteredSearch;
pub use self::persist::{MorePiece, PartCapture, PartLoading, PartPiece};
pub use self::resolve_keys::{ResolveKeys, Resolved};
pub use self::vectors::{VectorEnd, VectorInsertion};
pub(crate) use self::weights::Weights;
