//! What people hear from PAM: one line on entry, two on a refusal.

use crate::grant::decision::{ReasonCode, Request};
use crate::grant::{HeldGrant, Listing, approvers};
use crate::human;
use crate::settings::Settings;
use jiff::Timestamp;

/// What the person hears on entry.
pub fn entry_line(host: &str, held: &HeldGrant, until: Timestamp, now: Timestamp) -> String {
    let approvers = approvers(&held.grant);
    let approved = if approvers.is_empty() { String::new() } else { format!(", approved by {approvers}") };
    let (left, end) = (human::left(now, until), human::time(until));
    format!("Curfew: access to {host} until {end} ({left} left), grant {}{approved}.", held.grant.id)
}

/// What the person hears on a refusal: what, why, and what to do.
pub fn denial(settings: &Settings, what: &str, why: &str) -> String {
    format!("Curfew: {what}: {why}.\n{}", settings.config().request_hint)
}

/// What the person hears whose sudo read rules that are gone.
pub fn misled(service: &str) -> String {
    format!("Curfew: the {service} rules of this account have changed just now. Run it again.")
}

/// Why there is no sudo within a run that is being ended.
pub const WITHIN_WHAT_ENDED: &str = "the run of another person's that it is within has ended";

/// What the person hears of that.
pub fn within_what_ended(service: &str, outer: &str, host: &str) -> String {
    format!("Curfew: there is no {service} here now: the sudo of {outer} on {host} has ended, and this is within it.")
}

/// What the person hears before sudo asks for a password for what no live grant covers.
pub const UNCOVERED: &str =
    "Curfew: none of your live grants covers this command. Only another sudo rule of this host can permit it.";

/// The same, where sudo may ask for none (`-n`).
pub const UNCOVERED_UNASKED: &str = "Curfew: none of your live grants covers this command, and no other sudo rule of this host permits it without a \
                                     password, which -n does not ask for.";

/// What the person hears where sudo wants a password for anything else, and may not ask for one. Programs look for sudo's own words.
pub const UNASKED: &str = "Curfew: sudo: a password is required, and -n asks for none.";

/// Why a run of sudo is owed to no grant. PAM is asked before sudo says whether another rule permits it.
pub const LEFT_TO_SUDO: &str =
    "no live grant covers this command; whether sudo runs it is up to this host's other sudo rules";

/// What may permit a command of sudo's to somebody who has a live sudo grant that does not cover it.
pub fn other_rules(user: &str) -> String {
    format!("Other sudo rules of this host may permit it all the same; they are listed, as root, by: sudo -l -U {user}")
}

/// What changes a permit.
pub const AFTER_A_PERMIT: &str = "Then it is denied, unless a new grant comes; a revocation denies it at once.";

/// What changes a denial of somebody whom the host does not have.
pub const WITHOUT_A_USER: &str = "Only a user of that name, and then a grant, changes that.";

/// What would change a denial next, in one sentence.
pub fn what_changes(reason: ReasonCode, nearest: Option<&HeldGrant>, opens: Option<Timestamp>) -> String {
    if opens.is_some() {
        return "Then it is permitted, unless that grant is revoked.".into();
    }
    let covers = nearest.map(|held| held.grant.access()).unwrap_or_default();
    match reason {
        ReasonCode::NoGrant | ReasonCode::Ended | ReasonCode::Revoked | ReasonCode::NotYet => {
            "Only a new grant changes that.".into()
        }
        ReasonCode::WrongService | ReasonCode::WrongSource => {
            format!("What the grant covers is permitted: {covers}. For the rest, only a new grant changes that.")
        }
        ReasonCode::Stale => {
            "The next set from the endpoint changes that: curfew sync (as root), and curfew status for what is wrong."
                .into()
        }
        ReasonCode::ClockUnproven => "A right clock changes that: curfew clock says what is wrong.".into(),
        ReasonCode::AccountChanged => {
            "Only a new grant changes that, since the name stands for another account now.".into()
        }
    }
}

/// Why a request is refused, in words.
pub fn denial_reason(
    reason: ReasonCode,
    nearest: Option<&HeldGrant>,
    opens: Option<Timestamp>,
    request: &Request<'_>,
) -> String {
    let id = nearest.map_or_else(String::new, |held| held.grant.id.to_string());
    let end = nearest.map_or_else(String::new, |held| human::time(held.end()));
    let later = opens.map(|opens| format!("; another opens at {}", human::time(opens))).unwrap_or_default();
    match (reason, request) {
        // There may be one for a login.
        (ReasonCode::NoGrant, Request::Elevation { .. }) => "no live grant gives sudo".into(),
        (ReasonCode::NoGrant, Request::Login { .. } | Request::Stay { .. }) => "no live grant gives a login".into(),
        (ReasonCode::NoGrant, Request::Background { .. }) => "there is no grant".into(),
        (ReasonCode::NotYet, _) => {
            format!("grant {id} opens at {}", opens.map(human::time).unwrap_or_default())
        }
        (ReasonCode::Ended, _) => format!("grant {id} ended at {end}{later}"),
        (ReasonCode::Revoked, _) if nearest.is_some_and(|held| held.listing == Listing::Superseded) => {
            format!("grant {id} was replaced by another at {end}{later}")
        }
        (ReasonCode::Revoked, _) => format!("grant {id} was revoked at {end}{later}"),
        (ReasonCode::Stale, _) => {
            format!("grant {id} opens nothing new until this host hears from its endpoint again{later}")
        }
        (ReasonCode::ClockUnproven, _) => {
            format!("grant {id} opens nothing until this host's clock is right again{later}")
        }
        (ReasonCode::AccountChanged, _) => {
            let problem = nearest.and_then(|held| held.holder.problem(held.grant.user.as_str())).unwrap_or_default();
            format!("grant {id} opens nothing: {problem}{later}")
        }
        (ReasonCode::WrongSource, Request::Login { from, .. }) => {
            format!("grant {id} is not for logins from {}{later}", from.unwrap_or("an unknown address"))
        }
        (ReasonCode::WrongService, Request::Login { service, .. }) => format!("grant {id} is not for {service}{later}"),
        (ReasonCode::WrongSource | ReasonCode::WrongService, Request::Elevation { scope, .. }) => {
            let whom = scope.run_as.map(|run_as| format!(" as {run_as}")).unwrap_or_default();
            format!("grant {id} does not cover that{whom}{later}")
        }
        (ReasonCode::WrongSource | ReasonCode::WrongService, _) => format!("grant {id} does not cover that{later}"),
    }
}
