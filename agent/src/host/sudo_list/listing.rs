//! What `sudo -ll -U USER` prints, for sudo and sudo-rs: the rules that hold for somebody, in the order in which sudo reads them. The last one that
//! fits decides (sudoers(5)).

use crate::host::glob::fits;
use curfew_protocol::grant::Command;

/// A rule for one command, as sudo lists it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Rule {
    /// The file that it is in, where sudo says so.
    file: Option<String>,
    run_as: Vec<String>,
    asks_for_password: bool,
    /// The command without its escapes; `!` before it forbids it.
    command: String,
}

/// What is listed for one person.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Listing {
    rules: Vec<Rule>,
}

/// What the last rule that fits says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ruling {
    /// It runs without more ado.
    Runs,
    /// It runs once the person has typed their password, by this rule.
    AsksForPassword(String),
    /// This rule forbids it.
    Forbidden(String),
    /// No rule fits.
    NoRule,
}

impl Listing {
    /// Reads what sudo prints.
    pub fn parse(text: &str) -> Self {
        let (mut rules, mut entry, mut in_commands) = (Vec::new(), None::<Rule>, false);
        for line in text.lines() {
            let said = line.trim();
            if let Some(file) = said.strip_prefix("Sudoers entry:") {
                let file = Some(file.trim()).filter(|file| !file.is_empty()).map(str::to_owned);
                entry = Some(Rule { file, run_as: Vec::new(), asks_for_password: true, command: String::new() });
                in_commands = false;
                continue;
            }
            let Some(entry) = &mut entry else { continue };
            match said.split_once(": ").map_or((said.trim_end_matches(':'), ""), |(key, value)| (key, value)) {
                _ if in_commands && line.starts_with(['\t', ' ']) && said.starts_with(['/', '!', 'A', 's', '^']) => {
                    rules.push(Rule { command: said.replace('\\', ""), ..entry.clone() });
                }
                ("RunAsUsers", users) => entry.run_as = users.split(',').map(|user| user.trim().to_owned()).collect(),
                ("Options", options) => {
                    entry.asks_for_password = !options.split(',').any(|option| option.trim() == "!authenticate");
                }
                ("Commands", _) => in_commands = true,
                _ => in_commands = false,
            }
        }
        Self { rules }
    }

    /// What becomes of `command` as `run_as`.
    pub fn ruling(&self, command: &Command, run_as: &str) -> Ruling {
        let fitting = self.rules.iter().rev().find(|rule| rule.is_for(run_as) && rule.may_be(command));
        match fitting {
            None => Ruling::NoRule,
            Some(rule) if rule.command.starts_with('!') => Ruling::Forbidden(rule.text()),
            Some(rule) if rule.asks_for_password => Ruling::AsksForPassword(rule.text()),
            Some(_) => Ruling::Runs,
        }
    }
}

impl Rule {
    fn is_for(&self, run_as: &str) -> bool {
        let last = self.run_as.iter().rev().find(|user| {
            let user = user.trim_start_matches('!');
            user == "ALL" || user == run_as
        });
        match last {
            Some(user) => !user.starts_with('!'),
            None => self.run_as.is_empty() && run_as == "root",
        }
    }

    /// Whether it fits whatever the grant's command allows. A pattern that says less does not count: only some of that is meant.
    fn may_be(&self, command: &Command) -> bool {
        let bare = self.command.trim_start_matches('!').trim();
        // What is bound to a file's content goes by its path, too.
        let bare = bare
            .split_once(' ')
            .filter(|(word, _)| word.starts_with("sha") && word.contains(':'))
            .map_or(bare, |(_, it)| it);
        let (path, arguments) = bare.split_once(' ').map_or((bare, None), |(path, arguments)| (path, Some(arguments)));
        match command {
            _ if bare == "ALL" => true,
            Command::All => false,
            Command::Exact { path: granted, arguments: with } => {
                let is_path = match path.strip_suffix('/') {
                    Some(folder) => granted.rsplit_once('/').is_some_and(|(parent, _)| parent == folder),
                    None => fits(path, granted),
                };
                is_path
                    && match (arguments, with) {
                        (None | Some("*"), _) => true,
                        (Some("\"\""), _) | (Some(_), None) => false,
                        (Some(pattern), Some(with)) => fits(pattern, with),
                    }
            }
        }
    }

