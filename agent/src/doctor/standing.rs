//! Standing access: what somebody has without a grant, or gets on top of one. Curfew refuses the login and the sudo; the rights that are there beside it
//! are the host's, and an auditor asks for them.

use super::{Check, Host, way_in};
use crate::host::sudo::HostSudo;
use crate::host::sudoers::{self, Line};
use crate::host::system_account::is_system_account;
use curfew_protocol::exempt::EXEMPT_LIST;
use nix::unistd::Group;
use std::collections::BTreeSet;
use std::fs;

/// Groups whose members have sudo rules on most distributions.
const SUDO_GROUPS: [&str; 3] = ["sudo", "wheel", "admin"];

/// Groups whose members can become root without sudo.
const ROOTLIKE_GROUPS: [&str; 6] = ["docker", "lxd", "incus-admin", "libvirt", "disk", "shadow"];

/// At most so many names or places are told.
const MOST_TOLD: usize = 10;

pub(super) fn checks(host: &Host) -> Vec<Check> {
    let mut checks = rules(host);
    checks.extend([sudo_groups(host), rootlike_groups(host)]);
    checks
}

fn rules(host: &Host) -> Vec<Check> {
    let Ok(flavour) = HostSudo::default().flavour() else {
        let detail = "which sudo there is can't be told, so neither can its rules";
        return vec![Check::warn("sudo_rules", detail, "see the sudo check")];
    };
    let lines = sudoers::read(&sudoers::main_file(flavour)).lines;
    let (mut of_people, mut of_services, mut services) = (Vec::new(), Vec::new(), BTreeSet::new());
    for Line { path, number, text } in lines.iter().filter(|line| !line.path.starts_with("/run/curfew")) {
        let found = format!("{}, line {number}: {}", path.display(), text.trim());
        match who_is_spared(text, |user| host.exempts(user), is_of_service) {
            Spared::Nobody => {}
            Spared::People => of_people.push(found),
            Spared::Services(users) => {
                of_services.push(found);
                services.extend(users);
            }
        }
    }
    let mut checks = Vec::new();
    if !of_people.is_empty() {
        let detail = format!("under any grant of sudo these hold, too, without a password: {}", told(&of_people, "; "));
        checks.push(Check::warn("sudo_rules", detail, "take them out with visudo, and grant what they gave"));
    }
    if !services.is_empty() {
        let names: Vec<String> = services.into_iter().collect();
        let detail = format!(
            "nobody logs in as {}, and once Curfew is in force, what runs as such an account is refused sudo as everybody is who needs a grant: {}",
            told(&names, " "),
            told(&of_services, "; ")
        );
        let fix = format!("to keep it working, exempt them: printf '%s\\n' {} >>{EXEMPT_LIST}", told(&names, " "));
        checks.push(Check::warn("sudo_rules", detail, fix));
    }
    if checks.is_empty() {
        checks.push(Check::pass("sudo_rules", "no standing rule gives sudo without a password"));
    }
    checks
}

/// Whether services run under the account, and nobody logs in as it.
fn is_of_service(user: &str) -> bool {
    user != "root" && (is_system_account(user) || way_in::has_no_shell(user))
}

/// Whom a line of sudoers(5) spares the password, of those who are not exempt.
#[derive(Debug, Eq, PartialEq)]
enum Spared {
    Nobody,
    People,
    /// Accounts of services alone.
    Services(Vec<String>),
}

/// Blanks may stand around every sign.
fn who_is_spared(line: &str, exempt: impl Fn(&str) -> bool, of_service: impl Fn(&str) -> bool) -> Spared {
    let line = line.trim_start();
    let dense: String = line.split_ascii_whitespace().collect();
    if line.starts_with("Defaults") {
        return if dense.contains("!authenticate") { Spared::People } else { Spared::Nobody };
    }
    let users = line.split(',').map(str::trim).collect::<Vec<_>>().join(",");
    let users = users.split_ascii_whitespace().next().unwrap_or_default();
    let users: Vec<String> = users.split(',').filter(|user| !exempt(user)).map(str::to_owned).collect();
    if !dense.contains("NOPASSWD:") || users.is_empty() {
        Spared::Nobody
    } else if users.iter().all(|user| of_service(user)) {
        Spared::Services(users)
    } else {
        Spared::People
    }
}

