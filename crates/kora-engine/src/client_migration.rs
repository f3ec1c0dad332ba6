//! Client migration: if nearly all commands of a client lead to one other worker, each crosses and wakes two threads. When no
//! reply is owed to the client, it migrates to that worker. Queries do not count: most are read in place.
//!
//! A migrating client is with neither worker. So that CLIENT LIST and CLIENT KILL miss no client, its old worker remembers it
//! while it is connected to any worker: it lists it, and raises its kill flag. The worker that gets the client checks the flag
//! when it arrives, and again when it is asked to kill for the second time (see [`crate::gather`]).

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use kora_mesh::{Flag, Gauge, WorkerId};

use crate::command::ClientFilter;
use crate::engine::Engine;
use crate::limits::{DEPARTURE_US, DRAWN_COMMANDS, LOAD_LOOK_US};
use crate::plan::Route;
use crate::reply_queue::{Presence, ReplyQueue};
use crate::reply_queues::ReplyQueueId;
use crate::session::Session;
use crate::setup::Host;

/// A client on its way from one worker to another: all that it has said about itself.
#[derive(Debug)]
pub struct MigratingClient {
    session: Session,
    kill_flag: KillFlag,
}

/// Raised when a client is to be closed at once. Its worker holds it, and so does the migrating client; its old worker
/// knows by it whether the client is still connected.
pub(crate) type KillFlag = Arc<Flag>;

/// To which other worker a client's commands lead.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MigrationTarget {
    /// None while they lead to the client's own.
    to: Option<WorkerId>,
    /// How many in a row.
    commands: u32,
}

/// Whom a worker let go, and how busy all workers are.
pub(crate) struct Migrations {
    /// By the clients' ids. Bounded by the server's connections: those that have been closed are forgotten when they are half.
    departed: BTreeMap<u64, Departed>,
    /// How many there may be before the next look for those that have been closed.
    departed_max: usize,
    /// Thousandths of its time that each worker worked of late.
    loads: Arc<[Gauge]>,
    look: LoadLook,
    /// No client migrates before this time.
    next_departure_us: u64,
}

/// A client that went to another worker.
#[derive(Debug)]
struct Departed {
    /// What it had said until then.
    session: Session,
    kill_flag: Weak<Flag>,
}

/// When a worker's load was last looked at, and what its thread's CPU clock showed.
#[derive(Clone, Copy, Default, Debug)]
struct LoadLook {
    wall_us: u64,
    cpu_us: u64,
}

impl MigratingClient {
    /// Unique in the life of the server.
    pub fn id(&self) -> u64 {
        self.session.id
    }
}

impl MigrationTarget {
    /// Notes where a command leads, seen from this worker. Commands for many shards or for none do not count.
    #[inline]
    pub(crate) fn note(&mut self, to: WorkerId, here: WorkerId) {
        if to == here {
            self.to = None;
        } else if self.to == Some(to) {
            self.commands = self.commands.saturating_add(1);
        } else {
            *self = MigrationTarget {
                to: Some(to),
                commands: 1,
            };
        }
    }
}

impl Migrations {
    pub(crate) fn new(loads: Arc<[Gauge]>) -> Migrations {
        Migrations {
            departed: BTreeMap::new(),
            departed_max: DEPARTED_MIN,
            loads,
            look: LoadLook::default(),
            next_departure_us: 0,
        }
    }

    /// Those that are still connected somewhere, from an id on.
    pub(crate) fn departed_from(&self, id: u64) -> impl Iterator<Item = &Session> {
        let departed = self.departed.range(id..).map(|(_, departed)| departed);
        departed
            .filter(|one| one.kill_flag.strong_count() > 0)
            .map(|one| &one.session)
    }

    /// Marks the clients that match among those that have migrated; how many had no mark, and whether there was anybody.
    pub(crate) fn kill_flag(&self, filter: &ClientFilter, me: u64) -> (u64, bool) {
        let meant = self.departed.values().filter(|one| one.session.is_meant(filter, me));
        let marks: Vec<KillFlag> = meant.filter_map(|one| one.kill_flag.upgrade()).collect();
        let marked = marks.iter().filter(|kill_flag| kill_flag.raise()).count();
        (marked as u64, !marks.is_empty())
    }

    fn note_departure(&mut self, session: Session, kill_flag: &KillFlag) {
        if self.departed.len() >= self.departed_max {
            self.departed.retain(|_, one| one.kill_flag.strong_count() > 0);
            self.departed_max = (2 * self.departed.len()).max(DEPARTED_MIN);
        }
        let kill_flag = Arc::downgrade(kill_flag);
        self.departed.insert(session.id, Departed { session, kill_flag });
    }
}

