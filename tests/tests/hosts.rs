//! Whole hosts: real sshd, sudo, systemd, logind and journald, with the package that users install. Each module is a
//! part of what Curfew promises. Every test is compiled for each release that it can run on, and `tests/run` picks: one
//! release, in turn, for most; each, for what is about a release (`tests/selection.sh`); all of them with `--all`.

/// Makes tests of these functions, one for each release, of which one runs in its turn: `module::name::bookworm`,
/// `…::trixie` and `…::trixie_sudo_rs`.
macro_rules! on_every_release {
    ($($name:ident,)+) => { $(on! { $name: bookworm Bookworm, trixie Trixie, trixie_sudo_rs TrixieSudoRs })+ };
}

/// As `on_every_release!`, and all of them run: for what is about the release itself, such as its sudo, its systemd,
/// its packages. At most forty sentences are.
macro_rules! on_each_release {
    ($($name:ident,)+) => { on_every_release! { $($name,)+ } };
}

/// As `on_every_release!`, for what sudo-rs has no words or options for. Say which, where it is used.
macro_rules! on_classic_sudo {
    ($($name:ident,)+) => { $(on! { $name: bookworm Bookworm, trixie Trixie })+ };
}

/// As `on_every_release!`, for what has nothing to do with which sudo it is.
macro_rules! on_two_releases {
    ($($name:ident,)+) => { $(on! { $name: bookworm Bookworm, trixie Trixie })+ };
}

/// As `on_each_release!`, for what has nothing to do with which sudo it is.
macro_rules! on_both_releases {
    ($($name:ident,)+) => { on_two_releases! { $($name,)+ } };
}

/// On the newest release alone, for what happens in the agent and nowhere else on the host.
macro_rules! on_one_release {
    ($($name:ident,)+) => { $(on! { $name: trixie Trixie })+ };
}

/// As `on_one_release!`, for what takes a host with both sudos, or with sudo-rs.
macro_rules! on_sudo_rs {
    ($($name:ident,)+) => { $(on! { $name: trixie_sudo_rs TrixieSudoRs })+ };
}

/// In virtual machines, whose processors are emulated: each takes minutes, so one of them runs at each landing, in turn, and nothing beside it. A line
/// for each.
macro_rules! in_virtual_machines {
    ($($name:ident: $($test:ident $release:ident),+;)+) => { $(on! { $name: $($test $release),+ })+ };
}

/// What takes a minute or more: a third of them runs at each landing. A line for each.
macro_rules! takes_long {
    ($($name:ident: $($test:ident $release:ident),+;)+) => { $(on! { $name: $($test $release),+ })+ };
}

/// What compares times: as `takes_long!`, and nothing runs beside it.
macro_rules! measures {
    ($($name:ident: $($test:ident $release:ident),+;)+) => { $(on! { $name: $($test $release),+ })+ };
}

macro_rules! on {
    ($name:ident: $($test:ident $release:ident),+) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    curfew_tests::say_failures_at_once();
                    let _timed = curfew_tests::timing::Timed::begin();
                    super::$name(curfew_tests::Release::$release);
                }
            )+
        }
    };
}

mod hosts {
    mod access;
    mod access_paths;
    mod account;
    mod agent_down;
    mod attack;
    mod audit;
    mod background;
    mod bystanders;
    mod central;
    mod clock;
    mod clock_vm;
    mod crash;
    mod deadline;
    mod departure;
    mod doctor;
    mod enable;
    mod end;
    mod endpoint;
    mod endpoint_faults;
    mod flood;
    mod guards;
    mod hardening;
    mod harness;
    mod host_kinds;
    mod hostile_grant;
    mod install;
    mod limits;
    mod load;
    mod malformed;
    mod model;
    mod noninteractive;
    mod observe;
    mod outage;
    mod process_trees;
    mod quick_start;
    mod race;
    mod reboot;
    mod refusal;
    mod removal;
    mod residue;
    mod rpm;
    mod selinux;
    mod server_package;
    mod slow_people;
    mod spool;
    mod ssh_penalties;
    mod sudo;
    mod sudo_exchanged;
    mod sudo_view;
    mod survivors;
    mod upgrade;
    mod vagrant;
    mod vm;
    mod warning;
    mod why;
    mod wiring;
}
