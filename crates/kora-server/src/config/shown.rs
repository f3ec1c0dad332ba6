//! `kora config show` and `kora config check`: the settings in force, and where each comes from.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{Config, ConfigError, secret_files};

/// Settings with the sources of their values.
#[derive(Debug)]
pub struct ShownConfig {
    config: Config,
    /// Names with texts and sources, by name.
    lines: Vec<(String, String, Source)>,
}

/// Where a value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    Default,
    File,
    Variable,
    SecretFile,
    Flag,
}

impl ShownConfig {
    /// Reads the settings as `kora serve` would.
    pub(super) fn load(flags: &ArgMatches) -> Result<ShownConfig, ConfigError> {
        let config = Config::load(flags)?;
        let in_file = config.names_in_file();
        let source = |name: &str| match flags.value_source(&name.replace('-', "_")) {
            Some(ValueSource::CommandLine) => Source::Flag,
            _ if name == "requirepass" && secret_files::is_from_file(flags) => Source::SecretFile,
            Some(ValueSource::EnvVariable) => Source::Variable,
            _ if in_file.iter().any(|known| known == name) => Source::File,
            _ => Source::Default,
        };
        let lines = config.public_texts().into_iter().map(|(name, text)| {
            let source = source(&name);
            (name, text, source)
        });
        let lines = lines.collect();
        Ok(ShownConfig { config, lines })
    }

    /// Prints every setting, as it could stand in the file, with its source behind it.
    pub fn show(&self) -> ExitCode {
        print!("{}", self.text());
        ExitCode::SUCCESS
    }

    /// Says that a server would start with these.
    pub fn check(&self) -> ExitCode {
        let count = |wanted: Source| self.lines.iter().filter(|(.., source)| *source == wanted).count();
        let file = match &self.config.file {
            Some(path) => format!("{} from {}", count(Source::File), path.display()),
            None => "no file".to_owned(),
        };
        let environment = count(Source::Variable) + count(Source::SecretFile);
        println!(
            "the settings are good: {file}, {environment} from the environment, {} flags",
            count(Source::Flag)
        );
        for variable in super::unknown_variables() {
            println!("{variable} is no setting");
        }
        ExitCode::SUCCESS
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, value, source) in &self.lines {
            let value = toml::Value::from(value.as_str());
            let source = match source {
                Source::Default => "default".to_owned(),
                Source::File => match &self.config.file {
                    Some(path) => path.display().to_string(),
                    None => "file".to_owned(),
                },
                Source::Variable => format!("KORA_{}", name.to_uppercase().replace('-', "_")),
                Source::SecretFile => secret_files::PASSWORD_FILE.to_owned(),
                Source::Flag => format!("--{name}"),
            };
            writeln!(text, "{name} = {value}  # {source}").expect("writing to a string cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::invocation::command;
    use super::*;

    fn shown(words: &[&str]) -> ShownConfig {
        let matches = command().try_get_matches_from(words).unwrap();
        let (_, config) = matches.subcommand().unwrap();
        let (_, flags) = config.subcommand().unwrap();
        ShownConfig::load(flags).unwrap()
    }

    #[test]
    fn every_setting_is_shown_with_its_source_and_no_password() {
        let path = std::env::temp_dir().join(format!("kora-shown-{}.toml", std::process::id()));
        std::fs::write(&path, "port = 7000\ntimeout = 3\n").unwrap();
        let file = path.to_str().unwrap();
        let found = shown(&[
            "kora",
            "config",
            "show",
            "--config",
            file,
            "--timeout",
            "4",
            "--requirepass",
            "secret",
        ]);
        let text = found.text();
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains(&format!("port = \"7000\"  # {file}\n")), "{text}");
        assert!(text.contains("timeout = \"4\"  # --timeout\n"), "{text}");
        assert!(text.contains("requirepass = \"***\"  # --requirepass\n"), "{text}");
        assert!(text.contains("workers = \"0\"  # default\n"), "{text}");
        assert!(!text.contains("secret"));
        let read = Config::from_text(&path, &text).unwrap();
        assert_eq!(read.port, found.config.port);
    }
}
