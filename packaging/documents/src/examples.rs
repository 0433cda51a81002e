//! Examples, by command. A test has the command lines read each of them.

/// A line that somebody might type.
#[derive(Debug)]
pub struct Example {
    /// The line.
    pub line: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// The examples of a command, as `curfew-grant`.
pub fn of(name: &str) -> impl Iterator<Item = &'static Example> {
    let of_it = EXAMPLES.iter().filter(move |(whose, _)| *whose == name);
    of_it.map(|(_, example)| example)
}

/// All examples, each with its command.
pub const EXAMPLES: &[(&str, Example)] = &[
    (
        "curfew",
        Example {
            line: "curfew grant alice --for 1h --login --sudo --reason 'INC-4711 disk full'",
            meaning: "alice may log in and use sudo for an hour.",
        },
    ),
    ("curfew", Example { line: "curfew status", meaning: "What is granted here, and how long it still holds." }),
    ("curfew", Example { line: "curfew why alice sshd", meaning: "Whether alice gets in over SSH now, and by what." }),
    (
        "curfew-audit",
        Example { line: "curfew audit --since 2h --user alice", meaning: "What alice did in the last two hours." },
    ),
    (
        "curfew-audit",
        Example {
            line: "curfew audit --since 2026-11-01 --until 2026-12-01 --format csv",
            meaning: "All of November, for a spreadsheet.",
        },
    ),
    (
        "curfew-audit",
        Example {
            line: "curfew audit --event login.denied --json",
            meaning: "Who was refused, as JSON Lines: one record a line.",
        },
    ),
    (
        "curfew-clock",
        Example {
            line: "curfew clock --accept --reason 'the hardware clock was replaced'",
            meaning: "The clock is right as it stands; new access opens again.",
        },
    ),
    (
        "curfew-disable",
        Example { line: "curfew disable", meaning: "PAM and sudo are as they were, to the byte. Nobody is refused." },
    ),
    (
        "curfew-confirm",
        Example { line: "curfew confirm", meaning: "In a new login, after `curfew enable`: it worked, and stays." },
    ),
    (
        "curfew-doctor",
        Example { line: "curfew doctor", meaning: "What is not as it should be on this host, each with the mend." },
    ),
    (
        "curfew-enable",
        Example {
            line: "curfew enable --mode observe",
            meaning: "Refuses nobody yet: `curfew audit --event login.denied` says who would be.",
        },
    ),
    (
        "curfew-enable",
        Example {
            line: "curfew enable --mode enforce --confirm 5m",
            meaning: "From here on logins and sudo need a grant; after 5 minutes it is undone, unless `curfew confirm` comes from a new login.",
        },
    ),
    (
        "curfew-enroll",
        Example {
            line: "curfew enroll https://curfew.example.org:8443 --token-file token --ca ca.pem",
            meaning: "Joins the endpoint, whose authority is in `ca.pem`, with a token of `curfew-server token create`.",
        },
    ),
    (
        "curfew-enroll",
        Example {
            line: "curfew enroll https://static.example.org/sets --static --host web-1 --keys keys.json",
            meaning: "Follows the files that any web server hands out.",
        },
    ),
    (
        "curfew-grant",
        Example {
            line: "curfew grant alice --for 30m --reason 'INC-4711 disk full'",
            meaning: "alice may log in for half an hour.",
        },
    ),
    (
        "curfew-grant",
        Example {
            line: "curfew grant alice --for 1h --login --from 10.0.0.0/8 --sudo --command '/usr/bin/systemctl restart nginx' --reason INC-4711",
            meaning: "For an hour alice may log in from that network, and as root run that one command.",
        },
    ),
    (
        "curfew-grant",
        Example {
            line: "curfew grant bob --for 8h --sudo --run-as postgres --reason 'migration of the night'",
            meaning: "bob may run any command as postgres. He needs another grant to log in.",
        },
    ),
    (
        "curfew-revoke",
        Example {
            line: "curfew revoke 01JD8Z6Q3M4T5V6W7X8Y9Z0A1B --reason 'done early'",
            meaning: "Ends that grant: its sessions are dead in a moment.",
        },
    ),
    (
        "curfew-why",
        Example {
            line: "curfew why alice sshd --from 10.1.2.3 --at 2026-11-21T20:15:00Z",
            meaning: "Whether alice will get in then and from there.",
        },
    ),
    (
        "curfew-why",
        Example {
            line: "curfew why alice sudo --command '/usr/bin/systemctl restart nginx'",
            meaning: "Whether a grant covers that command.",
        },
    ),
    (
        "curfew-server",
        Example {
            line: "curfew-server init --origin https://curfew.example.org:8443",
            meaning: "Makes a new endpoint, with a token for its first administrator.",
        },
    ),
    (
        "curfew-server",
        Example {
            line: "curfew-server grant create alice --label env=prod,role=web --for 1h --login --sudo --reason INC-4711",
            meaning: "alice gets in on every host with both labels, for an hour.",
        },
    ),
    (
        "curfew-server-audit",
        Example {
            line: "curfew-server audit --user alice --since 2h",
            meaning: "What alice did in the last two hours, on the whole fleet.",
        },
    ),
    (
        "curfew-server-revoke",
        Example {
            line: "curfew-server revoke --user alice --reason 'stolen laptop' --yes",
            meaning: "Everything that alice has ends on all hosts; without --yes it says what that is.",
        },
    ),
    (
        "curfew-server-export",
        Example {
            line: "curfew-server export /srv/www/sets --lifetime 2h",
            meaning: "Writes the files for a web server; from a timer that runs every half hour, say.",
        },
    ),
    (
        "curfew-server-grant-create",
        Example {
            line: "curfew-server grant create alice --host web-1 --for 30m --login --reason 'INC-4711 disk full'",
            meaning: "alice may log in on one host for half an hour.",
        },
    ),
    (
        "curfew-server-grant-create",
        Example {
            line: "curfew-server grant create bob --label role=db --from-time 2026-11-22T01:00:00Z --until 2026-11-22T05:00:00Z --login --sudo --run-as postgres --reason migration",
            meaning: "A window to come, on all hosts of a role.",
        },
    ),
    (
        "curfew-server-init",
        Example {
            line: "curfew-server init --origin https://curfew.example.org:8443",
            meaning: "For the package's service: the URL goes into /etc/curfew/server.toml. Then `systemctl enable --now curfew-server`.",
        },
    ),
    (
        "curfew-server-key",
        Example { line: "curfew-server key add", meaning: "The first step to another signing key: it is announced." },
    ),
    (
        "curfew-server-policy-check",
        Example {
            line: "curfew-server policy check policy.cedar --people people.toml",
            meaning: "Everything that is wrong with it, and what nobody could ever do.",
        },
    ),
    (
        "curfew-server-policy-diff",
        Example {
            line: "curfew-server policy diff old.cedar policy.cedar --cases policy.cases.toml",
            meaning: "Which policies change, and to which cases the new version says something else.",
        },
    ),
    (
        "curfew-server-policy-explain",
        Example {
            line: "curfew-server policy explain --policy policy.cedar --person alice --group dev --host web-1 --host-labels env=prod --for 1h --sudo",
            meaning: "Whether alice may ask for that, who has to approve, and which policies say so.",
        },
    ),
    (
        "curfew-server-policy-test",
        Example {
            line: "curfew-server policy test --policy policy.cedar",
            meaning: "Tries the cases in policy.cases.toml beside it.",
        },
    ),
    (
        "curfew-server-token-create",
        Example {
            line: "curfew-server token create --name web-1 --label env=prod",
            meaning: "A token that lets a host in as web-1. On it: `curfew enroll`.",
        },
    ),
];
