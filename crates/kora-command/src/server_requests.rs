//! What clients ask about connections and about what the server knows of commands.

use bytes::Bytes;

/// Something of its own connection that a client switches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientSwitch {
    /// `NO-EVICT`: it is not closed because clients hold too much memory.
    NoEvict(bool),
    /// `NO-TOUCH`: keys that it reads do not count as used.
    NoTouch(bool),
    /// `REPLY`: whether it is sent replies.
    Reply(ReplyMode),
}

/// Whether a client is sent replies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// It is.
    #[default]
    On,
    /// It is not, until it says otherwise.
    Off,
    /// Not to the next command.
    SkipNext,
}

/// What SLOWLOG is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlowlogRequest {
    /// `GET [count]`: the newest entries, or all.
    Entries(Option<usize>),
    /// `LEN`
    Count,
    /// `RESET`
    Reset,
}

/// What LATENCY is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LatencyRequest {
    /// `LATEST`
    Latest,
    /// `HISTORY event`
    History(Bytes),
    /// `RESET [event …]`: of all events, if none is named.
    Reset(Vec<Bytes>),
    /// `HISTOGRAM [command …]`: of all commands, if none is named.
    Histogram(Vec<Bytes>),
    /// `DOCTOR`
    Doctor,
}

impl LatencyRequest {
    pub(crate) fn bytes_held(&self) -> usize {
        let of = |names: &[Bytes]| names.iter().map(|name| name.len() + size_of::<Bytes>()).sum();
        match self {
            LatencyRequest::Latest | LatencyRequest::Doctor => 0,
            LatencyRequest::History(name) => name.len(),
            LatencyRequest::Reset(names) | LatencyRequest::Histogram(names) => of(names),
        }
    }
}

/// What CLIENT TRACKING ON says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TrackingOptions {
    /// The client that invalidations are sent to instead, by its id.
    pub redirect: Option<u64>,
    /// Invalidations are of all keys that begin with one of the prefixes, read or not.
    pub is_broadcast: bool,
    /// With `is_broadcast`; none means every key.
    pub prefixes: Vec<Bytes>,
    /// Only keys read right behind CLIENT CACHING YES are remembered.
    pub opts_in: bool,
    /// Keys read right behind CLIENT CACHING NO are not remembered.
    pub opts_out: bool,
    /// The client's own changes are not told to it.
    pub no_loop: bool,
}
