//! `Why`: what would be decided, why, and what would change it.

use super::Methods;
use crate::config::Mode;
use crate::config::service::runs_anything;
use crate::grant::decision::{Elevation, Request, Verdict, WantedCommand, admit};
use crate::grant::resolver;
use crate::grant::sudo_command::written;
use crate::grant::{Bars, HeldGrant};
use crate::host::system_account::is_system_account;
use crate::ipc::messages::{WhyAnswer, WhyQuestion};
use crate::ipc::varlink::ErrorReply;
use crate::ipc::{no_effect, wording};
use crate::wiring::PAM_FOLDER;
use crate::wiring::service_file::is_wired;
use curfew_protocol::exempt;
use curfew_protocol::grant::LoginName;
use jiff::Timestamp;
use std::path::Path;

/// `is_missing`: the user database has no such user.
pub(super) fn why(methods: &Methods, question: &WhyQuestion, is_missing: bool) -> Result<WhyAnswer, ErrorReply> {
    let judged = methods.ledger.grants().judged_name(&question.user).to_owned();
    let config = methods.settings.config();
    let elevates = config.elevation_services.contains(&question.service);
    if !config.services().any(|service| *service == question.service) {
        let known = config.services().map(String::as_str).collect::<Vec<_>>().join(" ");
        let problem = format!("{:?} is not judged on this host; these are: {known}", question.service);
        return Err(ErrorReply::bad_parameter("service", &problem));
    }
    if let Some((option, problem)) = question.contradiction(elevates, &config.login_services) {
        return Err(ErrorReply::bad_parameter(option, &problem));
    }
    let (path, arguments) = match &question.command {
        Some(command) => command.split_once(' ').unwrap_or((command, "")),
        None => ("", ""),
    };
    // A bare name, and a path that may lead anywhere, stand for themselves.
    let paths = Some(path).filter(|path| path.starts_with('/')).map(written).filter(|paths| !paths.is_empty());
    let paths = paths.unwrap_or_else(|| vec![path.to_owned()]);
    let command = match (&question.command, question.service.as_str()) {
        (_, service) if runs_anything(service) => WantedCommand::Any,
        (Some(_), _) => WantedCommand::Program { paths: &paths, arguments },
        (None, _) => WantedCommand::Unknown,
    };
    let request = if elevates {
        let run_as = question.run_as.as_ref().map_or("root", LoginName::as_str);
        Request::Elevation { user: &judged, scope: Elevation { run_as: Some(run_as), command } }
    } else if config.background_services.contains(&question.service) {
        Request::Background { user: &judged }
    } else {
        Request::Login { user: &judged, service: &question.service, from: question.from.as_deref() }
    };
    // The PAM module asks nobody then.
    let by_another_name = !elevates && resolver::is_exempt_by_another_name(&methods.resolver, &question.user);
    if exempt::passes(&question.user, &question.service, elevates) || by_another_name {
        return Ok(exempt_answer(&question.user));
    }
    if matches!(request, Request::Background { .. }) && is_system_account(&question.user) {
        return Ok(unjudged_answer(&question.user));
    }
    let now = methods.ledger.now();
    let at = question.at.unwrap_or(now);
    let grants = methods.ledger.grants();
    let mut answer = match question.at {
        None => explain(&request, grants.of(&judged), at, methods.ledger.bars(at)),
        // At another time, windows are what they say, however far they have come by now.
        Some(_) => {
            let then = |held: &HeldGrant| HeldGrant { reached: None, barred: false, ..held.clone() };
            explain(&request, &grants.of(&judged).iter().map(then).collect::<Vec<_>>(), at, methods.ledger.bars(at))
        }
    };
    if is_missing {
        answer = no_effect::of_nobody(answer, &question.user);
    }
    // Its file may have been exchanged since the last look.
    let is_wired = || is_wired(Path::new(PAM_FOLDER), &question.service).unwrap_or(true);
    let is_asked = methods.status.is_asked_about(&question.service) && is_wired();
    answer.enforced = methods.settings.mode() == Mode::Enforce && is_asked;
    Ok(if answer.enforced { answer } else { no_effect::unenforced(answer, is_asked) })
}

/// Jobs of system accounts are not judged.
fn unjudged_answer(user: &str) -> WhyAnswer {
    WhyAnswer {
        verdict: "permit".into(),
        reason_code: Some("system_account".into()),
        grant: None,
        not_after: None,
        changes_at: None,
        explanation: format!("{user} is a system account, whose jobs are not judged"),
        enforced: true,
        next: "No grant changes that.".into(),
        beside: None,
    }
}

