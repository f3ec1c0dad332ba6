#!/bin/sh
# Builds the server and puts it into a folder: the first stage of the image, and what tests/run checks without Docker.
#
#   docker/build.sh FOLDER      writes FOLDER/kora
set -eu
folder=${1:?usage: docker/build.sh FOLDER}
cd "$(dirname "$0")/.."
cargo build --release --locked --package kora-server --bin kora
mkdir -p "$folder"
install -m 755 "${CARGO_TARGET_DIR:-target}/release/kora" "$folder/kora"
