//! A new key for this host, by the word of both: stored before the endpoint hears of it, and asked for again until the answer is known.

use super::client::{Ask, Client};
use super::enroll::EnrollError;
use super::failure::Failure;
use super::follower::Follower;
use super::identity::{Coming, Identity};
use crate::clock;
use curfew_protocol::grant_set::MEDIA_TYPE;
use curfew_protocol::host_api::{KeyChange, ProblemKind, key_path};
use jiff::Timestamp;
use std::rc::Rc;

/// Changes the host's key for a new one, whose name it returns.
///
/// # Errors
///
/// [`EnrollError`]. Where the endpoint's answer was lost, the change goes on by itself.
pub async fn rotate(follower: &Follower) -> Result<String, EnrollError> {
    let _alone = follower.endpoint.at_work.lock().await;
    let identity = follower.endpoint.identity().filter(|identity| !identity.is_static());
    let identity = identity.ok_or(EnrollError::NoEndpoint)?;
    change(follower, &identity).await
}

/// Goes on with a change whose answer was lost. Returns whether the key is another one now.
pub async fn resume(follower: &Follower) -> bool {
    let _alone = follower.endpoint.at_work.lock().await;
    let Some(identity) = follower.endpoint.identity().filter(|identity| !identity.is_static()) else { return false };
    // The key may be in its place but for a rename, which this does.
    if identity.signing_key(follower.endpoint.folder()).is_err() {
        return false;
    }
    match Coming::Rotation.load(follower.endpoint.folder()) {
        Ok(Some(_)) => match change(follower, &identity).await {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!("the change of this host's key goes on later: {error}");
                false
            }
        },
        Ok(None) => false,
        Err(error) => {
            tracing::error!("{error}");
            false
        }
    }
}

async fn change(follower: &Follower, identity: &Rc<Identity>) -> Result<String, EnrollError> {
    let folder = follower.endpoint.folder();
    let old = identity.signing_key(folder)?;
    let client = Client::new(&identity.place())?;
    let new = Coming::Rotation.load_or_make(folder)?;
    let signed_at = async |now: Timestamp| {
        let (iss, aud) = (identity.host.clone(), identity.origin.clone());
        let change = KeyChange { iss, aud, iat: now.as_second(), kid: String::new() };
        let body = change.sign(&old, &new).map_err(|error| Failure::Broken(error.to_string()))?;
        client.exchange(&Ask::post(key_path(&identity.host), MEDIA_TYPE, body.into_bytes()), None).await
    };
    let answer = match signed_at(clock::now()).await {
        // Where the clocks differ, the endpoint's counts.
        Err(Failure::Problem { problem, date: Some(date), .. }) if problem.kind == ProblemKind::Clock => {
            signed_at(date).await
        }
        answer => answer,
    };
    // Nobody signs a no: the new key is kept whatever is said, for it may be the one that the endpoint knows.
    answer?;
    let known = follower.endpoint.identity().unwrap_or_else(|| Rc::clone(identity));
    follower.endpoint.become_known_as(known.with_key(&new.public()))?;
    Coming::Rotation.arrive(folder)?;
    follower.endpoint.begin_anew();
    Ok(new.public().kid())
}