impl Engine {
    /// The worker to which this client had better go, if there is one and the client may leave now.
    pub fn migration_target(&mut self, id: ReplyQueueId) -> Option<usize> {
        let reply_queue = self.reply_queues.get(id);
        let MigrationTarget {
            to: Some(to),
            commands: DRAWN_COMMANDS..,
        } = reply_queue.migration_target
        else {
            return None;
        };
        if self.clock_us < self.migrations.next_departure_us || !reply_queue.may_leave() {
            return None;
        }
        (self.migrations.loads[to.index()].get() <= LOAD_MAX).then_some(to.index())
    }

    /// Whether a client may leave for another worker: nothing is owed to it, and this worker knows nothing else of it.
    pub fn may_depart(&mut self, id: ReplyQueueId) -> bool {
        self.reply_queues.get(id).may_leave()
    }

    /// Lets a client go to another worker. Its reply queue is gone with it.
    ///
    /// # Panics
    /// If it may not leave: see [`Engine::may_depart`].
    pub fn depart(&mut self, id: ReplyQueueId) -> MigratingClient {
        let reply_queue = self.reply_queues.get(id);
        assert!(reply_queue.may_leave(), "a client that is owed something stays");
        let (session, kill_flag) = (reply_queue.session.clone(), Arc::clone(&reply_queue.kill_flag));
        self.migrations.note_departure(session.clone(), &kill_flag);
        self.migrations.next_departure_us = self.clock_us + DEPARTURE_US;
        self.stats.clients_moved += 1;
        reply_queue.set_presence(Presence::Gone);
        self.clients_by_id.remove(&session.id);
        self.reply_queues.give_up_if_done(id);
        self.wake_room_waiters();
        MigratingClient { session, kill_flag }
    }

    /// Takes in a client that comes from another worker.
    pub fn take_in(&mut self, migrating_client: MigratingClient) -> ReplyQueueId {
        let MigratingClient { session, kill_flag } = migrating_client;
        self.migrations.departed.remove(&session.id);
        let is_killed = kill_flag.is_raised();
        let account = self.ledger_of(&session).open();
        let client = session.id;
        let spare = self.reply_queues.spare.clone();
        let id = self
            .reply_queues
            .add(ReplyQueue::new(session, kill_flag, account, spare));
        self.clients_by_id.insert(client, id);
        if is_killed {
            self.reply_queues.get(id).set_presence(Presence::Killed);
        }
        self.review(id, None);
        id
    }

    /// Notes where a client's command leads.
    #[inline]
    pub(crate) fn note_way(&mut self, id: ReplyQueueId, route: Route) {
        if let Route::One(shard) = route {
            let to = self.setup.placement.worker_of(shard);
            self.reply_queues.get(id).migration_target.note(to, self.worker);
        }
    }

    /// Tells the other workers from time to time how busy this one is.
    pub(crate) fn look_at_load(&mut self, now_us: u64, host: &dyn Host) {
        let Migrations { look, loads, .. } = &mut self.migrations;
        let wall_us = now_us.saturating_sub(look.wall_us);
        if wall_us < LOAD_LOOK_US {
            return;
        }
        let cpu_us = host.thread_cpu_us();
        let load = cpu_us.saturating_sub(look.cpu_us) * 1000 / wall_us;
        loads[self.worker.index()].set(load);
        *look = LoadLook {
            wall_us: now_us,
            cpu_us,
        };
    }
}

impl ReplyQueue {
    /// True if it can be forgotten.
    fn may_leave(&self) -> bool {
        self.is_empty()
            && self.presence() == Presence::Here
            && self.transaction.is_none()
            && self.watched.is_none()
            && self.subscriber.is_none()
            && self.session.tracking.is_none()
            && !self.session.is_monitor
            && !self.is_blocked()
            && !self.queues_for_credit
            && self.awaited_bytes.is_none()
    }
}

/// Clients go to a worker that works for no more of its time than this, in thousandths. One that has no time left is asked by the
/// others' clients without being woken, and their sockets are better left to those others: with eight clients that asked as fast
/// as they could, a query cost the same either way, and half of them took a third longer where all had gone to one worker.
const LOAD_MAX: u64 = 500;

/// So many that have left are no reason to look whether they are still connected.
const DEPARTED_MIN: usize = 64;

#[cfg(test)]
mod tests;
