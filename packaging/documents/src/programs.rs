//! The two programs, and what their command lines do not say of themselves.

use crate::settings;
use clap::{Command, CommandFactory};
use curfew::cli::Cli;

/// A program, by whose name its package goes.
#[derive(Debug)]
pub struct Program {
    /// As `curfew`.
    pub name: &'static str,
    /// The crates of this repository that its package is made of.
    pub crates: &'static [&'static str],
    /// Its command line.
    pub command: Command,
    /// What its exit codes mean.
    pub exits: &'static [(&'static str, &'static str)],
    /// The variables that it reads.
    pub environment: &'static [(&'static str, &'static str)],
    /// The files of its package that people know by name.
    pub files: &'static [(&'static str, &'static str)],
    /// What else there is to read.
    pub see_also: &'static [&'static str],
    /// Its configuration.
    pub settings: &'static settings::File,
    /// Pages that are written by hand.
    pub by_hand: &'static [&'static str],
}

/// All programs.
pub fn all() -> [Program; 2] {
    [agent(), server()]
}

fn agent() -> Program {
    Program {
        name: "curfew",
        crates: &["curfew", "pam_curfew"],
        command: Cli::command(),
        exits: &[
            ("0", "Yes, or done."),
            ("1", "No, or it failed; standard error says why."),
            ("2", "It was used wrongly."),
        ],
        environment: &[],
        files: &[
            ("/etc/curfew/agent.toml", "The configuration; see agent.toml(5)."),
            ("/etc/curfew/exempt", "Users who always get in, one login name a line; see pam_curfew(8)."),
            ("/var/lib/curfew/", "The grants and the audit. Root's alone."),
            ("/run/curfew/", "The sockets, and `sudoers.d` with the sudo rules of live grants."),
            ("/etc/sudoers.d/curfew", "What makes sudo read those rules, while Curfew is in force."),
        ],
        see_also: &["agent.toml(5)", "curfewd(8)", "pam_curfew(8)"],
        settings: &settings::File {
            name: "agent.toml",
            path: "/etc/curfew/agent.toml",
            about: "configuration of curfewd, the Curfew agent",
            shipped: include_str!("../../agent.toml"),
            see_also: &["curfew(1)", "curfewd(8)", "pam_curfew(8)"],
        },
        by_hand: &[include_str!("../pages/curfewd.8"), include_str!("../pages/pam_curfew.8")],
    }
}

fn server() -> Program {
    Program {
        name: "curfew-server",
        crates: &["curfew-server"],
        command: curfew_server::command_line(),
        exits: &[
            ("0", "Done."),
            ("1", "It failed, or the answer is no; standard error or the output says why."),
            ("2", "It was used wrongly."),
        ],
        environment: &[
            ("CURFEW_SERVER_CONFIG", "The configuration, as `--config`."),
            ("CURFEW_SERVER_URL", "The server's URL, as `--url`."),
            ("CURFEW_SERVER_TOKEN", "The administrator's token itself."),
            ("CURFEW_SERVER_TOKEN_FILE", "The file with the administrator's token, as `--token-file`."),
            ("CURFEW_SERVER_CA", "The CA that signed the server's certificate, as `--ca`."),
        ],
        files: &[
            ("/etc/curfew/server.toml", "The configuration; see server.toml(5)."),
            (
                "/var/lib/curfew-server/",
                "The database, unless it is a PostgreSQL; the keys that sign sets; the certificate that `init` makes.",
            ),
            (
                "/usr/share/doc/curfew-server/examples/",
                "`policy.cedar`, policies to begin with, and `policy.cases.toml`, the cases that hold for them.",
            ),
        ],
        see_also: &["server.toml(5)", "curfew(1)"],
        settings: &settings::File {
            name: "server.toml",
            path: "/etc/curfew/server.toml",
            about: "configuration of curfew-server, the central endpoint of Curfew",
            shipped: include_str!("../../server.toml"),
            see_also: &["curfew-server(1)"],
        },
        by_hand: &[],
    }
}
