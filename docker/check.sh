#!/bin/bash
# Runs the image's steps without Docker: builds, starts, asks as the health check does, stops as `docker stop` does.
# Where there is a Docker engine, the image is built for real too.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$folder"' EXIT

fail() {
    echo "docker/check.sh: $1" >&2
    [ ! -f "$folder/log" ] || cat "$folder/log" >&2
    exit 1
}

# The check is worth something only as long as the image takes these very steps.
grep -q '^RUN .* docker/build.sh /out$' docker/Dockerfile || fail "the image is not built by build.sh"
grep -q '^COPY docker/start.sh /usr/local/bin/kora-start$' docker/Dockerfile || fail "the image has another start.sh"
grep -q '^ENTRYPOINT \["kora-start"\]$' docker/Dockerfile || fail "the image is not started by start.sh"
grep -q '^USER 10001:0$' docker/Dockerfile || fail "the image's user is no number, or root"
grep -q '^ENV KORA_DIR=/data$' docker/Dockerfile || fail "the image keeps no data in its volume"
grep -q '^COPY docker/health.sh /usr/local/bin/kora-health$' docker/Dockerfile || fail "the image has another health.sh"
grep -q 'CMD \["kora-health"\]$' docker/Dockerfile || fail "the health check is not kora-health"

docker/build.sh "$folder"
export PATH="$folder:$PATH"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cp docker/start.sh "$folder/kora-start"
cp docker/health.sh "$folder/kora-health"
# As any user, with nothing but /data to write to: the working directory of the server is read-only.
mkdir "$folder/data" "$folder/root"
chmod 755 "$folder"
chmod 777 "$folder/data"
chmod 555 "$folder/root"
as_any_user=
[ "$(id -u)" != 0 ] || as_any_user="setpriv --reuid 54321 --regid 54321 --clear-groups"
begin() {
    (cd "$folder/root" && export KORA_DIR="$folder/data" && exec $as_any_user kora-start --port "$port" --requirepass=check) >"$folder/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        well && break
        sleep 0.1
    done
    well || fail "the server does not answer its health check within 10 s"
}
well() { (cd "$folder" && KORA_PROCESS=$server kora-health) >/dev/null 2>&1; }
ask() { redis-cli -p "$port" -a check --no-auth-warning "$@"; }
begin
(cd "$folder" && KORA_PORT=$port KORA_REQUIREPASS=wrong kora ping) >/dev/null 2>&1 && fail "kora ping is content with a wrong password"
grep -q "listening on 0.0.0.0:$port" "$folder/log" || fail "the server does not listen on every interface"

stop() {
    kill -TERM "$server"
    status=0
    wait "$server" || status=$?
    server=
    [ "$status" = 0 ] || fail "a stopped server's exit status is $status, not 0"
}
# What was in the volume is there again.
[ "$(ask SET kept yes)" = OK ] || fail "the server does not answer"
stop
begin
[ "$(ask GET kept)" = yes ] || fail "what was in the volume is gone after a restart"
stop
[ "$(kora-start --version)" = "$(kora --version)" ] || fail "--version does not print the version"
[ "$(kora-start sh -c 'echo shell')" = shell ] || fail "a program of the image does not start"
for command in $(kora --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    grep -q "[ |]$command[ )]" docker/start.sh || fail "start.sh does not know the command $command"
done
kora-start demo --help >/dev/null || fail "a command of kora does not start"
(cd "$folder" && KORA_PORT=$port KORA_REQUIREPASS=check kora ping) >/dev/null 2>&1 && fail "kora ping finds a server that has stopped"

if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    docker build -q -f docker/Dockerfile -t kora:check . >/dev/null || fail "docker build"
    echo "docker: the image was built, and its steps work"
else
    echo "docker: its steps work; there is no Docker engine here, so no image was built"
fi
