//! What a connection has said about itself.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use kora_access::{User, Users};
use kora_resp::Version;
use kora_values::Database;

use crate::command::table::Access;
use crate::command::{ClientFilter, ClientSwitch, ReplyMode, TopicKind};
use crate::tracking::Tracking;

/// One connection's state, apart from the replies owed to it.
#[derive(Clone, Debug)]
pub struct Session {
    /// Unique in the life of the server; later connections have larger ones.
    pub id: u64,
    /// Where it came from, `ip:port`.
    pub address: String,
    /// Where it came to, `ip:port`.
    pub local_address: String,
    /// When it came, in microseconds of the host's clock.
    pub since_us: u64,
    pub(crate) version: Version,
    /// The one that it has selected.
    pub(crate) database: Database,
    /// The one that is selected once the transaction is executed that is under way.
    pub(crate) selecting: Option<Database>,
    pub(crate) access: Access,
    /// Who it is. `None` if it is no client's: then it may do everything.
    pub(crate) user: Option<Arc<User>>,
    /// Its user may not do everything.
    pub(crate) is_limited: bool,
    /// Which users `user` is one of.
    pub(crate) users_version: u64,
    pub(crate) name: Option<Bytes>,
    pub(crate) library_name: Bytes,
    pub(crate) library_version: Bytes,
    pub(crate) last_command: &'static str,
    pub(crate) last_us: u64,
    /// Whether it is sent replies.
    reply_mode: ReplyMode,
    /// It is told of changes to keys that it has read.
    pub(crate) tracking: Option<Box<Tracking>>,
    /// It is told of all commands.
    pub(crate) is_monitor: bool,
    /// It is not closed because clients hold too much memory.
    pub(crate) is_kept: bool,
    /// Keys that it reads do not count as used.
    pub(crate) touches_nothing: bool,
    /// How many subscriptions of each kind it has, by the kinds' numbers.
    pub(crate) subscriptions: [u32; TopicKind::ALL.len()],
}

impl Session {
    /// A connection that has not said anything yet.
    pub fn new(id: u64, address: String, local_address: String, since_us: u64) -> Session {
        Session {
            id,
            address,
            local_address,
            since_us,
            version: Version::Resp2,
            database: Database::ZERO,
            selecting: None,
            access: Access::BeforeAuth,
            user: None,
            is_limited: false,
            users_version: 0,
            name: None,
            library_name: Bytes::new(),
            library_version: Bytes::new(),
            last_command: "",
            last_us: since_us,
            reply_mode: ReplyMode::On,
            tracking: None,
            is_monitor: false,
            is_kept: false,
            touches_nothing: false,
            subscriptions: [0; TopicKind::ALL.len()],
        }
    }

