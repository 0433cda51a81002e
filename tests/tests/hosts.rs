//! Whole hosts: real sshd, sudo, systemd, logind and journald, with the package that users install.
//! Each module is a part of what Curfew promises; each test runs on every release.

/// Makes tests of these functions, one for each release: `module::name::bookworm` and `module::name::trixie`.
macro_rules! on_every_release {
    ($($name:ident,)+) => {
        $(
            mod $name {
                #[test]
                fn bookworm() {
                    super::$name(curfew_tests::Release::Bookworm);
                }

                #[test]
                fn trixie() {
                    super::$name(curfew_tests::Release::Trixie);
                }
            }
        )+
    };
}

mod hosts {
    mod access;
    mod agent_down;
    mod attack;
    mod audit;
    mod deadline;
    mod end;
    mod harness;
    mod hostile_grant;
    mod malformed;
    mod observe;
    mod reboot;
    mod refusal;
    mod residue;
    mod warning;
    mod wiring;
}
