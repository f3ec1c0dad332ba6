//! A second set of shards, rebuilt from nothing but what the engines' shards tell of their changes.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use kora_engine::{Catalog, Engine, Placement};
use kora_keyspace::Keyspace;

/// The data of all shards, as their outcomes say it must be.
pub struct Rebuilt {
    shards: Vec<Rc<RefCell<Keyspace<()>>>>,
}

impl Rebuilt {
    /// Empty, for engines of this placement that are empty, too.
    pub fn new(placement: Placement) -> Rebuilt {
        let catalog = Arc::new(Catalog::new(1));
        let new_shard = |_| Rc::new(RefCell::new(Keyspace::new(Arc::clone(&catalog), ())));
        Rebuilt {
            shards: placement.shards().map(new_shard).collect(),
        }
    }

    /// From now on every change that this engine makes is made here, too.
    pub fn follow(&self, engine: &mut Engine) {
        engine.record(|shard| {
            let rebuilt = Rc::clone(&self.shards[shard.index()]);
            Box::new(move |_, outcome| rebuilt.borrow_mut().apply(outcome))
        });
    }

    /// # Panics
    /// If an engine holds something else than this, or something here is not sound.
    pub fn assert_equal(&self, engine: &Engine) {
        engine.assert_rebuilt(|shard, compare| {
            let rebuilt = self.shards[shard.index()].borrow();
            rebuilt.assert_sound(rebuilt.collections());
            compare(&rebuilt);
        });
    }
}
