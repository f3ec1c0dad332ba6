//! What this crate takes at most, from files and from servers.

use std::time::Duration;

/// The dimension of a vector at most: the server's own limit.
pub(crate) const DIMENSION_MAX: usize = 65_536;

/// The longest line of a text file. A string of 512 MiB, which is the longest that a server has, fits in Base64.
pub(crate) const LINE_BYTES_MAX: usize = 1 << 30;

/// The header of a `.npy` file at most; NumPy's own are a few hundred bytes.
pub(crate) const NPY_HEADER_BYTES_MAX: usize = 64 << 10;

/// The footer of a Parquet file at most. Those of files with thousands of columns and groups have a few MiB.
pub(crate) const PARQUET_FOOTER_BYTES_MAX: u64 = 64 << 20;

/// A page of a Parquet file at most, before and after its compression. Most writers make pages of 1 MiB, DuckDB of 100 MB.
pub(crate) const PARQUET_PAGE_BYTES_MAX: u64 = 256 << 20;

/// The longest string that a server sends: Redis's default of `proto-max-bulk-len`.
pub(crate) const BULK_BYTES_MAX: usize = 512 << 20;

/// All of one reply at most. The fields of a hash are requested a thousand at a time.
pub(crate) const REPLY_BYTES_MAX: usize = 2 << 30;

/// A line of a reply that is no bulk: an error, a number.
pub(crate) const REPLY_LINE_BYTES_MAX: usize = 64 << 10;

/// How deep a reply nests at most: SCAN's is two, COMMAND INFO's four.
pub(crate) const REPLY_DEPTH_MAX: usize = 8;

/// Rows sent before the replies are read. Their replies fit in the buffers of a socket even if all are errors.
pub(crate) const BATCH_ROWS_MAX: usize = 256;

/// Bytes sent before the replies are read, but for one row that is larger.
pub(crate) const BATCH_BYTES_MAX: usize = 256 << 10;

/// Batches that wait for one connection: one is sent while the next is filled.
pub(crate) const BATCHES_WAITING_MAX: usize = 2;

/// Keys that a step of SCAN visits: at 50 ms to a remote server, some thousand keys a second.
pub(crate) const SCAN_COUNT: usize = 1_000;

/// Names of a vector set that are requested together.
pub(crate) const ELEMENTS_COUNT: usize = 500;

/// Bytes of strings that are requested together, but for one string that is larger.
pub(crate) const VALUES_BYTES_MAX: usize = 16 << 20;

/// Fields of a hash in one command and in one row.
pub(crate) const FIELDS_MAX: usize = 1_000;

/// Bad rows that are named; the others are counted.
pub(crate) const BAD_ROWS_NAMED_MAX: usize = 20;

/// How long a name of a bad row is shown.
pub(crate) const NAME_SHOWN_CHARS_MAX: usize = 80;

/// How long connecting takes, and each read and write of a socket.
pub(crate) const SOCKET_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a server that went away is tried again, before the import stops.
pub(crate) const RECONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two tries.
pub(crate) const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// How often progress is written into its file.
pub(crate) const PROGRESS_PERIOD: Duration = Duration::from_secs(1);

/// The progress file at most: it holds a few numbers and names.
pub(crate) const PROGRESS_BYTES_MAX: u64 = 64 << 10;
