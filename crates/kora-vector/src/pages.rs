//! Pages that are made ready before a table needs them, by a thread that has time for it.
//!
//! The first touch of a page takes as long as the system takes to find and clear 2 MiB, and an insertion that pays for it
//! holds its thread that long. Without such a thread it does, and nothing else is different.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use crate::arena::Page;
use crate::limits::PAGES_ORDERED_MAX;

/// A page that was asked for.
pub(crate) struct Ordered {
    page: Receiver<Page>,
}

impl Ordered {
    /// Orders a page; none if no thread makes pages, or too many are ordered.
    pub(crate) fn place() -> Option<Ordered> {
        let (sender, page) = sync_channel(1);
        ORDERS.get()?.try_send(sender).ok()?;
        Some(Ordered { page })
    }

    /// The page, if it is ready.
    pub(crate) fn collect(self) -> Option<Page> {
        self.page.try_recv().ok()
    }
}

/// Makes the pages that indexes ask for, for as long as the process lives: to be called by a thread that does nothing else,
/// once.
pub fn make_pages() {
    let (sender, orders) = sync_channel(PAGES_ORDERED_MAX);
    if ORDERS.set(sender).is_err() {
        return;
    }
    while let Ok(order) = orders.recv() {
        // The table may be gone, or have taken another page: then this one is freed.
        Page::touched().map(|page| order.try_send(page));
    }
}

/// The thread that makes pages listens here.
static ORDERS: OnceLock<SyncSender<SyncSender<Page>>> = OnceLock::new();

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::arena::{Reading, Rows};

    #[test]
    fn a_page_that_was_made_ahead_is_empty_and_used() {
        thread::spawn(make_pages);
        let mut rows = Rows::new(256, Reading::AtRandom);
        for row in 0..20_000u32 {
            assert_eq!(rows.push(), row);
            assert!(rows.floats(row).iter().all(|word| *word == 0.0), "a new row is zeroed");
            rows.floats_mut(row).fill(row as f32);
            thread::yield_now();
        }
        assert!((0..20_000u32).all(|row| rows.floats(row)[255] == row as f32));
        while rows.release_chunk().is_some() {}
        assert_eq!(rows.chunk_count(), 0);
    }

    #[test]
    fn a_page_that_nobody_wants_any_more_is_given_back() {
        let page = Page::touched().expect("there is memory");
        let (sender, receiver) = sync_channel(1);
        drop(receiver);
        assert!(sender.try_send(page).is_err());
    }
}
