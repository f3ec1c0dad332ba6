//! Who is connected to whom: every worker with every other, by two lanes.

use std::sync::Arc;

use crate::doorbell::Doorbell;
use crate::lane::lane;
use crate::limits::{CREDIT_MAX, CREDIT_MIN, CREDIT_TOTAL, WORKERS_MAX};
use crate::port::{Link, Port};

/// The number of a worker, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(u16);

impl WorkerId {
    /// The worker with this number. Panics from [`WORKERS_MAX`] on.
    pub fn from_index(index: usize) -> WorkerId {
        assert!(
            index < WORKERS_MAX,
            "there is no worker {index}: the limit is {WORKERS_MAX}"
        );
        WorkerId(index as u16)
    }

    /// The worker's number, to index what is kept per worker.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How many requests a worker may have unanswered at each of the others.
///
/// The total of one worker is shared out, so that memory grows with the number of workers and not with its square, but
/// for the least a lane needs.
pub fn credit_for(workers: usize) -> usize {
    (CREDIT_TOTAL / workers.max(1)).clamp(CREDIT_MIN, CREDIT_MAX)
}

/// Makes a mesh of `workers` and returns one port for each, in the order of their numbers.
///
/// All rings are allocated here and never grow. Panics if there are no workers or more than [`WORKERS_MAX`], or if
/// `credit` is 0 or above [`CREDIT_MAX`]: both are settings a server checks at its start.
pub fn build<Q: Send, R: Send>(workers: usize, credit: usize) -> Vec<Port<Q, R>> {
    assert!(
        (1..=WORKERS_MAX).contains(&workers),
        "a mesh has 1 to {WORKERS_MAX} workers, not {workers}"
    );
    assert!(
        (1..=CREDIT_MAX).contains(&credit),
        "a lane has 1 to {CREDIT_MAX} credits, not {credit}"
    );
    let bells: Vec<Arc<Doorbell>> = (0..workers).map(|_| Arc::new(Doorbell::new())).collect();
    let mut links: Vec<Vec<Link<Q, R>>> = (0..workers).map(|_| Vec::with_capacity(workers - 1)).collect();
    // Each pair once. Worker `low` meets its peers in rising order, and so does `high`: its smaller peers come while
    // the outer loop passes them, its larger ones when the outer loop reaches itself.
    for low in 0..workers {
        for high in low + 1..workers {
            let (low_asks, high_answers) = lane(credit);
            let (high_asks, low_answers) = lane(credit);
            links[low].push(Link::new(low_asks, low_answers, Arc::clone(&bells[high])));
            links[high].push(Link::new(high_asks, high_answers, Arc::clone(&bells[low])));
        }
    }
    let ends = bells.into_iter().zip(links).enumerate();
    ends.map(|(index, (bell, links))| Port::new(WorkerId::from_index(index), bell, links.into_boxed_slice()))
        .collect()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn credit_is_shared_out_within_its_bounds() {
        let given: Vec<usize> = [0, 1, 8, 9, 64, 128, 129, 256].map(credit_for).to_vec();
        assert_eq!(given, [1024, 1024, 1024, 910, 128, 64, 64, 64]);
    }

    #[test]
    fn every_worker_reaches_every_other_and_is_who_it_says() {
        for workers in [1, 2, 3, 5, 8] {
            let mut ports = build::<(usize, usize), usize>(workers, 1);
            assert_eq!(ports.len(), workers);
            for (index, port) in ports.iter_mut().enumerate() {
                assert_eq!((port.worker().index(), port.workers()), (index, workers));
                for peer in port.peers() {
                    port.stage(peer, (index, peer.index()));
                }
                port.flush();
            }
            for (index, port) in ports.iter_mut().enumerate() {
                for peer in port.peers() {
                    assert_eq!(port.take_request(peer), Some((peer.index(), index)));
                }
            }
        }
    }

    #[test]
    fn the_largest_mesh_can_be_built() {
        let mut ports = build::<u8, u8>(WORKERS_MAX, 1);
        let (first, last) = (WorkerId::from_index(0), WorkerId::from_index(WORKERS_MAX - 1));
        ports[0].stage(last, 9);
        ports[0].flush();
        assert_eq!(ports[WORKERS_MAX - 1].take_request(first), Some(9));
    }

    #[test]
    #[should_panic(expected = "1 to 256 workers")]
    fn a_mesh_of_nobody_is_refused() {
        build::<u8, u8>(0, 1);
    }

    #[test]
    #[should_panic(expected = "credits, not 0")]
    fn a_lane_without_credit_is_refused() {
        build::<u8, u8>(2, 0);
    }
}
