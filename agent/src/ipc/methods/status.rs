//! `Status`: who has what for how long, what is open, and what an operator must know.

use super::Methods;
use super::endpoint;
use crate::config::exempt_list;
use crate::grant::local::SetAside;
use crate::grant::{HeldGrant, Listing, State, cut_off};
use crate::ipc::messages::{ShownGrant, ShownSession, Status};
use crate::sessions::session::Session;
use crate::sessions::standing::Standing;
use crate::wiring::unconfirmed::Unconfirmed;
use crate::wiring::unwired;
use jiff::Timestamp;

/// Whose grants and sessions are shown.
pub(super) enum Visible<'a> {
    All,
    Of(&'a str),
}

pub(super) fn status(methods: &Methods, visible: &Visible<'_>) -> Status {
    let now = methods.ledger.now();
    let grants = methods.ledger.grants();
    let held = match visible {
        Visible::All => grants.held(),
        Visible::Of(user) => grants.of(user),
    };
    // One's own are those of every name of one's account.
    let own = |held: &HeldGrant| match visible {
        Visible::All => true,
        Visible::Of(user) => held.is_of(user),
    };
    let is_visible = |user: &str| match visible {
        Visible::All => true,
        Visible::Of(name) => *name == user,
    };
    let current = held.iter().filter(|held| held.listing != Listing::Superseded);
    let shown: Vec<&HeldGrant> = current.filter(|held| own(held)).collect();
    let sessions = methods.sessions.borrow();
    let open = sessions.sessions().iter().filter(|session| !session.closed && is_visible(&session.user));
    Status {
        host: methods.settings.host.clone(),
        mode: methods.settings.mode().name().into(),
        in_force: methods.status.holds(),
        wired: methods.status.is_wired(),
        next_end: cut_off::next(&shown, now),
        grants: shown.into_iter().map(|held| show(held, now)).collect(),
        set: endpoint::shown_set(&methods.follower.endpoint, grants.endpoint().facts(), now),
        confirm_by: Unconfirmed::load().ok().flatten().map(|unconfirmed| unconfirmed.until),
        problems: match visible {
            Visible::All => problems(methods, now),
            Visible::Of(_) => Vec::new(),
        },
        sessions: open
            .map(|session| {
                let governed = !session.is_left_alone() && methods.status.governs(&session.service, session.opened_us);
                let standing = governed.then(|| session.standing(grants.of(&session.user), now));
                show_session(session, standing)
            })
            .collect(),
    }
}

/// `standing`: where it stands with its grants, if it ends with one.
fn show_session(session: &Session, standing: Option<Standing>) -> ShownSession {
    let governed = standing.is_some();
    let (grant, not_after) = match standing {
        Some(Standing::Covered { grant, until }) => (Some(grant), Some(until)),
        Some(Standing::Over { .. }) | None => (None, None),
    };
    ShownSession {
        user: session.user.clone(),
        service: session.service.clone(),
        rhost: session.rhost.clone(),
        session: session.logind_id.clone(),
        governed,
        exempt: session.exempt,
        grant,
        not_after,
    }
}

fn show(held: &HeldGrant, now: Timestamp) -> ShownGrant {
    ShownGrant {
        grant: held.grant.clone(),
        state: held.state(now),
        source: held.source.name().into(),
        revoked_at: held.revoked.as_ref().map(|revoked| revoked.at),
        problem: account_problem(held, now),
    }
}

/// Why a grant that has not ended opens nothing, whatever its window says.
fn account_problem(held: &HeldGrant, now: Timestamp) -> Option<String> {
    let problem = held.holder.lasting_problem(held.grant.user.as_str());
    problem.filter(|_| held.state(now) != State::Ended)
}

/// What an operator must know, in sentences.
fn problems(methods: &Methods, now: Timestamp) -> Vec<String> {
    let grants = methods.ledger.grants();
    let config = methods.settings.problem();
    let config = config.map(|problem| format!("{problem}; the last usable configuration is in force"));
    let aside = grants.local().set_aside().map(|SetAside { path, problem }| {
        format!("the store of local grants could not be read ({problem}); it was set aside as {}", path.display())
    });
    let refused =
        grants.local().refused().iter().map(|refused| format!("a local grant is refused: {}", refused.problem));
    let unwritable = methods.ledger.sudo_rules.problems();
    let unstored = grants.unstored();
    let unstored = unstored.map(|problem| format!("a revocation holds and could not be stored: {problem}"));
    let deadline = methods.status.deadline.problem();
    let deadline = deadline.map(|problem| format!("PID 1 does not keep the next end, should the agent die: {problem}"));
    let endpoint = endpoint::problems(methods, &grants);
    let accounts = grants.held().iter().filter(|held| held.listing != Listing::Superseded);
    let accounts = accounts.filter_map(|held| {
        let problem = account_problem(held, now)?;
        Some(format!("grant {} opens nothing: {problem}; revoke it, and grant anew where that is meant", held.grant.id))
    });
    let local = aside.into_iter().chain(unstored).chain(refused).chain(unwritable);
    let local = local.chain(accounts).chain(methods.status.sudo_view.problems());
    let clock = methods.ledger.clock.problem(methods.ledger.read_clocks());
    let open = unwired::open(&methods.settings.config());
    let open = open.into_iter().map(|service| unwired::tell(&service));
    config
        .into_iter()
        .chain(exempt_list::problem())
        .chain(open)
        .chain(methods.status.opened.problems())
        .chain(clock)
        .chain(deadline)
        .chain(endpoint)
        .chain(local)
        .collect()
}
