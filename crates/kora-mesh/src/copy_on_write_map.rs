//! A map that all workers read without a lock while its owners change it.
//!
//! The catalog of collections is such a map: read by every command on every worker, changed when a collection is made
//! or dropped. A reader takes the newest version of one bucket and never waits; a writer copies that bucket, changes
//! the copy and swaps it in. Both costs are kept down by having many buckets: the 100,000th name is as cheap as the
//! first.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use arc_swap::ArcSwap;
use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use crate::limits::MAP_BUCKETS;

/// A map from names to values, published to all workers.
///
/// Values are cloned to be read and kept across a change of their bucket, so `V` is usually an `Arc`.
///
/// Any thread may change any name. Threads that change one bucket at the same moment retry until each has succeeded, and one
/// of them always succeeds. A worker that learns of a change by a message from its author sees that change or a later one;
/// between two changes that no message connects, no order is promised.
#[derive(Debug)]
pub struct CopyOnWriteMap<V> {
    /// Keyed with the seed, so that a client that chooses names cannot predict their buckets.
    hasher: SipHasher13,
    buckets: Box<[ArcSwap<Bucket<V>>]>,
    names: NameCount,
}

/// What [`CopyOnWriteMap::decide`] does with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<V> {
    /// Leaves the map as it is.
    Keep,
    /// Publishes this value in place of the present one.
    Publish(V),
    /// Removes the present value.
    Withdraw,
}

impl<V: Clone> CopyOnWriteMap<V> {
    /// An empty map.
    ///
    /// A server passes a random seed, so that no client can choose names that all fall into one bucket; a simulation
    /// passes its own. The same seed gives the same buckets on every machine.
    pub fn new(hash_seed: u64) -> CopyOnWriteMap<V> {
        let empty = Arc::new(Bucket {
            entries: HashTable::new(),
        });
        CopyOnWriteMap {
            // SipHash takes 128 bits of key. The second half only has to depend on the seed too: 64 secret bits are
            // enough against guessing.
            hasher: SipHasher13::new_with_keys(hash_seed, !hash_seed.rotate_left(32)),
            buckets: (0..MAP_BUCKETS).map(|_| ArcSwap::new(Arc::clone(&empty))).collect(),
            names: NameCount::default(),
        }
    }

    /// The value under `name`.
    pub fn find(&self, name: &[u8]) -> Option<V> {
        self.inspect(name, |value| value.cloned())
    }

    /// Looks at the value under `name` without cloning it.
    ///
    /// A clone of an `Arc` writes to a counter that all workers share, and so makes them wait for each other's cache
    /// line; a command that only checks a dimension is better off here. `look` should be short: while it runs it holds
    /// the bucket it sees, even if that has been replaced.
    pub fn inspect<T>(&self, name: &[u8], look: impl FnOnce(Option<&V>) -> T) -> T {
        let hash = self.hasher.hash(name);
        let bucket = self.buckets[bucket_of(hash)].load();
        look(bucket.find(hash, name))
    }

    /// Publishes `value` under `name`; returns what stood there.
    pub fn publish(&self, name: &[u8], value: V) -> Option<V> {
        self.decide(name, |_| Decision::Publish(value.clone()))
    }

    /// Takes `name` away; returns what stood there.
    pub fn withdraw(&self, name: &[u8]) -> Option<V> {
        self.decide(name, |_| Decision::Withdraw)
    }

    /// Takes away all of one bucket that `is_withdrawn`, in one indivisible step: a copy of the bucket, and not one for each
    /// name. Runs it again whenever another thread changed the bucket in between.
    pub fn withdraw_where(&self, bucket: usize, mut is_withdrawn: impl FnMut(&V) -> bool) {
        let place = &self.buckets[bucket];
        let mut current = place.load();
        loop {
            let mut entries = current.entries.clone();
            entries.retain(|entry| !is_withdrawn(&entry.value));
            if entries.len() == current.len() {
                return;
            }
            let (names_before, names_after) = (current.len(), entries.len());
            let found = place.compare_and_swap(&*current, Arc::new(Bucket { entries }));
            if Arc::ptr_eq(&found, &current) {
                return self.names.change(names_before, names_after);
            }
            current = found;
        }
    }

    /// Lets `judge` decide about `name` in view of what stands there, in one indivisible step; returns what stood
    /// there.
    ///
    /// `judge` runs again whenever another thread changed the bucket in between, so it must decide from its argument
    /// alone. Only its last decision is carried out, and the value returned is the one it saw then.
    pub fn decide(&self, name: &[u8], mut judge: impl FnMut(Option<&V>) -> Decision<V>) -> Option<V> {
        let hash = self.hasher.hash(name);
        let place = &self.buckets[bucket_of(hash)];
        let mut current = place.load();
        loop {
            let stood = current.find(hash, name);
            let changed = match (judge(stood), stood) {
                (Decision::Keep, _) | (Decision::Withdraw, None) => return stood.cloned(),
                (Decision::Publish(value), _) => current.with(NamedValue {
                    hash,
                    name: Arc::from(name),
                    value,
                }),
                (Decision::Withdraw, Some(_)) => current.without(hash, name),
            };
            let (names_before, names_after) = (current.len(), changed.len());
            let found = place.compare_and_swap(&*current, Arc::new(changed));
            if Arc::ptr_eq(&found, &current) {
                self.names.change(names_before, names_after);
                return stood.cloned();
            }
            current = found;
        }
    }

