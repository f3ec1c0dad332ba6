//! Prints `docs/commands.md`.

fn main() {
    print!("{}", kora_engine::reference::markdown());
}
