//! What can happen: acts of people and operators, time that passes, steps of the clock, and the deaths of the agent.

use crate::inner::{self, AWAY};
use crate::people::{Alice, Command, DOORS, Door, Doors, Person, Sudo, Wanted};
use crate::reference::{BEGINNING, Mode, Reference};
use crate::tree::{At, Becomes, Branch};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;

/// How far from its beginning the clock goes, in milliseconds: grants that ended a week ago are forgotten.
const FARTHEST: i64 = 3 * 24 * 3600 * 1000;

/// The most logins and runs of sudo that are open at a time.
const MOST_OPEN: usize = 5;

/// The most processes that a run starts one by one.
const MOST_PROCESSES: usize = 6;

/// An act, and what becomes of the agent then.
#[derive(Clone, Debug)]
pub struct Transition {
    pub act: Act,
    pub then: Then,
}

#[derive(Clone, Debug)]
pub enum Act {
    Grant {
        to: Person,
        seconds: u32,
        login: Option<Doors>,
        sudo: Option<Sudo>,
    },
    Revoke(usize),
    /// Time passes.
    Pass(Step),
    /// The wall clock is set.
    Clock(Step),
    /// Root takes the wall clock as right.
    AcceptClock,
    /// With `scope`, in a control group such as logind makes.
    Login {
        who: Person,
        door: Door,
        scope: bool,
    },
    Logout(usize),
    /// In a login; with `inside`, by a program that another run in it started. Without `session`, sudo opens no session of PAM's.
    Sudo {
        login: usize,
        inside: Option<At>,
        wanted: Wanted,
        session: bool,
    },
    /// A process of a run of sudo starts another.
    Branch(At, Branch),
    /// A run of sudo ends by itself, and leaves its programs.
    SudoEnds(usize),
    /// Alice's account becomes this.
    Account(Alice),
    /// None writes a file that can't be used.
    Configure(Option<Mode>),
    /// An agent that is down is started.
    Start,
}

#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// By so many milliseconds.
    By(i64),
    /// To the end of a grant, and so many milliseconds on.
    ToTheEnd(usize, i64),
    /// To its end on the clock that nobody can set.
    ToTheEndByBoot(usize, i64),
}

/// What becomes of the agent.
#[derive(Clone, Copy, Debug)]
pub enum Then {
    /// It does what there is to do.
    Settles,
    /// It does that, and is stopped.
    Stops,
    /// It dies at once.
    Dies,
    /// It looks, and dies so many milliseconds later, whatever it is at.
    DiesAtWork(u8),
}

impl Step {
    /// How far; none where there is no such grant.
    fn distance(self, reference: &Reference) -> Option<i64> {
        Some(match self {
            Self::By(step) => step,
            Self::ToTheEnd(grant, step) => reference.grants.get(grant)?.end + step - reference.time.wall,
            Self::ToTheEndByBoot(grant, step) => {
                reference.grants.get(grant)?.ends_by_boot? + step - reference.time.boot
            }
        })
    }
}

