//! Every bound of the crate, by name.

/// What one request may hold, as the connection stands now.
///
/// A [`Reader`](crate::Reader) holds what a client promises against these numbers when it reads the promise, before it
/// waits for or keeps a byte of what was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderLimits {
    /// The most arguments one request may have, its command name included. At most [`ARGUMENTS_MAX`].
    pub arguments_max: usize,
    /// The longest argument (`proto-max-bulk-len`). At most [`BULK_BYTES_CEILING`].
    pub bulk_bytes_max: usize,
    /// The longest request with all its headers and line ends. At most [`REQUEST_BYTES_CEILING`].
    pub request_bytes_max: usize,
    /// The longest inline request before its line feed. At most [`INLINE_BYTES_MAX`].
    pub inline_bytes_max: usize,
    /// Whether the client has proved who it is. Until then the `LOGIN_…` limits hold beside the ones above.
    pub login: Login,
}

/// Whether a client may use the whole of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// A password is asked for and has not been given yet.
    Awaited,
    /// The password was given, or none is asked for.
    Done,
}

impl ReaderLimits {
    /// The limits of a client which has not logged in: room for `HELLO 3 AUTH user password SETNAME name`, no more.
    pub fn unauthenticated() -> ReaderLimits {
        ReaderLimits {
            login: Login::Awaited,
            ..ReaderLimits::default()
        }
    }

    /// The same limits, none above its ceiling. The reader's 32-bit ranges rely on it.
    pub(crate) fn under_ceilings(self) -> ReaderLimits {
        ReaderLimits {
            arguments_max: self.arguments_max.min(ARGUMENTS_MAX),
            bulk_bytes_max: self.bulk_bytes_max.min(BULK_BYTES_CEILING),
            request_bytes_max: self.request_bytes_max.min(REQUEST_BYTES_CEILING),
            inline_bytes_max: self.inline_bytes_max.min(INLINE_BYTES_MAX),
            login: self.login,
        }
    }
}

impl Default for ReaderLimits {
    fn default() -> ReaderLimits {
        ReaderLimits {
            arguments_max: ARGUMENTS_MAX,
            bulk_bytes_max: BULK_BYTES_MAX,
            request_bytes_max: REQUEST_BYTES_MAX,
            inline_bytes_max: INLINE_BYTES_MAX,
            login: Login::Done,
        }
    }
}

/// The most arguments a request may have. Redis's bound was the same (1024 × 1024) up to 6.2.
pub const ARGUMENTS_MAX: usize = 1_048_576;

/// The longest argument unless the server is told otherwise: a vector of the largest dimension, 65,536, is 256 KiB as a
/// blob, so this leaves a cached value two orders of magnitude more.
pub const BULK_BYTES_MAX: usize = 64 << 20;

/// The most that `bulk_bytes_max` can be set to: Redis's default for `proto-max-bulk-len`.
pub const BULK_BYTES_CEILING: usize = 512 << 20;

/// The longest request unless the server is told otherwise: four arguments of the longest kind.
pub const REQUEST_BYTES_MAX: usize = 256 << 20;

/// The most that `request_bytes_max` can be set to: Redis's default for `client-query-buffer-limit`.
pub const REQUEST_BYTES_CEILING: usize = 1 << 30;

/// The longest inline request: Redis's `PROTO_INLINE_MAX_SIZE`.
pub const INLINE_BYTES_MAX: usize = 64 << 10;

/// The longest header line (`*3`, `$1536`) before its CRLF. An i64 takes at most 20 bytes, its kind one more; the rest is
/// grace, so that a number of 25 digits is called a bad length and not an endless line.
pub const HEADER_BYTES_MAX: usize = 32;

/// The most arguments a request may have before login. Redis's number.
pub const LOGIN_ARGUMENTS_MAX: usize = 10;

/// The longest argument, and the longest inline request, before login. Redis's number.
pub const LOGIN_BULK_BYTES_MAX: usize = 16 << 10;

/// A request of more bytes should be kept ([`Reader::keep`](crate::Reader::keep)) instead of copied. Copying fewer takes
/// some ten microseconds.
pub const KEPT_BYTES_MIN: usize = 128 << 10;

/// Argument ranges a reader keeps between requests, 8 bytes each. A guess that covers a text vector of 1,536 dimensions:
/// such a client never allocates, and a client that once sent a million arguments does not keep 8 MiB for it.
pub const ARGUMENTS_KEPT: usize = 2_048;

/// From so many arguments on there is room for the places of all that the request has said, so that those which have come are
/// not moved again and again: 8 bytes each, of which the system gives what is used.
pub const ARGUMENTS_TRUSTED: usize = 1 << 16;

/// Bytes of unescaped inline text a reader keeps between requests. A guess: what people type is shorter.
pub const INLINE_BYTES_KEPT: usize = 1_024;

/// What a reader may ask its connection to have room for, if less than this has arrived of the request. One read of a
/// socket; beyond it, room is asked for at most as fast as bytes arrive.
pub const WANTED_BYTES_MIN: usize = 64 << 10;

/// From so many bytes on that have arrived of a request, there is room for all of the argument that arrives.
pub const TRUSTED_BYTES_MIN: usize = 1 << 20;

/// From this length on an argument may stay in its request's memory for good. A shorter one is copied in some tenths of a
/// millisecond.
pub const WHOLE_ARGUMENT_BYTES_MIN: usize = 1 << 20;

/// How deep replies may nest. A guess at twice the deepest: COMMAND DOCS, whose subcommands have arguments in blocks.
pub const REPLY_DEPTH_MAX: usize = 32;

/// The longest glob pattern a caller should accept from a client. It is sixteen words of elements, so one match against a
/// 64 KiB key is a million steps: about a millisecond, and with a pattern of usual length a sixteenth of that.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// What the shortest well-formed argument takes: `$0\r\n\r\n`.
pub(crate) const ARGUMENT_BYTES_MIN: usize = 6;

// The longest argument fits a request together with a name, a key and all their headers.
const _: () = assert!(BULK_BYTES_MAX + INLINE_BYTES_MAX < REQUEST_BYTES_MAX);
const _: () = assert!(BULK_BYTES_CEILING + INLINE_BYTES_MAX < REQUEST_BYTES_CEILING);

// An inline request is never kept.
const _: () = assert!(INLINE_BYTES_MAX + 2 < KEPT_BYTES_MIN);

// Ranges are kept as u32, and a bad promise is told from a good one without overflow on any platform.
const _: () = assert!(REQUEST_BYTES_CEILING + BULK_BYTES_CEILING < u32::MAX as usize);
const _: () = assert!(REQUEST_BYTES_MAX <= REQUEST_BYTES_CEILING);

// The shortest spelling of the most arguments is a request that can be sent.
const _: () = assert!(ARGUMENTS_MAX * ARGUMENT_BYTES_MIN + HEADER_BYTES_MAX <= REQUEST_BYTES_MAX);

// Any i64 with its kind byte fits a header line.
const _: () = assert!(HEADER_BYTES_MAX > "*-9223372036854775808".len());
