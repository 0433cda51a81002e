//! Ending what no grant covers any more: its control groups are killed at once, before anything else is looked at, and then what left
//! them is looked for and killed, until two looks in a row find nothing.
//!
//! The looks are taken on a thread of their own, and only at what the ending is for: they hold up nobody, however much runs on the host.

pub mod target;

use self::target::Target;
use crate::clock;
use crate::host::apart;
use crate::host::cgroup::Scope;
use crate::host::process_table::{Table, Wanted};
use crate::host::processes::{self, Process, ProcessId};
use crate::host::terminals::Said;
use crate::sessions::hung_up::HungUp;
use curfew_protocol::audit::{Entry, Field};
use jiff::Timestamp;
use nix::sys::signal::Signal;
use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

/// How long a kill is followed up before its survivors are reported.
const FOLLOWED_UP: Duration = Duration::from_secs(3);

/// How long the connection lives on that carries the last words to its person, where nobody foresaw the end: all else is dead by then.
const WORDS_ARRIVE_WITHIN: Duration = Duration::from_millis(50);

/// How long a parent has to reap what ended in a user namespace that has to go, before it ends as well.
const REAPED_WITHIN: Duration = Duration::from_millis(500);

/// How many of what is killed are named with the file that they ran.
const MOST_LABELLED: usize = 1000;

/// Something that is being ended.
pub struct Ending {
    target: Target,
    /// What its people are told at the end, where they were not told before.
    words: Option<String>,
    /// What carries those words to the person, and until when it may.
    carriers: Option<(HashSet<ProcessId>, Instant)>,
    killed: HashMap<ProcessId, String>,
    left: Vec<Process>,
    /// Since when something of it waits to be reaped.
    unreaped_since: Option<Instant>,
    empty_passes: u8,
    done_at: Option<Timestamp>,
}

impl Ending {
    /// An ending that has not struck yet.
    pub fn new(target: Target) -> Self {
        // What obeyed in the grace ended by this, too.
        let killed = target.hung_up().into_iter().flat_map(HungUp::iter).cloned().collect();
        Self {
            target,
            words: None,
            carriers: None,
            killed,
            left: Vec::new(),
            unreaped_since: None,
            empty_passes: 0,
            done_at: None,
        }
    }

    /// The same, with words for its people, who were not told before.
    pub fn with_words(self, words: Option<String>) -> Self {
        Self { words, ..self }
    }

    /// What it ends.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether two passes in a row found nothing.
    pub fn is_done(&self) -> bool {
        self.done_at.is_some()
    }

    /// Kills its control groups, which have stopped: what is in them has its name taken, and dies at once. Where its people are told why, the
    /// connection that carries the words to them, and nothing else, lives on for a moment.
    fn strike_groups(&mut self, said: &mut Said, told: &mut HashSet<ProcessId>) {
        let (groups, first) = (self.target.groups(), self.target.first());
        // Its terminal may be that of the login, which is found by the run's ancestors, and lives on.
        let above = if self.words.is_some() { self.target.line() } else { Vec::new() };
        self.target.note_tree();
        let members: Vec<Process> = groups.iter().flat_map(Scope::members).collect();
        members.iter().for_each(|process| self.note_killed(process, told));
        if let Some(words) = self.words.take() {
            let people: Vec<Process> = members.iter().cloned().chain(above).collect();
            let carriers = self.target.carriers(&members);
            if said.say(&people, &words) && !carriers.is_empty() {
                strike(members.iter().filter(|process| !carriers.contains(&process.id)));
                groups.iter().for_each(Scope::thaw);
                self.carriers = Some((carriers, Instant::now() + WORDS_ARRIVE_WITHIN));
                // A look at a full host takes longer than that.
                tokio::task::spawn_local(async move {
                    tokio::time::sleep(WORDS_ARRIVE_WITHIN).await;
                    groups.iter().for_each(|group| kill(group, first));
                });
                return;
            }
        }
        groups.iter().for_each(|group| kill(group, first));
    }