impl ReferenceStateMachine for Reference {
    type State = Self;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::new()).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Transition> {
        let act = if state.up { acts(state) } else { acts_without_agent(state) };
        let transition = (act, then(20), then(12)).prop_map(|(act, mostly_lives, often_dies)| {
            // What was confirmed, and who runs what, is what a death must not undo.
            let then = if matches!(act, Act::Account(_)) {
                // A lookup that is on its way when the agent dies is told of nowhere.
                Then::Settles
            } else if matches!(act, Act::Revoke(_) | Act::Grant { .. } | Act::Sudo { .. }) {
                often_dies
            } else {
                mostly_lives
            };
            Transition { act, then }
        });
        transition.boxed()
    }

    fn preconditions(state: &Self, transition: &Transition) -> bool {
        let grants = state.grants.len();
        match transition.act {
            Act::Grant { .. } => state.up,
            Act::Revoke(grant) => state.up && grant < grants,
            Act::Clock(step) => step.distance(state).is_some_and(|by| is_near(state.time.wall + by)),
            Act::Pass(step) => step.distance(state).is_some_and(|by| by >= 0 && is_near(state.time.wall + by)),
            Act::AcceptClock => state.up,
            Act::Login { who, .. } => state.up && logins(state).len() < MOST_OPEN && who.uid(state.alice).is_some(),
            Act::Sudo { login, inside, .. } => {
                let from = match inside {
                    None => sitting(state).contains(&login),
                    Some(at) => nesting(state).contains(&at) && state.runs[at.run].login == login,
                };
                state.up && from && runs(state).len() < MOST_OPEN
            }
            Act::Branch(at, branch) => {
                growing(state).contains(&at) && state.runs[at.run].processes[at.process].may_grow(branch)
            }
            Act::Logout(login) => logins(state).contains(&login),
            Act::SudoEnds(run) => runs(state).contains(&run),
            Act::Account(alice) => {
                state.up && state.alice.next().contains(&alice) && matches!(transition.then, Then::Settles)
            }
            Act::Configure(_) => true,
            Act::Start => !state.up,
        }
    }

    fn apply(mut state: Self, transition: &Transition) -> Self {
        match transition.act {
            Act::Grant { to, seconds, login, sudo } => state.grant(to, seconds, login, sudo),
            Act::Revoke(grant) => state.revoke(grant),
            Act::Clock(step) => state.time.wall += step.distance(&state).unwrap_or(0),
            Act::Pass(step) => {
                let by = step.distance(&state).unwrap_or(0);
                (state.time.wall, state.time.boot) = (state.time.wall + by, state.time.boot + by);
            }
            Act::AcceptClock => state.accept_the_clock(),
            Act::Account(alice) => state.alice = alice,
            Act::Login { who, door, .. } => state.log_in(who, door),
            Act::Logout(login) => state.logins[login].logged_out = true,
            Act::Sudo { login, inside, wanted, .. } => state.run_sudo(login, inside, wanted),
            Act::Branch(at, branch) => state.branch(at, branch),
            Act::SudoEnds(run) => state.finish(run),
            Act::Configure(mode) => {
                state.file = mode;
                if state.up {
                    state.configure();
                }
            }
            Act::Start => {
                state.up = true;
                state.configure();
            }
        }
        // What root tells it has it look, too.
        let told = matches!(transition.act, Act::Grant { .. } | Act::Revoke(_)) && state.answer;
        if state.up && (told || !matches!(transition.then, Then::Dies)) {
            state.look();
        }
        state.up &= matches!(transition.then, Then::Settles);
        state
    }
}

fn is_near(wall: i64) -> bool {
    (wall - BEGINNING).abs() < FARTHEST
}

/// The grants that hold.
fn live(state: &Reference) -> Vec<usize> {
    (0..state.grants.len()).filter(|&grant| state.grants[grant].is_live(&state.time)).collect()
}

/// Whether it gives sudo to somebody of whom something runs by sudo.
fn has_runs(state: &Reference, grant: usize) -> bool {
    let grant = &state.grants[grant];
    let mut invokers = runs(state).into_iter().map(|run| state.logins[state.runs[run].login].who.invoker());
    grant.sudo.is_some() && invokers.any(|who| who == grant.to.invoker())
}

/// The logins in which somebody sits.
fn logins(state: &Reference) -> Vec<usize> {
    (0..state.logins.len()).filter(|&it| !state.logins[it].over && !state.logins[it].logged_out).collect()
}

/// Those who can run sudo there by the name that they logged in by.
fn sitting(state: &Reference) -> Vec<usize> {
    logins(state).into_iter().filter(|login| state.is_themselves(*login)).collect()
}

