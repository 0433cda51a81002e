//! sudo: which one it is, whether it reads our rules, and whether it asks PAM about the account.

use super::sudoers::{self, Line};
use super::{Check, Host, Occasion};
use crate::enforce::sudo_flavour::{Flavour, HostSudo, SUDO};
use crate::wiring::{SUDOERS_INCLUDE, SUDOERS_LINE};
use std::fs;
use std::path::{Path, PathBuf};

/// The rules of each sudo. sudo-rs has a file of its own, where it is there.
pub(super) fn main_file(flavour: Flavour) -> PathBuf {
    let of_rs = Path::new("/etc/sudoers-rs");
    if flavour == Flavour::Rs && of_rs.exists() { of_rs.into() } else { "/etc/sudoers".into() }
}

pub(super) fn checks(host: &Host, occasion: Occasion) -> Vec<Check> {
    if !Path::new(SUDO).exists() {
        return vec![Check::warn("sudo", "there is no sudo: grants of it give nothing", "install sudo")];
    }
    let sudo = HostSudo::default();
    let flavour = match sudo.flavour() {
        Ok(flavour) => flavour,
        Err(problem) => return vec![Check::fail("sudo", problem, "install the distribution's sudo")],
    };
    let mut checks = vec![match sudo.visudo(flavour) {
        Ok(_) => Check::pass("sudo", format!("it is {flavour}")),
        Err(problem) => Check::fail("sudo", problem, "install the distribution's sudo again"),
    }];
    let main = main_file(flavour);
    let (lines, folders) = sudoers::read(&main);
    checks.push(included(&main, &folders, occasion));
    checks.push(account(&lines, flavour));
    if flavour == Flavour::Rs && host.config().elevation_services.iter().any(|it| it == "sudo") {
        checks.extend(files_of_rs());
    }
    checks
}

fn included(main: &Path, folders: &[PathBuf], occasion: Occasion) -> Check {
    let folder = Path::new(SUDOERS_INCLUDE).parent().unwrap_or(Path::new("/"));
    if !folders.iter().any(|included| included == folder) {
        let detail = format!("{} does not read {}, so grants of sudo give nothing", main.display(), folder.display());
        return Check::fail("sudoers", detail, format!("add to it, with visudo: @includedir {}", folder.display()));
    }
    match (fs::read_to_string(SUDOERS_INCLUDE), occasion) {
        (Ok(text), _) if text == SUDOERS_LINE => Check::pass("sudoers", "it reads the rules of grants"),
        (_, Occasion::BeforeWiring) => Check::pass("sudoers", format!("it reads {}", folder.display())),
        (Ok(_), _) => Check::fail("sudoers", format!("{SUDOERS_INCLUDE} is not as it was written"), "curfew enable"),
        (Err(_), _) => {
            Check::warn("sudoers", format!("{SUDOERS_INCLUDE} is not there: sudo is not wired"), "curfew enable")
        }
    }
}

/// `pam_acct_mgmt` can be switched off, and then nobody's sudo is judged.
fn account(lines: &[Line], flavour: Flavour) -> Check {
    let off = lines.iter().filter(|line| line.text.trim_start().starts_with("Defaults"));
    let off: Vec<String> = off
        .filter(|line| line.text.replace("! ", "!").contains("!pam_acct_mgmt"))
        .map(|line| format!("{}, line {}", line.path.display(), line.number))
        .collect();
    if off.is_empty() || flavour == Flavour::Rs {
        Check::pass("pam_acct_mgmt", "sudo asks PAM about the account")
    } else {
        let detail = format!("sudo does not ask PAM about the account: {}", off.join("; "));
        Check::fail("pam_acct_mgmt", detail, "take !pam_acct_mgmt out, with visudo")
    }
}

/// Where sudo-rs brings no PAM file, PAM takes `other`, which does not ask us.
fn files_of_rs() -> Option<Check> {
    crate::wiring::service_file("sudo").is_none().then(|| {
        let detail = "this sudo-rs came without /etc/pam.d/sudo: PAM asks others than us, or nobody";
        Check::fail("sudo_pam", detail, "install the distribution's PAM files for sudo, then: curfew enable")
    })
}

#[cfg(test)]
mod tests {
    use super::super::Finding;
    use super::*;

    #[test]
    fn a_sudo_that_asks_nobody_is_found() {
        let line = |text: &str| vec![Line { path: "/etc/sudoers".into(), number: 3, text: text.into() }];
        for (text, finding) in [
            ("Defaults !pam_acct_mgmt", Finding::Fail),
            ("Defaults:alice env_reset, ! pam_acct_mgmt", Finding::Fail),
            ("Defaults pam_acct_mgmt", Finding::Pass),
            ("alice ALL = /bin/echo !pam_acct_mgmt", Finding::Pass),
        ] {
            assert_eq!(account(&line(text), Flavour::Classic).result, finding, "{text}");
        }
        assert_eq!(account(&line("Defaults !pam_acct_mgmt"), Flavour::Rs).result, Finding::Pass);
    }

    #[test]
    fn rules_that_are_never_read_are_found() {
        let main = Path::new("/etc/sudoers");
        assert_eq!(included(main, &[], Occasion::BeforeWiring).result, Finding::Fail);
        assert_eq!(included(main, &["/etc/sudoers.d".into()], Occasion::BeforeWiring).result, Finding::Pass);
    }
}
