//! Runs of sudo and su are watched over from the moment that PAM is told to let them through.

use super::{Watch, seen};
use crate::clock::{self, monotonic_us};
use crate::grant::HeldGrant;
use crate::grant::resolver;
use crate::grant::sudo_command::SudoCommand;
use crate::host::cgroup::Scope;
use crate::host::credentials::Credentials;
use crate::host::processes::{Process, ProcessId};
use crate::sessions::claim::Claim;
use crate::sessions::hung_up::HungUp;
use crate::sessions::last_words;
use crate::sessions::outer::Outer;
use crate::sessions::run::Elevation;
use crate::sessions::run_groups;
use crate::sessions::standing::Standing;
use curfew_protocol::ipc::PamQuestion;
use jiff::Timestamp;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// When sudo may have started what it runs.
const FOUND_WITHIN: [Duration; 4] =
    [Duration::from_millis(10), Duration::from_millis(40), Duration::from_millis(150), Duration::from_millis(800)];

/// A run of sudo or su, as it was judged.
pub struct Run<'a> {
    /// Who invokes it.
    pub user: &'a str,
    /// Whom it turns into; none where it runs nothing.
    pub run_as: Option<&'a str>,
    /// What it runs.
    pub command: SudoCommand,
    /// The same as it was typed.
    pub typed: Option<String>,
    /// The grant behind it.
    pub grant: &'a str,
    /// Until when it is covered.
    pub until: Timestamp,
    /// See [`Claim::pinned`].
    pub pinned: Vec<String>,
    /// See [`Elevation::within`].
    pub within: Vec<Outer>,
    /// See [`Elevation::actor`].
    pub actor: Option<String>,
}

/// Watches over the run of sudo or su that the process `pid` begins: from the moment that PAM is told to let it
/// through, since no later hook may come.
///
/// # Errors
///
/// That its process can't be seen: then it is not watched.
pub fn begin(watch: &Rc<Watch>, pid: i32, question: &PamQuestion, run: Run<'_>) -> io::Result<()> {
    let root = seen(pid)?;
    let known = watch.sessions.borrow().elevation(root.id).cloned();
    let (is_watched, unresolved) = (known.is_some(), run.command.unresolved().is_some());
    let group =
        known.as_ref().and_then(|known| known.group.clone()).or_else(|| run_groups::make(&watch.run_groups, root.id));
    // Else sudo turned into what it ran, which is another person's sudo.
    let known = known.filter(|known| known.claim.user == run.user);
    let new = known.is_none();
    // What sudo found for a bare name stays known when the session opens.
    let command = match &known {
        Some(known) if unresolved && known.claim.command.program() == run.command.program() => {
            known.claim.command.clone()
        }
        _ => run.command,
    };
    let grace = watch.settings.config().grace;
    let elevation = Elevation {
        claim: Claim {
            user: run.user.to_owned(),
            service: question.service.clone(),
            run_as: run.run_as.map(str::to_owned),
            command,
            pinned: run.pinned,
            grant: Some(run.grant.to_owned()),
        },
        typed: run.typed,
        root: root.id,
        uid: known.as_ref().map_or(root.login_uid, |known| known.uid),
        logind_id: Scope::of_process(pid).map(|(id, _)| id),
        audit_session: root.audit_session,
        login_uid: root.login_uid,
        group,
        gids: known.as_ref().map_or_else(|| invokers_groups(&root), |known| known.gids.clone()),
        opened_us: known.as_ref().map_or_else(monotonic_us, |known| known.opened_us),
        opened_at: known.as_ref().map_or_else(|| clock::now().as_second(), |known| known.opened_at),
        hung_up_for: (run.until - grace <= clock::now()).then_some(run.until),
        hung_up: HungUp::default(),
        // Whoever begins one in the last moments has been told that they are.
        told_end: (run.until - grace.max(last_words::AHEAD) <= clock::now()).then_some(run.until),
        within: run.within,
        actor: run.actor,
        gone: false,
        struck: false,
    };
    watch.sessions.borrow_mut().add_elevation(elevation);
    watch.trigger.look_at(run.until - watch.settings.config().grace.max(last_words::AHEAD));
    if !is_watched {
        super::run(watch, root.id);
    }
    if new {
        tokio::task::spawn_local(look_up_uid(Rc::clone(watch), root.id, run.user.to_owned()));
        if unresolved {
            tokio::task::spawn_local(resolve(Rc::clone(watch), root.id));
        }
    }
    Ok(())
}

/// The groups of whoever invoked it, as the process has them that did: sudo's own may be root's by now. None where that is not plainly the
/// person's, as where sudo has gone to the background; then no group counts.
fn invokers_groups(root: &Process) -> Vec<u32> {
    let Ok(Some(parent)) = Process::read(root.parent) else { return Vec::new() };
    let Credentials { uids: [uid, rest @ ..], gids, groups, permitted } = parent.credentials;
    let plain = uid != 0 && permitted == 0 && rest.iter().all(|&it| it == uid);
    if plain { gids.into_iter().chain(groups).collect() } else { Vec::new() }
}

/// A bare name that may mean several files is the file that sudo found for it, as soon as that runs: a grant for that file covers the run then.
async fn resolve(watch: Rc<Watch>, root: ProcessId) {
    for pause in FOUND_WITHIN {
        tokio::time::sleep(pause).await;
        let Some(run) = watch.sessions.borrow().elevation(root).filter(|run| !run.gone).cloned() else { return };
        let Some(name) = run.claim.command.unresolved() else { return };
        let live = |held: &&HeldGrant| held.grant.sudo.is_some() && held.covers(clock::now());
        if watch.ledger.grants().of(&run.claim.user).iter().filter(live).count() < 2 {
            return;
        }
        let Some(program) = run.group.as_ref().and_then(|group| group.program_below(root, name)) else { continue };
        let claim = Claim { command: run.claim.command.resolved(&program), pinned: Vec::new(), ..run.claim.clone() };
        let mut resolved = Elevation { claim, ..run.clone() };
        let standing = resolved.claim.standing(watch.ledger.grants().of(&run.claim.user), clock::now());
        if matches!(standing, Standing::Over { .. }) {
            resolved.claim.pinned = run.claim.pinned;
        }
        watch.sessions.borrow_mut().resolve_elevation(resolved);
        return;
    }
}

/// Who became somebody else by su and runs sudo then is not who logged in.
async fn look_up_uid(watch: Rc<Watch>, root: ProcessId, user: String) {
    if let Ok(Some(uid)) = resolver::uid(&watch.resolver, &user).await {
        watch.sessions.borrow_mut().update_elevation(root, |elevation| elevation.uid = Some(uid));
    }
}
