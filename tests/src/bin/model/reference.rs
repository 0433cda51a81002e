//! Curfew as a page of rules: who is granted what from when until when, who is in, and what of that may go on.
//!
//! It knows nothing of how the product does it. Times are milliseconds; grants, logins and runs of sudo are numbered as they come.

use crate::people::{Alice, Command, Door, Doors, Person, Sudo, Wanted};
use crate::time::{NO_STEP, Time};
use crate::tree::{At, Branch, Process};

/// When every sequence begins: 2026-11-21T20:00:00.25Z.
pub const BEGINNING: i64 = 1_795_291_200_250;

/// How long the host has been up by then.
pub const UP_FOR: i64 = 1_000_000_000;

#[derive(Clone, Debug)]
pub struct Grant {
    pub to: Person,
    /// The account that it is for: it covers nothing while the name stands for another.
    uid: u32,
    pub login: Option<Doors>,
    pub sudo: Option<Sudo>,
    begin: i64,
    pub end: i64,
    pub revoked: bool,
    /// When it ends on the clock that nobody can set, and whether that was fixed when its window was open.
    pub ends_by_boot: Option<i64>,
    opened: bool,
    /// The agent has looked while it held, or when it was over for good: a clock that is set back changes neither.
    seen_begun: bool,
    pub seen_over: bool,
}

#[derive(Clone, Debug)]
pub struct Login {
    pub who: Person,
    uid: u32,
    door: Door,
    /// Ends with its grant: not what opened while Curfew only observed, and nothing of exempt people's.
    governed: bool,
    /// Its end came, by Curfew.
    pub over: bool,
    /// Whoever logged in has logged out. What they left running goes on.
    pub logged_out: bool,
}

#[derive(Clone, Debug)]
pub struct Run {
    pub login: usize,
    /// The process of another run that it was typed in.
    inside: Option<At>,
    pub wanted: Wanted,
    governed: bool,
    pub over: bool,
    /// The command has ended by itself.
    pub finished: bool,
    /// The grants of that time, where none covered the very command: the run needs all of them.
    pinned: Option<Vec<usize>>,
    /// What it started, itself first.
    pub processes: Vec<Process>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    Enforce,
    Observe,
}

/// What should be.
#[derive(Clone, Debug)]
pub struct Reference {
    pub time: Time,
    pub alice: Alice,
    pub grants: Vec<Grant>,
    pub logins: Vec<Login>,
    pub runs: Vec<Run>,
    /// The mode in force, and what stands in the file: none for what can't be used.
    pub mode: Mode,
    pub file: Option<Mode>,
    pub up: bool,
    /// What the last question was to be answered.
    pub answer: bool,
    /// How many processes were to end with their run, and a run that was typed in them to go on.
    pub outlived: usize,
    /// How many were to end with their run, and not with their login, of which their rights alone told.
    pub told_by_rights: usize,
}

impl Grant {
    pub fn is_live(&self, time: &Time) -> bool {
        let begun = self.seen_begun || (self.begin <= time.wall && !time.is_unproven());
        begun && time.wall < self.end && !self.is_over()
    }

    /// To log in takes a grant for that very name.
    fn opens(&self, who: Person, door: Door) -> bool {
        self.to == who && self.login.is_some_and(|doors| doors.opens(door))
    }

    /// For good: not where the wall clock alone says so.
    pub fn is_over(&self) -> bool {
        self.revoked || self.seen_over
    }

    /// Its end is fixed when it is first seen, and can come sooner when its window opens.
    fn fix_end(&mut self, time: &Time) {
        let opens = self.is_live(time);
        let now = time.known().map_or(time.wall, |known| known.max(time.wall));
        if now >= self.end || (self.ends_by_boot.is_some() && (self.opened || !opens)) {
            return;
        }
        let end = time.boot + self.end - now;
        self.ends_by_boot = Some(self.ends_by_boot.map_or(end, |fixed| fixed.min(end)));
        self.opened = opens;
    }

    fn is_known_to_be_over(&self, time: &Time) -> bool {
        let by_boot = |slack| self.ends_by_boot.is_some_and(|end| time.boot + slack >= end);
        time.known().is_some_and(|known| known >= self.end) || by_boot(0) || (time.wall >= self.end && by_boot(NO_STEP))
    }
}

impl Reference {
    pub fn new() -> Self {
        let (mode, file) = (Mode::Enforce, Some(Mode::Enforce));
        let (grants, logins, runs) = Default::default();
        let time = Time::new(BEGINNING, UP_FOR);
        let (alice, (outlived, told_by_rights)) = (Alice::AsEver, Default::default());
        Self { time, alice, grants, logins, runs, mode, file, up: true, answer: true, outlived, told_by_rights }
    }

