//! `curfew enable`: looks at the host, wires PAM and sudo, tries the wiring, and goes back by itself unless a new login confirms.

mod lockout;
mod plan;

use self::lockout::{exempt_users, nobody_left, whose_shell};
use self::plan::Plan;
use super::{CliError, Outcome, ask, doctor, failed, note, only_root, order, print};
use crate::clock;
use crate::config::{self, Config, Mode, parse_duration};
use crate::doctor::{Check, Finding, Occasion};
use crate::ipc::messages::{self, Status};
use crate::wiring::access_paths;
use crate::wiring::access_paths::opened;
use crate::wiring::cause::{Cause, Deed};
use crate::wiring::lock::Turn;
use crate::wiring::rehearsal::{self, Rehearsed};
use crate::wiring::replace_file;
use crate::wiring::replacement::{self, Replacement};
use crate::wiring::unconfirmed::{Unconfirmed, UnconfirmedError};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// How long a change waits to be confirmed, where a person makes it.
const WAIT: Duration = Duration::from_secs(300);

/// Nobody remembers it for longer.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// Nobody logs in anew in less.
const SHORTEST_WAIT: Duration = Duration::from_secs(10);

/// Wire PAM and sudo: from then on, logins and sudo need a live grant. Root alone.
///
/// Shows what will change, looks at the host as `curfew doctor` does, puts marked lines into PAM's service files and an include into sudoers, and
/// tries real PAM transactions against them: exempt users (eight of them, where there are more) must get in as before, and whoever has no
/// grant must be refused. What goes wrong on the way is taken back. Sessions that are open stay open. A server that lets people in from the network without
/// Curfew being asked keeps it from being enabled, with what to do about it.
///
/// On a terminal, everything is undone after 5 minutes unless `curfew confirm` comes from a login that began after the change. PID 1 keeps that time: it
/// needs neither the agent nor the network, and a reboot undoes at once. `curfew disable` takes everything back, to the byte.
///
/// Where nobody might get in afterwards (nobody who is exempt but root can log in, no endpoint grants anything, and whoever runs it is not logged in as root), nothing is
/// changed unless it is undone by itself, or with --no-confirm.
#[derive(Args, Debug)]
pub struct Enable {
    /// Undo everything after this time, between 10s and 24h, unless `curfew confirm` comes from a new login. On a terminal 5m, else never.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true, conflicts_with = "no_confirm")]
    confirm: Option<Duration>,
    /// Do not wait for anybody to confirm.
    #[arg(long)]
    no_confirm: bool,
    /// Set this mode in /etc/curfew/agent.toml first: observe decides and audits (would_deny), and refuses nobody.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Show what would change, and what the doctor finds, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Neither look at the host nor try the wiring. For images that are checked elsewhere: it can lock people out.
    #[arg(long)]
    unchecked: bool,
}

