//! A request held against the rules of its client's user, before anything else is done with it.

use std::sync::Arc;

use kora_access::{Context, Denial, User, Users};
use kora_resp::{Reply, Words};

use super::{RightsOfClient, is_collection};
use crate::aliases::OwnNames;
use crate::command::scripting::ScriptRights;
use crate::command::table::{Access, CommandEntry, Parsed};
use crate::command::{Command, TopicKind};
use crate::engine::Engine;
use crate::error::ClientError;
use crate::mail::PartialReply;
use crate::reply_queue::{Presence, ReplyQueue};
use crate::reply_queues::ReplyQueueId;
use crate::session::Session;

impl Engine {
    /// Replaces the aliases in a command, unless it can't begin yet or is queued in a transaction. If its client's rights are
    /// held against its words, and there is an alias among them, answers the words with the collections' own names.
    pub(crate) fn give_own_names(&mut self, id: ReplyQueueId, parsed: &mut Parsed, since_us: u64) -> Option<Words> {
        if self.setup.catalog.aliases().is_empty() {
            return None;
        }
        let at_ms = self.unix_us(since_us) / 1000;
        let reply_queue = self.reply_queues.get(id);
        // It may wait for a change of aliases by its own client: it is submitted again.
        if reply_queue.is_closed() {
            return None;
        }
        let is_queueing = reply_queue.transaction.is_some();
        let aliases = self.setup.catalog.aliases().now();
        let own_names = OwnNames::new(&aliases, self.setup.catalog.at(at_ms));
        let words = parsed.words.as_ref();
        let own_words = words.and_then(|words| own_names.words(parsed.entry, words, parsed.database));
        if !is_queueing {
            own_names.give_to(parsed);
        }
        own_words
    }

    /// Refuses a request that its user may not send. Called before all else that is done with a request. `own_words` are its
    /// words with the collections' own names for aliases, if there are any: its user needs the rights to both.
    pub(crate) fn check_rights(
        &mut self,
        id: ReplyQueueId,
        parsed: &mut Parsed,
        own_words: Option<&Words>,
        now_us: u64,
    ) {
        if self.reply_queues.get(id).session.users_version != self.setup.live.access.version() {
            self.review(id, None);
        }
        if self.reply_queues.get(id).session.is_limited {
            self.check_limited(id, parsed, own_words, now_us);
        }
    }

    /// True if the words of what this connection sends are to be kept with it: its user is limited, or may be when a
    /// transaction is executed, or a client monitors.
    pub(crate) fn keeps_words(&mut self, id: ReplyQueueId) -> bool {
        let is_monitored = self.setup.live.monitors.get() > 0;
        let reply_queue = self.reply_queues.get(id);
        // A request behind a transaction that selects a database may have to be read again.
        let may_select = reply_queue.database() != reply_queue.session.database;
        is_monitored
            || may_select
            || reply_queue.session.is_limited
            || (reply_queue.transaction.is_some() && self.setup.live.access.are_limited())
    }

    fn check_limited(&mut self, id: ReplyQueueId, parsed: &mut Parsed, own_words: Option<&Words>, now_us: u64) {
        if !self.is_served(id) {
            parsed.command = Command::Refused(ClientError::NotAuthenticated);
            return;
        }
        if matches!(&parsed.command, Command::Refused(error) if error.is_about_the_words()) {
            return;
        }
        let at_ms = self.unix_us(now_us) / 1000;
        let reply_queue = self.reply_queues.get(id);
        let context = match reply_queue.transaction {
            Some(_) => Context::Transaction,
            None => Context::TopLevel,
        };
        let times = (now_us, at_ms);
        let refusal = refusal(&reply_queue.session, (parsed, own_words), &self.setup, context, times);
        if let Some(denial) = refusal {
            parsed.command = Command::Refused(match parsed.entry.name {
                "exec" => ClientError::ExecDenied(denial),
                _ => ClientError::NoPermission(denial),
            });
            parsed.slot = None;
            return;
        }
        if let (Command::Evaluate(evaluation), Some(user)) = (&mut parsed.command, &reply_queue.session.user) {
            let rights = RightsOfClient {
                live: Arc::clone(&self.setup.live),
                user: Arc::clone(user),
                client: reply_queue.session.line(now_us),
            };
            evaluation.rights = Some(Arc::new(rights) as Arc<dyn ScriptRights>);
        }
    }

