#!/bin/sh
# Starts the server as the image does. Every setting can be given as KORA_… or as a flag behind the image's name. A command of
# `kora` there (`demo`, `check`), or another program (`sh`), runs instead of the server.
#
# Inside a container loopback is nobody's address but the container's own, so the server listens on every interface of
# it; who can reach those is decided by the ports that are published. KORA_BIND overrides.
set -eu
export KORA_BIND="${KORA_BIND:-* -::*}"
# exec: the server gets SIGTERM itself, finishes what it has received, and its exit status is the container's.
case "${1:-}" in
    "") exec kora serve ;;
    -V | --version | -h | --help) exec kora "$@" ;;
    -*) exec kora serve "$@" ;;
    serve | demo | ping | config | completions | manual | check | repair | import | export | help) exec kora "$@" ;;
    *) exec "$@" ;;
esac