    /// What whoever has this user id has, by whatever name.
    fn live(&self, who: Person) -> impl Iterator<Item = (usize, &Grant)> {
        let same = move |grant: &Grant| grant.to.invoker() == who.invoker();
        self.grants.iter().enumerate().filter(move |(_, grant)| same(grant) && self.holds(grant))
    }

    /// Whether it covers what it says: it is live, and its person's name stands for the account that it is for.
    pub fn holds(&self, grant: &Grant) -> bool {
        grant.is_live(&self.time) && grant.to.uid(self.alice) == Some(grant.uid)
    }

    /// Whether whoever logged in is who their name stands for still.
    pub fn is_themselves(&self, login: usize) -> bool {
        let Login { who, uid, .. } = self.logins[login];
        who.uid(self.alice) == Some(uid)
    }

    /// Whether a live grant opens this door.
    pub fn is_covered(&self, who: Person, door: Door) -> bool {
        self.live(who).any(|(_, grant)| grant.opens(who, door))
    }

    /// Whether a live grant gives any sudo: which, sudo itself judges.
    pub fn has_sudo(&self, who: Person) -> bool {
        self.live(who).any(|(_, grant)| grant.sudo.is_some())
    }

    pub fn lets_in(&self, who: Person, door: Door) -> bool {
        self.mode == Mode::Observe || who.is_exempt() || (self.is_covered(who, door) && !self.time.is_unproven())
    }

    pub fn lets_sudo(&self, who: Person) -> bool {
        self.mode == Mode::Observe || who.is_exempt() || (self.has_sudo(who) && !self.time.is_unproven())
    }

    fn covers_run(&self, run: &Run) -> bool {
        let who = self.logins[run.login].who;
        match &run.pinned {
            Some(all) => all.iter().all(|&grant| self.holds(&self.grants[grant])),
            None => self.live(who).any(|(_, grant)| grant.sudo.is_some_and(|sudo| sudo.covers(run.wanted))),
        }
    }

    /// The grants by which a run goes on.
    pub fn behind(&self, run: usize) -> Vec<usize> {
        let run = &self.runs[run];
        let covers = |grant: &Grant| grant.sudo.is_some_and(|sudo| sudo.covers(run.wanted));
        let live = self.live(self.logins[run.login].who).filter(|(_, grant)| covers(grant));
        run.pinned.clone().unwrap_or_else(|| live.map(|(number, _)| number).collect())
    }

    /// The single commands that its person has by grants which are not behind a run.
    pub fn commands_of_others(&self, run: usize) -> Vec<Command> {
        let behind = self.behind(run);
        let others = self.live(self.logins[self.runs[run].login].who).filter(|(number, _)| !behind.contains(number));
        others.filter_map(|(_, grant)| grant.sudo?.command).collect()
    }

    /// Whether a run can end while its login goes on: no grant behind it is all that the login has.
    pub fn may_end_alone(&self, run: usize) -> bool {
        let (behind, login) = (self.behind(run), &self.logins[self.runs[run].login]);
        let mut others = self.live(login.who).filter(|(number, _)| !behind.contains(number));
        self.runs[run].governed && !behind.is_empty() && others.any(|(_, grant)| grant.opens(login.who, login.door))
    }

    /// Whether a run that was typed in this process goes on by another grant than is behind that of the process.
    pub fn is_to_be_outlived(&self, at: At) -> bool {
        let behind = self.behind(at.run);
        let inner = self.runs.iter().enumerate().filter(|(_, it)| it.inside == Some(at) && !it.over && !it.finished);
        let mut inner = inner.filter(|(_, it)| it.pinned.is_none());
        inner.any(|(inner, _)| self.behind(inner).iter().any(|grant| !behind.contains(grant)))
    }

    /// A grant from the last whole second on, until so many whole seconds after the next.
    pub fn grant(&mut self, to: Person, seconds: u32, login: Option<Doors>, sudo: Option<Sudo>) {
        self.answer = !self.time.is_unproven() && to.uid(self.alice).is_some();
        if let Some(uid) = to.uid(self.alice).filter(|_| self.answer) {
            let begin = self.time.wall.div_euclid(1000) * 1000;
            let end = (self.time.wall + 999).div_euclid(1000) * 1000 + i64::from(seconds) * 1000;
            let (ends_by_boot, opened, revoked, seen_begun, seen_over) = Default::default();
            self.grants.push(Grant {
                to,
                uid,
                login,
                sudo,
                begin,
                end,
                revoked,
                ends_by_boot,
                opened,
                seen_begun,
                seen_over,
            });
        }
    }

    /// Root takes the wall clock as right.
    pub fn accept_the_clock(&mut self) {
        self.time.accept();
        self.grants.iter_mut().filter(|grant| !grant.is_over()).for_each(|grant| grant.ends_by_boot = None);
        self.tell_the_time();
    }

