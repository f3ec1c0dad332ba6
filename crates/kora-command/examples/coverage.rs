//! Prints `docs/coverage.md`.

fn main() {
    print!("{}", kora_command::coverage::markdown());
}