    /// True if it subscribes to something.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscriptions.iter().any(|count| *count > 0)
    }

    /// True if it may only say what is about subscriptions: RESP2 does not tell messages from replies.
    pub(crate) fn is_restricted(&self) -> bool {
        self.version == Version::Resp2 && self.is_subscribed()
    }

    /// Puts it into the state in which it began.
    pub(crate) fn reset(&mut self, users: &Users) {
        self.version = Version::Resp2;
        self.database = Database::ZERO;
        self.begin_as_default(users);
        self.name = None;
        self.reply_mode = ReplyMode::On;
        self.is_kept = false;
        self.touches_nothing = false;
    }

    /// True if shards are to know more of its reads than the keys.
    pub(crate) fn is_read_apart(&self) -> bool {
        self.touches_nothing || self.tracking.is_some()
    }

    /// The client wants to hear nothing any more, or has gone. True if it was tracking.
    pub(crate) fn end_tracking(&mut self) -> bool {
        let tracking = self.tracking.take();
        tracking.is_some_and(|tracking| tracking.tracker.is_over.raise())
    }

    /// Does what CLIENT NO-EVICT or NO-TOUCH says.
    pub(crate) fn switch(&mut self, switch: ClientSwitch) {
        match switch {
            ClientSwitch::NoEvict(is_on) => self.is_kept = is_on,
            ClientSwitch::NoTouch(is_on) => self.touches_nothing = is_on,
            ClientSwitch::Reply(mode) => self.set_reply_mode(mode),
        }
    }

    /// Says whether replies are sent. What is off is not switched on by SKIP.
    pub(crate) fn set_reply_mode(&mut self, mode: ReplyMode) {
        if (self.reply_mode, mode) != (ReplyMode::Off, ReplyMode::SkipNext) {
            self.reply_mode = mode;
        }
    }

    /// True if the reply to the command that begins now is not to be sent.
    pub(crate) fn take_mute(&mut self) -> bool {
        match self.reply_mode {
            ReplyMode::On => false,
            ReplyMode::Off => true,
            ReplyMode::SkipNext => {
                self.reply_mode = ReplyMode::On;
                true
            }
        }
    }

    /// Its flags in CLIENT LIST.
    fn flags(&self) -> String {
        let is_broadcast = self.tracking.as_ref().is_some_and(|tracking| tracking.is_broadcast);
        let flags = [
            (self.is_monitor, 'O'),
            (self.is_subscribed(), 'P'),
            (self.tracking.is_some(), 't'),
            (is_broadcast, 'B'),
            (self.is_kept, 'e'),
            (self.touches_nothing, 'T'),
        ];
        let flags: String = flags.iter().filter(|(is, _)| *is).map(|(_, flag)| flag).collect();
        match flags.is_empty() {
            true => "N".to_owned(),
            false => flags,
        }
    }

    /// It is the user `default`, as connections are that have not logged in.
    pub(crate) fn begin_as_default(&mut self, users: &Users) {
        self.access = match users.need_login() {
            true => Access::BeforeAuth,
            false => Access::Full,
        };
        self.set_user(Arc::clone(users.default_user()), users.version());
    }

    /// It has logged in.
    pub(crate) fn log_in(&mut self, user: Arc<User>, users_version: u64) {
        self.access = Access::Full;
        self.set_user(user, users_version);
    }

    fn set_user(&mut self, user: Arc<User>, users_version: u64) {
        self.is_limited = !user.is_unlimited();
        self.user = Some(user);
        self.users_version = users_version;
    }

    /// The name of its user.
    pub(crate) fn user_name(&self) -> Bytes {
        let name = self.user.as_ref().map(|user| user.name.clone());
        name.unwrap_or(Bytes::from_static(b"default"))
    }

    /// Its line of CLIENT LIST, without the end of the line.
    pub(crate) fn line(&self, now_us: u64) -> String {
        let mut line = String::new();
        self.describe(now_us, &mut line);
        line.truncate(line.trim_end().len());
        line
    }

    /// True if the filter means this client; `me` is the client that asks.
    pub(crate) fn is_meant(&self, filter: &ClientFilter, me: u64) -> bool {
        filter.ids.as_ref().is_none_or(|ids| ids.contains(&self.id))
            && filter
                .address
                .as_ref()
                .is_none_or(|address| address == self.address.as_bytes())
            && filter
                .local_address
                .as_ref()
                .is_none_or(|address| address == self.local_address.as_bytes())
            && filter.user.as_ref().is_none_or(|user| *user == self.user_name())
            && match self.is_subscribed() {
                true => !filter.no_subscribed,
                false => !filter.no_ordinary,
            }
            && !(filter.skip_me == Some(true) && self.id == me)
    }

    /// A line of CLIENT LIST, with those of Redis's fields that mean something here.
    pub(crate) fn describe(&self, now_us: u64, out: &mut String) {
        let seconds = |since_us: u64| now_us.saturating_sub(since_us) / 1_000_000;
        let resp = match self.version {
            Version::Resp2 => 2,
            Version::Resp3 => 3,
        };
        let command = if self.last_command.is_empty() {
            "NULL"
        } else {
            self.last_command
        };
        writeln!(
            out,
            "id={} addr={} laddr={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} cmd={command} \
             user={} resp={resp} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.local_address,
            text(self.name.as_ref().unwrap_or(&Bytes::new())),
            seconds(self.since_us),
            seconds(self.last_us),
            self.flags(),
            self.database.number(),
            self.subscriptions[0],
            self.subscriptions[1],
            self.subscriptions[2],
            text(&self.user_name()),
            text(&self.library_name),
            text(&self.library_version),
        )
        .expect("writing to a string cannot fail");
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
