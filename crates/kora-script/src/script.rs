//! The text of a script, and the name by which EVALSHA calls it.

use bytes::Bytes;
use mlua::{ChunkMode, Function, Lua, LuaOptions, StdLib};
use sha1::{Digest, Sha1};

use crate::flags::Flags;
use crate::limits::SCRIPT_BYTES_MAX;

/// A script as it was sent.
#[derive(Clone, Debug)]
pub struct Script {
    /// The SHA-1 of its text, in lower-case hexadecimal digits.
    pub sha: String,
    /// Its text, without a `#!` line.
    pub text: Bytes,
    /// What it says of itself (`#!lua flags=no-writes`), if it has such a line.
    pub flags: Option<Flags>,
}

impl Script {
    /// Reads the first line, if it begins with `#!`.
    ///
    /// # Errors
    /// What is wrong with that line, or that the text is too long, in the words of an error reply.
    pub fn new(text: Bytes) -> Result<Script, String> {
        if text.len() > SCRIPT_BYTES_MAX {
            let bytes = text.len();
            return Err(format!(
                "ERR the script has {bytes} bytes, at most {SCRIPT_BYTES_MAX} are allowed"
            ));
        }
        let sha = sha1_hex(&text);
        if !text.starts_with(b"#!") {
            return Ok(Script { sha, text, flags: None });
        }
        let end = text.iter().position(|byte| *byte == b'\n');
        let end = end.ok_or("ERR Invalid script shebang")?;
        let line = String::from_utf8_lossy(&text[2..end]).into_owned();
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        match words.next() {
            Some("lua") => {}
            Some(engine) => return Err(format!("ERR Unexpected engine in script shebang: #!{engine}")),
            None => return Err("ERR Invalid engine in script shebang".to_owned()),
        }
        let mut flags = Flags::default();
        for word in words {
            let Some(names) = word.strip_prefix("flags=") else {
                return Err(format!("ERR Unknown lua shebang option: {word}"));
            };
            for name in names.split(',').filter(|name| !name.is_empty()) {
                let flag = Flags::named(name);
                flags = flags.with(flag.ok_or_else(|| format!("ERR Unexpected flag in script shebang: {name}"))?);
            }
        }
        // The line's end stays, so that lines are counted as in the text.
        let text = text.slice(end..);
        Ok(Script {
            sha,
            text,
            flags: Some(flags),
        })
    }
}

impl Script {
    /// Looks whether it can be compiled, in a state of its own.
    ///
    /// # Errors
    /// What is wrong with it, in the words of an error reply.
    pub fn check(&self) -> Result<(), String> {
        let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).map_err(|error| format!("ERR {error}"))?;
        compiled(&lua, &self.text, "@user_script")
            .map(drop)
            .map_err(|message| format!("ERR Error compiling script (new function): {message}"))
    }
}

/// A text as a function; what is wrong with it otherwise.
pub(crate) fn compiled(lua: &Lua, text: &[u8], name: &str) -> Result<Function, String> {
    let chunk = lua.load(text).set_name(name).set_mode(ChunkMode::Text);
    chunk.into_function().map_err(|error| match &error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        error => error.to_string(),
    })
}

/// SHA-1 in lower-case hexadecimal digits.
pub fn sha1_hex(bytes: &[u8]) -> String {
    let digest = Sha1::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
