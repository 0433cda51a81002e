//! The product's command line, as an operator of the host uses it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::command::Output;
use crate::host::{Host, prepend};
use crate::wait::{SOON, wait_for};

/// A grant that `curfew grant` made.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its id.
    pub id: String,
    /// The first instant at which it no longer holds.
    pub not_after: Timestamp,
    /// All that the command printed.
    pub json: Value,
}

impl Grant {
    /// What `curfew grant --json` printed.
    ///
    /// # Panics
    /// When that is no grant.
    pub(crate) fn printed(text: &str) -> Self {
        let json: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let field = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned();
        Self { id: field("id"), not_after: field("not_after").parse().expect("an RFC 3339 time"), json }
    }

    /// Waits until the wall clock is past its end.
    pub fn wait_end(&self) {
        let left = Duration::try_from(self.not_after.duration_since(Timestamp::now())).unwrap_or_default();
        std::thread::sleep(left);
    }
}

/// The command that makes a grant.
pub(crate) fn granting(arguments: &str) -> String {
    format!("curfew grant {arguments} --reason 'INC-1 disk full' --json")
}

/// Checks that Curfew refused this login or command, and told the person so on standard error.
///
/// # Panics
/// When it did not.
pub fn assert_refused(output: &Output) {
    assert!(!output.success(), "should have been refused: {output:#?}");
    assert!(output.stderr.contains("Curfew"), "the person was not told why: {output:#?}");
}

impl Host {
    /// `curfew grant ARGUMENTS --reason …`.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    pub fn grant(&self, arguments: &str) -> Grant {
        Grant::printed(&self.ok(&granting(arguments)))
    }

    /// `curfew status --json` as root.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn status(&self) -> Value {
        serde_json::from_str(&self.ok("curfew status --json")).expect("status prints one JSON object")
    }

    /// `curfew why ARGUMENTS --json`; it exits 1 for a denial.
    ///
    /// # Panics
    /// When it prints no JSON.
    #[must_use]
    pub fn why(&self, arguments: &str) -> Value {
        let output = self.run(&format!("curfew why {arguments} --json"));
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:#?}"))
    }

    /// Every file of PAM's and sudo's: content, owner and mode.
    #[must_use]
    pub fn wiring(&self) -> String {
        self.ok("cd /etc && find pam.d sudoers sudoers.d -type f -exec sha256sum {} + | sort -k 2; \
                 find pam.d sudoers sudoers.d -exec stat --format '%n %U:%G %a' {} + | sort")
    }

    /// The drop-ins of live sudo grants.
    #[must_use]
    pub fn drop_ins(&self) -> Vec<String> {
        let names = self.run("ls -1 --ignore='curfew+*' /run/curfew/sudoers.d").stdout;
        names.lines().map(str::to_owned).collect()
    }

    /// Waits until a live sudo grant has its drop-in; gives its text.
    ///
    /// # Panics
    /// When none appears.
    pub fn drop_in(&self) -> String {
        wait_for("a drop-in", SOON, || (!self.drop_ins().is_empty()).then_some(()));
        self.ok("cd /run/curfew/sudoers.d && cat $(ls --ignore='curfew+*')")
    }

    /// Adds to what stands in `/etc/curfew/agent.toml`, and has the agent read it.
    ///
    /// # Panics
    /// When the reload fails.
    pub fn reconfigure(&self, toml: &str) {
        prepend(&self.path("/etc/curfew/agent.toml"), &format!("{toml}\n"));
        self.ok("systemctl reload curfewd");
    }

    /// Stops the agent so that nothing starts it again by itself.
    pub fn stop_agent(&self) {
        self.ok("systemctl stop curfewd.socket curfewd.service");
    }

    /// Starts it again.
    pub fn start_agent(&self) {
        self.ok("systemctl start curfewd.socket curfewd.service");
    }

    /// Whether the host has this file or folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        Path::new(&self.path(path)).symlink_metadata().is_ok()
    }
}
