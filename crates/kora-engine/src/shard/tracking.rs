//! Which keys of a shard clients have in their own caches.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use kora_keyspace::{Cause, Outcome, key_of};
use kora_values::said_name;
use kora_vector::Work;
use smallvec::SmallVec;

use super::Shard;
use crate::budgets::DELETION_WORK;
use crate::databases::as_said;
use crate::limits::{TRACKED_OF_COLLECTION_MAX, TRACKERS_PER_KEY_MAX};
use crate::mail::{Origin, RequestBody};
use crate::setup::Setup;
use crate::tracking::{Invalidation, PrefixList, Tracker};

/// The keys that clients have read, and the prefixes that clients hear of. Ordered trees, which never take long to grow.
pub(crate) struct TrackingTable {
    setup: Arc<Setup>,
    /// Who has read a key since it last changed. Bounded by `tracking-table-max-keys`.
    keys: BTreeMap<Bytes, SmallVec<[Arc<Tracker>; 1]>>,
    /// Whose keys those are, and how many. Invariant: the sum over `keys`.
    trackers: BTreeMap<u64, (Arc<Tracker>, usize)>,
    /// Readers of all keys. Invariant: the sum over `keys`. Bounded by [`TRACKERS_PER_KEY_MAX`] for each key that may be there.
    items: u64,
    prefixes: BTreeMap<Bytes, Vec<Arc<Tracker>>>,
    /// The key that was last given up for another: the next one stands behind it.
    given_up: Bytes,
    /// Keys that are to be freed.
    dropped: Vec<BTreeMap<Bytes, SmallVec<[Arc<Tracker>; 1]>>>,
    /// Who makes the changes that are seen now.
    current: Option<Origin>,
    /// What the worker is to send. Bounded by the changes of one slice and the clients that track.
    invalidations: Vec<Invalidation>,
}

impl Shard {
    /// Notes the keys that a request will read, for its client.
    pub(super) fn track(&mut self, tracker: &Arc<Tracker>, body: &RequestBody) {
        let table = &mut self.keyspace.observers_mut().tracking;
        body.for_each_key_read(&mut |key| table.remember(tracker, key));
    }

    /// A client hears of all keys with these prefixes from now on.
    pub(super) fn track_prefixes(&mut self, list: &PrefixList) {
        let table = &mut self.keyspace.observers_mut().tracking;
        for prefix in list.prefixes.iter() {
            table
                .prefixes
                .entry(prefix.clone())
                .or_default()
                .push(Arc::clone(&list.tracker));
        }
    }

    /// The client whose requests the next changes come from, if they come from one.
    #[inline]
    pub(crate) fn set_changer(&mut self, origin: Option<Origin>) {
        self.keyspace.observers_mut().tracking.current = origin;
    }

    /// What is to be sent of this shard's changes.
    pub(crate) fn take_invalidations(&mut self) -> Vec<Invalidation> {
        std::mem::take(&mut self.keyspace.observers_mut().tracking.invalidations)
    }

    pub(crate) fn has_invalidations(&self) -> bool {
        !self.keyspace.observers().tracking.invalidations.is_empty()
    }

    /// Keys that are tracked, clients beside them, and prefixes.
    pub(crate) fn tracked(&self) -> [u64; 3] {
        let table = &self.keyspace.observers().tracking;
        [table.keys.len() as u64, table.items, table.prefixes.len() as u64]
    }
}

