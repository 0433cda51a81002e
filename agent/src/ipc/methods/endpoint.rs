//! Answers to root about the central endpoint: joining it, leaving it, a new key, a poll now.

use super::Methods;
use crate::clock;
use crate::endpoint::Endpoint;
use crate::endpoint::enroll::{self, EnrollError};
use crate::endpoint::identity::{Identity, Place};
use crate::endpoint::{rotate, tls};
use crate::grant::Source;
use crate::grant::settle::settle;
use crate::grant::signed_set::SetFacts;
use crate::grant::stores::Grants;
use crate::human;
use crate::ipc::messages::{EnrollOrder, Joined, ShownSet, StaticOrder};
use crate::ipc::varlink::{ErrorReply, Nothing, RawCall, parameters};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest token and name, in bytes.
const LONGEST_TOKEN: usize = 4096;
const LONGEST_NAME: usize = 255;

/// How many refused grants are named.
const MOST_REFUSED: usize = 10;

/// How long a poll that somebody waits for may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What these methods do, for those who may not.
pub const WHAT: &str = "say which endpoint this host follows, and how";

/// Whether a method is answered here.
pub fn answers(method: &str) -> bool {
    let methods = ["Enroll", "EnrollStatic", "Leave", "RotateKey", "Sync"];
    method.strip_prefix("io.curfew.Agent.").is_some_and(|method| methods.contains(&method))
}

/// Answers one of these calls of root.
///
/// # Errors
///
/// The error reply.
pub async fn answer(methods: &Methods, call: &RawCall) -> Result<Value, ErrorReply> {
    let failed = |error: EnrollError| ErrorReply::failed(&error.to_string());
    match call.method.as_str() {
        "io.curfew.Agent.Enroll" => {
            let order: EnrollOrder = parameters(call)?;
            let place = place(&order.url, order.ca)?;
            let token = bounded("token", order.token.trim(), LONGEST_TOKEN)?;
            let name = order.name.unwrap_or_else(|| methods.settings.host.clone());
            let name = bounded("name", &name, LONGEST_NAME)?;
            let joined = enroll::enroll(&methods.follower, place, token, name, order.replace).await;
            joined.map(|identity| known_as(&identity)).map_err(|error| there(&order.url, &error))
        }
        "io.curfew.Agent.EnrollStatic" => {
            let order: StaticOrder = parameters(call)?;
            let place = place(&order.url, order.ca)?;
            let joined = enroll::enroll_static(&methods.follower, place, order.host, order.keys, order.replace).await;
            joined.map(|identity| known_as(&identity)).map_err(|error| there(&order.url, &error))
        }
        "io.curfew.Agent.Leave" => {
            let Nothing {} = parameters(call)?;
            enroll::leave(&methods.follower).await.map(|()| json!({})).map_err(failed)
        }
        "io.curfew.Agent.RotateKey" => {
            let Nothing {} = parameters(call)?;
            rotate::rotate(&methods.follower).await.map(|kid| json!({"key": kid})).map_err(failed)
        }
        "io.curfew.Agent.Sync" => {
            let Nothing {} = parameters(call)?;
            sync(methods).await
        }
        other => Err(ErrorReply::unknown_method(other)),
    }
}

async fn sync(methods: &Methods) -> Result<Value, ErrorReply> {
    if methods.follower.endpoint.identity().is_none() {
        return Err(ErrorReply::failed(&EnrollError::NoEndpoint.to_string()));
    }
    let tried = methods.follower.endpoint.poll_now(PATIENCE).await;
    let problem = methods.follower.endpoint.health.borrow().latest().map(str::to_owned);
    // Whoever reads the answer uses what the set grants.
    let granted: Vec<String> = {
        let grants = methods.ledger.grants();
        let of_the_set =
            grants.held().iter().filter(|held| held.source == Source::Endpoint && held.grant.sudo.is_some());
        of_the_set.map(|held| held.grant.id.to_string()).collect()
    };
    settle(&methods.ledger, &granted).await;
    match problem {
        Some(problem) => Err(ErrorReply::failed(&problem)),
        None if !tried => Err(ErrorReply::failed(&format!("nothing came of it within {} s", PATIENCE.as_secs()))),
        None => Ok(
            json!({"set": shown_set(&methods.follower.endpoint, methods.ledger.grants().endpoint().facts(), clock::now())}),
        ),
    }
}

