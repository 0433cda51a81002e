//! What an operator has to know of an answer that changes nothing on this host: Curfew is not enabled, or only observes; the user is exempt, or there
//! is none of that name.

use super::messages::WhyAnswer;
use super::wording;
use crate::enforce::status::EnforcementStatus;
use crate::grant::decision::ReasonCode;
use crate::grant::resolver::{self, Resolver};
use curfew_protocol::exempt::{self, EXEMPT_LIST};
use curfew_protocol::grant::Grant;
use std::path::Path;

/// Why nothing opens or ends by a grant as yet, where that is so.
pub fn of_every_grant(status: &EnforcementStatus) -> Option<String> {
    not_in_force(status.holds(), status.is_wired())
}

fn not_in_force(in_force: bool, is_wired: bool) -> Option<String> {
    let why = match (in_force, is_wired) {
        (true, _) => return None,
        (false, true) => "this host only observes",
        (false, false) => "Curfew is not enabled on this host (root: curfew enable)",
    };
    Some(format!("{why}: nobody is denied without a grant, and nothing opens or ends by this one until that changes"))
}

/// What a grant is for somebody who is exempt.
pub fn for_exempt(resolver: &Resolver, grant: &Grant) -> Option<String> {
    let user = grant.user.as_str();
    let is_listed = exempt::lists(Path::new(EXEMPT_LIST), user).unwrap_or(false);
    (is_listed || resolver::is_exempt_by_another_name(resolver, user)).then(|| exempt_anyway(grant))
}

fn exempt_anyway(grant: &Grant) -> String {
    let rules = if grant.sudo.is_some() { "; only its sudo rules come and go with it" } else { "" };
    format!(
        "{} is exempt ({EXEMPT_LIST}), and gets in without a grant: nothing of theirs opens or ends by this one{rules}",
        grant.user
    )
}

/// A denial of somebody whom this host does not have: a grant could not be made.
pub fn of_nobody(answer: WhyAnswer, user: &str) -> WhyAnswer {
    if answer.reason_code.as_deref() != Some(ReasonCode::NoGrant.name()) {
        return answer;
    }
    let explanation = format!("there is no user {user} on this host");
    WhyAnswer { explanation, next: wording::WITHOUT_A_USER.into(), ..answer }
}

/// An answer that is not what happens: PAM does not ask Curfew about the service, or the mode is to observe.
pub fn unenforced(answer: WhyAnswer, is_asked: bool) -> WhyAnswer {
    let why = match is_asked {
        true => "this host only observes",
        false => "PAM does not ask Curfew about this service now: it is not enabled here",
    };
    let mend = if is_asked { "" } else { " (root: curfew enable)" };
    match answer.verdict.as_str() {
        "permit" => WhyAnswer { next: format!("But {why}, so nobody is denied, then or now{mend}."), ..answer },
        _ => WhyAnswer { explanation: format!("{}; {why}, so nobody is denied{mend}", answer.explanation), ..answer },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn grant(sudo: Value) -> Grant {
        Grant::from_value(&json!({
            "id": "g", "user": "ops", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T21:00:00Z", "login": {}, "sudo": sudo,
            "reason": "x", "requested_by": "a", "approved_by": ["b"],
        }))
        .unwrap()
    }

    fn answer(verdict: &str, code: Option<&str>) -> WhyAnswer {
        serde_json::from_value(
            json!({"verdict": verdict, "reason_code": code, "explanation": "so it is", "next": "Then it is denied."}),
        )
        .unwrap()
    }

    #[test]
    fn a_grant_says_that_nothing_opens_or_ends_where_curfew_is_not_in_force() {
        assert_eq!(not_in_force(true, true), None);
        assert!(not_in_force(false, false).unwrap().contains("not enabled"));
        assert!(not_in_force(false, true).unwrap().contains("only observes"));
    }

    #[test]
    fn a_grant_for_an_exempt_user_says_what_it_is_good_for() {
        let login = exempt_anyway(&grant(Value::Null));
        assert!(login.contains("ops is exempt") && !login.contains("sudo"), "{login}");
        assert!(exempt_anyway(&grant(json!({"commands": ["ALL"]}))).contains("only its sudo rules"));
    }

    #[test]
    fn nobody_is_told_to_get_a_grant_for_a_user_who_is_not_there() {
        let told = of_nobody(answer("deny", Some("no_grant")), "nosuch");
        assert!(told.explanation.contains("no user nosuch") && told.next.contains("a user of that name"), "{told:?}");
        assert_eq!(of_nobody(answer("permit", Some("exempt")), "nosuch").explanation, "so it is");
    }

    #[test]
    fn an_answer_that_is_not_carried_out_says_so_whatever_it_is() {
        let permit = unenforced(answer("permit", None), false);
        assert!(permit.next.contains("not enabled") && !permit.next.contains("Then it is denied"), "{permit:?}");
        let deny = unenforced(answer("deny", Some("no_grant")), true);
        assert!(deny.explanation.contains("only observes") && deny.next == "Then it is denied.", "{deny:?}");
    }
}
