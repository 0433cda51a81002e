//! Elevations (sudo, su, polkit, doas): judged, audited, and watched over from the moment PAM lets them through.

use super::Pam;
use super::again::said_already;
use super::record::{asked, named, refusal, refuse_unwatched, session_id, typed};
use super::run_as;
use super::uncovered;
use super::within::Origin;
use crate::config::service::{is_asked_twice, is_roots_work, runs_anything};
use crate::grant::HeldGrant;
use crate::grant::decision::{Elevation as Scoped, ReasonCode, Request, Verdict as Decision, WantedCommand, admit};
use crate::grant::held;
use crate::grant::sudo_command::{Place, SudoCommand, Typed};
use crate::host::processes::{self, Process};
use crate::ipc::peer::Peer;
use crate::ipc::wording;
use crate::sessions::outlook::first_to_end;
use crate::sessions::standing::Standing;
use crate::sessions::watch::elevations;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use jiff::Timestamp;
use std::io;
use std::rc::Rc;

/// Judges what `ruser` asks for.
pub(super) fn judge(pam: &Rc<Pam>, peer: &Peer, hook: Hook, question: &PamQuestion, ruser: &str) -> PamAnswer {
    let now = pam.ledger.now();
    let all = pam.ledger.grants();
    let user = all.judged_name(ruser);
    let grants = all.of(user);
    let folder = processes::folder(peer.pid);
    if hook != Hook::Authenticate {
        uncovered::is_judged(pam, peer);
    }
    let turns_user = runs_anything(&question.service);
    let of_sudo = if turns_user { None } else { processes::command_line(peer.pid) };
    // What can't be read may be anything.
    let unknown = || Typed::of(SudoCommand::Anything);
    let asked_for = of_sudo.map_or_else(unknown, |arguments| SudoCommand::parse(&arguments));
    // sudo's PAM_USER is the invoker until the session opens; su's is the user that it turns into from the start. polkit's and doas' is the invoker,
    // and what they may do then is not known: root's work.
    let run_as = match question.service.as_str() {
        service if is_roots_work(service) => "root".to_owned(),
        _ if turns_user => question.user.clone(),
        _ => {
            let turned_into = (hook == Hook::OpenSession).then_some(question.user.as_str());
            run_as::named(turned_into.or(asked_for.user.as_deref()), asked_for.group.as_deref(), ruser)
        }
    };
    let granted = grants.iter().filter(|held| held.covers(now)).filter_map(|held| held.grant.sudo.as_ref());
    let granted = granted.flat_map(|sudo| sudo.commands_as(&run_as)).collect();
    let place = Place { folder: folder.as_deref(), granted };
    let command = asked_for.command(&place);
    let origin = Origin::of(pam, peer, user);
    let actor = origin.as_ref().ok().and_then(Origin::actor);
    let (typed, run_as) = (typed(pam, peer, question), run_as.as_str());
    let asking = Asking {
        pam,
        peer,
        hook,
        question,
        ruser,
        user,
        run_as,
        asked_for: &asked_for,
        command: &command,
        typed,
        actor,
        now,
    };
    // What sudo may run, and as whom, is for sudoers to say: the question is whether sudo is granted at all.
    let wanted = if turns_user { WantedCommand::Any } else { WantedCommand::Unknown };
    let request = Request::Elevation { user, scope: Scoped { run_as: turns_user.then_some(run_as), command: wanted } };
    let bars = pam.ledger.bars(now);
    let (grant, until) = match admit(&request, grants, now, bars) {
        Decision::Permit { grant, until } => (grant, until),
        Decision::Deny { reason, nearest, opens } => {
            let why = wording::denial_reason(reason, nearest, opens, &request);
            let what = format!("{user} has no {} on {} now", question.service, pam.settings.host);
            let entry = asking.denied().with(Field::Grant, nearest.map(|held| held.grant.id.to_string()));
            return asking.refuse(entry, reason, wording::denial(&pam.settings, &what, &why));
        }
    };
    if is_of_another_uid(peer, grant) {
        let entry = asking.denied().with(Field::Reason, "who invokes it has not the user id of that name");
        let message = format!("Curfew: {} runs under a user id that is not {ruser}'s any more.", question.service);
        return asking.refuse(entry, ReasonCode::AccountChanged, message);
    }
    // The grant that covers the very command, where one does.
    let exact = Request::Elevation { user, scope: Scoped { run_as: asking.needs_as(), command: command.wanted() } };
    let exactly = admit(&exact, grants, now, bars);
    if hook == Hook::Authenticate {
        let may_be_covered = matches!(exactly, Decision::Permit { .. }) || place.may_mean(&command);
        return asking.before_password(may_be_covered, grant);
    }
    let permitted = match exactly {
        Decision::Permit { grant, until } => Permitted { grant, until, pinned: Vec::new(), credit: Credit::To(grant) },
        Decision::Deny { .. } if !turns_user && may_be_misled(pam, peer, grants, grant, now) => {
            let entry =
                asking.denied().with(Field::Reason, "sudo rules for this user id changed while sudo was at work");
            return asking.refuse(entry, ReasonCode::WrongService, wording::misled(&question.service));
        }
        Decision::Deny { .. } => match live_sudo_grants(grants, now) {
            pinned if pinned.is_empty() => Permitted { grant, until, pinned, credit: Credit::To(grant) },
            pinned => Permitted { grant, until, pinned, credit: credit(&place, run_as, &command, grants, now) },
        },
    };
    asking.open(origin, permitted)
}

