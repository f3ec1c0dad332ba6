//! The command line: what the program was asked to do, with its settings.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use clap_complete::Shell;

use crate::check::{CheckOptions, RepairOptions};
use crate::demo::DemoOptions;
use crate::ping::PingOptions;
use crate::transfer::{ExportArguments, ImportArguments};

use super::secret_files::PASSWORD_FILE;
use super::{CONFIG_FLAG, CONFIG_PATH, Config, ConfigError, ShownConfig};

/// What the program was asked to do.
#[derive(Debug)]
pub enum Invocation {
    /// Run the server: `kora`, `kora serve`.
    Serve(Box<Config>),
    /// Show it: `kora demo`.
    Demo(DemoOptions, Box<Config>),
    /// Check a running one: `kora ping`.
    Ping(PingOptions),
    /// Show the settings in force: `kora config show`.
    ShowConfig(Box<ShownConfig>),
    /// Check the settings: `kora config check`.
    CheckConfig(Box<ShownConfig>),
    /// Print what a shell needs to complete words: `kora completions`.
    Completions(Shell),
    /// Print the manual page: `kora manual`.
    Manual,
    /// Check what is kept on disk: `kora check`.
    Check(CheckOptions),
    /// Cut a log that is damaged: `kora repair`.
    Repair(RepairOptions),
    /// Copy a file or a running server into a server: `kora import`.
    Import(Box<ImportArguments>),
    /// Copy a server into a file: `kora export`.
    Export(Box<ExportArguments>),
}

/// Reads this process's command line and environment.
pub fn parse() -> Result<Invocation, ConfigError> {
    parse_from(std::env::args_os())
}

/// Reads a command line, program name first.
pub fn parse_from(words: impl IntoIterator<Item = OsString>) -> Result<Invocation, ConfigError> {
    let words: Vec<OsString> = words.into_iter().collect();
    let matches = match is_service_link() {
        true => without_port_variable(command()),
        false => command(),
    };
    let matches = matches
        .try_get_matches_from(&words)
        .map_err(|error| ConfigError::in_words(&words, error))?;
    match matches.subcommand() {
        Some(("demo", flags)) => Ok(Invocation::Demo(DemoOptions::from_arg_matches(flags)?, load(flags)?)),
        Some(("ping", flags)) => {
            let mut server = Config::from_file(config_path(flags))?;
            server.take_secrets(flags)?;
            Ok(Invocation::Ping(PingOptions::from_arg_matches(flags)?.or(&server)))
        }
        Some(("config", flags)) => config(flags),
        Some(("completions", flags)) => {
            let shell = flags.get_one::<Shell>("shell");
            Ok(Invocation::Completions(*shell.expect("clap asks for it")))
        }
        Some(("manual", _)) => Ok(Invocation::Manual),
        Some(("check", flags)) => Ok(Invocation::Check(CheckOptions::from_arg_matches(flags)?)),
        Some(("repair", flags)) => Ok(Invocation::Repair(RepairOptions::from_arg_matches(flags)?)),
        Some(("import", flags)) => {
            let arguments = ImportArguments::from_arg_matches(flags)?;
            Ok(Invocation::Import(Box::new(arguments)))
        }
        Some(("export", flags)) => {
            let arguments = ExportArguments::from_arg_matches(flags)?;
            Ok(Invocation::Export(Box::new(arguments)))
        }
        Some((_, flags)) => Ok(Invocation::Serve(load(flags)?)),
        None => Ok(Invocation::Serve(load(&matches)?)),
    }
}

/// `kora config show`, `kora config check`
fn config(flags: &ArgMatches) -> Result<Invocation, ConfigError> {
    let (name, flags) = flags.subcommand().expect("clap asks for one");
    let shown = Box::new(ShownConfig::load(flags)?);
    Ok(match name {
        "show" => Invocation::ShowConfig(shown),
        _ => Invocation::CheckConfig(shown),
    })
}

