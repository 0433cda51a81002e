//! Curfew's own parts: the configuration, the agent, the module, the exempt list, what the endpoint and the clock are believed.

use super::{Check, Host, way_in};
use crate::clock;
use crate::human;
use crate::ipc::messages::ShownSet;
use crate::wiring::unconfirmed::{self, Unconfirmed};
use jiff::Timestamp;
use nix::unistd::User;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below so much free space for the state, in bytes, somebody should know.
const LITTLE_SPACE: u64 = 64 * 1024 * 1024;

/// Of so many exempt users at most it is asked whether they can log in.
const MOST_ASKED_ABOUT: usize = 32;

pub(super) fn checks(host: &Host) -> Vec<Check> {
    let mut checks = vec![
        configuration(host),
        agent(host),
        module(),
        exempt(host, way_in::shut_out),
        endpoint(host),
        clock(host),
        space(),
    ];
    checks.extend(confirmation());
    checks
}

fn configuration(host: &Host) -> Check {
    match &host.config {
        Ok(config) => {
            let services = config.services().map(String::as_str).collect::<Vec<_>>().join(" ");
            Check::pass("configuration", format!("mode {}; judged are {services}", config.mode.name()))
        }
        Err(problem) => Check::fail(
            "configuration",
            format!("{problem}; the last usable one is in force"),
            "mend it, try it with `curfewd --check-config`, then: systemctl reload curfewd",
        ),
    }
}

fn agent(host: &Host) -> Check {
    match &host.status {
        Err(problem) => Check::fail(
            "agent",
            format!("it does not answer, so nobody but exempt users gets in: {problem}"),
            "systemctl restart curfewd.socket curfewd; see journalctl -u curfewd",
        ),
        Ok(status) if !status.problems.is_empty() => Check::warn(
            "agent",
            format!("it answers, and says: {}", status.problems.join("; ")),
            "see the checks below, and journalctl -u curfewd",
        ),
        Ok(status) => Check::pass("agent", format!("it answers, in mode {}", status.mode)),
    }
}

/// Where PAM may look for modules, by distribution and architecture.
fn module_folders() -> [PathBuf; 4] {
    let multiarch = format!("/usr/lib/{}-linux-gnu/security", std::env::consts::ARCH);
    [multiarch.as_str(), "/usr/lib64/security", "/usr/lib/security", "/lib/security"].map(PathBuf::from)
}

/// PAM denies everybody who meets a module that is not there, so it must be where this machine's PAM looks: where its own modules are.
fn module() -> Check {
    let again = "install the package again";
    let pams: Vec<PathBuf> =
        module_folders().into_iter().filter(|folder| folder.join("pam_permit.so").exists()).collect();
    let Some(module) = pams.iter().map(|folder| folder.join("pam_curfew.so")).find(|module| module.is_file()) else {
        let looked: Vec<_> = pams.iter().map(|folder| folder.display().to_string()).collect();
        return Check::fail("module", format!("pam_curfew.so is not where PAM looks: {}", looked.join(" ")), again);
    };
    match fs::metadata(&module) {
        Ok(about) if about.uid() == 0 && about.mode() & 0o022 == 0 => {
            Check::pass("module", module.display().to_string())
        }
        Ok(_) => Check::fail("module", format!("others than root may write {}", module.display()), again),
        Err(error) => Check::fail("module", format!("{}: {error}", module.display()), again),
    }
}

/// Somebody must always get in: the exempt list has to be believed, and to name a user of this host.
fn exempt(host: &Host, shut_out: impl Fn(&str) -> Option<String>) -> Check {
    let add = "add one whom you can log in as: echo NAME >> /etc/curfew/exempt";
    let names = match &host.exempt {
        Ok(names) => names,
        Err(void) => return Check::fail("exempt", void.problem.as_str(), void.fix.as_str()),
    };
    let is_user = |name: &&String| User::from_name(name).ok().flatten().is_some();
    let (known, unknown): (Vec<&String>, Vec<&String>) = names.iter().partition(is_user);
    let list = |names: &[&String]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ");
    let shut_out: Vec<(&String, String)> =
        known.iter().take(MOST_ASKED_ABOUT).filter_map(|name| Some((*name, shut_out(name)?))).collect();
    let whys: Vec<String> = shut_out.iter().map(|(name, why)| format!("{name} can't log in: {why}")).collect();
    let but = if whys.is_empty() { String::new() } else { format!("; but {}", whys.join("; ")) };
    let never = format!("Curfew never refuses {}{but}", list(&known));
    let gets_in = |name: &&String| !shut_out.iter().any(|(other, _)| other == name);
    if known.is_empty() {
        Check::fail("exempt", "the exempt list names no user of this host", add)
    } else if !unknown.is_empty() {
        let detail = format!("{never}; {} on the list are no users of this host", list(&unknown));
        Check::warn("exempt", detail, "take them off: whoever is given such a name is exempt")
    } else if !known.iter().any(gets_in) {
        Check::warn("exempt", never, add)
    } else if known.iter().copied().filter(gets_in).all(|name| name == "root") {
        Check::warn("exempt", never, format!("unless root can log in here, {add}"))
    } else {
        Check::pass("exempt", never)
    }
}

fn endpoint(host: &Host) -> Check {
    match host.status.as_ref().map(|status| status.set.as_ref()) {
        Ok(None) => Check::pass("endpoint", "none: grants are made on this host"),
        Ok(Some(set)) => followed(set, clock::now()),
        Err(_) => Check::fail("endpoint", "not known without the agent", "see the agent's check"),
    }
}