/// An elevation that is judged.
struct Asking<'a> {
    pam: &'a Rc<Pam>,
    peer: &'a Peer,
    hook: Hook,
    question: &'a PamQuestion,
    /// Who invokes it, as PAM said.
    ruser: &'a str,
    /// The same by the name that their grants are for.
    user: &'a str,
    run_as: &'a str,
    asked_for: &'a Typed,
    command: &'a SudoCommand,
    /// Its command line, for the audit.
    typed: Option<String>,
    /// Who logged in, where that is somebody else.
    actor: Option<String>,
    now: Timestamp,
}

/// By what it may go on, and until when.
struct Permitted<'g> {
    grant: &'g HeldGrant,
    until: Timestamp,
    /// Where no grant covers the very command: all that are live.
    pinned: Vec<String>,
    credit: Credit<'g>,
}

impl Asking<'_> {
    fn about(&self, event: Event) -> Entry {
        asked(self.pam, self.peer, event, self.question, self.ruser)
            .with(Field::RunAs, self.run_as)
            .with(Field::Program, self.asked_for.program.clone())
            .with(Field::Actor, self.actor.clone())
            .with(Field::Command, self.typed.clone())
            .with(Field::Session, session_id(self.peer))
    }

    /// As whom a grant has to let it run: what runs nothing runs as nobody.
    fn needs_as(&self) -> Option<&str> {
        (*self.command != SudoCommand::Nothing).then_some(self.run_as)
    }

    fn denied(&self) -> Entry {
        self.about(Event::SudoDenied)
    }

    fn refuse(&self, entry: Entry, reason: ReasonCode, message: String) -> PamAnswer {
        refusal(self.pam, self.peer, self.hook, self.question, entry, reason, message)
    }

    /// sudo is granted, and asks for a password all the same.
    fn before_password(&self, may_be_covered: bool, grant: &HeldGrant) -> PamAnswer {
        let denied = (!may_be_covered && *self.command != SudoCommand::Nothing).then(|| self.denied());
        if self.asked_for.is_noninteractive && self.pam.status.has_sudo_ask(grant.uid()) {
            uncovered::without_a_password(self.pam, denied)
        } else {
            uncovered::before_password(self.pam, self.peer, denied)
        }
    }

    /// Lets it through and watches over it, unless another person's run that it is within has ended.
    fn open(&self, origin: io::Result<Origin<'_>>, permitted: Permitted<'_>) -> PamAnswer {
        let Permitted { grant, until, pinned, credit } = permitted;
        let within = match origin.and_then(|origin| origin.within(self.now)) {
            Ok(within) => within,
            Err(error) => return refuse_unwatched(self.pam, self.denied(), &error),
        };
        let service = &self.question.service;
        let until = match first_to_end(
            &self.pam.ledger,
            &|service, at| self.pam.status.governs(service, at),
            &within,
            self.now,
        ) {
            Some((outer, Standing::Over { reason, .. })) => {
                let entry = self.denied().with(Field::Reason, wording::WITHIN_WHAT_ENDED);
                let message = wording::within_what_ended(service, &outer.claim.user, &self.pam.settings.host);
                return self.refuse(entry, reason, message);
            }
            Some((_, Standing::Covered { until: end, .. })) => until.min(end),
            None => until,
        };
        let run = elevations::Run {
            user: self.user,
            run_as: self.needs_as(),
            command: self.command.clone(),
            typed: self.typed.clone(),
            grant: grant.grant.id.as_str(),
            until,
            pinned,
            within,
            actor: self.actor.clone(),
        };
        if let Err(error) = elevations::begin(&self.pam.watch, self.peer.pid, self.question, run) {
            return refuse_unwatched(self.pam, self.denied(), &error);
        }
        if self.hook == Hook::Account {
            let entry = match credit {
                Credit::To(grant) => named(self.about(Event::SudoPermitted), grant, until),
                Credit::Nobody(why) => self.about(Event::SudoPermitted).with(Field::Reason, why),
            };
            let entry = entry.with(Field::Outcome, "permit");
            if !(is_asked_twice(service) && said_already(self.pam, self.peer, &entry)) {
                self.pam.audit.write(entry);
            }
        }
        PamAnswer { verdict: Verdict::Permit, message: None }
    }
}

