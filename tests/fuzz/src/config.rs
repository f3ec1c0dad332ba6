//! A file of settings with any text.
//!
//! 1. It is read, or refused with the number of a line that it has.
//! 2. What was read can be listened with and printed, and its values read back to the same settings.

use std::path::Path;

use kora_server::config::{Config, ConfigError};

/// Panics if one of the two does not hold.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let path = Path::new("kora.toml");
    match Config::from_text(path, text) {
        Ok(config) => {
            assert!(!config.listen_addresses().is_empty());
            let settings = config.settings();
            assert!(settings.is_sorted());
            // `bind auto` is printed as what it stands for, so it alone is another text.
            let lines: Vec<String> = settings
                .iter()
                .map(|(name, value)| format!("{name} = {value:?}\n"))
                .collect();
            if !settings
                .iter()
                .any(|(_, value)| value.contains(|c: char| !(' '..='~').contains(&c)))
            {
                let again = Config::from_text(path, &lines.concat()).expect("what is printed can be read");
                assert_eq!(again.settings(), settings);
            }
        }
        Err(ConfigError::InFile { line, reason, .. }) => {
            assert!((1..=text.split('\n').count()).contains(&line), "line {line}");
            assert!(!reason.is_empty());
        }
        Err(other) => panic!("a text is refused at a line: {other}"),
    }
}
