//! Memory for data that is kept for commands while they are under way, so that several don't all find room that is there for
//! one of them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::settings::LiveSettings;

/// What the commands of one worker's clients bring that are under way.
pub(crate) struct UnderWay {
    live: Arc<LiveSettings>,
    bytes: Cell<u64>,
    /// Bytes as all workers know them. Invariant: what this worker has taken of the budget.
    told: Cell<u64>,
}

/// What one of these commands brings. Dropped when the command is answered: then the data counts it.
pub(crate) struct Reserved {
    under_way: Rc<UnderWay>,
    bytes: u64,
}

impl UnderWay {
    pub(crate) fn new(live: &Arc<LiveSettings>) -> UnderWay {
        UnderWay {
            live: Arc::clone(live),
            bytes: Cell::new(0),
            told: Cell::new(0),
        }
    }

    fn change(&self, bytes: u64) {
        self.bytes.set(bytes);
        let (memory, told) = (&self.live.data_memory, self.told.get());
        if bytes.abs_diff(told) > memory.told_step() {
            match bytes.checked_sub(told) {
                Some(more) => memory.under_way.take(more),
                None => memory.under_way.give_back(told - bytes),
            }
            self.told.set(bytes);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.live.data_memory.under_way.give_back(self.told.get());
    }
}

impl Reserved {
    pub(crate) fn new(under_way: &Rc<UnderWay>, bytes: u64) -> Reserved {
        under_way.change(under_way.bytes.get() + bytes);
        let under_way = Rc::clone(under_way);
        Reserved { under_way, bytes }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.under_way.change(self.under_way.bytes.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_is_told_in_steps_and_given_back_whole() {
        let live = Arc::new(LiveSettings::default());
        live.data_memory
            .set(Some(64 << 20), crate::settings::EvictionRules::default());
        let told = || live.data_memory.under_way.taken();
        let under_way = Rc::new(UnderWay::new(&live));
        let small: Vec<Reserved> = (0..100).map(|_| Reserved::new(&under_way, 100)).collect();
        assert!((6_000..=10_000).contains(&told()), "{} of 10,000", told());
        let large = Reserved::new(&under_way, 1 << 20);
        assert_eq!(told(), (1 << 20) + 10_000);
        drop(large);
        assert_eq!(told(), 10_000);
        drop(small);
        assert!(told() <= live.data_memory.told_step());
        drop(under_way);
        assert_eq!(told(), 0);
    }
}