    /// The users have changed: looks at those of all connections of this worker. `me` is the client that has changed them,
    /// who is answered before its connection is closed.
    pub(crate) fn review_users(&mut self, me: u64) -> PartialReply {
        let ids: Vec<ReplyQueueId> = self
            .reply_queues
            .served_from(0)
            .map(|(place, _)| place_id(place))
            .collect();
        for id in ids {
            self.review(id, Some(me));
        }
        PartialReply::Done
    }

    /// Looks at a connection's user again. A connection whose user there is no more is closed, and one that hears what its
    /// user may hear no more.
    pub(crate) fn review(&mut self, id: ReplyQueueId, me: Option<u64>) {
        let users = self.setup.live.access.users();
        let reply_queue = self.reply_queues.get(id);
        let is_closed = !reply_queue.take_user_from(&users);
        if is_closed {
            let is_own = me == Some(reply_queue.session.id);
            reply_queue.set_presence(if is_own { Presence::Leaving } else { Presence::Killed });
        }
        self.note_access(id);
    }
}

fn place_id(place: usize) -> ReplyQueueId {
    ReplyQueueId(u32::try_from(place).expect("there are at most as many connections"))
}

impl ReplyQueue {
    /// Takes the connection's user as it is now; false if the connection is to be closed.
    fn take_user_from(&mut self, users: &Users) -> bool {
        let session = &mut self.session;
        session.users_version = users.version();
        let Some(before) = session.user.take() else {
            return true;
        };
        let now = users.get(&before.name).filter(|user| user.is_same_user(&before));
        let Some(now) = now else {
            session.user = Some(before);
            session.is_limited = true;
            return false;
        };
        if session.access == Access::BeforeAuth && !users.need_login() {
            session.access = Access::Full;
        }
        session.is_limited = !now.is_unlimited();
        session.user = Some(Arc::clone(now));
        Arc::ptr_eq(now, &before) || self.may_hear_all(now)
    }

    /// True if the user may hear all that the connection subscribes to.
    fn may_hear_all(&self, user: &User) -> bool {
        self.subscriber.as_ref().is_none_or(|subscriber| {
            let mut heard = subscriber.names();
            heard.all(|(kind, name)| user.may_hear(name, kind == TopicKind::Pattern))
        })
    }
}

/// Why a request is refused, if it is. It is noted.
pub(super) fn refusal(
    session: &Session,
    (parsed, own_words): (&Parsed, Option<&Words>),
    setup: &crate::setup::Setup,
    context: Context,
    (now_us, at_ms): (u64, u64),
) -> Option<String> {
    let user = session.user.as_ref()?;
    let Some(words) = &parsed.words else {
        return Some("the rights of the user changed while the command waited; send it again".to_owned());
    };
    let is_collection = |key: &[u8]| is_collection(setup, parsed.database, key, at_ms);
    let denial = check_both(user, parsed.entry, (words, own_words), &is_collection).err()?;
    let text = denial.error(user);
    let access = &setup.live.access;
    access.note((denial, context), &user.name, session.line(now_us), at_ms);
    Some(text)
}

/// Whether a user may send a request, by its words and by those with the collections' own names.
pub(super) fn check_both(
    user: &User,
    entry: &CommandEntry,
    (words, own_words): (&Words, Option<&Words>),
    is_collection: &dyn Fn(&[u8]) -> bool,
) -> Result<(), Denial> {
    user.check(entry, words, is_collection)?;
    own_words.map_or(Ok(()), |own| user.check(entry, own, is_collection))
}

/// What EXEC answers for a command that its user may not send any more.
pub(crate) fn refusal_at_exec(
    session: &Session,
    (parsed, own_words): (&Parsed, Option<&Words>),
    setup: &crate::setup::Setup,
    (now_us, at_ms): (u64, u64),
) -> Option<Reply> {
    let user = session.user.as_ref().filter(|_| session.is_limited)?;
    if matches!(&parsed.command, Command::Refused(error) if error.is_about_the_words()) {
        return None;
    }
    let text = match &parsed.words {
        None => "the rights of the user changed while the command waited; send it again".to_owned(),
        Some(words) => {
            let is_collection = |key: &[u8]| is_collection(setup, parsed.database, key, at_ms);
            let denial = check_both(user, parsed.entry, (words, own_words), &is_collection).err()?;
            let text = denial.error_at_exec();
            let client = session.line(now_us);
            setup
                .live
                .access
                .note((denial, Context::Transaction), &user.name, client, at_ms);
            text
        }
    };
    Some(Reply::Error(format!("NOPERM {text}")))
}