/// What an operator must know about the endpoint, in sentences.
pub fn problems(methods: &Methods, grants: &Grants) -> Vec<String> {
    let now = clock::now();
    let store = grants.endpoint();
    let aside = store.set_aside().map(|aside| {
        format!("the stored set of the endpoint could not be used ({}); see {}", aside.problem, aside.path.display())
    });
    let failing = methods.follower.endpoint.health.borrow().failing().map(|failing| {
        format!("the endpoint can't be followed since {}: {}", human::time(failing.since), failing.problem)
    });
    let stale = store.facts().filter(|_| store.is_stale(now)).map(|facts| {
        let since = human::time(facts.opens_until);
        format!(
            "the endpoint's set is too old: since {since} its grants open nothing new; what is open ends at its end"
        )
    });
    let unshipped = methods.follower.endpoint.shipping.borrow().problem.clone();
    let unshipped = unshipped.map(|problem| format!("the audit can't be shipped and waits in the spool: {problem}"));
    let refused = store.refused();
    let more = refused.len().saturating_sub(MOST_REFUSED);
    let more = (more > 0)
        .then(|| format!("{more} more grants of the endpoint are refused: see `curfew audit --event grant.refused`"));
    let refused = refused.iter().take(MOST_REFUSED);
    let refused = refused.map(|it| format!("a grant of the endpoint is refused: {}", it.problem)).chain(more);
    let sets = methods.follower.endpoint.problem().into_iter().chain(aside).chain(failing).chain(stale);
    sets.chain(unshipped).chain(refused).collect()
}

/// What `curfew status` shows of it.
pub(super) fn shown_set(endpoint: &Endpoint, facts: Option<&SetFacts>, now: Timestamp) -> Option<ShownSet> {
    let identity = endpoint.identity()?;
    let health = endpoint.health.borrow();
    let failing = health.failing();
    Some(ShownSet {
        endpoint: identity.url.clone(),
        host: identity.host.to_string(),
        epoch: facts.map(|facts| facts.mark.epoch),
        version: facts.map(|facts| facts.mark.ver),
        issued: facts.map(|facts| facts.issued),
        age_s: facts.map(|facts| now.duration_since(facts.issued).as_secs().max(0)),
        fresh_until: facts.map(|facts| facts.fresh_until),
        opens_until: facts.map(|facts| facts.opens_until),
        state: if failing.is_some() { "failing" } else { "following" }.into(),
        problem: failing.map(|failing| failing.problem.clone()).or_else(|| health.latest().map(str::to_owned)),
        since: failing.map(|failing| failing.since),
        audit_stored_to: endpoint.shipping.borrow().stored_to,
        audit_problem: endpoint.shipping.borrow().problem.clone(),
    })
}

/// What went wrong, and where.
fn there(url: &str, error: &EnrollError) -> ErrorReply {
    ErrorReply::failed(&format!("{url}: {error}"))
}

fn place(url: &str, ca: Option<String>) -> Result<Place, ErrorReply> {
    if let Some(ca) = &ca {
        tls::authorities(ca).map_err(|error| ErrorReply::bad_parameter("ca", &error.to_string()))?;
    }
    Place::parse(url, ca).map_err(|problem| ErrorReply::bad_parameter("url", &problem))
}

/// A text that has to be there, within bounds. It is not repeated: it may be a secret.
fn bounded<'t>(parameter: &str, text: &'t str, longest: usize) -> Result<&'t str, ErrorReply> {
    match text.len() {
        0 => Err(ErrorReply::bad_parameter(parameter, "it is empty")),
        length if length > longest => {
            Err(ErrorReply::bad_parameter(parameter, &format!("{length} bytes, and {longest} is the most")))
        }
        _ if text.chars().any(char::is_control) => {
            Err(ErrorReply::bad_parameter(parameter, "it has a control character"))
        }
        _ => Ok(text),
    }
}

fn known_as(identity: &Identity) -> Value {
    json!(Joined { endpoint: identity.url.clone(), host: identity.host.to_string() })
}