    fn text(&self) -> String {
        let run_as = if self.run_as.is_empty() { "root".into() } else { self.run_as.join(", ") };
        let place = self.file.as_ref().map(|file| format!(" in {file}")).unwrap_or_default();
        format!("`({run_as}) {}`{place}", self.command)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What sudo 1.9.16 prints.
    const CLASSIC: &str = "Matching Defaults entries for alice on trixie:\n    env_reset, mail_badpass,\n    use_pty\n\n\
        User alice may run the following commands on trixie:\n\n\
        Sudoers entry: /run/curfew/sudoers.d/G1\n    RunAsUsers: root\n    Options: !authenticate\n    NotAfter: 20301128000000Z\n    Commands:\n\t/usr/bin/id\n\n\
        Sudoers entry: /run/curfew/sudoers.d/G1\n    RunAsUsers: root, bob\n    Options: setenv, !authenticate\n    Commands:\n\t/usr/bin/a --b\\=c\n";

    fn command(text: &str) -> Command {
        Command::try_from(text.to_owned()).unwrap()
    }

    fn with(more: &str) -> Listing {
        Listing::parse(&format!("{CLASSIC}{more}"))
    }

    #[test]
    fn what_a_grant_wrote_runs_as_it_was_granted() {
        let listing = with("");
        assert_eq!(listing.ruling(&command("/usr/bin/id"), "root"), Ruling::Runs);
        assert_eq!(listing.ruling(&command("/usr/bin/a --b=c"), "bob"), Ruling::Runs);
        assert_eq!(listing.ruling(&command("/usr/bin/id"), "bob"), Ruling::NoRule);
        assert_eq!(listing.ruling(&command("/usr/bin/whoami"), "root"), Ruling::NoRule);
        assert_eq!(listing.ruling(&Command::All, "root"), Ruling::NoRule);
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        let id = command("/usr/bin/id");
        let entry = |file: &str, run_as: &str, commands: &str| {
            format!("\nSudoers entry:{file}\n    RunAsUsers: {run_as}\n    Commands:\n\t{commands}\n")
        };
        let told = |more: &str| with(more).ruling(&id, "root");
        let asks = |text: &str| Ruling::AsksForPassword(text.into());
        assert_eq!(told(&entry(" /etc/sudoers.d/devs", "ALL", "ALL")), asks("`(ALL) ALL` in /etc/sudoers.d/devs"));
        // sudo 1.9.13 and sudo-rs do not say where.
        assert_eq!(told(&entry("", "ALL", "ALL")), asks("`(ALL) ALL`"));
        for (run_as, commands) in [
            ("ALL", "/usr/bin/"),
            ("root", "/usr/bin/i*"),
            ("ALL", "sha256:aa /usr/bin/id"),
            ("ALL, !bob", "/usr/bin/id *"),
        ] {
            assert!(matches!(told(&entry("", run_as, commands)), Ruling::AsksForPassword(_)), "{run_as} {commands}");
        }
        assert_eq!(told(&entry("", "ALL", "ALL\n\t!/usr/bin/id")), Ruling::Forbidden("`(ALL) !/usr/bin/id`".into()));
        for (run_as, commands) in [
            ("bob", "ALL"),
            ("ALL, !root", "ALL"),
            ("ALL", "/usr/sbin/"),
            ("ALL", "/usr/bin/id -u"),
            ("ALL", "/usr/bin/id \"\""),
        ] {
            assert_eq!(told(&entry("", run_as, commands)), Ruling::Runs, "{run_as} {commands}");
        }
        // A rule for one command takes nothing from all.
        let all = Listing::parse(
            "Sudoers entry:\n    RunAsUsers: ALL\n    Options: !authenticate\n    Commands:\n\tALL\n\nSudoers entry:\n    RunAsUsers: root\n    Commands:\n\t/usr/bin/id\n",
        );
        assert_eq!(all.ruling(&Command::All, "root"), Ruling::Runs);
    }

    #[test]
    fn what_makes_no_sense_is_no_rule() {
        for text in
            ["", "sudo: Sorry\n", "    Commands:\n\tALL\n", "Sudoers entry:\n    Commands:\n", "Sudoers entry:\nALL\n"]
        {
            assert_eq!(Listing::parse(text), Listing::default(), "{text}");
        }
    }
}
