//! PAM's service files: which lead to a shell or to root, and in which of those Curfew is asked.

use super::{AccessPath, Kind, Standing, Survey, is_judged};
use crate::config::Config;
use crate::wiring::service_file::is_wired;
use crate::wiring::{PAM_FOLDER, VENDOR_FOLDER};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Services by which nobody who is not root gets a shell or root: those for every service, passwords, mail, printing, databases; root's own runuser;
/// each person's service manager; jobs (see background_services).
const HARMLESS: [&str; 48] = [
    "other",
    "passwd",
    "chfn",
    "chsh",
    "chage",
    "chpasswd",
    "newusers",
    "groupadd",
    "groupdel",
    "groupmod",
    "useradd",
    "userdel",
    "usermod",
    "shadow",
    "runuser",
    "runuser-l",
    "systemd-user",
    "cron",
    "crond",
    "atd",
    "cups",
    "samba",
    "postgresql",
    "dovecot",
    "smtp",
    "smtp.postfix",
    "smtpd",
    "imap",
    "pop",
    "pop3",
    "sieve",
    "postfix",
    "exim",
    "slapd",
    "sssd-shadowutils",
    "vlock",
    "screen",
    "xscreensaver",
    "gnome-screensaver",
    "i3lock",
    "swaylock",
    "kscreensaver",
    "polkit-1",
    "doas",
    "squid",
    "openvpn",
    "ppp",
    "nginx",
];

/// Services by which people log in at the host's own screen, or by a program that may not run.
const LOGINS: [&str; 26] = [
    "sshd",
    "login",
    "remote",
    "rsh",
    "rexec",
    "cockpit",
    "webmin",
    "usermin",
    "xrdp-sesman",
    "vsftpd",
    "proftpd",
    "pure-ftpd",
    "ftp",
    "gdm-password",
    "gdm-fingerprint",
    "gdm-smartcard",
    "gdm-autologin",
    "lightdm",
    "lightdm-autologin",
    "sddm",
    "sddm-autologin",
    "xdm",
    "lxdm",
    "kde",
    "greetd",
    "vmtoolsd",
];

/// Services by which people become somebody else.
const ELEVATIONS: [&str; 8] = ["sudo", "sudo-i", "su", "su-l", "ksu", "kdesu", "systemd-run0", "sudo-rs"];

pub(super) fn look(config: &Config, survey: &mut Survey) {
    let mut names = BTreeSet::new();
    for folder in [PAM_FOLDER, VENDOR_FOLDER] {
        survey.reads(folder);
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        names.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_service(name)));
    }
    let judged: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_judged(config, name)).collect();
    let is_asked = |name: &str| is_wired(Path::new(PAM_FOLDER), name).unwrap_or(false);
    survey.paths.push(AccessPath::covered(Kind::PamServices, "services", covered(&judged, is_asked)));
    for name in names.iter().filter(|name| !is_judged(config, name)) {
        survey.paths.extend(unjudged(name));
    }
}

/// Where PAM asks Curfew, and where it is to: not before `curfew enable`.
fn covered(judged: &[&str], is_asked: impl Fn(&str) -> bool) -> String {
    let (asked, others): (Vec<&str>, Vec<&str>) = judged.iter().partition(|name| is_asked(name));
    let asks = format!("PAM asks Curfew in {}", asked.join(" "));
    let is_to = format!("PAM is to ask Curfew in {}, and does so once `curfew enable` has wired it", others.join(" "));
    match (asked.is_empty(), others.is_empty()) {
        (_, true) => asks,
        (true, false) => is_to,
        (false, false) => format!("{asks}; {is_to}"),
    }
}

/// What packages and editors leave beside a file is none.
fn is_service(name: &str) -> bool {
    let left = [".dpkg-", ".rpm", ".ucf-", ".pam-old", ".bak", ".orig", ".new"];
    !name.starts_with(['.', '#']) && !name.ends_with('~') && !left.iter().any(|it| name.contains(it))
}

/// How a service stands that is in none of the lists.
fn unjudged(name: &str) -> Option<AccessPath> {
    // Includes of every other file.
    let included =
        name.starts_with("common-") || name.ends_with("-auth") || name.ends_with("-ac") || name == "postlogin";
    if included || HARMLESS.contains(&name) {
        return None;
    }
    let path = |standing, detail: String, list: &str| AccessPath {
        kind: Kind::PamServices,
        key: format!("service {name}"),
        standing,
        detail,
        fix: format!("add {name:?} to {list} in /etc/curfew/agent.toml, then: curfew enable"),
    };
    Some(if LOGINS.contains(&name) {
        path(
            Standing::OpenOnTheHost,
            format!("people log in by the PAM service {name}, in which Curfew is not asked"),
            "login_services",
        )
    } else if ELEVATIONS.contains(&name) {
        let detail = format!("people become somebody else by the PAM service {name}, in which Curfew is not asked");
        path(Standing::OpenOnTheHost, detail, "elevation_services")
    } else {
        let detail = format!(
            "whether people get a shell or root by the PAM service {name} is not known to Curfew, which is not asked in it"
        );
        path(Standing::Unknown, detail, "login_services, or elevation_services, if they do,")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_told_by_what_they_lead_to() {
        for (name, standing) in [
            ("common-auth", None),
            ("system-auth", None),
            ("password-auth", None),
            ("chfn", None),
            ("cron", None),
            ("su", Some(Standing::OpenOnTheHost)),
            ("gdm-password", Some(Standing::OpenOnTheHost)),
            ("cockpit", Some(Standing::OpenOnTheHost)),
            ("partner", Some(Standing::Unknown)),
        ] {
            assert_eq!(unjudged(name).map(|path| path.standing), standing, "{name}");
        }
    }

    #[test]
    fn where_pam_does_not_ask_us_yet_is_not_told_as_if_it_did() {
        let told = |wired: &[&str]| covered(&["login", "sshd"], |name| wired.contains(&name));
        assert_eq!(told(&["login", "sshd"]), "PAM asks Curfew in login sshd");
        assert!(told(&[]).starts_with("PAM is to ask Curfew in login sshd,"), "{}", told(&[]));
        assert!(told(&["sshd"]).starts_with("PAM asks Curfew in sshd; PAM is to ask Curfew in login,"));
    }

    #[test]
    fn what_packages_leave_beside_a_file_is_no_service() {
        let names = ["sshd.dpkg-new", ".curfew-x.new", "sshd~", "su.rpmsave", "#su#"];
        assert!(!names.into_iter().any(is_service));
        assert!(["sshd", "polkit-1", "sudo-i", "smtp.postfix"].into_iter().all(is_service));
    }
}