/// Variables of the environment that look like settings and are none: `KORA_PROT`, or what an orchestrator sets for a
/// service of our name. They have no effect, and a misspelled one should be noticed.
pub fn unknown_variables() -> Vec<String> {
    let command = command();
    let of_subcommands = command.get_subcommands().flat_map(Command::get_arguments);
    let known: Vec<&OsStr> = command
        .get_arguments()
        .chain(of_subcommands)
        .filter_map(Arg::get_env)
        .collect();
    let names = std::env::vars_os().map(|(name, _)| name);
    let is_linked = is_service_link();
    let is_of_link = |name: &OsString| {
        let name = name.as_encoded_bytes();
        is_linked && (name.starts_with(b"KORA_PORT_") || name.starts_with(b"KORA_SERVICE_"))
    };
    let unknown = names.filter(|name| {
        let is_ours = name.as_encoded_bytes().starts_with(b"KORA_") && name != PASSWORD_FILE;
        is_ours && !known.contains(&name.as_os_str()) && !is_of_link(name)
    });
    unknown.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// True if KORA_PORT is what Kubernetes sets for a service named `kora`: `tcp://10.43.0.5:6379`. It is no port and was not
/// meant as one.
pub fn is_service_link() -> bool {
    std::env::var_os("KORA_PORT").is_some_and(|port| port.as_encoded_bytes().starts_with(b"tcp://"))
}

pub(super) fn config_path(flags: &ArgMatches) -> Option<&Path> {
    flags.get_one::<PathBuf>(CONFIG_FLAG).map(PathBuf::as_path)
}

fn load(flags: &ArgMatches) -> Result<Box<Config>, ConfigError> {
    Config::load(flags).map(Box::new)
}

/// Settings may stand behind `kora`, `kora serve` and `kora demo`, but not on both sides of the word: which of two
/// `--port` wins should not be a riddle.
pub(crate) fn command() -> Command {
    // A description is given last: before, the one that clap derives from the struct's documentation would replace it.
    let describe = |command: Command, text| command.about(text).long_about(None);
    let serve = with_settings(Command::new("serve"));
    let demo = DemoOptions::augment_args(with_settings(Command::new("demo")));
    let ping = PingOptions::augment_args(with_config_file(Command::new("ping")));
    let settings = |name, text| describe(with_settings(Command::new(name)), text);
    let config = Command::new("config").subcommand_required(true).subcommands([
        settings("show", "Shows every setting in force, and where it comes from"),
        settings("check", "Checks the settings without starting a server"),
    ]);
    let shell = Arg::new("shell")
        .required(true)
        .value_parser(value_parser!(Shell))
        .help("Which shell");
    let completions = Command::new("completions").arg(shell);
    let check = CheckOptions::augment_args(Command::new("check"));
    let repair = RepairOptions::augment_args(Command::new("repair"));
    let import = ImportArguments::augment_args(Command::new("import"));
    let export = ExportArguments::augment_args(Command::new("export"));
    describe(
        with_settings(Command::new("kora")),
        "Kōra, the cache that knows vectors",
    )
    .version(env!("CARGO_PKG_VERSION"))
    .args_conflicts_with_subcommands(true)
    .subcommands([
        describe(serve, "Runs the server; so does `kora` alone"),
        describe(demo, "Starts a server with real vectors and shows it"),
        describe(ping, "Checks that a server answers"),
        describe(config, "Shows or checks the settings"),
        describe(completions, "Prints what a shell needs to complete the words of `kora`"),
        describe(Command::new("manual"), "Prints the manual page, for `man`"),
        describe(check, "Checks what a server has kept on disk"),
        describe(repair, "Cuts a damaged log, once it was said what goes"),
        describe(import, "Copies a file or a running server into a server"),
        describe(export, "Copies a server into a file"),
    ])
}

/// The same command line, but for the variable of `--port`.
fn without_port_variable(command: Command) -> Command {
    let has_port = command.get_arguments().any(|argument| argument.get_id() == "port");
    let command = match has_port {
        true => command.mut_arg("port", |port| port.env(None::<&str>)),
        false => command,
    };
    command.mut_subcommands(without_port_variable)
}

/// The settings' flags, all optional: what is not said keeps the value that the file or the default gave it.
fn with_settings(command: Command) -> Command {
    let command = Config::augment_args_for_update(with_config_file(command));
    command.mut_args(|argument| {
        let heading = heading_of(argument.get_id().as_str());
        // The short help has what a first start needs.
        let is_long = !SHORT_HELP.contains(&argument.get_id().as_str());
        argument.help_heading(heading).hide_short_help(is_long)
    })
}

fn with_config_file(command: Command) -> Command {
    let config = Arg::new(CONFIG_FLAG)
        .long(CONFIG_FLAG)
        .env("KORA_CONFIG")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(format!("File with settings [default: {CONFIG_PATH} if it exists]"));
    command.arg(config)
}

/// Under which heading of `--help` a setting stands.
fn heading_of(setting: &str) -> &'static str {
    match setting {
        CONFIG_FLAG => "Settings",
        "bind" | "port" | "maxclients" | "timeout" | "tcp_keepalive" | "tcp_backlog" => "Network",
        "requirepass" | "aclfile" | "acl_pubsub_default" | "acllog_max_len" => "Access",
        "dir" | "appendonly" | "appendfsync" | "save" => "Data on disk",
        "loglevel" | "log_format" => "Log",
        "workers" | "pin_workers" | "shards" | "idle_laps" | "turn_budget_us" => "Threads",
        _ if setting.starts_with("http_") => "Metrics and the page",
        _ if setting.starts_with("tls_") => "TLS",
        _ if setting.starts_with("vector_") => "Collections that a first VECSET creates",
        _ => "Memory, limits and stopping",
    }
}

/// What `-h` shows of the settings.
const SHORT_HELP: [&str; 9] = [
    CONFIG_FLAG,
    "bind",
    "port",
    "requirepass",
    "dir",
    "appendonly",
    "http_port",
    "loglevel",
    "workers",
];