impl Enable {
    pub(super) fn run(&self, json: bool) -> Result<Outcome, CliError> {
        only_root()?;
        let wait = self.wait()?;
        let _turn = Turn::take().map_err(failed)?;
        let mut plan = Plan::make(self.mode)?;
        let earlier = Unconfirmed::load().map_err(failed)?;
        if !json {
            show(&crate::human::display::printable_lines(&plan.text()));
        }
        if !self.unchecked {
            let is_undone = wait.is_some() || earlier.is_some();
            let locks = plan.mode == Mode::Enforce && !plan.replacements.is_empty();
            plan.done.checks = self.look(json, locks && !is_undone && !self.no_confirm)?;
        }
        if self.dry_run {
            print(json, &plan.done, || "Nothing was changed.\n".into())?;
            let fails = plan.done.checks.iter().any(|check| check.result == Finding::Fail);
            return Ok(if fails { Outcome::No } else { Outcome::Yes });
        }
        replace_file::remove_leftovers().map_err(failed)?;
        // An agent that does not answer would lock everybody out but the exempt.
        let status: Status = ask("Status", json!({}))?;
        let exempt = exempt_users();
        if earlier.as_ref().is_some_and(|earlier| earlier.until <= clock::now()) {
            let why = "nobody confirmed an earlier change in time: PID 1 undoes it, at the next boot at the latest; to do it now: curfew disable";
            return Err(failed(why));
        }
        // From here on, nothing stays half done: what is tried leaves something, too, if it is killed.
        let begun = self.begin(&plan.replacements, earlier.as_ref(), wait)?;
        let rehearsed = if self.unchecked { Ok(Vec::new()) } else { plan.rehearse(&exempt) };
        let _noted = Cause::own(Deed::Enabled, None).note_for_now();
        let carried_out = rehearsed.and_then(|rehearsed| {
            begun.iter().try_for_each(Unconfirmed::check_waits).map_err(failed)?;
            plan.carry_out().map(|()| rehearsed)
        });
        let problems = match carried_out {
            Ok(_) if self.unchecked => Vec::new(),
            Ok(rehearsed) => judge(&plan, &status, &rehearsed),
            Err(error) => vec![error.to_string()],
        };
        if !self.unchecked {
            tell_of_the_trial(&plan, &exempt, &problems);
        }
        let kept = match problems.is_empty() {
            true => keep(begun, earlier.as_ref(), wait).map_err(|error| vec![error.to_string()]),
            false => Err(problems),
        };
        match kept {
            Ok(until) => plan.done.confirm_by = until,
            Err(problems) => return Err(taken_back(&plan.replacements, &problems, earlier.as_ref())),
        }
        self.note_access_paths();
        let enforced = plan.mode == Mode::Enforce;
        print(json, &plan.done, || {
            plan.done.text(plan.mode) + &whose_shell(&exempt).filter(|_| enforced).unwrap_or_default()
        })?;
        Ok(Outcome::Yes)
    }

    /// How long the change waits to be confirmed, if it does.
    fn wait(&self) -> Result<Option<Duration>, CliError> {
        match self.confirm {
            Some(wait) if wait < SHORTEST_WAIT || wait > LONGEST_WAIT => {
                Err(CliError::Usage(format!("--confirm {wait:?}: between 10s and 24h; nobody logs in anew in less")))
            }
            Some(wait) => Ok(Some(wait)),
            None => Ok((!self.no_confirm && std::io::stdin().is_terminal()).then_some(WAIT)),
        }
    }

