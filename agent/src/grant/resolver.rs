//! Keeps up what the names of people stand for: asks the user database for the names of grants, and acts on what it says.
//!
//! Where a name stands for something else, or may, the sudo rules of its grants go with the next look; the user
//! database is asked, and what it says is in force and audited. What hangs or fails changes nothing: what was known last holds.

use super::HeldGrant;
use super::account::directory::{self, known::Resolution};
use super::account::lookup::Lookups;
use super::account::{self, Account, Answer, local_file};
use super::ledger::Ledger;
use crate::descriptors;
use crate::trigger::Trigger;
use curfew_protocol::audit::{Entry, Event, Field};
use curfew_protocol::exempt;
use futures_util::{StreamExt, stream};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The most names that are asked for at once without need: a host has other things to do.
const ASKED_AT_ONCE: usize = 32;

/// How long answers are collected before they are put in force together.
const STROKE: Duration = Duration::from_millis(50);

/// What is due sooner than this is not left to the regular look.
const SOON: Duration = Duration::from_secs(10);

/// How long after a failure the watch begins anew. Each decision compares, too.
const PAUSE: Duration = Duration::from_secs(60);

/// Who asks the user database about the names of grants.
pub struct Resolver {
    ledger: Rc<Ledger>,
    trigger: Rc<Trigger>,
    /// The names that are being looked up.
    lookups: Lookups,
    /// One after the other stores whose grant is whose.
    storing: tokio::sync::Mutex<()>,
}

impl Resolver {
    /// Asks for the ledger's names.
    pub fn new(ledger: Rc<Ledger>, trigger: Rc<Trigger>) -> Self {
        Self { ledger, trigger, lookups: Lookups::default(), storing: tokio::sync::Mutex::default() }
    }
}

/// Compares what is known with /etc/passwd, and takes rules away that are for another account perhaps. A stat(2) where nothing changed.
pub fn look(resolver: &Resolver) {
    resolver.ledger.grants_mut().accounts_mut().look_at_file();
    act(resolver);
}

/// Looks, and asks for the names of which too little or nothing is known. Returns how soon there is more to ask.
pub fn follow(resolver: &Rc<Resolver>) -> Option<Duration> {
    look(resolver);
    let now = Instant::now();
    // Whoever looks in between does not forget when there is something to ask.
    if let Some(idle) = resolver.ledger.grants().accounts().idle_for(now) {
        return Some(idle).filter(|soon| *soon < SOON);
    }
    let exempt = exempt::names(Path::new(exempt::EXEMPT_LIST)).ok();
    let (due, next) = {
        let mut grants = resolver.ledger.grants_mut();
        let people: BTreeSet<String> = grants.people().map(str::to_owned).collect();
        let accounts = grants.accounts_mut();
        accounts.want(people, exempt);
        accounts.forget(now);
        let (due, next) = accounts.due(now);
        due.iter().for_each(|name| accounts.note_asked(name, now));
        (due, next)
    };
    act(resolver);
    if !due.is_empty() {
        tokio::task::spawn_local(ask_for(Rc::clone(resolver), due));
    }
    keep(resolver);
    next.map(|next| next.saturating_duration_since(now)).filter(|soon| *soon < SOON)
}

/// Asks for several names. With many of them, what they say is put in force in some strokes.
async fn ask_for(resolver: Rc<Resolver>, names: Vec<String>) {
    let acted = Cell::new(None::<Instant>);
    let asking = stream::iter(names).for_each_concurrent(ASKED_AT_ONCE, |name| {
        let (resolver, acted) = (&resolver, &acted);
        async move {
            // What it says, and that it says nothing, is known to the directory.
            drop(ask(resolver, &name).await);
            if acted.get().is_none_or(|acted| acted.elapsed() > STROKE) {
                act(resolver);
                acted.set(Some(Instant::now()));
            }
        }
    });
    asking.await;
    act(&resolver);
    resolver.trigger.pull();
}

/// Asks the user database for `name`. What it says is in force when this returns.
///
/// # Errors
///
/// What the user database says, or that it took too long.
pub async fn look_up(resolver: &Resolver, name: &str) -> Result<Option<Account>, String> {
    let said = ask(resolver, name).await;
    act(resolver);
    said.map(|answer| answer.account)
}

async fn ask(resolver: &Resolver, name: &str) -> Result<Answer, String> {
    let (before, of_the_host) = resolver.ledger.grants().accounts().before(name);
    let said = resolver.lookups.ask(name, before, of_the_host).await.map_err(|error| error.to_string());
    resolver.ledger.grants_mut().accounts_mut().learn(name, said.clone(), Instant::now());
    said
}

