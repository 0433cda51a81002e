//! Programs that listen and log people in, beside OpenSSH's server: other SSH servers, web consoles, remote desktops. And those that nobody knows here,
//! and that have the PAM library.

use super::listening::Listener;
use super::sshd::is_sshd;
use super::units::Started;
use super::{AccessPath, Kind, Standing, Survey, is_judged};
use crate::config::Config;

/// How a program asks who logs in.
enum Asks {
    /// By PAM, as this service.
    Pam(&'static str),
    /// By itself: Curfew can't be asked.
    Nobody,
}
use Asks::{Nobody, Pam};

/// Programs, or scripts of an interpreter, that log people in.
const KNOWN: [(&str, Asks, &str); 26] = [
    ("dropbear", Nobody, "an SSH server without PAM"),
    ("tinysshd", Nobody, "an SSH server without PAM"),
    ("wolfsshd", Nobody, "an SSH server without PAM"),
    ("lshd", Nobody, "an SSH server without PAM"),
    ("tailscaled", Nobody, "Tailscale, whose SSH server does not ask PAM"),
    ("teleport", Nobody, "Teleport's SSH server"),
    ("ttyd", Nobody, "a web terminal"),
    ("gotty", Nobody, "a web terminal"),
    ("code-server", Nobody, "an editor with a terminal"),
    ("jupyter-lab", Nobody, "notebooks with a terminal"),
    ("jupyter-notebook", Nobody, "notebooks with a terminal"),
    ("x11vnc", Nobody, "a remote desktop"),
    ("Xtigervnc", Nobody, "a remote desktop"),
    ("Xvnc", Nobody, "a remote desktop"),
    ("cockpit-tls", Pam("cockpit"), "the web console Cockpit"),
    ("cockpit-ws", Pam("cockpit"), "the web console Cockpit"),
    ("miniserv.pl", Pam("webmin"), "the web console Webmin"),
    ("shellinaboxd", Pam("login"), "a web terminal"),
    ("xrdp", Pam("xrdp-sesman"), "a remote desktop"),
    ("in.telnetd", Pam("login"), "a telnet server"),
    ("telnetd", Pam("login"), "a telnet server"),
    ("in.rlogind", Pam("login"), "an rlogin server"),
    ("in.rshd", Pam("rsh"), "an rsh server"),
    ("vsftpd", Pam("vsftpd"), "an FTP server"),
    ("proftpd", Pam("proftpd"), "an FTP server"),
    ("pure-ftpd", Pam("pure-ftpd"), "an FTP server"),
];

/// Programs that have the PAM library and give nobody a shell.
const HARMLESS: [&str; 14] = [
    "systemd",
    "postgres",
    "smbd",
    "nmbd",
    "winbindd",
    "cupsd",
    "dovecot",
    "auth",
    "master",
    "saslauthd",
    "slapd",
    "nginx",
    "apache2",
    "named",
];

pub(super) fn look(config: &Config, listeners: &[Listener], started: &[Started], survey: &mut Survey) {
    for it in listeners.iter().filter(|it| !is_sshd(&it.name())) {
        let which = format!("{} on {} (process {})", it.name(), it.on(), it.pid);
        let script = it.script().unwrap_or_default();
        match known(&it.name()).or_else(|| known(&script)) {
            Some(known) => survey.paths.push(judged(config, known, &which)),
            None if it.has_pam && !HARMLESS.contains(&it.name().as_str()) => {
                survey.paths.push(unknown(&it.name(), &which))
            }
            None => {}
        }
    }
    for it in started {
        let script = it.arguments.get(1).and_then(|word| word.rsplit('/').next()).unwrap_or_default();
        if let Some(known) = known(&it.name()).or_else(|| known(script)) {
            survey.paths.push(judged(config, known, &format!("{} of {}", it.name(), it.unit)));
        }
    }
}

type Known = &'static (&'static str, Asks, &'static str);

fn known(name: &str) -> Option<Known> {
    KNOWN.iter().find(|(known, ..)| *known == name)
}

fn judged(config: &Config, (name, asks, what): Known, which: &str) -> AccessPath {
    let kind = Kind::LoginServers;
    match asks {
        Pam(service) if is_judged(config, service) => {
            AccessPath::covered(kind, format!("service {service}"), format!("{which} asks PAM as {service}"))
        }
        Pam(service) => AccessPath {
            kind,
            key: format!("service {service}"),
            standing: Standing::OpenToTheNetwork,
            detail: format!("{which} is {what} and asks PAM as {service}, in which Curfew is not asked"),
            fix: format!(
                "add {service:?} to login_services in /etc/curfew/agent.toml, then: curfew enable; or stop it"
            ),
        },
        Nobody => AccessPath {
            kind,
            key: format!("server {name}"),
            standing: Standing::OpenToTheNetwork,
            detail: format!("{which} is {what}: Curfew can't be asked there"),
            fix: "stop and disable it, or have it reached by exempt users alone".into(),
        },
    }
}

fn unknown(name: &str, which: &str) -> AccessPath {
    AccessPath {
        kind: Kind::LoginServers,
        key: format!("server {name}"),
        standing: Standing::Unknown,
        detail: format!("{which} uses PAM, and Curfew does not know as which service, or for what"),
        fix: "if it gives people a shell, add its PAM service to login_services in /etc/curfew/agent.toml, then: curfew enable".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn listener(program: &str, arguments: &[&str], has_pam: bool) -> Listener {
        Listener {
            pid: 7,
            is_root: true,
            program: program.into(),
            arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
            folder: "/".into(),
            ports: BTreeSet::from([2222]),
            has_pam,
        }
    }

    fn standing(config: &Config, listener: Listener) -> Option<Standing> {
        let mut survey = Survey::default();
        look(config, &[listener], &[], &mut survey);
        survey.paths.first().map(|path| path.standing)
    }

    #[test]
    fn servers_that_log_people_in_are_told_from_others() {
        let config = Config::default();
        for (listener, expected) in [
            (listener("/usr/sbin/dropbear", &["dropbear", "-p", "2222"], false), Some(Standing::OpenToTheNetwork)),
            (listener("/usr/lib/cockpit/cockpit-tls", &[], false), Some(Standing::OpenToTheNetwork)),
            (
                listener("/usr/bin/perl", &["perl", "-w", "/usr/share/webmin/miniserv.pl"], false),
                Some(Standing::OpenToTheNetwork),
            ),
            (listener("/usr/sbin/telnetd", &[], true), Some(Standing::Covered)),
            (listener("/opt/ours/bin/portal", &[], true), Some(Standing::Unknown)),
            (listener("/usr/lib/postgresql/17/bin/postgres", &[], true), None),
            (listener("/usr/sbin/nginx", &[], false), None),
            (listener("/usr/sbin/sshd", &[], true), None),
        ] {
            assert_eq!(standing(&config, listener.clone()), expected, "{listener:?}");
        }
        let with_cockpit = Config { login_services: vec!["cockpit".into()], ..Config::default() };
        assert_eq!(
            standing(&with_cockpit, listener("/usr/lib/cockpit/cockpit-ws", &[], false)),
            Some(Standing::Covered)
        );
    }
}