    /// A process is told once, as killed by the first that has it.
    fn note_killed(&mut self, process: &Process, told: &mut HashSet<ProcessId>) {
        if told.insert(process.id) {
            let labelled = self.killed.len() < MOST_LABELLED;
            let label = if labelled { process.label() } else { processes::quoted(&process.name) };
            self.killed.insert(process.id, label);
        }
    }

    /// Takes note of what was found of it, and kills that.
    fn note(&mut self, found: io::Result<Vec<Process>>, told: &mut HashSet<ProcessId>) {
        let Ok(mut found) = found else {
            // What can't be seen may be there.
            self.empty_passes = 0;
            return;
        };
        found.extend(self.who_reaps_too_late(&found));
        let killed = found.iter().filter(|process| !process.is_unreaped());
        killed.for_each(|process| self.note_killed(process, told));
        if let Some((carriers, until)) = self.carriers.take()
            && Instant::now() < until
            && found.iter().any(|process| carriers.contains(&process.id))
        {
            strike(found.iter().filter(|process| !carriers.contains(&process.id)));
            (self.carriers, self.left) = (Some((carriers, until)), found);
            return;
        }
        self.empty_passes = if found.is_empty() { self.empty_passes + 1 } else { 0 };
        if self.empty_passes >= 2 {
            self.done_at = Some(clock::now());
            self.target.groups().iter().for_each(Scope::thaw);
        }
        if !found.is_empty() {
            self.target.groups().iter().for_each(|group| kill(group, self.target.first()));
            strike(found.iter());
        }
        self.left = found;
    }

    /// The parents of what was to be reaped long since: nothing else ends that, and with it what it keeps.
    fn who_reaps_too_late(&mut self, found: &[Process]) -> Vec<Process> {
        let unreaped: Vec<&Process> = found.iter().filter(|process| process.is_unreaped()).collect();
        if unreaped.is_empty() {
            self.unreaped_since = None;
            return Vec::new();
        }
        if self.unreaped_since.get_or_insert_with(Instant::now).elapsed() < REAPED_WITHIN {
            return Vec::new();
        }
        let leaders = self.target.leaders();
        let parents = unreaped.into_iter().filter_map(|child| {
            let parent = Process::read(child.parent).ok().flatten()?;
            let is_still = Process::read_unreaped(child.id.pid).ok().flatten().is_some_and(|it| it.id == child.id);
            let same = parent.login_uid == child.login_uid && parent.audit_session == child.audit_session;
            (is_still && same && !leaders.contains(&parent.id)).then_some(parent)
        });
        parents.collect()
    }

    /// Whether anything was there to kill.
    pub fn killed_any(&self) -> bool {
        !self.killed.is_empty()
    }

    /// The entry about a target of which nothing is left since it had HUP and TERM.
    pub fn ended_in_grace(target: &Target, entry: Entry) -> Entry {
        let ended: Vec<&str> =
            target.hung_up().into_iter().flat_map(HungUp::iter).map(|(_, name)| name.as_str()).collect();
        entry
            .with(Field::Killed, processes::tally(ended.into_iter()))
            .with(Field::Survivors, "0")
            .with(Field::LatencyMs, 0)
    }

    /// The entry, with what was killed and what lives on, and the time since `ended`.
    pub fn report(&self, entry: Entry, ended: Timestamp) -> Entry {
        let survivors = match (self.is_done(), self.left.len()) {
            (true, _) => "0".to_owned(),
            (false, 0) => "unknown: the processes can't be listed".to_owned(),
            (false, count) => {
                let whys: Vec<String> = self
                    .left
                    .iter()
                    .map(|it| format!("{} ({})", processes::quoted(&it.name), it.why_alive()))
                    .collect();
                format!("{count}: {}", processes::tally(whys.iter().map(String::as_str)))
            }
        };
        let latency = self.done_at.unwrap_or_else(clock::now).duration_since(ended).as_millis();
        entry
            .with(Field::Killed, processes::tally(self.killed.values().map(String::as_str)))
            .with(Field::Survivors, survivors)
            .with(Field::LatencyMs, u64::try_from(latency).unwrap_or(0))
    }
}

