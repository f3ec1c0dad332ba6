//! Bounds of what rules may hold. Only an operator makes rules, so the bounds are there for files and mistakes.

/// Users that there may be. Each change copies the list of them.
pub const USERS_MAX: usize = 10_000;

/// Bytes of a user's name.
pub const USER_NAME_BYTES_MAX: usize = 1_024;

/// Passwords of one user. A login compares with each.
pub const PASSWORDS_MAX: usize = 100;

/// Selectors of one user beside its own rules. Each may be held against each command.
pub const SELECTORS_MAX: usize = 100;

/// Patterns of keys, or of channels, of one selector. A compiled pattern takes two kibibytes and more.
pub const PATTERNS_MAX: usize = 256;

/// Bytes of a pattern: as of those of KEYS and PSUBSCRIBE.
pub const PATTERN_BYTES_MAX: usize = 1_024;

/// Rules about commands of one selector, and first arguments that they allow.
pub const COMMAND_RULES_MAX: usize = 1_024;

/// Bytes of a file of users.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// Bytes of a rule that an error shows.
pub const SHOWN_BYTES_MAX: usize = 1_024;

/// Denials that the log holds at most, whatever `acllog-max-len` says.
pub const LOG_ENTRIES_MAX: usize = 10_000;

/// Bytes of a key or a name that the log holds.
pub const LOG_OBJECT_BYTES_MAX: usize = 1_024;