/// The runs of sudo that run.
fn runs(state: &Reference) -> Vec<usize> {
    (0..state.runs.len()).filter(|&it| !state.runs[it].over && !state.runs[it].finished).collect()
}

/// The processes of runs that start others.
fn growing(state: &Reference) -> Vec<At> {
    living(state).filter(|at| state.runs[at.run].processes.len() < MOST_PROCESSES).collect()
}

/// Those that have the user run sudo.
fn nesting(state: &Reference) -> Vec<At> {
    let may = |at: &At| {
        let run = &state.runs[at.run];
        state.is_themselves(run.login) && run.processes[at.process].may_nest()
    };
    living(state).filter(may).collect()
}

/// The processes of runs that are there for certain.
fn living(state: &Reference) -> impl Iterator<Item = At> {
    let runs = state.runs.iter().enumerate().filter(|(_, run)| !run.over);
    runs.flat_map(|(run, it)| {
        let there = |process: &usize| !it.processes[*process].unsure && (*process > 0 || !it.finished);
        (0..it.processes.len()).filter(there).map(move |process| At { run, process })
    })
}

fn then(lives: u32) -> impl Strategy<Value = Then> {
    prop_oneof![
        lives => Just(Then::Settles),
        1 => Just(Then::Stops),
        1 => Just(Then::Dies),
        2 => (0..25_u8).prop_map(Then::DiesAtWork),
    ]
}

/// What can happen, weighted so that most of it has a chance to.
fn acts(state: &Reference) -> BoxedStrategy<Act> {
    let mut acts = vec![
        (4, grant().boxed()),
        (3, pass(state)),
        (2, clock(state)),
        (1, configure()),
        (1, login(state.alice).boxed()),
    ];
    acts.push((1, Just(Act::AcceptClock).boxed()));
    acts.push((
        if state.alice == Alice::AsEver { 1 } else { 4 },
        select(state.alice.next()).prop_map(Act::Account).boxed(),
    ));
    let live = live(state);
    let doors: Vec<(Person, Door)> = Person::GRANTEES
        .into_iter()
        .flat_map(|who| DOORS.into_iter().map(move |door| (who, door)))
        .filter(|(who, door)| state.is_covered(*who, *door))
        .collect();
    if !doors.is_empty() {
        let login = (select(doors), any::<bool>()).prop_map(|((who, door), scope)| Act::Login { who, door, scope });
        acts.push((8, login.boxed()));
    }
    let in_without_sudo: Vec<Person> = sitting(state).into_iter().map(|login| state.logins[login].who).collect();
    let in_without_sudo: Vec<Person> =
        in_without_sudo.into_iter().filter(|who| !state.lets_sudo(*who)).flat_map(Person::names).copied().collect();
    if !in_without_sudo.is_empty() {
        acts.push((25, grant_of(select(in_without_sudo), sudo().prop_map(|sudo| (None, Some(sudo)))).boxed()));
    }
    let behind_runs: Vec<usize> = live.iter().copied().filter(|&grant| has_runs(state, grant)).collect();
    if !behind_runs.is_empty() {
        acts.push((5, select(behind_runs.clone()).prop_map(Act::Revoke).boxed()));
        let end = select(behind_runs).prop_map(|grant| Act::Pass(Step::ToTheEnd(grant, 0)));
        acts.push((5, end.boxed()));
    }
    if !state.grants.is_empty() {
        acts.push((1, (0..state.grants.len()).prop_map(Act::Revoke).boxed()));
    }
    if !live.is_empty() {
        acts.push((1, select(live).prop_map(Act::Revoke).boxed()));
    }
    let granted = |login: &usize| state.has_sudo(state.logins[*login].who);
    let (granted, others): (Vec<usize>, Vec<usize>) = sitting(state).into_iter().partition(granted);
    for (weight, logins) in [(30, granted), (1, others)].into_iter().filter(|(_, logins)| !logins.is_empty()) {
        let sudo = (select(logins), wanted(), prop::bool::weighted(0.8))
            .prop_map(|(login, wanted, session)| Act::Sudo { login, inside: None, wanted, session });
        acts.push((weight, sudo.boxed()));
    }
    let typists: Vec<(usize, At)> = nesting(state).into_iter().map(|at| (state.runs[at.run].login, at)).collect();
    if !typists.is_empty() {
        let sudo = (select(typists), wanted(), prop::bool::weighted(0.8))
            .prop_map(|((login, at), wanted, session)| Act::Sudo { login, inside: Some(at), wanted, session });
        acts.push((8, sudo.boxed()));
    }
    // Another grant beside the one behind a run, so that one ends and the other goes on.
    let with_runs: Vec<Person> = runs(state).into_iter().map(|run| state.logins[state.runs[run].login].who).collect();
    let with_runs: Vec<Person> =
        with_runs.into_iter().filter(|who| !who.is_exempt()).flat_map(Person::names).copied().collect();
    if !with_runs.is_empty() {
        acts.push((8, grant_of(select(with_runs), sudo().prop_map(|sudo| (None, Some(sudo)))).boxed()));
    }
    acts.extend(inner::next_steps(state, &growing(state), &nesting(state)));
    acts.extend(inner::ends_of_what_left(state));
    acts.extend(what_people_end(state));
    prop::strategy::Union::new_weighted(acts).boxed()
}