fn followed(set: &ShownSet, now: Timestamp) -> Check {
    let age = set.age_s.and_then(|age| u64::try_from(age).ok()).map(|age| human::duration(Duration::from_secs(age)));
    let known = age.map_or_else(|| "there is no set yet".into(), |age| format!("its last verified set is {age} old"));
    let detail = format!("{} is {}, {known}", set.endpoint, set.state);
    let problem = set.problem.as_ref().map(|problem| format!(": {}", human::printable(problem))).unwrap_or_default();
    let see = "curfew sync says what is wrong now";
    if set.version.is_none() || set.opens_until.is_some_and(|until| until <= now) {
        Check::fail("endpoint", format!("{detail}{problem}; nothing new opens by it"), see)
    } else if set.state == "following" {
        Check::pass("endpoint", detail)
    } else {
        Check::warn("endpoint", format!("{detail}{problem}"), see)
    }
}

fn clock(host: &Host) -> Check {
    match &host.clock {
        Ok(clock) if clock.proven => Check::pass("clock", "it is believed"),
        Ok(clock) => {
            let problem = clock.problem.as_deref().unwrap_or("it is not believed");
            let mend = "set the clock right, or have it synchronised; if it is right: curfew clock --accept";
            Check::fail("clock", format!("{}; nothing new opens", human::printable(problem)), mend)
        }
        Err(problem) => Check::fail("clock", format!("not known: {problem}"), "see the agent's check"),
    }
}

fn space() -> Check {
    let state = Path::new("/var/lib/curfew");
    match rustix::fs::statvfs(state) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let detail = format!("{} MiB are free for the state and the audit", free / 1024 / 1024);
            if free < LITTLE_SPACE {
                Check::warn("space", detail, format!("make room on the disk of {}", state.display()))
            } else {
                Check::pass("space", detail)
            }
        }
        Err(error) => Check::fail("space", format!("{}: {error}", state.display()), "install the package again"),
    }
}

/// A change that nobody has confirmed.
fn confirmation() -> Option<Check> {
    match Unconfirmed::load() {
        Ok(None) => None,
        Ok(Some(waits)) => Some(Check::warn(
            "confirmation",
            format!("`curfew enable` is undone at {} unless it is confirmed", human::time(waits.until)),
            "log in anew, not over a shared connection (ssh -S none), and run there: curfew confirm",
        )),
        Err(error) => Some(Check::fail("confirmation", error.to_string(), format!("look at {}", unconfirmed::PATH))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Finding;
    use super::*;
    use crate::config::exempt_list::Void;

    fn host(exempt: Result<Vec<String>, Void>) -> Host {
        let none = || Err("the agent is away".to_owned());
        Host { status: none(), clock: Err("the agent is away".into()), config: Ok(Default::default()), exempt }
    }

    #[test]
    fn somebody_must_be_exempt_who_is_there() {
        for (names, finding) in [
            (vec![], Finding::Fail),
            (vec!["nobody-of-that-name"], Finding::Fail),
            (vec!["root"], Finding::Warn),
            (vec!["root", "nobody-of-that-name"], Finding::Warn),
            (vec!["root", "daemon"], Finding::Pass),
        ] {
            let names = names.into_iter().map(str::to_owned).collect();
            assert_eq!(exempt(&host(Ok(names)), |_| None).result, finding);
        }
        let void = Void { problem: "nobody is exempt".into(), fix: "echo NAME >> x".into() };
        let check = exempt(&host(Err(void)), |_| None);
        assert_eq!((check.result, check.mend.as_deref()), (Finding::Fail, Some("echo NAME >> x")));
    }

    #[test]
    fn whoever_is_exempt_and_can_not_log_in_is_no_way_in() {
        let told = |shut_out: &[&str]| {
            let names = ["root", "daemon"].map(str::to_owned).to_vec();
            exempt(&host(Ok(names)), |name| shut_out.contains(&name).then(|| "it is so".to_owned()))
        };
        let (one, root, all) = (told(&["daemon"]), told(&["root"]), told(&["root", "daemon"]));
        assert_eq!([one.result, root.result, all.result], [Finding::Warn, Finding::Pass, Finding::Warn]);
        assert_eq!(one.detail, "Curfew never refuses root daemon; but daemon can't log in: it is so");
    }

    #[test]
    fn without_an_agent_what_it_knows_is_no_pass() {
        let host = host(Ok(vec!["root".into()]));
        for check in [agent(&host), endpoint(&host), clock(&host)] {
            assert_eq!(check.result, Finding::Fail, "{check:?}");
        }
    }

    #[test]
    fn a_set_is_judged_by_its_age() {
        let now: Timestamp = "2026-11-21T20:00:00Z".parse().unwrap();
        let set = |version: Option<u64>, state: &str, opens_until: &str| ShownSet {
            endpoint: "https://e".into(),
            host: "h".into(),
            epoch: Some(1),
            version,
            issued: Some(now),
            age_s: Some(65),
            fresh_until: Some(now),
            opens_until: Some(opens_until.parse().unwrap()),
            state: state.into(),
            problem: None,
            since: None,
            audit_stored_to: None,
            audit_problem: None,
        };
        let (later, past) = ("2026-11-21T21:00:00Z", "2026-11-21T20:00:00Z");
        assert_eq!(followed(&set(Some(1), "following", later), now).result, Finding::Pass);
        assert_eq!(followed(&set(Some(1), "failing", later), now).result, Finding::Warn);
        assert_eq!(followed(&set(Some(1), "following", past), now).result, Finding::Fail);
        assert_eq!(followed(&set(None, "following", later), now).result, Finding::Fail);
    }
}