fn sudo_groups(host: &Host) -> Check {
    let found = members(host, &SUDO_GROUPS);
    if found.is_empty() {
        return Check::pass("sudo_members", format!("nobody who needs a grant is in {}", SUDO_GROUPS.join(", ")));
    }
    let detail = format!("under any grant of sudo the rules of their group hold, too: {}", told(&found, ", "));
    Check::warn("sudo_members", detail, "take them out: gpasswd --delete USER GROUP")
}

fn rootlike_groups(host: &Host) -> Check {
    let found = members(host, &ROOTLIKE_GROUPS);
    if found.is_empty() {
        return Check::pass("root_groups", format!("nobody who needs a grant is in {}", ROOTLIKE_GROUPS.join(", ")));
    }
    let detail = format!("these can become root without sudo while they are logged in: {}", told(&found, ", "));
    Check::warn("root_groups", detail, "take them out: gpasswd --delete USER GROUP")
}

/// Who is in one of the groups and not exempt, as `alice (sudo)`.
fn members(host: &Host, groups: &[&str]) -> Vec<String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut found = BTreeSet::new();
    for name in groups {
        let Ok(Some(group)) = Group::from_name(name) else { continue };
        let primary = passwd.lines().filter_map(|line| primary_member(line, group.gid.as_raw()));
        let all = group.mem.iter().map(String::as_str).chain(primary);
        found.extend(all.filter(|user| *user != "root" && !host.exempts(user)).map(|user| format!("{user} ({name})")));
    }
    found.into_iter().collect()
}

/// The user of a line of passwd(5) whose own group is `gid`.
fn primary_member(line: &str, gid: u32) -> Option<&str> {
    let mut fields = line.split(':');
    let user = fields.next()?;
    (fields.nth(2)?.parse() == Ok(gid)).then_some(user)
}

fn told(found: &[String], between: &str) -> String {
    let more = found.len().saturating_sub(MOST_TOLD);
    let told = found.iter().take(MOST_TOLD).map(|it| crate::human::printable(it)).collect::<Vec<_>>().join(between);
    if more == 0 { told } else { format!("{told}{between}and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_without_a_password_are_found() {
        for (line, found) in [
            ("dave ALL = NOPASSWD: /usr/bin/id", true),
            ("%wheel ALL=(ALL) NOPASSWD:ALL", true),
            ("ops ALL=(ALL) NOPASSWD:ALL", false),
            ("ops ALL=(ALL) NOPASSWD : ALL", false),
            ("ops, alice ALL=(ALL) NOPASSWD: ALL", true),
            ("ops ,alice ALL=(ALL) NOPASSWD: ALL", true),
            ("alice ALL=(ALL) NOPASSWD : ALL", true),
            ("Defaults:bob !authenticate", true),
            ("Defaults !  authenticate", true),
            ("Defaults env_reset", false),
            ("%sudo ALL=(ALL:ALL) ALL", false),
        ] {
            let spared = who_is_spared(line, |user| user == "ops", |_| false);
            assert_eq!(spared, if found { Spared::People } else { Spared::Nobody }, "{line}");
        }
    }

    #[test]
    fn rules_of_accounts_that_services_run_under_are_told_from_those_of_people() {
        let spared = |line: &str| who_is_spared(line, |user| user == "ops", |user| user == "nagios");
        let nagios = Spared::Services(vec!["nagios".into()]);
        assert_eq!(spared("nagios ALL=(root) NOPASSWD: /usr/bin/id"), nagios);
        assert_eq!(spared("nagios, ops ALL=(root) NOPASSWD: /usr/bin/id"), nagios);
        assert_eq!(spared("nagios, alice ALL=(root) NOPASSWD: /usr/bin/id"), Spared::People);
        assert_eq!(spared("nagios ALL=(root) /usr/bin/id"), Spared::Nobody);
    }

    #[test]
    fn ones_own_group_counts() {
        assert_eq!(primary_member("alice:x:1001:27:,,,:/home/alice:/bin/bash", 27), Some("alice"));
        assert_eq!(primary_member("alice:x:27:1001:,,,:/home/alice:/bin/bash", 27), None);
        assert_eq!(primary_member("nonsense", 27), None);
    }
}
