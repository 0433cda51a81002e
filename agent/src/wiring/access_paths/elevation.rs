//! polkit and doas, by which people become root without sudo. run0 and pkexec ask polkit, and polkit asks PAM as `polkit-1` about whoever proves
//! who they are; a rule that says yes asks nobody.

use super::{AccessPath, Kind, Standing, Survey, is_judged};
use crate::config::Config;
use crate::wiring::service_file;
use std::fs;
use std::path::{Path, PathBuf};

/// polkit's daemon, by distribution.
const POLKITD: [&str; 4] = [
    "/usr/lib/polkit-1/polkitd",
    "/usr/libexec/polkitd",
    "/usr/lib/policykit-1/polkitd",
    "/usr/libexec/polkit-1/polkitd",
];

/// What people become root with by it.
const BY_POLKIT: [&str; 2] = ["/usr/bin/run0", "/usr/bin/pkexec"];

/// Where its rules are (polkit(8)).
const RULES: [&str; 4] = [
    "/etc/polkit-1/rules.d",
    "/run/polkit-1/rules.d",
    "/usr/local/share/polkit-1/rules.d",
    "/usr/share/polkit-1/rules.d",
];

/// Where those of before 0.106 are, in a folder for each order and then in files.
const OLD_RULES: [&str; 2] = ["/etc/polkit-1/localauthority", "/var/lib/polkit-1/localauthority"];

/// doas, and what it may do.
const DOAS: [&str; 2] = ["/usr/bin/doas", "/usr/local/bin/doas"];
const DOAS_RULES: [&str; 2] = ["/etc/doas.conf", "/usr/local/etc/doas.conf"];

/// The longest rule file that is read, in bytes, and the most of them.
const LONGEST_RULES: u64 = 256 * 1024;
const MOST_FILES: usize = 256;

pub(super) fn look(config: &Config, survey: &mut Survey) {
    polkit(config, survey);
    doas(config, survey);
}

fn polkit(config: &Config, survey: &mut Survey) {
    POLKITD.iter().chain(&RULES).chain(&OLD_RULES).for_each(|path| survey.reads(path));
    if !POLKITD.iter().any(|path| Path::new(path).exists()) {
        return;
    }
    let (kind, service) = (Kind::Polkit, "polkit-1");
    let tools: Vec<&str> = BY_POLKIT.into_iter().filter(|path| Path::new(path).exists()).collect();
    let tools = if tools.is_empty() { "programs that ask polkit".to_owned() } else { tools.join(" and ") };
    survey.paths.push(if is_judged(config, service) && service_file::service_file(service).is_some() {
        AccessPath::covered(kind, format!("service {service}"), format!("{tools} ask PAM as {service}"))
    } else {
        AccessPath {
            kind,
            key: format!("service {service}"),
            standing: Standing::OpenOnTheHost,
            detail: format!(
                "polkit's administrators (group sudo or wheel) become root by {tools} with their own password, and others with root's: Curfew is \
                 not asked in the PAM service {service}"
            ),
            fix: format!("add {service:?} to elevation_services in /etc/curfew/agent.toml, then: curfew enable"),
        }
    });
    for file in rule_files() {
        survey.reads(&file);
        if says_yes(&file) {
            let file = file.display();
            survey.paths.push(AccessPath {
                kind,
                key: format!("polkit {file}"),
                standing: Standing::OpenOnTheHost,
                detail: format!(
                    "{file} lets people do what root does without authentication, so that PAM is not asked"
                ),
                fix: "have it return AUTH_ADMIN instead of YES, or take the rule out".into(),
            });
        }
    }
}

fn rule_files() -> Vec<PathBuf> {
    let files = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        files.sort();
        files
    };
    let rules = RULES.iter().flat_map(|folder| files(Path::new(folder)));
    let rules = rules.filter(|file| file.extension().is_some_and(|it| it == "rules"));
    let old = OLD_RULES.iter().flat_map(|folder| files(Path::new(folder))).flat_map(|folder| files(&folder));
    let old = old.filter(|file| file.extension().is_some_and(|it| it == "pkla"));
    rules.chain(old).take(MOST_FILES).collect()
}