/// The user id that `name` stands for: as it is known, or as the user database says.
///
/// # Errors
///
/// As [`look_up`].
pub async fn uid(resolver: &Resolver, name: &str) -> Result<Option<u32>, String> {
    let known = {
        let grants = resolver.ledger.grants();
        match grants.accounts().resolve(name) {
            Resolution::Is(account) => Some(account.uid),
            // sudo's own name for the user id of a grant.
            Resolution::Unasked => grants.of(name).iter().find(|held| held.holder.may_open()).and_then(HeldGrant::uid),
            Resolution::Outdated | Resolution::Missing { .. } => None,
        }
    };
    if known.is_some() { Ok(known) } else { Ok(look_up(resolver, name).await?.map(|account| account.uid)) }
}

/// Whether the user database has to be asked for `name` before anybody can be judged by it.
pub fn has_to_be_asked(resolver: &Resolver, name: &str) -> bool {
    look(resolver);
    let grants = resolver.ledger.grants();
    match grants.accounts().resolve(name) {
        Resolution::Is(_) => false,
        Resolution::Outdated => true,
        // Of a granted name, what the grant is bound to is known.
        Resolution::Unasked | Resolution::Missing { .. } => {
            !grants.of(name).iter().any(|held| held.holder.account().is_some())
        }
    }
}

/// Whether the exempt list has, now, the account that `name` stands for under another name. Of the name itself, the PAM module has judged.
pub fn is_exempt_by_another_name(resolver: &Resolver, name: &str) -> bool {
    let grants = resolver.ledger.grants();
    let other = grants.accounts().exempt_name_of(name);
    other.is_some_and(|other| exempt::lists(Path::new(exempt::EXEMPT_LIST), other).unwrap_or(false))
}

/// Acts on what changed: it is audited, and the enforcing loop looks, by which the rules of grants that open nothing
/// go.
fn act(resolver: &Resolver) {
    let moved = resolver.ledger.grants_mut().take_moved();
    for moved in &moved {
        if moved.is_news {
            let again = || {
                let uid = moved.holder.account().map(|account| account.uid.to_string()).unwrap_or_default();
                format!("{} has the user id {uid} again, and the grant opens again", moved.user)
            };
            let reason = moved.holder.problem(moved.user.as_str()).unwrap_or_else(again);
            let entry = Entry::new(Event::AccountChanged).with(Field::User, moved.user.as_str());
            resolver.ledger.write_under(Some(&moved.id), entry.with(Field::Reason, reason));
        }
        if moved.holder.is_gone() {
            resolver.ledger.departing.borrow_mut().insert(moved.user.to_string());
        }
        // What could not be written for want of an account can be now.
        resolver.ledger.sudo_rules.keep_problems(|id| id != moved.id);
    }
    if !moved.is_empty() {
        resolver.trigger.pull();
    }
}

/// Stores whose grant is whose, in a task of its own.
fn keep(resolver: &Rc<Resolver>) {
    let unstored = resolver.ledger.grants_mut().accounts_mut().take_unstored(Instant::now());
    let Some((path, bytes)) = unstored else { return };
    let keeping = Rc::clone(resolver);
    resolver.trigger.spawn_tracked(async move {
        let _turn = keeping.storing.lock().await;
        let stored = tokio::task::spawn_blocking(move || directory::store(&path, &bytes)).await;
        let failed = match stored {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(problem) = &failed {
            tracing::error!(path = account::PATH, "which account each grant is for could not be stored: {problem}");
        }
        keeping.ledger.grants_mut().accounts_mut().note_stored(failed.is_none(), Instant::now());
    });
}

/// Watches over /etc/passwd (inotify(7)) for as long as the agent runs: rules for an account that is gone go at once.
pub async fn watch(resolver: &Rc<Resolver>) {
    loop {
        if let Err(error) = watch_file(resolver).await {
            tracing::error!("a change of {} is not seen at once: {error}", local_file::PATH);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn watch_file(resolver: &Rc<Resolver>) -> io::Result<()> {
    let path = Path::new(local_file::PATH);
    let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let readable = descriptors::wait_on(inotify.as_fd().try_clone_to_owned()?)?;
    let events = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_CLOSE_WRITE;
    inotify.add_watch(path.parent().ok_or(io::ErrorKind::InvalidInput)?, events)?;
    loop {
        let mut guard = readable.readable().await?;
        let concerns_us = read(&inotify, path)?;
        guard.clear_ready();
        if concerns_us {
            look(resolver);
            resolver.trigger.pull();
        }
    }
}

/// Reads all that happened; whether some of it concerns the file.
fn read(inotify: &Inotify, path: &Path) -> io::Result<bool> {
    let mut concerns_us = false;
    loop {
        match inotify.read_events() {
            Ok(events) => {
                let lost = AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED;
                concerns_us |=
                    events.iter().any(|event| event.mask.intersects(lost) || event.name.as_deref() == path.file_name());
            }
            Err(Errno::EAGAIN) => return Ok(concerns_us),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
