//! Prints `docs/commands.md`.

fn main() {
    print!("{}", kora_command::reference::markdown());
}
