//! Whether somebody can log in on this host at all, as far as the host's own files and sshd say: Curfew refuses no exempt user, and others may.

use super::ssh;
use crate::host::glob;
use nix::unistd::{Group, User, getgrouplist};
use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const SHADOW: &str = "/etc/shadow";

const SECONDS_A_DAY: i64 = 86_400;

/// Why nobody can log in as `user`; none where nothing says so. What can't be asked says nothing.
pub fn shut_out(user: &str) -> Option<String> {
    let Some(account) = User::from_name(user).ok().flatten() else { return Some("no user of this host".into()) };
    let mode = |shell: &Path| fs::metadata(shell).ok().map(|about| about.permissions());
    let days = crate::clock::now().as_second() / SECONDS_A_DAY;
    without_a_shell(&account.shell, mode)
        .or_else(|| expired(&fs::read_to_string(SHADOW).unwrap_or_default(), user, days))
        .or_else(|| ssh::settings_for(user)?.ok().and_then(|settings| refused(&settings, user, &groups_of(&account))))
}

/// Whether the account has no shell: nobody logs in as such a one.
pub(super) fn has_no_shell(user: &str) -> bool {
    let account = User::from_name(user).ok().flatten();
    account.is_some_and(|account| ["nologin", "false"].iter().any(|name| account.shell.ends_with(name)))
}

fn without_a_shell(shell: &Path, mode: impl Fn(&Path) -> Option<Permissions>) -> Option<String> {
    let told = shell.display();
    let name = shell.file_name().unwrap_or_default();
    // An empty one stands for /bin/sh (passwd(5)).
    if shell.as_os_str().is_empty() {
        None
    } else if name == "nologin" || name == "false" {
        Some(format!("the shell is {told}"))
    } else {
        let runs = mode(shell).is_some_and(|mode| mode.mode() & 0o111 != 0);
        (!runs).then(|| format!("the shell {told} is no program"))
    }
}

/// By shadow(5), on the day of that number since 1970.
fn expired(shadow: &str, user: &str, today: i64) -> Option<String> {
    let line = shadow.lines().find(|line| line.split(':').next() == Some(user))?;
    let day: i64 = line.split(':').nth(7)?.parse().ok()?;
    (day >= 0 && today >= day).then(|| "the account has expired".into())
}

fn groups_of(account: &User) -> Vec<String> {
    let groups = CString::new(account.name.as_str()).ok().and_then(|name| getgrouplist(&name, account.gid).ok());
    let named = groups.unwrap_or_default().into_iter().filter_map(|gid| Group::from_gid(gid).ok().flatten());
    named.map(|group| group.name).collect()
}

/// By what sshd says of a connection of theirs (sshd_config(5)), from wherever they may come.
fn refused(settings: &str, user: &str, groups: &[String]) -> Option<String> {
    let list = |key: &str| -> Vec<&str> {
        let lines = settings.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        lines.flat_map(str::split_ascii_whitespace).collect()
    };
    let (allowed, denied) = (list("allowusers"), list("denyusers"));
    let (allowed_groups, denied_groups) = (list("allowgroups"), list("denygroups"));
    // One with a host refuses them from there alone, and lets them in from there.
    let is_user = |pattern: &&str| glob::fits(pattern.split('@').next().unwrap_or_default(), user);
    let in_group = |pattern: &&str| groups.iter().any(|group| glob::fits(pattern, group));
    let told = |which: &str| Some(format!("sshd refuses them ({which})"));
    match list("permitrootlogin").first() {
        Some(&("no" | "forced-commands-only")) if user == "root" => return told("PermitRootLogin"),
        _ => {}
    }
    if denied.iter().any(|pattern| !pattern.contains('@') && is_user(pattern)) {
        told("DenyUsers")
    } else if !allowed.is_empty() && !allowed.iter().any(is_user) {
        told("AllowUsers")
    } else if denied_groups.iter().any(in_group) {
        told("DenyGroups")
    } else if !allowed_groups.is_empty() && !allowed_groups.iter().any(in_group) {
        told("AllowGroups")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_that_runs_nothing_is_no_way_in() {
        let shut = |shell: &str, mode: Option<u32>| {
            without_a_shell(Path::new(shell), |_| mode.map(Permissions::from_mode)).is_some()
        };
        assert!(shut("/usr/sbin/nologin", Some(0o755)) && shut("/bin/false", Some(0o755)));
        assert!(shut("/bin/gone", None) && shut("/etc/passwd", Some(0o644)));
        assert!(!shut("/bin/bash", Some(0o755)) && !shut("", None));
    }

    #[test]
    fn an_account_that_has_expired_is_no_way_in() {
        let shadow = "root:*:19000:0:99999:7:::\ndave:!:19000:0:99999:7::20000:\n";
        assert!(expired(shadow, "dave", 20_000).is_some() && expired(shadow, "dave", 19_999).is_none());
        assert!(expired(shadow, "root", 20_000).is_none() && expired(shadow, "alice", 20_000).is_none());
    }

    #[test]
    fn whom_sshd_refuses_has_no_way_in() {
        let groups = ["dave".to_owned(), "ops".to_owned()];
        let why = |settings: &str, user: &str| refused(settings, user, &groups).unwrap_or_default();
        assert_eq!(why("usepam yes\npermitrootlogin no\n", "dave"), "");
        assert!(why("permitrootlogin no\n", "root").contains("PermitRootLogin"));
        assert_eq!(why("permitrootlogin without-password\n", "root"), "");
        assert!(why("allowusers alice\nallowusers bob\n", "dave").contains("AllowUsers"));
        assert_eq!(why("allowusers alice\nallowusers da?e@10.0.0.0/8\n", "dave"), "");
        assert!(why("denyusers d*\n", "dave").contains("DenyUsers"));
        assert_eq!(why("denyusers dave@10.0.0.1\n", "dave"), "");
        assert!(why("allowgroups ssh-users\n", "dave").contains("AllowGroups"));
        assert_eq!(why("allowgroups ssh-users\nallowgroups ops\n", "dave"), "");
        assert!(why("denygroups ops\n", "dave").contains("DenyGroups"));
    }
}
