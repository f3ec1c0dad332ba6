//! CONFIG REWRITE: the settings as they are now, in the file that they came from.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use toml_edit::{DocumentMut, Item, Value};

use super::Config;

/// Gives the file the values that differ from what it says, and leaves everything else in it as it is. The new file takes
/// the place of the old one in one step, when it is on disk.
pub(crate) fn rewrite(path: &Path, config: &Config) -> Result<(), String> {
    // A link stays one, and the file that it leads to is replaced.
    let path = fs::canonicalize(path).map_err(|error| error.to_string())?;
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let text = merged(&path, &text, config)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(name);
    let written = write_and_rename(&beside, &path, &text);
    if written.is_err() {
        // What is left of it is of no use; if it can't go either, it is not in the way.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(|error| error.to_string())
}

fn merged(path: &Path, text: &str, config: &Config) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| error.to_string())?;
    let said = Config::from_text(path, text)
        .map_err(|error| error.to_string())?
        .texts();
    for (name, value) in config.texts() {
        if said.get(&name) != Some(&value) {
            set(&mut document, &name, &value);
        }
    }
    Ok(document.to_string())
}

fn set(document: &mut DocumentMut, name: &str, text: &str) {
    let mut value = match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => Value::from(number),
        _ => Value::from(text),
    };
    let item = document.entry(name).or_insert(Item::None);
    if let Some(before) = item.as_value() {
        *value.decor_mut() = before.decor().clone();
    }
    *item = Item::Value(value);
}

fn write_and_rename(beside: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(beside)?;
    // Who may read the password is decided by who may read the file.
    file.set_permissions(fs::metadata(path)?.permissions())?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(beside, path)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_written_and_the_rest_stays() {
        let before = "# kept\nport = 7000 # also\n\n# The password.\nrequirepass = \"a\"\n";
        let path = std::env::temp_dir().join(format!("kora-rewrite-{}.toml", std::process::id()));
        fs::write(&path, before).unwrap();
        let config = Config {
            port: "7001".parse().unwrap(),
            requirepass: "0123".parse().unwrap(),
            timeout: "30".parse().unwrap(),
            ..Config::default()
        };
        rewrite(&path, &config).unwrap();
        let after = fs::read_to_string(&path).unwrap();
        assert_eq!(
            after,
            "# kept\nport = 7001 # also\n\n# The password.\nrequirepass = \"0123\"\ntimeout = 30\n"
        );
        let read = Config::from_text(&path, &after).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(read, config);
    }

    #[test]
    fn a_file_that_is_gone_is_an_error() {
        assert!(rewrite(Path::new("/nowhere/kora.toml"), &Config::default()).is_err());
    }
}
