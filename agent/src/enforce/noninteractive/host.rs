//! Whether the host itself has a say in what sudo asks PAM under `-n`: its own `noninteractive_auth` (for PAM modules that need no input: a key agent,
//! a fingerprint), another PAM service than those that ask us first, or rules that are not read here. Then nothing is changed for whoever has a grant.

use super::Noninteractive;
use crate::host::apart;
use crate::host::sudo::Flavour;
use crate::host::sudoers::{self, SUDO_CONF, Sudoers};
use crate::wiring;
use std::cell::Cell;
use std::fs;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often there is a look at most. The enforcing loop comes by every 30 s at the latest.
const PAUSE: Duration = Duration::from_secs(5);

/// Where sudo learns whether there are rules in a directory, too (sudoers.ldap(5)).
const NSSWITCH: &str = "/etc/nsswitch.conf";

/// Settings that have sudo ask PAM by itself under `-n`, or not as a service that asks us first about the one who runs it.
const SETTINGS: [&str; 5] =
    ["noninteractive_auth", "pam_service", "pam_login_service", "pam_askpass_service", "pam_ruser"];

/// What is known of it.
#[derive(Debug, Default)]
pub struct Host {
    is_silent: Cell<Option<bool>>,
    looked: Cell<Option<Instant>>,
    is_looking: Cell<bool>,
}

impl Host {
    /// Whether it says nothing, as of the last look; none before the first one.
    pub fn is_silent(&self) -> Option<bool> {
        self.is_silent.get()
    }

    fn is_due(&self, now: Instant) -> bool {
        let rested = self.looked.get().is_none_or(|looked| now.saturating_duration_since(looked) >= PAUSE);
        rested && !self.is_looking.get()
    }
}

/// Looks now and then, on a thread of its own: an include may lead to a file server that does not answer.
pub fn follow(noninteractive: &Rc<Noninteractive>) {
    let host = &noninteractive.host;
    if !host.is_due(Instant::now()) {
        return;
    }
    host.looked.set(Some(Instant::now()));
    host.is_looking.set(true);
    let noninteractive = Rc::clone(noninteractive);
    tokio::task::spawn_local(async move {
        // What can't be looked at may say anything.
        let is_silent = apart::run(look).await.unwrap_or(false);
        let host = &noninteractive.host;
        host.is_looking.set(false);
        if host.is_silent.replace(Some(is_silent)) != Some(is_silent) {
            noninteractive.trigger.pull();
        }
    });
}

fn look() -> bool {
    let (Some(nsswitch), Some(sudo_conf)) = (text(NSSWITCH), text(SUDO_CONF)) else { return false };
    has_files_alone(&nsswitch)
        && sudoers::plugin_of_others(&sudo_conf).is_none()
        && says_nothing(&sudoers::read_without(
            &sudoers::main_file(Flavour::Classic),
            Path::new(wiring::DROP_IN_FOLDER),
        ))
}

/// The text of a file, which is empty where there is none; nothing where it can't be read.
fn text(path: &str) -> Option<String> {
    match fs::read(path) {
        Ok(text) => Some(String::from_utf8_lossy(&text).into_owned()),
        Err(error) => (error.kind() == io::ErrorKind::NotFound).then(String::new),
    }
}

/// Whether nsswitch.conf(5) names no other place of rules than files, which is so where it says nothing.
fn has_files_alone(nsswitch: &str) -> bool {
    let said = nsswitch.lines().filter_map(|line| {
        let (name, places) = line.split('#').next()?.split_once(':')?;
        name.trim().eq_ignore_ascii_case("sudoers").then_some(places)
    });
    said.flat_map(str::split_ascii_whitespace).all(|place| place == "files")
}

/// Whoever the setting is for, and whether it is switched on or off, is not looked at.
fn says_nothing(sudoers: &Sudoers) -> bool {
    let has_a_say = |line: &str| SETTINGS.iter().any(|setting| line.contains(setting));
    sudoers.unread.is_empty() && !sudoers.lines.iter().any(|line| has_a_say(&line.text))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_has_a_setting_of_its_own_anywhere_has_a_say() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let silent = |own: &str| {
            fs::write(at("own"), own).unwrap();
            says_nothing(&sudoers::read_without(&at("sudoers"), &at("ours")))
        };
        fs::create_dir(at("ours")).unwrap();
        fs::write(at("ours/curfew+noninteractive"), "Defaults:ALL, !root noninteractive_auth\n").unwrap();
        fs::write(at("sudoers"), "Defaults env_reset\n@include own\n@includedir ours\n").unwrap();
        assert!(silent("%devs ALL=(ALL) ALL\n# Defaults noninteractive_auth\n"));
        for own in [
            "Defaults noninteractive_auth\n",
            "Defaults:%devs env_reset, \\\n  noninteractive_\\\nauth\n",
            "Defaults !noninteractive_auth\n",
            "Defaults pam_service=other\n",
            "Defaults pam_login_service = other\n",
            "Defaults !pam_ruser\n",
            "@include gone\n",
        ] {
            assert!(!silent(own), "{own}");
        }
    }

    #[test]
    fn rules_in_a_directory_are_not_read() {
        for (nsswitch, alone) in [
            ("", true),
            ("passwd: files sss\n#sudoers: sss\n", true),
            ("sudoers: files\n", true),
            ("sudoers:\tfiles # sss\n", true),
            ("sudoers: files sss\n", false),
            (" Sudoers : ldap\n", false),
            ("sudoers: files [SUCCESS=return] sss\n", false),
        ] {
            assert_eq!(has_files_alone(nsswitch), alone, "{nsswitch}");
        }
    }

    #[test]
    fn there_is_a_look_now_and_then_and_one_at_a_time() {
        let (host, now) = (Host::default(), Instant::now());
        assert!(host.is_due(now));
        host.looked.set(Some(now));
        assert!(!host.is_due(now + PAUSE / 2) && host.is_due(now + PAUSE));
        host.is_looking.set(true);
        assert!(!host.is_due(now + PAUSE));
    }
}
