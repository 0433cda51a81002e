//! Whole hosts: real sshd, sudo, systemd, logind and journald, with the package that users install.
//! Each module is a part of what Curfew promises; each test runs on every release.

/// Makes a test of each function for every release: `module::bookworm::name` and `module::trixie::name`.
macro_rules! on_every_release {
    ($(fn $name:ident($release:ident) $body:block)+) => {
        $( fn $name($release: curfew_tests::Release) $body )+

        mod bookworm {
            $( #[test] fn $name() { super::$name(curfew_tests::Release::Bookworm); } )+
        }

        mod trixie {
            $( #[test] fn $name() { super::$name(curfew_tests::Release::Trixie); } )+
        }
    };
}

mod hosts {
    mod harness;
}