    /// Has PID 1 go back, should this process not come to its end; until somebody confirms, where they are waited for. What waited already keeps its
    /// time meanwhile, and goes back with this.
    fn begin(
        &self,
        replacements: &[Replacement],
        earlier: Option<&Unconfirmed>,
        wait: Option<Duration>,
    ) -> Result<Option<Unconfirmed>, CliError> {
        if replacements.is_empty() || (self.unchecked && wait.is_none()) {
            return Ok(None);
        }
        let begun = match earlier {
            Some(earlier) => earlier.begin_more(replacements),
            None => Unconfirmed::begin(Some(replacements.to_vec()), wait.unwrap_or(WAIT)),
        };
        match begun {
            Ok(unconfirmed) => Ok(Some(unconfirmed)),
            // Whoever says so wants no way back.
            Err(UnconfirmedError::Timer(_)) if self.no_confirm => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// What lets people in now is known; the agent tells what opens from here on. Where nobody looked, what it finds first is known.
    fn note_access_paths(&self) {
        let path = Path::new(opened::PATH);
        let noted = if self.unchecked {
            opened::forget(path)
        } else {
            let config = Config::load(Path::new(config::PATH)).unwrap_or_default();
            opened::write_down(path, &access_paths::survey(&config).paths)
        };
        if let Err(error) = noted {
            note(format_args!("what opens from now on can't be told from what is open: {}: {error}", path.display()));
        }
    }

    /// What the doctor finds, before people are locked out for good, too. A failure keeps anything from being changed.
    fn look(&self, json: bool, locks_for_good: bool) -> Result<Vec<Check>, CliError> {
        let mut checks = doctor::examine(Occasion::BeforeWiring);
        if locks_for_good {
            checks.extend(nobody_left());
        }
        checks.retain(|check| check.result != Finding::Pass);
        let (fails, warnings): (Vec<Check>, Vec<Check>) =
            checks.iter().cloned().partition(|check| check.result == Finding::Fail);
        if !fails.is_empty() && !self.dry_run {
            let mends = doctor::lines(&fails, false);
            return Err(failed(format!("nothing was changed: mend what fails first, then try again\n{mends}")));
        }
        if !json {
            let shown = if self.dry_run { &checks } else { &warnings };
            show(&doctor::lines(shown, std::io::stdout().is_terminal()));
        }
        Ok(checks)
    }
}

/// All is there and right: it waits to be confirmed from now on, or stays. Says until when something waits.
fn keep(
    begun: Option<Unconfirmed>,
    earlier: Option<&Unconfirmed>,
    wait: Option<Duration>,
) -> Result<Option<Timestamp>, UnconfirmedError> {
    match (begun, earlier) {
        (None, earlier) => Ok(earlier.map(|earlier| earlier.until)),
        // What waited already has another time only where one is asked for.
        (Some(begun), Some(_)) => begun.made(wait).map(|made| Some(made.until)),
        // Nobody could confirm it while it was tried.
        (Some(begun), None) if wait.is_some() => begun.made(wait).map(|made| Some(made.until)),
        (Some(begun), None) => begun.made(None).and_then(|_| Unconfirmed::end()).map(|()| None),
    }
}

/// Says something before the work. Whoever does not listen any more does not keep it from being done.
fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Tries the wiring, and says what is wrong with it.
fn judge(plan: &Plan, before: &Status, rehearsed: &Rehearsed) -> Vec<String> {
    let refuses = match (plan.mode, before.in_force) {
        (Mode::Enforce, _) => Some(true),
        // Before, the stranger was refused: that says nothing of now.
        (Mode::Observe, true) => None,
        (Mode::Observe, false) => Some(false),
    };
    let problems = rehearsal::judge(rehearsed, &rehearsal::rehearse_again(rehearsed, refuses == Some(true)), refuses);
    if !problems.is_empty() {
        return problems;
    }
    let wiring = doctor::examine(Occasion::Visit).into_iter().filter(|check| check.result == Finding::Fail);
    wiring.map(|check| check.detail).collect()
}

/// Has the audit know what was tried. Whoever wires does not depend on it.
fn tell_of_the_trial(plan: &Plan, exempt: &[String], problems: &[String]) {
    let stranger = rehearsal::STRANGER.to_owned();
    let told = messages::Rehearsed {
        mode: plan.mode.name().into(),
        services: plan.services.iter().map(|(service, _)| service.clone()).collect(),
        users: exempt.iter().take(rehearsal::MOST_EXEMPT).cloned().chain([stranger]).collect(),
        problems: problems.to_vec(),
    };
    if let Err(error) = order::<_, Value>("Rehearsed", told) {
        note(format_args!("the audit does not have the trial: {error}"));
    }
}

/// Undoes what was done. Says what was wrong, and what could not be undone.
fn taken_back(replacements: &[Replacement], problems: &[String], earlier: Option<&Unconfirmed>) -> CliError {
    Cause::own(Deed::Undone, Some("it was tried, and went wrong".into())).note();
    let (_, left) = replacement::undo(replacements);
    let told = ask::<_, Value>("Reload", json!({})).and_then(|_| ask::<_, Value>("Reconcile", json!({})));
    let mut text = format!("it was tried, and went wrong: {}", problems.join("\n  "));
    if left.is_empty() {
        text += "\neverything is as it was";
        // What waited before this waits on, and nothing else does.
        let waits = earlier.map_or_else(Unconfirmed::end, Unconfirmed::go_on);
        text += &waits.err().map(|error| format!("; {error}")).unwrap_or_default();
    } else {
        text += &format!("\nthis could not be undone; run `curfew disable`: {}", left.join("\n  "));
    }
    text += &told.err().map(|error| format!("\nthe agent was not told: {error}")).unwrap_or_default();
    CliError::Failed(text)
}