impl TrackingTable {
    pub(super) fn new(setup: Arc<Setup>) -> TrackingTable {
        TrackingTable {
            setup,
            keys: BTreeMap::new(),
            trackers: BTreeMap::new(),
            items: 0,
            prefixes: BTreeMap::new(),
            given_up: Bytes::new(),
            dropped: Vec::new(),
            current: None,
            invalidations: Vec::new(),
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        !self.keys.is_empty() || !self.prefixes.is_empty()
    }

    /// True if there is something to free.
    pub(super) fn has_dropped(&self) -> bool {
        !self.dropped.is_empty()
    }

    /// Frees some of it.
    pub(super) fn free(&mut self, work: &mut Work) {
        let Some(keys) = self.dropped.last_mut() else { return };
        while !work.is_spent() {
            if keys.pop_first().is_none() {
                self.dropped.pop();
                return;
            }
            work.spend(DELETION_WORK);
        }
    }

    pub(super) fn see(&mut self, outcome: &Outcome<'_>) {
        match *outcome {
            Outcome::Put { key, .. }
            | Outcome::Edited { key, .. }
            | Outcome::FieldSet { key, .. }
            | Outcome::FieldDeadline { key, .. }
            | Outcome::FieldGone { key, .. }
            | Outcome::Deadline { key, .. } => self.invalidate(key),
            // The client whose command meets them has not changed them: it is told, too.
            Outcome::FieldsExpired { key, .. } => self.invalidate_by(key, None),
            Outcome::Removed { key, cause } => {
                let changer = self.changer_of(cause);
                self.invalidate_by(key, changer);
            }
            Outcome::VectorRemoved { schema, name, cause } if schema.set_form().is_none() => {
                let changer = self.changer_of(cause);
                self.invalidate_by(&key_of(&schema.name, name), changer);
            }
            Outcome::VectorSet { schema, name, .. }
            | Outcome::VectorDeadline { schema, name, .. }
            | Outcome::VectorRemoved { schema, name, .. }
            | Outcome::Attributes { schema, name, .. } => match schema.set_form() {
                None => self.invalidate(&key_of(&schema.name, name)),
                // Elements of a vector set are no keys: the set is.
                Some(_) => self.invalidate(&schema.name),
            },
            Outcome::Created { schema }
            | Outcome::CollectionDeadline { schema, .. }
            | Outcome::Withdrawn { schema, .. } => self.invalidate(&schema.name),
            Outcome::PartDropped { part, .. } => self.invalidate_collection(&part.schema().name),
            Outcome::Flushed { .. } => self.invalidate_all(),
            // An alias is no key: what was read through it is known by the key of its collection.
            Outcome::Aliased { .. }
            | Outcome::Landed { .. }
            | Outcome::LibrarySet { .. }
            | Outcome::LibraryGone { .. }
            | Outcome::BatchBegin
            | Outcome::BatchEnd => {}
        }
    }

    fn remember(&mut self, tracker: &Arc<Tracker>, key: &[u8]) {
        let known = self.keys.get(key);
        if known.is_some_and(|trackers| trackers.iter().any(|known| Arc::ptr_eq(known, tracker))) {
            return;
        }
        self.make_room(known.is_none());
        let trackers = match self.keys.get_mut(key) {
            Some(trackers) => trackers,
            None => self.keys.entry(Bytes::copy_from_slice(key)).or_default(),
        };
        trackers.push(Arc::clone(tracker));
        self.items += 1;
        let (known, count) = self
            .trackers
            .entry(tracker.client)
            .or_insert_with(|| (Arc::clone(tracker), 0));
        (*known, *count) = (Arc::clone(tracker), *count + 1);
    }

    /// Gives a key up if the table is full: its readers are told that it has changed.
    fn make_room(&mut self, is_new: bool) {
        let all = self.setup.live.tracked_keys_max.get();
        let keys_max = all.div_ceil(self.setup.placement.shard_count() as u64).max(1);
        let is_full = is_new && self.keys.len() as u64 >= keys_max;
        if !is_full && self.items < keys_max.saturating_mul(TRACKERS_PER_KEY_MAX) {
            return;
        }
        let behind = (Bound::Excluded(&self.given_up[..]), Bound::Unbounded);
        let next = self.keys.range::<[u8], _>(behind).next();
        let next = next.or_else(|| self.keys.first_key_value());
        let Some(key) = next.map(|(key, _)| key.clone()) else {
            return;
        };
        self.invalidate_readers(&key, None);
        self.given_up = key;
    }

    /// Who made a removal, if a client did: that an entry has expired or was evicted is told to the client in whose command
    /// that was found, too.
    fn changer_of(&self, cause: Cause) -> Option<Origin> {
        match cause {
            Cause::Expired | Cause::Evicted => None,
            Cause::Command | Cause::Dropped | Cause::Moved { .. } | Cause::Overwritten => self.current,
        }
    }

    fn invalidate(&mut self, key: &[u8]) {
        self.invalidate_by(key, self.current);
    }

    fn invalidate_by(&mut self, key: &[u8], changer: Option<Origin>) {
        self.invalidate_readers(key, changer);
        self.tell_prefixes(key, changer);
    }

    /// Tells those who have read the key, and forgets that they did.
    fn invalidate_readers(&mut self, key: &[u8], changer: Option<Origin>) {
        let Some((key, trackers)) = self.keys.remove_entry(key) else {
            return;
        };
        self.items -= trackers.len() as u64;
        for tracker in trackers {
            self.count_out(tracker.client);
            if !tracker.is_over.is_raised() && !is_own(&tracker, changer) {
                let key = Some(as_said(&key));
                self.invalidations.push(Invalidation { tracker, key });
            }
        }
    }

    fn count_out(&mut self, client: u64) {
        if let Some((_, count)) = self.trackers.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                self.trackers.remove(&client);
            }
        }
    }

    fn tell_prefixes(&mut self, key: &[u8], changer: Option<Origin>) {
        if self.prefixes.is_empty() {
            return;
        }
        let key = said_name(key);
        let mut is_one_over = false;
        for (prefix, trackers) in &self.prefixes {
            if !key.starts_with(prefix) {
                continue;
            }
            for tracker in trackers {
                is_one_over |= tracker.is_over.is_raised();
                if !tracker.is_over.is_raised() && !is_own(tracker, changer) {
                    let (tracker, key) = (Arc::clone(tracker), Some(Bytes::copy_from_slice(key)));
                    self.invalidations.push(Invalidation { tracker, key });
                }
            }
        }
        if is_one_over {
            self.prefixes.retain(|_, trackers| {
                trackers.retain(|tracker| !tracker.is_over.is_raised());
                !trackers.is_empty()
            });
        }
    }

    /// All vectors of a collection have gone.
    fn invalidate_collection(&mut self, name: &[u8]) {
        let start = [name, b":"].concat();
        let from_start = (Bound::Included(&start[..]), Bound::Unbounded);
        let of_collection = self.keys.range::<[u8], _>(from_start).map(|(key, _)| key);
        let of_collection = of_collection.take_while(|key| key.starts_with(&start));
        let keys: Vec<Bytes> = of_collection.take(TRACKED_OF_COLLECTION_MAX + 1).cloned().collect();
        if keys.len() > TRACKED_OF_COLLECTION_MAX {
            return self.invalidate_all();
        }
        keys.iter().for_each(|key| self.invalidate_readers(key, None));
        self.tell_all_prefixes();
    }

    fn invalidate_all(&mut self) {
        self.dropped.push(std::mem::take(&mut self.keys));
        self.items = 0;
        for (_, (tracker, _)) in std::mem::take(&mut self.trackers) {
            self.invalidations.push(Invalidation { tracker, key: None });
        }
        self.tell_all_prefixes();
    }

    /// Those who hear of prefixes hear that all keys may have changed.
    fn tell_all_prefixes(&mut self) {
        let trackers = self.prefixes.values().flatten();
        let all: BTreeMap<u64, &Arc<Tracker>> = trackers.map(|tracker| (tracker.client, tracker)).collect();
        let all = all.into_values().map(|tracker| Invalidation {
            tracker: Arc::clone(tracker),
            key: None,
        });
        self.invalidations.extend(all);
    }
}

/// True if the change is the client's own and it does not want to hear of these.
fn is_own(tracker: &Tracker, changer: Option<Origin>) -> bool {
    tracker.no_loop
        && changer.is_some_and(|changer| (changer.worker, changer.reply_queue) == (tracker.worker, tracker.reply_queue))
}