    /// The agent looks at the clocks: ends are fixed, and what is over by any clock is over for good.
    fn tell_the_time(&mut self) {
        self.time.look();
        for grant in self.grants.iter_mut().filter(|grant| !grant.seen_over) {
            grant.fix_end(&self.time);
            grant.seen_over = grant.is_known_to_be_over(&self.time);
        }
    }

    /// Only what has not ended can be revoked.
    pub fn revoke(&mut self, grant: usize) {
        self.answer = !self.grants[grant].is_over();
        self.grants[grant].revoked |= self.answer;
    }

    pub fn log_in(&mut self, who: Person, door: Door) {
        self.answer = self.lets_in(who, door);
        if let Some(uid) = who.uid(self.alice).filter(|_| self.answer) {
            let governed = self.mode == Mode::Enforce && !who.is_exempt();
            self.logins.push(Login { who, uid, door, governed, over: false, logged_out: false });
        }
    }

    /// Which file a bare name means: the one of that name that is granted, where nothing else can be.
    fn meant(&self, who: Person, command: Command) -> Command {
        let granted = || self.live(who).filter_map(|(_, grant)| grant.sudo).map(|sudo| sudo.command);
        let is_granted = |command: Command| granted().any(|it| it == Some(command));
        match (is_granted(Command::RunInA), is_granted(Command::RunInB)) {
            (true, false) if command == Command::Run && !granted().any(|it| it.is_none()) => Command::RunInA,
            (false, true) if command == Command::Run && !granted().any(|it| it.is_none()) => Command::RunInB,
            _ => command,
        }
    }

    pub fn run_sudo(&mut self, login: usize, inside: Option<At>, wanted: Wanted) {
        let who = self.logins[login].who;
        let wanted = Wanted { command: self.meant(who, wanted.command), ..wanted };
        self.answer = self.lets_sudo(who);
        if self.answer {
            let governed = self.mode == Mode::Enforce && !who.is_exempt();
            let processes = vec![Process::first(!wanted.www_data)];
            let mut run =
                Run { login, inside, wanted, governed, over: false, finished: false, pinned: None, processes };
            if !self.covers_run(&run) {
                run.pinned = Some(self.live(who).filter(|(_, it)| it.sudo.is_some()).map(|(it, _)| it).collect());
            }
            self.runs.push(run);
        }
    }

    /// A process of a run starts another.
    pub fn branch(&mut self, at: At, branch: Branch) {
        let run = &mut self.runs[at.run];
        run.processes.push(run.processes[at.process].grow(branch, run.governed));
        self.look_for_what_left();
    }

    /// The command ends by itself, and leaves its programs.
    pub fn finish(&mut self, run: usize) {
        self.runs[run].finished = true;
        self.runs[run].processes.iter_mut().for_each(Process::lose_the_first);
    }

    /// Where some sudo of a person's has ended, what left its run may have been looked for.
    fn look_for_what_left(&mut self) {
        let ended = self.grants.iter().filter(|grant| grant.sudo.is_some() && !self.holds(grant));
        let ended: Vec<Person> = ended.map(|grant| grant.to.invoker()).collect();
        for run in self.runs.iter_mut().filter(|run| ended.contains(&self.logins[run.login].who.invoker())) {
            run.processes.iter_mut().for_each(Process::be_looked_for);
        }
    }

    /// The agent reads its file; one that can't be used changes nothing.
    pub fn configure(&mut self) {
        self.mode = self.file.unwrap_or(self.mode);
    }

    /// The agent looks: what is over now is over for good.
    pub fn look(&mut self) {
        self.tell_the_time();
        for grant in &mut self.grants {
            grant.seen_over |= grant.revoked;
            grant.seen_begun |= grant.is_live(&self.time);
        }
        if self.mode == Mode::Observe {
            self.logins.iter_mut().for_each(|login| login.governed = false);
            self.runs.iter_mut().for_each(|run| run.governed = false);
        }
        for number in 0..self.logins.len() {
            let login = &self.logins[number];
            self.logins[number].over |= login.governed && !self.is_covered(login.who, login.door);
        }
        let went_on: Vec<bool> = self.runs.iter().map(|run| !run.over).collect();
        for number in 0..self.runs.len() {
            let run = &self.runs[number];
            self.runs[number].over |= self.logins[run.login].over || (run.governed && !self.covers_run(run));
        }
        let inner = self.runs.iter().filter(|run| !run.over && !run.finished).filter_map(|run| run.inside);
        let ends_now = |at: &At| went_on[at.run] && self.runs[at.run].over;
        let ended = self.runs.iter().zip(&went_on).filter(|(run, went_on)| **went_on && run.over);
        let alone = ended.filter(|(run, _)| !self.logins[run.login].over).flat_map(|(run, _)| &run.processes);
        self.told_by_rights += alone.filter(|process| process.is_known_by_its_rights()).count();
        self.outlived +=
            inner.filter(ends_now).filter(|at| self.runs[at.run].processes[at.process].is_at_large()).count();
        self.look_for_what_left();
    }
}
