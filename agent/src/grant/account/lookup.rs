//! Questions to the user database (getpwnam(3), getpwuid(3)): it may go over the network, and hang.
//!
//! Each name is asked for on a thread of its own, so that one that hangs holds up nobody else, and by one thread at most, so that it does not draw
//! others after it.

use super::{Account, Answer};
use nix::errno::Errno;
use nix::unistd::{Uid, User};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the user database may take.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The most names that are asked for at once.
const MOST_AT_ONCE: usize = 64;

/// So many more may be the host's own, which no directory holds up.
const MORE_OF_THE_HOST: usize = 32;

/// Why there is no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LookupError {
    /// It takes too long.
    #[error("the user database did not answer within {PATIENCE:?}")]
    Late,
    /// Too many questions hang.
    #[error("too many questions to the user database hang")]
    Busy,
    /// It failed.
    #[error("the user database failed: {0}")]
    Failed(String),
}

type Said = Option<Result<Answer, LookupError>>;

/// The names that are being asked for.
#[derive(Debug, Default)]
pub struct Lookups(Arc<Mutex<HashMap<String, Running>>>);

#[derive(Debug)]
struct Running {
    begun: Instant,
    said: watch::Receiver<Said>,
}

impl Lookups {
    /// What `name` stands for, and, where it stands for nothing, who has the user id `before` now. One that hangs since long is not waited for.
    ///
    /// # Errors
    ///
    /// [`LookupError`], which says nothing about the account.
    pub async fn ask(&self, name: &str, before: Option<u32>, of_the_host: bool) -> Result<Answer, LookupError> {
        let (mut said, left) = self.running(name, before, of_the_host)?;
        let waited = tokio::time::timeout(left, said.wait_for(Option::is_some)).await;
        match waited {
            Ok(Ok(said)) => said.clone().unwrap_or(Err(LookupError::Late)),
            Ok(Err(_)) => Err(LookupError::Failed("its thread ended".into())),
            Err(_) => Err(LookupError::Late),
        }
    }

    fn running(
        &self,
        name: &str,
        before: Option<u32>,
        of_the_host: bool,
    ) -> Result<(watch::Receiver<Said>, Duration), LookupError> {
        let mut all = lock(&self.0);
        if let Some(running) = all.get(name) {
            return match PATIENCE.checked_sub(running.begun.elapsed()) {
                Some(left) => Ok((running.said.clone(), left)),
                None => Err(LookupError::Late),
            };
        }
        if all.len() >= MOST_AT_ONCE + if of_the_host { MORE_OF_THE_HOST } else { 0 } {
            return Err(LookupError::Busy);
        }
        let (tell, said) = watch::channel(None);
        let (asked, wanted) = (Arc::clone(&self.0), name.to_owned());
        let thread = std::thread::Builder::new().name("lookup".into()).spawn(move || {
            let answer = look_up(&wanted, before);
            lock(&asked).remove(&wanted);
            tell.send_replace(Some(answer));
        });
        thread.map_err(|error| LookupError::Failed(error.to_string()))?;
        all.insert(name.to_owned(), Running { begun: Instant::now(), said: said.clone() });
        Ok((said, PATIENCE))
    }
}

fn lock(all: &Mutex<HashMap<String, Running>>) -> MutexGuard<'_, HashMap<String, Running>> {
    // The table is whole between any two lines above.
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks, for as long as it takes.
fn look_up(name: &str, before: Option<u32>) -> Result<Answer, LookupError> {
    let failed = |errno: Errno| LookupError::Failed(errno.desc().into());
    let owner = |uid| Ok(User::from_uid(Uid::from_raw(uid)).map_err(failed)?.map(|owner| owner.name));
    match User::from_name(name).map_err(failed)? {
        Some(user) => {
            let uid = user.uid.as_raw();
            let owner = owner(uid)?.unwrap_or_else(|| user.name.clone());
            Ok(Answer { account: Some(Account { uid, name: user.name, owner }), heir: None })
        }
        None => Ok(Answer { account: None, heir: before.map(owner).transpose()?.flatten() }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn on_a_loop<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn root_is_found_and_nobody_of_an_odd_name_is() {
        let lookups = Lookups::default();
        on_a_loop(async {
            let root = lookups.ask("root", None, true).await.unwrap().account.unwrap();
            assert_eq!((root.uid, root.name.as_str(), root.owner.as_str()), (0, "root", "root"));
            let none = lookups.ask("no-such-user-here", Some(0), false).await.unwrap();
            assert_eq!(none, Answer { account: None, heir: Some("root".into()) });
            assert!(lock(&lookups.0).is_empty());
        });
    }

    #[test]
    fn one_that_hangs_is_not_waited_for_and_holds_up_nobody() {
        let lookups = Lookups::default();
        let (_tell, said) = watch::channel(None);
        let begun = Instant::now().checked_sub(PATIENCE).unwrap();
        for number in 0..MOST_AT_ONCE {
            lock(&lookups.0).insert(format!("hung{number}"), Running { begun, said: said.clone() });
        }
        on_a_loop(async {
            assert_eq!(lookups.ask("hung1", None, false).await, Err(LookupError::Late));
            assert_eq!(lookups.ask("far", None, false).await, Err(LookupError::Busy));
            assert!(lookups.ask("root", None, true).await.unwrap().account.is_some());
        });
    }
}