    /// How many names stand on the map. Cheap; while other threads change the map it may be off by what they are
    /// doing at that moment.
    pub fn len(&self) -> usize {
        self.names.read()
    }

    /// Whether no name stands on the map, as exactly as [`len`](CopyOnWriteMap::len) knows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buckets there are. All names are listed some buckets at a time, so that no worker is held long.
    pub fn bucket_count(&self) -> usize {
        self.buckets.len()
    }

    /// Bucket number `index` as it stands now. Later changes do not touch it.
    pub fn bucket(&self, index: usize) -> Arc<Bucket<V>> {
        self.buckets[index].load_full()
    }
}

/// One bucket of a [`CopyOnWriteMap`], as it stood at one moment. It never changes: a change makes another bucket.
#[derive(Debug)]
pub struct Bucket<V> {
    entries: HashTable<NamedValue<V>>,
}

/// A name and its value. The name is shared between the versions of its bucket, so that a copy allocates nothing for
/// it.
#[derive(Clone, Debug)]
struct NamedValue<V> {
    hash: u64,
    name: Arc<[u8]>,
    value: V,
}

impl<V> Bucket<V> {
    /// How many names it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no name.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its names and values, in an order that users should not see.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<[u8]>, &V)> {
        self.entries.iter().map(|entry| (&entry.name, &entry.value))
    }

    fn find(&self, hash: u64, name: &[u8]) -> Option<&V> {
        self.entries
            .find(hash, |entry| *entry.name == *name)
            .map(|entry| &entry.value)
    }
}

impl<V: Clone> Bucket<V> {
    /// This bucket with `new` in it, in place of an entry of the same name.
    fn with(&self, new: NamedValue<V>) -> Bucket<V> {
        let mut changed = self.without(new.hash, &new.name);
        changed.entries.insert_unique(new.hash, new, |entry| entry.hash);
        changed
    }

    /// This bucket without `name`.
    fn without(&self, hash: u64, name: &[u8]) -> Bucket<V> {
        let mut entries = self.entries.clone();
        if let Ok(entry) = entries.find_entry(hash, |entry| *entry.name == *name) {
            entry.remove();
        }
        Bucket { entries }
    }
}

/// The number of names, on a separate cache line: writers change it, and readers of the buckets must not be slowed by that.
#[derive(Debug, Default)]
#[repr(align(128))]
struct NameCount {
    /// Below zero for a moment, if a withdrawal is counted before the publication it withdrew.
    names: AtomicIsize,
}

impl NameCount {
    fn change(&self, before: usize, after: usize) {
        self.names
            .fetch_add(after as isize - before as isize, Ordering::Relaxed);
    }

    fn read(&self) -> usize {
        self.names.load(Ordering::Relaxed).max(0) as usize
    }
}

