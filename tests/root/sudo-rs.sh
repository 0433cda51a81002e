# Runs inside a fresh root after setup.sh, as its root: sudo-rs takes the place of the classic sudo, as an administrator would do it.
# Debian's package only brings sudo-rs and visudo-rs, as links to /usr/lib/cargo/bin. su stays what it is.
set -eu

replace() { # PATH DIVERTED TARGET
    dpkg-divert --quiet --local --rename --divert "$2" --add "$1"
    ln -s "$3" "$1"
}

replace /usr/bin/sudo /usr/bin/sudo.ws sudo-rs
replace /usr/sbin/visudo /usr/sbin/visudo.ws ../bin/visudo-rs
