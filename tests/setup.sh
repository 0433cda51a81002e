# shellcheck shell=bash
# Sourced by tests/run, tests/demo and tests/bench: what they all need on this machine.
#
#   private_run "$@"      runs the calling script again where its mounts and processes end with it
#   need_packages         the distribution's packages, installed only where one is missing
#   need_postgresql       PostgreSQL's programs, without a cluster of the machine's own
#   need_cargo_tools      cargo-deb and cargo-auditable, which make the packages
#   need_package_tools    what makes the .rpm and SELinux's module, and judges packages, manual pages and dependencies
#   host_space            the scratch space for running hosts

export CURFEW_TEST_CACHE=${CURFEW_TEST_CACHE:-/var/cache/curfew-tests}
export PATH="$PATH:$HOME/.cargo/bin"

step() { # WHAT…
    if [ -t 1 ]; then printf '\n\033[1m==> %s\033[0m\n' "$*"; else printf '\n==> %s\n' "$*"; fi
}

fail() { # WHY…
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

# Hosts mount, boot and kill. All of that happens in mount and process namespaces of its own, so that nothing
# stays however the run ends: with the last process of it, the kernel takes down the rest.
private_run() {
    [ -z "${CURFEW_TEST_RUN:-}" ] || return 0
    [ "$(id -u)" = 0 ] || fail "must run as root: it boots throwaway hosts"
    command -v setpriv unshare >/dev/null || fail "needs util-linux (setpriv, unshare)"
    # Processes of a host must not look as if this login session's user had started them.
    echo 4294967295 2>/dev/null >/proc/self/loginuid || true
    sweep_cgroups
    export CURFEW_TEST_RUN=$$
    trap 'end_private_run 130' INT
    trap 'end_private_run 143' TERM HUP
    # The chain of death: this shell → unshare (pdeathsig) → the new namespace's PID 1 (kill-child) → all in it.
    # A background job of a script ignores Ctrl-C; what runs in there must not.
    setpriv --pdeathsig KILL env --default-signal=INT,QUIT \
        unshare --mount --propagation private --pid --fork --kill-child --mount-proc "$0" "$@" </dev/null &
    private=$!
    local status=0
    wait "$private" || status=$?
    end_private_run "$status"
}

end_private_run() { # STATUS
    trap '' INT TERM HUP
    kill -KILL "$private" 2>/dev/null || true
    wait "$private" 2>/dev/null || true
    unset CURFEW_TEST_RUN
    rmdir_cgroups "$$"
    exit "$1"
}

# The folders curfew-tests/RUN in the cgroup hierarchies of this machine that name one.
cgroups_of() { # RUN
    awk -v run="$1" '$3 == "cgroup2" || $4 ~ /name=systemd/ { print $2 "/curfew-tests/" run }' /proc/mounts
}

rmdir_cgroups() { # RUN
    local folder
    for folder in $(cgroups_of "$1"); do
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            [ -d "$folder" ] || break
            find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
        done
        rmdir "$(dirname "$folder")" 2>/dev/null || true
    done
}

# What runs left that were killed too hard to clean up: empty cgroups, named after the run's process.
sweep_cgroups() {
    local folder run
    for folder in $(cgroups_of '*'); do
        run=$(basename "$folder")
        [ -d "$folder" ] && ! kill -0 "$run" 2>/dev/null && rmdir_cgroups "$run"
    done
    return 0
}

need_packages() { # NAME…
    local name missing=()
    for name in "$@"; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    step "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update --quiet --quiet
    apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# To build the workspace, and to make and boot hosts.
need_all_packages() {
    need_packages build-essential pkg-config libpam0g-dev mmdebstrap debian-archive-keyring \
        systemd-container util-linux iproute2 e2fsprogs qemu-system-x86 qemu-utils python3-venv
    need_postgresql
}

# The tests run clusters of their own. The package would make and start one more, unless it is told not to.
need_postgresql() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && return
    local told=/etc/postgresql-common/createcluster.d/curfew-tests.conf
    mkdir --parents "$(dirname "$told")"
    echo 'create_main_cluster = false' >"$told"
    need_packages postgresql
    rm --force "$told"
    rmdir --ignore-fail-on-non-empty "$(dirname "$told")"
}

need_cargo_tools() {
    command -v cargo >/dev/null || fail "needs a Rust toolchain (cargo)"
    need_cargo_tool cargo-deb
    need_cargo_tool cargo-auditable
}

need_cargo_tool() { # NAME
    command -v "$1" >/dev/null || { step "installing $1"; cargo install --quiet --locked "$1"; }
}

need_package_tools() {
    local name
    need_packages rpm lintian rpmlint mandoc man-db checkpolicy semodule-utils
    # Not every release has these. Without the first, nobody looks at the Vagrantfile; without the other, the packages are not for Enterprise
    # Linux 9.
    for name in vagrant gcc-11; do
        ! apt-cache show "$name" >/dev/null 2>&1 || need_packages "$name"
    done
    need_cargo_tool cargo-deny
}

# Hosts write to memory: what they write is gone with them, and no disk slows them down.
host_space() {
    mkdir -p "$CURFEW_TEST_CACHE/hosts"
    mount -t tmpfs -o mode=0700 curfew-tests "$CURFEW_TEST_CACHE/hosts"
}
