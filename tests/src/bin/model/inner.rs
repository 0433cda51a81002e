//! Towards a run of sudo in a run of sudo, each by a grant of its own, of which the outer one ends first: what the inner one was typed in left the
//! outer run's control group, and has to end all the same, though what it started goes on.
//!
//! By chance alone that hardly ever happens, so each step on the way weighs more than anything else that could happen then. So does the end of a run
//! that left something of which its rights alone tell.

use crate::people::{Command, Doors, Person, Sudo, Wanted};
use crate::reference::{Reference, Run};
use crate::transition::Act;
use crate::tree::{At, Becomes, Branch, Process};
use proptest::prelude::*;
use proptest::sample::select;

/// As whoever means to stay would.
pub const AWAY: Branch = Branch { orphan: true, session: true, leaves: true, becomes: None };

/// What the end of a run weighs that left what keeps something aside.
const LEAVES: u32 = 15;

/// What each of them weighs. Whoever is on the way may turn aside still.
const STEP: u32 = 160;

/// The next step of each run that some of these `places` are of: the processes that grow, and those that have the user run sudo.
pub fn next_steps(state: &Reference, growing: &[At], nesting: &[At]) -> Vec<(u32, BoxedStrategy<Act>)> {
    let is_at_large = |at: &At| state.runs[at.run].processes[at.process].is_at_large();
    let large: Vec<At> = nesting.iter().copied().filter(is_at_large).filter(|at| !state.runs[at.run].over).collect();
    let large: Vec<At> = large.into_iter().filter(|at| state.may_end_alone(at.run)).collect();
    let (ends, inside): (Vec<At>, Vec<At>) = large.into_iter().partition(|at| state.is_to_be_outlived(*at));
    if !ends.is_empty() {
        let behind: Vec<usize> = ends.into_iter().flat_map(|at| state.behind(at.run)).collect();
        return vec![(3 * STEP, select(behind).prop_map(Act::Revoke).boxed())];
    }
    if !inside.is_empty() {
        let inside = inside.into_iter().map(|at| go_inside(state, at));
        return vec![(2 * STEP, prop::strategy::Union::new(inside).boxed())];
    }
    let roots = growing.iter().filter(|at| at.process == 0 && state.runs[at.run].processes[0].may_grow(AWAY));
    let (roots, bound): (Vec<At>, Vec<At>) = roots.partition(|at| state.may_end_alone(at.run));
    if roots.is_empty() {
        let people = bound.into_iter().map(|at| state.logins[state.runs[at.run].login].who);
        let people: Vec<Person> = people.filter(|who| !who.is_exempt()).collect();
        return if people.is_empty() { Vec::new() } else { vec![(STEP, login(people))] };
    }
    let away =
        (select(roots), any::<bool>(), prop::option::weighted(0.25, aside())).prop_map(|(at, orphan, becomes)| {
            let orphan = orphan || becomes.is_some();
            Act::Branch(at, Branch { orphan, becomes, ..AWAY })
        });
    vec![(STEP, away.boxed())]
}

/// The end of a run that left what is known by its rights alone, while the login goes on: with the login everything would end.
pub fn ends_of_what_left(state: &Reference) -> Vec<(u32, BoxedStrategy<Act>)> {
    let has_left = |run: &usize| {
        let Run { over, processes, .. } = &state.runs[*run];
        !over && processes.iter().any(Process::is_known_by_its_rights) && state.may_end_alone(*run)
    };
    let behind: Vec<usize> = (0..state.runs.len()).filter(has_left).flat_map(|run| state.behind(run)).collect();
    if behind.is_empty() { Vec::new() } else { vec![(LEAVES, select(behind).prop_map(Act::Revoke).boxed())] }
}

/// To become the user, but for something that only root gives.
pub fn aside() -> impl Strategy<Value = Becomes> {
    select(&[Becomes::ButForAnId, Becomes::ButForAGroup, Becomes::ButForCapabilities][..])
}

/// A grant that opens every door, and gives no sudo.
fn login(people: Vec<Person>) -> BoxedStrategy<Act> {
    let grant = (select(people), 3600..4 * 3600_u32).prop_map(|(to, seconds)| {
        let login = Some(Doors { service: None, inside: false });
        Act::Grant { to, seconds, login, sudo: None }
    });
    grant.boxed()
}

/// sudo by a grant that is not behind the run, or such a grant.
fn go_inside(state: &Reference, at: At) -> BoxedStrategy<Act> {
    let run = &state.runs[at.run];
    let commands: Vec<Command> = state.commands_of_others(at.run);
    if commands.is_empty() {
        let other = [Command::Id, Command::RunInA, Command::RunInB].into_iter().filter(|it| *it != run.wanted.command);
        let (to, command) = (state.logins[run.login].who, select(other.collect::<Vec<_>>()));
        return (command, 3600..4 * 3600_u32)
            .prop_map(move |(command, seconds)| {
                let sudo = Sudo { command: Some(command), www_data: false };
                Act::Grant { to, seconds, login: None, sudo: Some(sudo) }
            })
            .boxed();
    }
    let login = run.login;
    select(commands)
        .prop_map(move |command| {
            let wanted = Wanted { command, www_data: false };
            Act::Sudo { login, inside: Some(at), wanted, session: true }
        })
        .boxed()
}