/// The bucket of a hash: bits 32 and up. The table inside a bucket uses the lowest bits for the place and the highest
/// seven as a tag, so taking either here would leave it with entries that all look alike.
fn bucket_of(hash: u64) -> usize {
    (hash >> 32) as usize & (MAP_BUCKETS - 1)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeMap;
    use std::thread;

    use super::*;

    fn name(number: usize) -> Vec<u8> {
        format!("tenant{number}:docs").into_bytes()
    }

    #[test]
    fn what_is_published_is_found_until_it_is_withdrawn() {
        let map = CopyOnWriteMap::new(1);
        assert_eq!(map.publish(b"a", 1), None);
        assert_eq!(map.publish(b"a", 2), Some(1));
        assert_eq!((map.find(b"a"), map.find(b"b"), map.len()), (Some(2), None, 1));
        assert_eq!(map.inspect(b"a", |value| value.map(|value| value + 40)), Some(42));
        assert_eq!(map.withdraw(b"a"), Some(2));
        assert_eq!(map.withdraw(b"a"), None);
        assert!(map.find(b"a").is_none() && map.is_empty());
    }

    #[test]
    fn names_are_bytes_of_any_kind_and_length() {
        let map = CopyOnWriteMap::new(2);
        let long = vec![0xFF; 70_000];
        for (value, name) in [&b""[..], b"\0", b"\0\0", b"\xFF\xFE", &long].into_iter().enumerate() {
            assert_eq!(map.publish(name, value), None);
            assert_eq!(map.find(name), Some(value));
        }
        assert_eq!(map.len(), 5);
    }

    #[test]
    fn a_bucket_is_withdrawn_from_in_one_step() {
        let map = CopyOnWriteMap::new(4);
        for value in 0..10_000 {
            assert!(map.publish(&name(value), value).is_none());
        }
        for bucket in 0..map.bucket_count() {
            map.withdraw_where(bucket, |value| value % 3 == 0);
        }
        assert_eq!(map.len(), 6_666);
        assert!((0..10_000).all(|value| map.find(&name(value)).is_some() == (value % 3 != 0)));
        (0..map.bucket_count()).for_each(|bucket| map.withdraw_where(bucket, |_| true));
        assert!(map.is_empty());
    }

    #[test]
    fn a_decision_sees_what_stands_and_may_leave_it() {
        let map = CopyOnWriteMap::new(3);
        let create = |value: u32| {
            map.decide(b"docs", |stood| {
                if stood.is_some() {
                    Decision::Keep
                } else {
                    Decision::Publish(value)
                }
            })
        };
        assert_eq!(create(1), None);
        assert_eq!(create(2), Some(1));
        assert_eq!(map.find(b"docs"), Some(1));
        assert_eq!(map.decide(b"docs", |_| Decision::Withdraw), Some(1));
        assert_eq!(map.decide(b"docs", |_| Decision::Withdraw), None);
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn a_bucket_in_hand_does_not_change() {
        let map = CopyOnWriteMap::new(4);
        map.publish(b"a", 1);
        let index = (0..map.bucket_count())
            .find(|&index| !map.bucket(index).is_empty())
            .unwrap();
        let before = map.bucket(index);
        map.publish(b"a", 2);
        let listed: Vec<(&[u8], i32)> = before.iter().map(|(name, &value)| (&**name, value)).collect();
        assert_eq!(listed, [(&b"a"[..], 1)]);
        assert_eq!(
            map.bucket(index).iter().map(|(_, &value)| value).collect::<Vec<i32>>(),
            [2]
        );
    }

    #[test]
    fn listing_every_bucket_lists_every_name_once_and_buckets_stay_small() {
        let map = CopyOnWriteMap::new(5);
        for number in 0..20_000 {
            map.publish(&name(number), number);
        }
        let mut listed = BTreeMap::new();
        let mut longest = 0;
        for index in 0..map.bucket_count() {
            let bucket = map.bucket(index);
            longest = longest.max(bucket.len());
            for (name, &value) in bucket.iter() {
                assert!(listed.insert(name.to_vec(), value).is_none(), "listed twice");
            }
        }
        assert_eq!(listed, (0..20_000).map(|number| (name(number), number)).collect());
        assert_eq!(map.len(), 20_000);
        // 20 expected; six standard deviations above is 47.
        assert!(longest < 47, "a bucket holds {longest} of 20,000 names");
    }

    #[test]
    fn the_seed_decides_the_buckets() {
        let layout = |seed| {
            let map = CopyOnWriteMap::new(seed);
            for number in 0..100 {
                map.publish(&name(number), number);
            }
            (0..map.bucket_count())
                .map(|index| map.bucket(index).len())
                .collect::<Vec<usize>>()
        };
        assert_eq!(layout(6), layout(6));
        assert_ne!(layout(6), layout(7));
    }

    #[test]
    fn threads_that_change_one_bucket_at_once_lose_nothing() {
        const ROUNDS: usize = 500;
        let map: CopyOnWriteMap<usize> = CopyOnWriteMap::new(8);
        let crowd: Vec<Vec<u8>> = (0..)
            .map(name)
            .filter(|name| bucket_of(map.hasher.hash(name)) == 0)
            .take(4)
            .collect();
        thread::scope(|scope| {
            for (own, name) in crowd.iter().enumerate() {
                let (map, crowd) = (&map, &crowd);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        map.decide(b"shared", |sum| Decision::Publish(sum.unwrap_or(&0) + 1));
                        assert_eq!(map.publish(name, round), None);
                        assert_eq!(map.find(name), Some(round));
                        assert_eq!(map.withdraw(name), Some(round));
                        assert!(
                            map.find(&crowd[(own + 1) % crowd.len()])
                                .is_none_or(|round| round < ROUNDS)
                        );
                    }
                });
            }
        });
        assert_eq!(map.withdraw(b"shared"), Some(crowd.len() * ROUNDS));
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn of_threads_that_create_one_name_at_once_exactly_one_wins() {
        let map: CopyOnWriteMap<usize> = CopyOnWriteMap::new(9);
        for _ in 0..200 {
            let create = |own: usize| {
                let judge = |stood: Option<&usize>| stood.map_or(Decision::Publish(own), |_| Decision::Keep);
                (own, map.decide(b"docs", judge))
            };
            let results: Vec<(usize, Option<usize>)> = thread::scope(|scope| {
                let threads: Vec<_> = (0..3).map(|own| scope.spawn(move || create(own))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            let winners: Vec<usize> = results
                .iter()
                .filter(|(_, stood)| stood.is_none())
                .map(|&(own, _)| own)
                .collect();
            assert_eq!(winners.len(), 1, "{results:?}");
            assert!(
                results
                    .iter()
                    .all(|&(own, stood)| own == winners[0] || stood == Some(winners[0]))
            );
            assert_eq!(map.withdraw(b"docs"), Some(winners[0]));
        }
    }
}
