//! `kora ping`: checks that a server answers.

use clap::Args;

/// The options of `kora ping`.
#[derive(Clone, Debug, Args)]
pub struct PingOptions {
    /// Where the server is [default: 127.0.0.1]
    #[arg(long, default_value = "127.0.0.1", hide_default_value = true)]
    pub host: String,

    /// Its port [default: 6379]
    #[arg(long, env = "KORA_PORT", default_value = "6379", hide_default_value = true)]
    pub port: u16,
}
