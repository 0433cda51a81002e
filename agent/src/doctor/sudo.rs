//! sudo: which one it is, whether it reads our rules, and whether it asks PAM about the account.

use super::{Check, Host, Occasion};
use crate::host::sudo::{Flavour, HostSudo, SUDO};
use crate::host::sudoers::{self, Line, SUDO_CONF, Sudoers};
use crate::wiring::{SUDOERS_INCLUDE, SUDOERS_LINE};
use std::fs;
use std::path::{Path, PathBuf};

/// A policy that is another's than sudoers': what a grant writes is nothing to it.
fn policy(conf: &str, flavour: Flavour) -> Option<Check> {
    let plugin = sudoers::plugin_of_others(conf).filter(|_| flavour == Flavour::Classic)?;
    let detail = format!("sudo has a plugin of others ({SUDO_CONF}: {plugin}), which may decide without sudoers");
    Some(Check::warn("sudo_plugin", detail, "see that a granted command works: curfew grant, then sudo as that person"))
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
    checks.extend(policy(&fs::read_to_string(SUDO_CONF).unwrap_or_default(), flavour));
    let main = sudoers::main_file(flavour);
    let Sudoers { lines, folders, unread, .. } = sudoers::read(&main);
    checks.push(included(&main, &folders, occasion));
    checks.push(account(&lines, flavour));
    checks.push(session(&lines, flavour));
    checks.extend(invoker(&lines, flavour));
    checks.extend(terminal(&lines, flavour));
    checks.extend(services(&lines, &host.config().elevation_services));
    checks.extend((!unread.is_empty()).then(|| {
        let detail = format!("what else sudo reads is not known: {}", unread.join("; "));
        Check::warn("sudoers", detail, "make it readable, or take the include out, with visudo")
    }));
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

/// A line without its blanks: they may stand behind a `!`.
fn bare(line: &str) -> String {
    line.chars().filter(|c| !c.is_whitespace()).collect()
}

/// Where a setting is switched off, for whomever.
fn switched_off(lines: &[Line], setting: &str) -> Vec<String> {
    let settings = lines.iter().filter(|line| line.text.trim_start().starts_with("Defaults"));
    settings
        .filter(|line| bare(&line.text).contains(&format!("!{setting}")))
        .map(|line| format!("{}, line {}", line.path.display(), line.number))
        .collect()
}

/// `pam_session` can be switched off, and then PAM does not tell us that a run began or ended.
fn session(lines: &[Line], flavour: Flavour) -> Check {
    let off = switched_off(lines, "pam_session");
    if off.is_empty() || flavour == Flavour::Rs {
        Check::pass("pam_session", "sudo has PAM open a session for each run")
    } else {
        let detail = format!("sudo opens no PAM session, so nothing tells us that a run began: {}", off.join("; "));
        Check::warn("pam_session", detail, "take !pam_session out, with visudo")
    }
}

/// `pam_ruser` can be switched off, and then sudo does not tell PAM who invokes it. sudo-rs always does.
fn invoker(lines: &[Line], flavour: Flavour) -> Option<Check> {
    let off = switched_off(lines, "pam_ruser");
    (!off.is_empty() && flavour == Flavour::Classic).then(|| {
        let detail = format!(
            "sudo does not tell PAM who invokes it: {}; whoever has the real user id of its process is judged then, and where that is root's, \
             anybody else who is behind it",
            off.join("; ")
        );
        Check::warn("pam_ruser", detail, "take !pam_ruser out, with visudo")
    })
}

/// `requiretty` has sudo refuse whoever has no terminal before anything else. sudo-rs knows no such setting.
fn terminal(lines: &[Line], flavour: Flavour) -> Option<Check> {
    let wants = |text: &str| {
        let text = bare(text);
        text.starts_with("Defaults") && text.contains("requiretty") && !text.contains("!requiretty")
    };
    let found = lines.iter().filter(|line| flavour == Flavour::Classic && wants(&line.text));
    let found: Vec<String> = found.map(|line| format!("{}, line {}", line.path.display(), line.number)).collect();
    (!found.is_empty()).then(|| {
        let detail = format!(
            "sudo refuses whoever has no terminal, whatever they are granted (requiretty): {}",
            found.join("; ")
        );
        Check::warn("sudo_terminal", detail, "log in with a terminal (ssh -t), or take requiretty out, with visudo")
    })
}

/// `pam_acct_mgmt` can be switched off, and then nobody's sudo is judged.
fn account(lines: &[Line], flavour: Flavour) -> Check {
    let off = switched_off(lines, "pam_acct_mgmt");
    if off.is_empty() || flavour == Flavour::Rs {
        Check::pass("pam_acct_mgmt", "sudo asks PAM about the account")
    } else {
        let detail = format!("sudo does not ask PAM about the account: {}", off.join("; "));
        Check::fail("pam_acct_mgmt", detail, "take !pam_acct_mgmt out, with visudo")
    }
}

/// A service of another name than those that are judged is a door that nobody watches.
fn services(lines: &[Line], judged: &[String]) -> Option<Check> {
    let settings = lines.iter().filter(|line| line.text.trim_start().starts_with("Defaults"));
    let stray: Vec<String> = settings
        .flat_map(|line| {
            let bare = bare(&line.text);
            let keys = ["pam_service=", "pam_login_service=", "pam_askpass_service="];
            let after = keys.into_iter().filter_map(move |key| bare.split_once(key).map(|(_, after)| after.to_owned()));
            after.map(move |after| (line, after.split(',').next().unwrap_or_default().trim_matches('"').to_owned()))
        })
        .filter(|(_, service)| !judged.contains(service))
        .map(|(line, service)| format!("{service} ({}, line {})", line.path.display(), line.number))
        .collect();
    (!stray.is_empty()).then(|| {
        let detail = format!("sudo asks PAM as a service that is not judged: {}", stray.join(", "));
        Check::fail("sudo_service", detail, "add it to elevation_services in agent.toml, then: curfew enable")
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
            ("Defaults !\t  pam_acct_mgmt", Finding::Fail),
            ("Defaults pam_acct_mgmt", Finding::Pass),
            ("alice ALL = /bin/echo !pam_acct_mgmt", Finding::Pass),
        ] {
            assert_eq!(account(&line(text), Flavour::Classic).result, finding, "{text}");
        }
        assert_eq!(account(&line("Defaults !pam_acct_mgmt"), Flavour::Rs).result, Finding::Pass);
    }

    #[test]
    fn a_sudo_that_opens_no_session_is_found() {
        let line = |text: &str| vec![Line { path: "/etc/sudoers".into(), number: 3, text: text.into() }];
        for (text, finding) in [
            ("Defaults !pam_session", Finding::Warn),
            ("Defaults>root use_pty, ! pam_session", Finding::Warn),
            ("Defaults pam_session", Finding::Pass),
            ("Defaults !pam_acct_mgmt", Finding::Pass),
        ] {
            assert_eq!(session(&line(text), Flavour::Classic).result, finding, "{text}");
        }
        assert_eq!(session(&line("Defaults !pam_session"), Flavour::Rs).result, Finding::Pass);
    }

    #[test]
    fn a_sudo_that_does_not_say_who_invokes_it_is_found() {
        let line = |text: &str| vec![Line { path: "/etc/sudoers".into(), number: 3, text: text.into() }];
        for (text, warned) in [
            ("Defaults !pam_ruser", true),
            ("Defaults:alice env_reset, ! pam_ruser", true),
            ("Defaults pam_ruser", false),
            ("Defaults !pam_rhost", false),
        ] {
            let found = invoker(&line(text), Flavour::Classic);
            assert_eq!(found.map(|check| check.result), warned.then_some(Finding::Warn), "{text}");
        }
        assert!(invoker(&line("Defaults !pam_ruser"), Flavour::Rs).is_none());
    }

    #[test]
    fn a_service_that_nobody_judges_is_found() {
        let line = |text: &str| vec![Line { path: "/etc/sudoers".into(), number: 3, text: text.into() }];
        let judged = ["sudo".to_owned(), "sudo-i".to_owned()];
        assert!(services(&line("Defaults env_reset, pam_service=other"), &judged).is_some());
        assert!(services(&line("Defaults pam_login_service = mine"), &judged).is_some());
        assert!(services(&line("Defaults pam_askpass_service=mine"), &judged).is_some());
        assert!(services(&line("Defaults pam_service=\"sudo\",pam_login_service=sudo-i"), &judged).is_none());
    }

    #[test]
    fn a_plugin_of_others_is_told_of_the_sudo_that_has_plugins() {
        assert!(policy("Plugin sudoers_policy sudoers.so\n", Flavour::Classic).is_none());
        assert!(policy("Plugin python_policy python_plugin.so ModulePath=/x\n", Flavour::Classic).is_some());
        assert!(policy("Plugin python_policy python_plugin.so\n", Flavour::Rs).is_none());
    }

    #[test]
    fn rules_that_are_never_read_are_found() {
        let main = Path::new("/etc/sudoers");
        assert_eq!(included(main, &[], Occasion::BeforeWiring).result, Finding::Fail);
        assert_eq!(included(main, &["/etc/sudoers.d".into()], Occasion::BeforeWiring).result, Finding::Pass);
    }
}