fn acts_without_agent(state: &Reference) -> BoxedStrategy<Act> {
    let mut acts = vec![(8, Just(Act::Start).boxed()), (3, pass(state)), (2, clock(state)), (1, configure())];
    acts.extend(what_people_end(state));
    prop::strategy::Union::new_weighted(acts).boxed()
}

fn what_people_end(state: &Reference) -> Vec<(u32, BoxedStrategy<Act>)> {
    let mut acts = Vec::new();
    if !logins(state).is_empty() {
        acts.push((1, select(logins(state)).prop_map(Act::Logout).boxed()));
    }
    if !runs(state).is_empty() {
        acts.push((1, select(runs(state)).prop_map(Act::SudoEnds).boxed()));
    }
    if !growing(state).is_empty() {
        let grows = (select(growing(state)), branch()).prop_map(|(at, branch)| Act::Branch(at, branch));
        let may = state.clone();
        let grows = grows.prop_map(move |act| match act {
            Act::Branch(at, branch) if !may.runs[at.run].processes[at.process].may_grow(branch) => {
                Act::Branch(at, Branch { leaves: false, becomes: None, ..branch })
            }
            act => act,
        });
        acts.push((8, grows.boxed()));
    }
    acts
}

fn grant() -> impl Strategy<Value = Act> {
    let services = prop_oneof![3 => Just(None), 1 => Just(Some("sshd")), 1 => Just(Some("login"))];
    let doors = (services, prop::bool::weighted(0.2)).prop_map(|(service, inside)| Doors { service, inside });
    let access = prop_oneof![
        3 => doors.clone().prop_map(|doors| (Some(doors), None)),
        2 => (doors, sudo()).prop_map(|(doors, sudo)| (Some(doors), Some(sudo))),
        1 => sudo().prop_map(|sudo| (None, Some(sudo))),
    ];
    // Most of one person's, so that there is a union to speak of.
    grant_of(prop_oneof![3 => Just(Person::Alice), 2 => select(Person::Bob.names())], access)
}

fn grant_of(
    to: impl Strategy<Value = Person>,
    access: impl Strategy<Value = (Option<Doors>, Option<Sudo>)>,
) -> impl Strategy<Value = Act> {
    let seconds = prop_oneof![1..90_u32, 60..4 * 3600_u32];
    (to, seconds, access).prop_map(|(to, seconds, (login, sudo))| Act::Grant { to, seconds, login, sudo })
}

