#!/bin/sh
# The image's health check: asks the server for a PONG on the port and with the password that it was started with, whether
# they were said as flags behind the image's name, as KORA_… or in a file. KORA_PROCESS is the server's process, in a
# container the first one.
set -eu
process="${KORA_PROCESS:-1}"
# shellcheck disable=SC2016
exec xargs -0 -a "/proc/$process/cmdline" sh -c '
    while [ $# -gt 0 ]; do
        case "$1" in
            --port=*) export KORA_PORT="${1#*=}" ;;
            --requirepass=*) export KORA_REQUIREPASS="${1#*=}" ;;
            --config=*) export KORA_CONFIG="${1#*=}" ;;
            --port) export KORA_PORT="${2-}"; shift ;;
            --requirepass) export KORA_REQUIREPASS="${2-}"; shift ;;
            --config) export KORA_CONFIG="${2-}"; shift ;;
        esac
        shift
    done
    exec kora ping --timeout-ms 2000' kora-health
