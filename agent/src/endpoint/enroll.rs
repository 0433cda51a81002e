//! Joining an endpoint, and leaving it.
//!
//! A host joins by a one-use token and a key that it makes and stores before anybody hears of either: an answer that is lost on the way is asked for
//! again with the same token and the same key. A web server that only hands out files is joined by what its operator says of it.

use super::client::{Ask, Client};
use super::failure::Failure;
use super::follower::Follower;
use super::identity::{Coming, Identity, IdentityError, Place};
use super::tls;
use crate::clock;
use crate::grant::signed_set::files::forget;
use curfew_protocol::grant_set::{HostId, MEDIA_TYPE};
use curfew_protocol::host_api::{ENROLL, Enrolled, Enrolment, ProblemKind};
use curfew_protocol::jws::PublicKey;
use std::io;

/// Why a host did not join or leave.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The address means nothing.
    #[error("{0}")]
    Address(String),
    /// It has an endpoint.
    #[error(
        "this host is {host} at {url} already; add --replace to leave that, with all its grants, or run `curfew leave`"
    )]
    Already {
        /// Who it is.
        host: HostId,
        /// Where.
        url: String,
    },
    /// It has none.
    #[error("this host has no endpoint; join one with `curfew enroll`")]
    NoEndpoint,
    /// There is nothing to verify sets with.
    #[error("no keys are given: without one no set could be believed")]
    NoKeys,
    /// The exchange came to nothing. The token is not burnt by that.
    #[error("{0}{next}", next = next_step(.0))]
    Exchange(#[from] Failure),
    /// The host's own state can't be written.
    #[error(transparent)]
    Own(#[from] IdentityError),
    /// What is left of the endpoint before can't be removed.
    #[error("what is left of the endpoint before can't be removed: {0}")]
    Forget(#[from] io::Error),
}

fn next_step(failure: &Failure) -> &'static str {
    match failure {
        Failure::Problem { problem, .. } if problem.kind == ProblemKind::EnrolmentToken => {
            "; ask for a new token: one is good for one host, and for 15 minutes"
        }
        Failure::Problem { problem, .. } if problem.kind == ProblemKind::BadRequest => {
            "; use the address by which the endpoint knows itself"
        }
        Failure::TimedOut(_) | Failure::Broken(_) => "; run the same command again, with the same token",
        _ => "",
    }
}

/// Joins the endpoint there by a one-use token, under a name for people to recognise this host by.
///
/// # Errors
///
/// [`EnrollError`]; the host is who it was before.
pub async fn enroll(
    follower: &Follower,
    place: Place,
    token: &str,
    name: &str,
    replace: bool,
) -> Result<Identity, EnrollError> {
    let _alone = follower.endpoint.at_work.lock().await;
    may_join(follower, replace)?;
    let folder = follower.endpoint.folder();
    let client = Client::new(&place)?;
    let key = Coming::Enrolment.load_or_make(folder)?;
    let enrolment = Enrolment { token: token.into(), name: name.into(), aud: place.origin.clone() };
    let body = enrolment.sign(&key).map_err(|error| Failure::Broken(error.to_string()))?;
    let answer = client.exchange(&Ask::post(ENROLL, MEDIA_TYPE, body.into_bytes()), None).await?;
    let Enrolled { host, keys, .. } = answer.json()?;
    if keys.is_empty() {
        return Err(EnrollError::NoKeys);
    }
    let identity = Identity::new(&place, host, Some(&key.public()), keys);
    become_one_of(follower, identity.clone())?;
    Coming::Enrolment.arrive(folder)?;
    Ok(identity)
}

/// Joins a web server that hands out this host's set as a file, signed by one of `keys`.
///
/// # Errors
///
/// [`EnrollError`]; the host is who it was before.
pub async fn enroll_static(
    follower: &Follower,
    place: Place,
    host: HostId,
    keys: Vec<PublicKey>,
    replace: bool,
) -> Result<Identity, EnrollError> {
    let _alone = follower.endpoint.at_work.lock().await;
    may_join(follower, replace)?;
    if keys.is_empty() {
        return Err(EnrollError::NoKeys);
    }
    tls::config(place.ca.as_deref())?;
    let identity = Identity::new(&place, host, None, keys);
    become_one_of(follower, identity.clone())?;
    Identity::forget_key(follower.endpoint.folder())?;
    Ok(identity)
}

/// Leaves the endpoint: its grants are over, and the key is gone.
///
/// # Errors
///
/// That there is none, or what of it stays.
pub async fn leave(follower: &Follower) -> Result<(), EnrollError> {
    let _alone = follower.endpoint.at_work.lock().await;
    if follower.endpoint.identity().is_none() && follower.endpoint.problem().is_none() {
        return Err(EnrollError::NoEndpoint);
    }
    end_grants(follower);
    follower.endpoint.forget()?;
    forget(follower.ledger.grants().endpoint().places())?;
    follower.endpoint.begin_anew();
    Ok(())
}

fn may_join(follower: &Follower, replace: bool) -> Result<(), EnrollError> {
    match follower.endpoint.identity() {
        Some(identity) if !replace => {
            Err(EnrollError::Already { host: identity.host.clone(), url: identity.url.clone() })
        }
        _ => Ok(()),
    }
}

/// Becomes a host of another endpoint. Its history is another one, so that nothing of the one before may stay.
fn become_one_of(follower: &Follower, identity: Identity) -> Result<(), EnrollError> {
    end_grants(follower);
    let kept = forget(follower.ledger.grants().endpoint().places()).map_err(EnrollError::from);
    let become_known = || follower.endpoint.become_known_as(identity).map_err(EnrollError::from);
    // Whoever the host is now: it needs that endpoint's set, whole.
    let done = kept.and_then(|()| become_known());
    follower.endpoint.begin_anew();
    done
}

fn end_grants(follower: &Follower) {
    follower.ledger.grants_mut().leave_endpoint(clock::now());
    follower.trigger.pull();
}