/// Whether a rule lets somebody do something without a word, who is no system account: those are named one by one.
fn says_yes(file: &Path) -> bool {
    let fits = fs::metadata(file).is_ok_and(|about| about.is_file() && about.len() <= LONGEST_RULES);
    fits && fs::read(file).is_ok_and(|text| lets_people(&String::from_utf8_lossy(&text), is_system_account))
}

fn is_system_account(name: &str) -> bool {
    nix::unistd::User::from_name(name)
        .ok()
        .flatten()
        .is_some_and(|user| user.uid.as_raw() < 1000 && user.uid.as_raw() != 0)
}

fn lets_people(text: &str, is_system_account: impl Fn(&str) -> bool) -> bool {
    let said: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let dense: String = said.split_ascii_whitespace().collect();
    // Old rules: `ResultActive=yes`.
    let old = ["ResultAny=yes", "ResultInactive=yes", "ResultActive=yes"].iter().any(|it| dense.contains(it));
    let yes = dense.contains("polkit.Result.YES") || dense.contains("return\"yes\"") || dense.contains("return'yes'");
    old || (yes && !is_for_accounts_alone(&dense, is_system_account))
}

/// Whether all that a rule asks about who acts is whether it is one of these accounts.
fn is_for_accounts_alone(rule: &str, is_system_account: impl Fn(&str) -> bool) -> bool {
    let asks: Vec<&str> = rule.split("subject.").skip(1).collect();
    let is_one = |ask: &&str| {
        let name = ask.strip_prefix("user==").map(|rest| rest.trim_start_matches('=').trim_start_matches(['"', '\'']));
        name.and_then(|rest| rest.split(['"', '\'']).next()).is_some_and(&is_system_account)
    };
    !asks.is_empty() && asks.iter().all(is_one)
}

fn doas(config: &Config, survey: &mut Survey) {
    DOAS.iter().chain(&DOAS_RULES).for_each(|path| survey.reads(path));
    let program = DOAS.iter().find(|path| Path::new(path).exists());
    let rules = DOAS_RULES.iter().find(|path| Path::new(path).exists());
    let (Some(program), Some(rules)) = (program, rules) else { return };
    let (kind, key) = (Kind::Doas, "service doas");
    survey.paths.push(if service_file::service_file("doas").is_none() {
        AccessPath {
            kind,
            key: key.into(),
            standing: Standing::OpenOnTheHost,
            detail: format!("{program} lets people become root by {rules}, and does not ask PAM"),
            fix: format!("take the rules out of {rules}, and grant what they gave"),
        }
    } else if is_judged(config, "doas") {
        AccessPath::covered(kind, key, format!("{program} asks PAM as doas"))
    } else {
        AccessPath {
            kind,
            key: key.into(),
            standing: Standing::OpenOnTheHost,
            detail: format!(
                "{program} lets people become root by {rules}: Curfew is not asked in the PAM service doas"
            ),
            fix: "add \"doas\" to elevation_services in /etc/curfew/agent.toml, then: curfew enable".into(),
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_let_people_do_things_without_a_word_are_told_from_those_for_accounts_of_the_system() {
        let system = |name: &str| name == "systemd-network";
        for (rule, lets) in [
            (
                "polkit.addRule(function(a, s) { if (subject.isInGroup(\"devs\")) { return polkit.Result.YES; } });",
                true,
            ),
            ("if (subject.user == \"alice\")\n  return 'yes';", true),
            ("if (action.id == \"x\") { return polkit.Result.YES }", true),
            ("if (action.id == \"x\" && subject.user == \"systemd-network\") { return polkit.Result.YES }", false),
            ("if (subject.user == 'systemd-network' || subject.isInGroup('adm')) { return polkit.Result.YES }", true),
            ("// return polkit.Result.YES\nreturn polkit.Result.AUTH_ADMIN;", false),
            ("polkit.addAdminRule(function(a, s) { return [\"unix-group:sudo\"]; });", false),
            ("[mine]\nIdentity=unix-user:alice\nAction=*\nResultActive=yes\n", true),
            ("[mine]\nIdentity=unix-user:alice\nAction=*\nResultActive=auth_admin\n", false),
        ] {
            assert_eq!(lets_people(rule, system), lets, "{rule}");
        }
    }
}
