//! What sshd itself says (sshd(8), `-T`) beside how it asks PAM, which `access_paths` looks at: whether root may log in past every grant, and whether
//! its own penalties shut out people whom Curfew denied.

use super::{Check, Host};
use crate::host::program::{self, Said};
use std::path::Path;

const SSHD: &str = "/usr/sbin/sshd";

/// So many denials from one address in a row are nobody who guesses passwords: people try again, and several share an address.
const DENIALS: u64 = 10;

/// The line that lets them, in a file that sshd reads first. What a failure costs stays the same, so that whoever guesses is no faster in the long run.
const PENALTIES: &str = "PerSourcePenalties min:60s";

/// What it is told, one setting a line. Match blocks are decided for `user`, who comes from here.
fn settings(user: &str) -> Result<String, String> {
    let connection = format!("user={user},host=localhost,addr=127.0.0.1");
    program::run_and_wait(SSHD, &["-T", "-C", &connection]).and_then(Said::output)
}

/// The same; none where there is none: people log in otherwise.
pub(super) fn settings_for(user: &str) -> Option<Result<String, String>> {
    Path::new(SSHD).exists().then(|| settings(user))
}

/// Whether root may log in over it at all; `false` where that can't be known.
pub fn lets_root_in() -> bool {
    settings_for("root").is_none_or(|settings| {
        settings.is_ok_and(|settings| value(&settings, "permitrootlogin").is_some_and(|permitted| permitted != "no"))
    })
}

pub(super) fn checks(host: &Host) -> Vec<Check> {
    if !host.config().login_services.iter().any(|service| service == "sshd") || !Path::new(SSHD).exists() {
        return Vec::new();
    }
    // Why it says nothing is in the check of how it asks PAM.
    let Ok(settings) = settings("root") else { return Vec::new() };
    vec![root(&settings, host.exempts("root")), penalties(&settings)]
}

fn value<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    settings.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::trim)
}

fn root(settings: &str, exempt: bool) -> Check {
    match value(settings, "permitrootlogin") {
        Some("no") => Check::pass("root_login", "root can't log in over ssh"),
        Some(permitted) if exempt => Check::warn(
            "root_login",
            format!("root can log in over ssh without a grant: PermitRootLogin {permitted}, and root is exempt"),
            "once others on the exempt list get in: PermitRootLogin no in /etc/ssh/sshd_config",
        ),
        Some(_) => Check::pass("root_login", "root needs a grant over ssh: root is not exempt"),
        None => Check::warn("root_login", "sshd does not say whether root can log in", "see `sshd -T`"),
    }
}

/// Since OpenSSH 9.8, sshd counts every login that PAM denies as a failed authentication of the address that it came from, whatever code PAM gives, and
/// drops all connections from there for a while: those of exempt users, and of whoever was granted access meanwhile.
fn penalties(settings: &str) -> Check {
    let name = "ssh_penalties";
    let limits = value(settings, "persourcepenalties").unwrap_or("no");
    let seconds = |key: &str| {
        let limit = limits.split_ascii_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix(':'))?;
        limit.parse::<u64>().ok()
    };
    let (Some(cost @ 1..), Some(least)) = (seconds("authfail"), seconds("min")) else {
        return Check::pass(name, "sshd shuts out no address because of denied logins");
    };
    // It drops connections once more than the minimum has come together.
    let denials = least / cost + 1;
    if denials > DENIALS {
        return Check::pass(name, format!("sshd shuts out an address after {denials} denied logins in a row"));
    }
    let detail = format!(
        "after {denials} denied logins in a row, sshd drops every connection from that address for {least} s or more, those of exempt users and of new \
         grants, too (PerSourcePenalties authfail:{cost} min:{least})"
    );
    let fix = format!(
        "echo '{PENALTIES}' >/etc/ssh/sshd_config.d/00-curfew.conf && systemctl reload ssh (or sshd); for addresses that many people share, such as a \
         bastion's: PerSourcePenaltyExemptList ADDRESS/32"
    );
    Check::warn(name, detail, fix)
}

#[cfg(test)]
mod tests {
    use super::super::Finding;
    use super::*;

    #[test]
    fn whether_root_may_log_in_is_taken_from_sshd() {
        let settings = "port 22\nusepam yes\npermitrootlogin without-password\n";
        assert_eq!(root(settings, true).result, Finding::Warn);
        assert_eq!(root(settings, false).result, Finding::Pass);
        assert_eq!(root("permitrootlogin no\n", true).result, Finding::Pass);
    }

    #[test]
    fn penalties_that_shut_out_who_was_denied_are_found() {
        let told = |limits: &str| penalties(&format!("usepam yes\npersourcepenalties {limits}\n"));
        let by_default = told("crash:90 authfail:5 noauth:1 grace-exceeded:10 max:600 min:15 overflow:permissive");
        assert_eq!(by_default.result, Finding::Warn);
        assert!(by_default.detail.contains("after 4 denied logins"), "{by_default:?}");
        assert!(by_default.mend.is_some_and(|fix| fix.contains(PENALTIES)));
        for fine in ["crash:90 authfail:5 max:600 min:60", "authfail:0 min:15", "no"] {
            assert_eq!(told(fine).result, Finding::Pass, "{fine}");
        }
        assert_eq!(penalties("usepam yes\n").result, Finding::Pass);
    }
}
