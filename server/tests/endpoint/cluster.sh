# shellcheck shell=sh
# Run by postgres.rs as `sh -c THIS cluster BIN`: a PostgreSQL in a new temporary folder, for as long as standard input is open, however its
# other end goes. Says the folder, which has the socket, when it is there; obeys `stop`, `start`, `hang` and `wake`, and says `done` after each.
set -eu
bin=$1
# Ctrl-C is for the tests; this ends after them, and takes everything along.
trap '' INT TERM HUP
folder=$(mktemp -d 2>/dev/null || mktemp -d -p /var/tmp)

start() {
    "$bin/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c max_connections=200 -c shared_buffers=16MB \
        </dev/null >>"$folder/log" 2>&1 &
    server=$!
    until "$bin/pg_isready" --quiet --host="$folder"; do
        kill -0 "$server" || { cat "$folder/log" >&2; return 1; }
        sleep 0.05
    done
}

stop() {
    kill -QUIT "$server" 2>/dev/null || true
    wait "$server" || true
}

# It is there, takes connections, and answers nothing.
hang() {
    # shellcheck disable=SC2046
    kill -STOP "$server" $(pgrep -P "$server")
}

wake() {
    # shellcheck disable=SC2046
    kill -CONT $(pgrep -P "$server") "$server"
}

# Not the C locale: on a real machine texts sort by the rules of a language.
"$bin/initdb" --pgdata="$folder/data" --username=curfew --auth=trust --encoding=UTF8 --locale=C.UTF-8 --locale-provider=icu \
    --icu-locale=en-US --no-sync --no-instructions >"$folder/log" 2>&1 || cat "$folder/log" >&2
if [ -f "$folder/data/PG_VERSION" ] && start; then
    echo "$folder"
    while read -r order; do
        "$order"
        echo "done"
    done
    stop
fi
rm -rf "$folder"