/// Kills a group with what began with `first` or later. Where the kernel can't (older than 5.14), what is in it has to die one by one, and not frozen.
fn kill(group: &Scope, first: Option<ProcessId>) {
    group.expel_older_than(first);
    if group.kill().is_err() {
        group.thaw();
        strike(group.members().iter());
    }
}

/// Kills processes one by one.
fn strike<'a>(processes: impl Iterator<Item = &'a Process>) {
    for process in processes {
        process.signal(Signal::SIGKILL);
    }
}

/// Strikes at the control groups of all of them: runs of sudo first, so that each is told as such though its login ends with it. All of them stop
/// before any dies: the death of a run takes those within it along. Nobody is told more than once on one terminal.
pub fn strike_groups(endings: &mut [Ending]) {
    let (mut said, mut told) = (Said::default(), HashSet::new());
    for runs in [true, false] {
        let is_next = |it: &Ending| matches!(it.target, Target::Elevation { .. }) == runs;
        let next = endings.iter().filter(|it| is_next(it));
        for ending in next {
            for group in ending.target.groups() {
                group.expel_older_than(ending.target.first());
                group.freeze();
            }
        }
        for ending in endings.iter_mut().filter(|it| is_next(it)) {
            ending.killed.retain(|process, _| told.insert(*process));
            ending.strike_groups(&mut said, &mut told);
        }
    }
}

/// The processes that one of them has told as killed.
fn told(endings: &[Ending]) -> HashSet<ProcessId> {
    endings.iter().flat_map(|ending| ending.killed.keys().copied()).collect()
}

/// Follows the endings up until all are done or time is up.
pub async fn follow_up(endings: &mut [Ending]) {
    let start = Instant::now();
    let mut told = told(endings);
    let mut pause = Duration::from_millis(1);
    while endings.iter().any(|ending| !ending.is_done()) {
        let open = || endings.iter().filter(|ending| !ending.is_done());
        let mut wanted = Wanted::default();
        wanted.extend(open().map(|ending| ending.target.wanted()));
        let looked = apart::run(move || Table::look(&wanted)).await.flatten();
        if let Err(error) = &looked {
            tracing::error!("the processes can't be listed: {error}");
        }
        for ending in endings.iter_mut().filter(|ending| !ending.is_done()) {
            let found = match &looked {
                Ok(table) => ending.target.find(table),
                Err(error) => Err(error.kind().into()),
            };
            ending.note(found, &mut told);
        }
        if start.elapsed() > FOLLOWED_UP {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::host::credentials::Credentials;

    fn process(pid: i32, state: char) -> Process {
        let id = ProcessId { pid, start: 1 };
        let (name, credentials) = (format!("p{pid}"), Credentials::default());
        let (others, has_threads, audit_session, login_uid) = (Vec::new(), false, Some(5), Some(1001));
        Process { id, parent: 1, name, state, credentials, others, has_threads, tty: 0, audit_session, login_uid }
    }

    #[test]
    fn survivors_are_named_with_why_they_live() {
        let mut ending = Ending::new(Target::Person { user: "alice".into(), uid: 1001, spared: HashSet::new() });
        ending.note(Ok(vec![process(7, 'D'), process(8, 'S')]), &mut HashSet::new());
        let entry = ending.report(Entry::new(curfew_protocol::audit::Event::SessionTerminated), Timestamp::UNIX_EPOCH);
        let survivors = entry.text(Field::Survivors);
        assert_eq!(survivors.as_deref(), Some("2: p7 (waits in the kernel):1 p8 (has not died yet):1"));
    }
}