fn exempt_answer(user: &str) -> WhyAnswer {
    WhyAnswer {
        verdict: "permit".into(),
        reason_code: Some("exempt".into()),
        grant: None,
        not_after: None,
        changes_at: None,
        explanation: format!("{user} is exempt, and passes at any time"),
        enforced: true,
        next: format!("That changes only in the exempt list, {}.", exempt::EXEMPT_LIST),
        beside: None,
    }
}

fn explain(request: &Request<'_>, grants: &[HeldGrant], at: Timestamp, bars: Bars) -> WhyAnswer {
    match admit(request, grants, at, bars) {
        Verdict::Permit { grant, until } => WhyAnswer {
            verdict: "permit".into(),
            reason_code: None,
            grant: Some(grant.grant.id.to_string()),
            not_after: Some(until),
            changes_at: Some(until),
            explanation: format!("grant {} covers it{}", grant.grant.id, as_whom(request)),
            enforced: true,
            next: wording::AFTER_A_PERMIT.into(),
            beside: None,
        },
        Verdict::Deny { reason, nearest, opens } => WhyAnswer {
            verdict: "deny".into(),
            reason_code: Some(reason.name().into()),
            grant: nearest.map(|held| held.grant.id.to_string()),
            not_after: None,
            changes_at: opens,
            explanation: wording::denial_reason(reason, nearest, opens, request),
            enforced: true,
            next: wording::what_changes(reason, nearest, opens),
            beside: others_may_permit(request, grants, at, bars).map(wording::other_rules),
        },
    }
}

/// Whom the grant lets it turn into, where that is not root.
fn as_whom(request: &Request<'_>) -> String {
    match request {
        Request::Elevation { scope: Elevation { run_as: Some(run_as), .. }, .. } if *run_as != "root" => {
            format!(" as {run_as}")
        }
        _ => String::new(),
    }
}

/// Whose command other sudo rules may permit that no grant covers: with a live grant of sudo for anything, that is for sudo to say. Without one,
/// PAM denies it whatever the rules are.
fn others_may_permit<'r>(request: &Request<'r>, grants: &[HeldGrant], at: Timestamp, bars: Bars) -> Option<&'r str> {
    let Request::Elevation { user, scope } = request else { return None };
    if scope.command == WantedCommand::Any {
        return None;
    }
    let of_anything = Elevation { run_as: None, command: WantedCommand::Unknown };
    let request = Request::Elevation { user, scope: of_anything };
    matches!(admit(&request, grants, at, bars), Verdict::Permit { .. }).then_some(user)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::grant::Source;
    use curfew_protocol::grant::Grant;
    use serde_json::json;

    #[test]
    fn other_sudo_rules_are_named_where_pam_lets_them_permit_the_command() {
        let grant = Grant::from_value(&json!({
            "id": "a", "user": "alice", "not_before": "2026-11-21T20:00:00Z", "not_after": "2026-11-21T20:30:00Z",
            "login": {}, "sudo": {"commands": ["/usr/bin/id"]}, "reason": "INC-1", "requested_by": "a", "approved_by": ["bob"]
        }));
        let grants = [HeldGrant::new(grant.unwrap(), Source::Local)];
        let beside = |command: WantedCommand<'_>, at: &str| {
            let request = Request::Elevation { user: "alice", scope: Elevation { run_as: None, command } };
            explain(&request, &grants, at.parse().unwrap(), Bars::default()).beside
        };
        let (live, over) = ("2026-11-21T20:10:00Z", "2026-11-21T20:40:00Z");
        let [covered, other] = ["/usr/bin/id", "/usr/bin/cat"].map(|path| vec![path.to_owned()]);
        let of = |paths| WantedCommand::Program { paths, arguments: "" };
        assert!(beside(of(&other), live).unwrap().ends_with("sudo -l -U alice"));
        assert_eq!(beside(of(&covered), live), None);
        // Whoever has no sudo at all is denied whatever the rules are, and su does not ask them.
        assert_eq!(beside(of(&other), over), None);
        assert_eq!(beside(WantedCommand::Any, live), None);
        // As whom is part of the question.
        let as_bob = Elevation { run_as: Some("bob"), command: of(&covered) };
        let request = Request::Elevation { user: "alice", scope: as_bob };
        let answer = explain(&request, &grants, live.parse().unwrap(), Bars::default());
        assert_eq!(
            (answer.verdict.as_str(), answer.explanation.as_str()),
            ("deny", "grant a does not cover that as bob")
        );
    }
}
