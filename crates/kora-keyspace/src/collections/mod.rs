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
mod part_upkeep;
mod persist;
mod resolve_keys;
mod room;
mod slot_names;
mod ties;
mod upkeep;
mod uses;
mod vectors;
mod weights;

pub use self::collection::{Collection, Unlinked};
pub use self::collection_table::CollectionTable;
pub(crate) use self::collection_table::DroppedTable;
pub use self::counting::PartCount;
pub use self::description::Description;
pub(crate) use self::dropped::DroppedPart;
pub(crate) use self::expiring::ExpiringCollections;
pub use self::filtered::FilteredSearch;
pub use self::persist::{MorePiece, PartCapture, PartLoading, PartPiece};
pub use self::resolve_keys::{ResolveKeys, Resolved};
pub use self::room::SlotNeed;
pub use self::vectors::{VectorEnd, VectorInsertion};
pub(crate) use self::weights::Weights;
