//! Questions to the user database (nsswitch.conf(5)), which may go over the network, and hang for some people and not for others.
//!
//! Each is asked on a thread of its own, not on one that the agent needs for anything else. About one person there is one question at a time,
//! and in all there are few: one that hangs can't be called back. When they are all in use, /etc/passwd alone is asked: whoever stands there waits
//! for no directory.

use nix::unistd::{Uid, User};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};

/// How long the answer may take.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// The most questions that stand at the same time, those that hang included.
const MOST: usize = 32;

/// The local accounts (passwd(5)).
const LOCAL: &str = "/etc/passwd";

/// The local groups (group(5)).
const LOCAL_GROUPS: &str = "/etc/group";

static ALL: Semaphore = Semaphore::const_new(MOST);

/// Whom the questions are about.
static ABOUT: Mutex<Option<HashMap<String, Weak<Semaphore>>>> = Mutex::new(None);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Unanswered {
    /// It did not come in time; nor may one before it, about the same person.
    #[error("the user database did not answer within {PATIENCE:?}")]
    Late,
    /// Too many questions hang.
    #[error("the user database leaves {MOST} questions unanswered, and no more are asked")]
    Busy,
}

/// Asks `question`, which is `about` one person.
///
/// # Errors
///
/// [`Unanswered`]; the question may stand for longer then.
pub async fn ask<T: Send + 'static>(
    about: String,
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unanswered> {
    let one = one_about(about);
    let answer = async move {
        let one = one.acquire_owned().await.map_err(|_| Unanswered::Late)?;
        let all = tokio::time::timeout(PATIENCE / 4, ALL.acquire()).await;
        let all = all.ok().and_then(Result::ok).ok_or(Unanswered::Busy)?;
        let (tell, told) = oneshot::channel();
        let asking = move || {
            let answer = question();
            drop((all, one));
            // Nobody may wait any more.
            _ = tell.send(answer);
        };
        std::thread::Builder::new().name("user-database".into()).spawn(asking).map_err(|_| Unanswered::Busy)?;
        told.await.map_err(|_| Unanswered::Late)
    };
    tokio::time::timeout(PATIENCE, answer).await.unwrap_or(Err(Unanswered::Late))
}

fn one_about(about: String) -> Arc<Semaphore> {
    let mut all = ABOUT.lock().unwrap_or_else(PoisonError::into_inner);
    let all = all.get_or_insert_default();
    if let Some(known) = all.get(&about).and_then(Weak::upgrade) {
        return known;
    }
    all.retain(|_, it| it.strong_count() > 0);
    let one = Arc::new(Semaphore::new(1));
    all.insert(about, Arc::downgrade(&one));
    one
}

/// The name of the user `uid`, for a program that has nothing else to do meanwhile: a local one at once, another within `patience`.
pub fn name_within(uid: u32, patience: Duration) -> Option<String> {
    let local = local(2, &uid.to_string()).and_then(|line| line.into_iter().next());
    local.or_else(|| {
        let (tell, told) = mpsc::channel();
        let asking = move || User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name);
        // Nobody may wait any more.
        std::thread::spawn(move || drop(tell.send(asking())));
        told.recv_timeout(patience).ok().flatten()
    })
}

/// The line of /etc/passwd that has `value` as its field of the number `field`, from 0.
pub fn local(field: usize, value: &str) -> Option<Vec<String>> {
    let text = std::fs::read(LOCAL).ok()?;
    let text = String::from_utf8_lossy(&text);
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = fields.into_iter().find(|fields| fields.get(field) == Some(&value) && fields.len() >= 7)?;
    Some(line.into_iter().map(str::to_owned).collect())
}

/// The name of the local group `gid`.
pub fn local_group(gid: u32) -> Option<String> {
    groups(&std::fs::read(LOCAL_GROUPS).ok()?, |fields| fields.get(2) == Some(&gid.to_string().as_str())).pop()
}

/// Whether the local user `name` is in the local group `group`, by their account or by the group's members.
pub fn is_in_local_group(name: &str, group: &str) -> bool {
    let Some(gid) = local(0, name).and_then(|line| line.into_iter().nth(3)) else { return false };
    let is_its = |fields: &[&str]| {
        let is_member = fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name));
        fields.first() == Some(&group) && (is_member || fields.get(2) == Some(&gid.as_str()))
    };
    std::fs::read(LOCAL_GROUPS).is_ok_and(|text| !groups(&text, is_its).is_empty())
}

/// The names of the groups that `is_wanted` wants, by the fields of their lines.
fn groups(text: &[u8], is_wanted: impl Fn(&[&str]) -> bool) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let wanted = fields.filter(|fields| fields.len() >= 4 && is_wanted(fields));
    wanted.filter_map(|fields| fields.first().map(|&name| name.to_owned())).collect()
}

/// The name of the user `uid`. It asks the user database, which may take its time.
pub fn name_of(uid: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name)
}

/// The name of the user `uid`.
pub async fn user_name(uid: u32) -> Option<String> {
    match ask(uid.to_string(), move || name_of(uid)).await {
        Err(Unanswered::Busy) => local(2, &uid.to_string()).and_then(|line| line.into_iter().next()),
        answer => answer.ok().flatten(),
    }
}

/// The home of the user `name`.
///
/// # Errors
///
/// What the user database says, or that it took too long.
pub async fn home(name: &str) -> Result<Option<PathBuf>, String> {
    let wanted = name.to_owned();
    match ask(name.to_owned(), move || User::from_name(&wanted)).await {
        Ok(Ok(user)) => Ok(user.map(|user| user.dir)),
        Ok(Err(errno)) => Err(errno.to_string()),
        Err(busy @ Unanswered::Busy) => {
            let line = local(0, name).ok_or_else(|| busy.to_string())?;
            Ok(line.get(5).map(PathBuf::from))
        }
        Err(late) => Err(late.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn block_on<T>(answer: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(answer)
    }

    #[test]
    fn a_question_that_hangs_occupies_one_place_however_often_it_is_asked_and_no_others() {
        let (release, hung) = mpsc::channel::<()>();
        block_on(async {
            let first = ask("bob".into(), move || hung.recv().is_ok());
            assert_eq!(first.await, Err(Unanswered::Late));
            let free = ALL.available_permits();
            let (second, third) = tokio::join!(ask("bob".into(), || true), ask("bob".into(), || true));
            assert_eq!((second, third), (Err(Unanswered::Late), Err(Unanswered::Late)));
            assert!(ALL.available_permits() >= free, "they wait for the first, and ask nothing");
            assert_eq!(ask("alice".into(), || 1).await, Ok(1));
            release.send(()).unwrap();
            assert_eq!(ask("bob".into(), || 2).await, Ok(2));
        });
    }

    #[test]
    fn a_local_account_is_found_without_the_database() {
        let root = local(0, "root").unwrap();
        assert_eq!(root.get(2).map(String::as_str), Some("0"));
        assert_eq!(local(2, "0").unwrap().first().map(String::as_str), Some("root"));
        assert_eq!(local(0, "nobody-of-this-name"), None);
        let group = local_group(0).unwrap();
        assert!(is_in_local_group("root", &group) && !is_in_local_group("nobody-of-this-name", &group));
        assert!(!is_in_local_group("root", "no-group-of-this-name"));
        let line = b"root:x:0:\nops:x:5:alice,bob\nbad\n";
        let of = |name: &str| groups(line, |fields| fields.get(3).is_some_and(|it| it.split(',').any(|it| it == name)));
        assert_eq!((of("bob"), of("bo")), (vec!["ops".to_owned()], Vec::new()));
    }
}
