//! What sshd itself says (sshd(8), `-T`): whether it asks PAM at all, and whether root may come in past every grant.

use super::{Check, Host, Occasion};
use crate::program::{self, Said};
use std::path::Path;

const SSHD: &str = "/usr/sbin/sshd";

/// What it is told, one setting a line. Match blocks are decided for root who comes from here.
fn settings() -> Result<String, String> {
    program::run_and_wait(SSHD, &["-T", "-C", "user=root,host=localhost,addr=127.0.0.1"]).and_then(Said::output)
}

/// Whether root may log in over it at all; `false` where that can't be known. Where there is none, people log in otherwise.
pub fn lets_root_in() -> bool {
    !Path::new(SSHD).exists()
        || settings()
            .is_ok_and(|settings| value(&settings, "permitrootlogin").is_some_and(|permitted| permitted != "no"))
}

pub(super) fn checks(host: &Host, occasion: Occasion) -> Vec<Check> {
    if !host.config().login_services.iter().any(|service| service == "sshd") || !Path::new(SSHD).exists() {
        return vec![Check::pass("sshd", "there is no sshd that is judged")];
    }
    match settings() {
        Ok(settings) => vec![pam(&settings, &host.config().login_services), root(&settings, host.exempts("root"))],
        Err(problem) => {
            let detail = format!("whether sshd asks PAM can't be known: {problem}");
            let mend = "see that `sshd -T` says UsePAM yes; it wants /run/sshd (mkdir -p /run/sshd) and host keys (ssh-keygen -A)";
            // Whoever wires what nobody asks takes it for a lock.
            vec![match occasion {
                Occasion::Visit => Check::warn("sshd", detail, mend),
                Occasion::BeforeWiring => Check::fail("sshd", detail, mend),
            }]
        }
    }
}

fn value<'a>(settings: &'a str, key: &str) -> Option<&'a str> {
    settings.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')).map(str::trim)
}

fn pam(settings: &str, judged: &[String]) -> Check {
    match value(settings, "usepam") {
        Some("yes") => match value(settings, "pamservicename") {
            Some(service) if !judged.iter().any(|judged| judged == service) => Check::fail(
                "sshd",
                format!("it asks PAM as {service} (PAMServiceName), which is not judged"),
                "add it to login_services in agent.toml, then: curfew enable",
            ),
            _ => Check::pass("sshd", "it asks PAM (UsePAM yes)"),
        },
        other => Check::fail(
            "sshd",
            format!("it does not ask PAM (UsePAM {}), so Curfew is not asked", other.unwrap_or("is not there")),
            "set UsePAM yes in /etc/ssh/sshd_config, then: systemctl reload ssh (or sshd)",
        ),
    }
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

#[cfg(test)]
mod tests {
    use super::super::Finding;
    use super::*;

    #[test]
    fn sshd_is_taken_at_its_word() {
        let settings = "port 22\nusepam yes\npermitrootlogin without-password\nusepamx no\n";
        let judged = ["sshd".to_owned()];
        assert_eq!(pam(settings, &judged).result, Finding::Pass);
        assert_eq!(pam("usepam yes\npamservicename sshd\n", &judged).result, Finding::Pass);
        assert_eq!(pam("usepam yes\npamservicename other\n", &judged).result, Finding::Fail);
        assert_eq!(pam("usepam no\n", &judged).result, Finding::Fail);
        assert_eq!(pam("", &judged).result, Finding::Fail);
        assert_eq!(root(settings, true).result, Finding::Warn);
        assert_eq!(root(settings, false).result, Finding::Pass);
        assert_eq!(root("permitrootlogin no\n", true).result, Finding::Pass);
    }
}