/// Which grant a permitted command is owed to.
enum Credit<'g> {
    To(&'g HeldGrant),
    /// To none that is known, and why.
    Nobody(String),
}

/// A grant is named only where it covers the command. Where several may be meant by what was typed, none is.
fn credit<'g>(
    place: &Place<'_>,
    run_as: &str,
    command: &SudoCommand,
    grants: &'g [HeldGrant],
    now: Timestamp,
) -> Credit<'g> {
    let names = |held: &&HeldGrant| {
        held.covers(now)
            && held.grant.sudo.as_ref().is_some_and(|sudo| {
                Place { folder: place.folder, granted: sudo.commands_as(run_as).iter().collect() }.may_mean(command)
            })
    };
    let candidates: Vec<&HeldGrant> = grants.iter().filter(names).collect();
    match candidates.as_slice() {
        [] => Credit::Nobody(wording::LEFT_TO_SUDO.into()),
        [only] => Credit::To(only),
        several => {
            let ids = several.iter().map(|held| held.grant.id.as_str()).collect::<Vec<_>>().join(", ");
            Credit::Nobody(format!("which of these grants covers it can't be told from what was typed: {ids}"))
        }
    }
}

/// Whether the process has another user id than the grant is for: it began when the name of its user stood for another account.
fn is_of_another_uid(peer: &Peer, grant: &HeldGrant) -> bool {
    // What has become root altogether does not show who invoked it.
    let invoker = peer.real_uid().filter(|uid| *uid != 0);
    invoker.zip(grant.uid()).is_some_and(|(invoker, uid)| invoker != uid)
}

/// Whether the sudo that asks may have read rules that give this person nothing: another's who has or had their user id, or those of a grant that
/// has ended since.
fn may_be_misled(pam: &Pam, peer: &Peer, grants: &[HeldGrant], covering: &HeldGrant, now: Timestamp) -> bool {
    let gives = |id: &str| held::with_rules(grants, now).any(|held| held.grant.id.as_str() == id);
    // What can't be seen may have started at any time.
    let started = Process::read(peer.pid).ok().flatten().map_or(0, |process| process.id.start);
    covering.uid().is_some_and(|uid| pam.ledger.sudo_rules.may_mislead(uid, started, gives))
}

fn live_sudo_grants(grants: &[HeldGrant], now: Timestamp) -> Vec<String> {
    let live = grants.iter().filter(|held| held.grant.sudo.is_some() && held.covers(now));
    live.map(|held| held.grant.id.to_string()).collect()
}