fn sudo() -> impl Strategy<Value = Sudo> + Clone {
    use Command::{Id, RunInA, RunInB};
    // Most of the two that have one name.
    let command = prop::option::weighted(0.7, select(&[Id, RunInA, RunInA, RunInB, RunInB][..]));
    (command, prop::bool::weighted(0.3)).prop_map(|(command, www_data)| Sudo { command, www_data })
}

fn branch() -> impl Strategy<Value = Branch> {
    use Becomes::{ButForAGroup, ButForAnId, ButForCapabilities, User};
    let becomes = prop::option::weighted(0.4, select(&[User, ButForAnId, ButForAGroup, ButForCapabilities][..]));
    let any = (any::<bool>(), any::<bool>(), any::<bool>(), becomes)
        .prop_map(|(orphan, session, leaves, becomes)| Branch { orphan, session, leaves, becomes });
    let aside = prop::option::of(inner::aside());
    prop_oneof![4 => any, 2 => aside.prop_map(|becomes| Branch { becomes, ..AWAY })]
}

fn login(alice: Alice) -> impl Strategy<Value = Act> {
    let who = if alice.uid().is_some() { select(&Person::GRANTEES[..]) } else { select(Person::Bob.names()) };
    let who = prop_oneof![3 => who, 1 => Just(Person::Ops), 1 => Just(Person::Root)];
    (who, select(&DOORS[..]), any::<bool>()).prop_map(|(who, door, scope)| Act::Login { who, door, scope })
}

fn wanted() -> impl Strategy<Value = Wanted> {
    use Command::{Id, Run, RunInA, RunInB, Shell};
    (select(&[Shell, Id, RunInA, RunInA, RunInB, RunInB, Run][..]), prop::bool::weighted(0.2))
        .prop_map(|(command, www_data)| Wanted { command, www_data })
}

fn clock(state: &Reference) -> BoxedStrategy<Act> {
    let by = prop_oneof![-5_000..5_000_i64, -600_000..600_000_i64, -7_200_000..7_200_000_i64].prop_map(Step::By);
    steps(state, by.boxed(), -1000).prop_map(Act::Clock).boxed()
}

fn pass(state: &Reference) -> BoxedStrategy<Act> {
    let by = prop_oneof![0..5_000_i64, 0..900_000_i64, 0..7_200_000_i64].prop_map(Step::By);
    steps(state, by.boxed(), 0).prop_map(Act::Pass).boxed()
}

/// So far, or to the end of a grant on either clock.
fn steps(state: &Reference, by: BoxedStrategy<Step>, least: i64) -> BoxedStrategy<Step> {
    let mut steps = vec![(2, by)];
    let around = || select(&[-1000, -1, 0, 1, 1000][..]);
    for (weight, grants) in [(4, live(state)), (1, (0..state.grants.len()).collect())] {
        let ahead = |step: Step| step.distance(state).is_some_and(|by| least < 0 || by > 1000);
        let on = |clock: fn(usize, i64) -> Step| -> Vec<usize> {
            grants.iter().copied().filter(|grant| ahead(clock(*grant, 0))).collect()
        };
        let (wall, boot) = (on(Step::ToTheEnd), on(Step::ToTheEndByBoot));
        if !wall.is_empty() {
            let to_the_end = (select(wall), around()).prop_map(|(grant, step)| Step::ToTheEnd(grant, step));
            steps.push((weight, to_the_end.boxed()));
        }
        if !boot.is_empty() && least >= 0 {
            let to_the_end = (select(boot), around()).prop_map(|(grant, step)| Step::ToTheEndByBoot(grant, step));
            steps.push((weight, to_the_end.boxed()));
        }
    }
    prop::strategy::Union::new_weighted(steps).boxed()
}

fn configure() -> BoxedStrategy<Act> {
    prop_oneof![3 => Just(Some(Mode::Enforce)), 2 => Just(Some(Mode::Observe)), 1 => Just(None)]
        .prop_map(Act::Configure)
        .boxed()
}
