//! `kora demo`: a real server with real vectors, shown.

use clap::Args;

/// The options of `kora demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoOptions {
    /// Leaves after the show instead of serving until Ctrl-C
    #[arg(long)]
    pub exit: bool,
}
