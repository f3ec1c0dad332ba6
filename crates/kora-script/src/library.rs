//! The code of a library of functions, and what its first line says.

use bytes::Bytes;

use crate::flags::Flags;
use crate::limits::{NAME_BYTES_MAX, SCRIPT_BYTES_MAX};

/// A library's code.
#[derive(Clone, Debug)]
pub struct LibraryCode {
    /// Its name.
    pub name: String,
    /// All of the code, first line included.
    pub code: Bytes,
    /// Tells it from every other library that is run in one [`Interpreter`](crate::Interpreter), also from earlier ones of the
    /// same name: what was loaded of those is not used for this one.
    pub id: u64,
    /// Where the first line ends.
    text_at: usize,
}

/// A function that a library has registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// What its author says of it.
    pub description: Option<Bytes>,
    /// What it promises.
    pub flags: Flags,
}

impl LibraryCode {
    /// Reads the first line: `#!lua name=…`.
    ///
    /// # Errors
    /// What is wrong with that line, or that there is too much code, in the words of an error reply.
    pub fn new(code: Bytes, id: u64) -> Result<LibraryCode, String> {
        if code.len() > SCRIPT_BYTES_MAX {
            let bytes = code.len();
            return Err(format!(
                "ERR the library has {bytes} bytes of code, at most {SCRIPT_BYTES_MAX} are allowed"
            ));
        }
        if !code.starts_with(b"#!") {
            return Err("ERR Missing library metadata".to_owned());
        }
        let end = code.iter().position(|byte| *byte == b'\n');
        let text_at = end.ok_or("ERR Invalid library metadata")?;
        let line = String::from_utf8_lossy(&code[2..text_at]).into_owned();
        let mut words = line.split_ascii_whitespace();
        // A blank behind `#!` leaves the engine without a name.
        let engine = match line.starts_with(|first: char| first.is_ascii_whitespace()) {
            true => "",
            false => words.next().unwrap_or(""),
        };
        let mut name = None;
        for word in words {
            let value = word
                .get(..5)
                .filter(|key| key.eq_ignore_ascii_case("name="))
                .map(|_| &word[5..]);
            match (value, name) {
                (Some(value), None) => name = Some(value),
                (Some(_), Some(_)) => {
                    return Err("ERR Invalid metadata value, name argument was given multiple times".to_owned());
                }
                (None, _) => return Err(format!("ERR Invalid metadata value given: {word}")),
            }
        }
        let name = name.ok_or("ERR Library name was not given")?.to_owned();
        vet_name(&name)?;
        if !engine.eq_ignore_ascii_case("lua") {
            return Err(format!("ERR Engine '{engine}' not found"));
        }
        Ok(LibraryCode {
            name,
            code,
            id,
            text_at,
        })
    }

    /// The code without its first line, whose end stays, so that lines are counted as in the code.
    pub(crate) fn text(&self) -> &[u8] {
        &self.code[self.text_at..]
    }
}

/// Refuses what can't be the name of a library or of a function.
pub(crate) fn vet_name(name: &str) -> Result<(), String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
                .to_owned(),
        );
    }
    match name.len() {
        ..=NAME_BYTES_MAX => Ok(()),
        bytes => Err(format!(
            "ERR the name has {bytes} bytes, at most {NAME_BYTES_MAX} are allowed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(code: &str) -> Result<String, String> {
        LibraryCode::new(Bytes::copy_from_slice(code.as_bytes()), 1).map(|library| {
            let text = String::from_utf8_lossy(library.text()).into_owned();
            format!("{}|{text}", library.name)
        })
    }

    #[test]
    fn the_first_line_names_the_library() {
        assert_eq!(read("#!lua name=a_1\nx\ny"), Ok("a_1|\nx\ny".to_owned()));
        assert_eq!(read("#!LUA  NAME=a \n"), Ok("a|\n".to_owned()));
        for (code, error) in [
            ("return 1", "ERR Missing library metadata"),
            ("#!lua name=a", "ERR Invalid library metadata"),
            ("#!lua\n", "ERR Library name was not given"),
            ("#!lua name\n", "ERR Invalid metadata value given: name"),
            (
                "#!lua name=a name=b\n",
                "ERR Invalid metadata value, name argument was given multiple times",
            ),
            ("#!js name=a\n", "ERR Engine 'js' not found"),
            ("#! name=a\n", "ERR Engine '' not found"),
            ("#!lua name=é\n", "ERR Library names can only contain"),
            ("#!lua name=\n", "ERR Library names can only contain"),
        ] {
            let refusal = read(code).expect_err(code);
            assert!(refusal.starts_with(error), "{code}: {refusal}");
        }
        let long = format!("#!lua name={}\n", "x".repeat(NAME_BYTES_MAX + 1));
        assert!(read(&long).is_err() && read(&long.replace("xx", "x")).is_ok());
    }
}
