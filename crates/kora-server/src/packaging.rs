//! `kora completions` and `kora manual`: what packages install beside the program, made of its own command line.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap_complete::Shell;

use crate::config::invocation::command;

/// Prints what a shell needs to complete `kora`'s words.
pub fn completions(shell: Shell) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command(), "kora", &mut text);
    print(&text)
}

/// Prints the manual page, for `man`.
pub fn manual() -> ExitCode {
    let mut text = Vec::new();
    match clap_mangen::Man::new(command()).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => {
            eprintln!("kora manual: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kora: {error}");
            ExitCode::FAILURE
        }
    }
}
