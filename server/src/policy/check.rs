//! Makes [`Policies`] of files, or says everything that is wrong with them.

use super::annotations::{Annotations, Mistake};
use super::fixed::AUDITORS;
use super::index::{self, Index};
use super::names::PolicyName;
use super::needs::Needs;
use super::problem::{Place, Problem};
use super::schema::{Action, Vocabulary};
use super::source::{self, LONGEST, MOST_POLICIES, Piece, Source};
use cedar_policy::{
    Effect, Policy, PolicyId, PolicySet, PrincipalConstraint, ValidationMode, ValidationWarning, Validator,
};
use miette::Diagnostic;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// What policies see of the clock, for which they have to name a zone.
const CLOCK: [&str; 3] = ["weekday", "minute", "date"];

/// The stack on which policies are read, whatever thread asks for it: Cedar's parser calls itself for what lies in something else, as deep as [`source`] lets it.
/// Evaluating looks after its own stack.
const STACK: usize = 32 * 1024 * 1024;

/// Policies that were read and checked, once: what decisions are made by.
#[derive(Clone, Debug)]
pub struct Policies {
    rules: BTreeMap<PolicyName, Rule>,
    pub(super) index: Index,
    pub(super) vocabulary: &'static Vocabulary,
    digest: String,
    canonical: String,
    warnings: Vec<Problem>,
}

/// One policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Whether it permits; otherwise it forbids.
    pub permits: bool,
    /// What it is about.
    pub actions: Vec<Action>,
    /// What it says of itself.
    pub annotations: Annotations,
    /// The file that it is in, and where.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// As it is written.
    pub text: String,
    /// What it means, without comments and white space.
    pub(super) meaning: Json,
    /// Its head and body as Cedar has them.
    pub(super) policy: Policy,
}

impl Policies {
    /// Reads and checks the policies of some files.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, warnings too, in the order of the files.
    pub fn read(sources: &[Source]) -> Result<Self, Vec<Problem>> {
        stacker::grow(STACK, || Self::read_on_this_stack(sources))
    }

    fn read_on_this_stack(sources: &[Source]) -> Result<Self, Vec<Problem>> {
        let vocabulary = Vocabulary::get().map_err(|error| vec![Problem::error("the schema", None, error)])?;
        let mut reading = Reading::default();
        reading.size(sources);
        if reading.problems.is_empty() {
            sources.iter().for_each(|source| reading.file(source));
        }
        let canonical = source::canonical(sources);
        let (rules, mut problems) = (reading.rules, reading.problems);
        problems.extend(rules.values().flat_map(Rule::problems));
        problems.extend(validated(&rules, sources, vocabulary));
        let order: BTreeMap<_, _> = sources.iter().enumerate().map(|(at, source)| (source.name.as_str(), at)).collect();
        problems.sort_by_key(|problem| (order.get(&*problem.file).copied(), problem.place));
        problems.dedup();
        if problems.iter().any(|problem| problem.severity == super::Severity::Error) {
            return Err(problems);
        }
        let mut index = Index::default();
        for rule in rules.values() {
            let zone = rule.annotations.zone.as_ref().filter(|_| rule.looks_at_the_clock());
            index
                .add(&rule.policy, &rule.actions, zone)
                .map_err(|error| vec![Problem::error(&rule.file, rule.place, error)])?;
        }
        Ok(Self { rules, index, vocabulary, digest: source::sha256(&canonical), canonical, warnings: problems })
    }

    /// The policies by their names.
    pub fn rules(&self) -> &BTreeMap<PolicyName, Rule> {
        &self.rules
    }

    /// What they need who do what this policy permits.
    pub(super) fn needs(&self, policy: &PolicyName) -> Option<&Needs> {
        self.rules.get(policy)?.annotations.needs.as_ref()
    }

    /// The SHA-256 of [`canonical`](Self::canonical), by which this version is named.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text that is kept of this version.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// What is probably not as it was meant.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

/// What was read so far.
#[derive(Default)]
struct Reading {
    rules: BTreeMap<PolicyName, Rule>,
    problems: Vec<Problem>,
}

impl Reading {
    fn size(&mut self, sources: &[Source]) {
        let bytes: usize = sources.iter().map(|source| source.text.len()).sum();
        let file = sources.last().map_or("no file", |source| source.name.as_str());
        if bytes > LONGEST {
            self.problems.push(Problem::error(
                file,
                None,
                format!("{bytes} bytes of policies, and {LONGEST} is the most"),
            ));
        }
        let mut names = BTreeSet::new();
        for source in sources.iter().filter(|source| !names.insert(&source.name)) {
            self.problems.push(Problem::error(&source.name, None, "the file is named twice").next("Name it once"));
        }
    }

    fn file(&mut self, source: &Source) {
        let pieces = match source.pieces() {
            Ok(pieces) => pieces,
            Err(problem) => return self.problems.push(problem),
        };
        for piece in pieces {
            if self.rules.len() >= MOST_POLICIES {
                let text = format!("more than {MOST_POLICIES} policies");
                return self.problems.push(Problem::error(&source.name, source.place(piece.offset), text));
            }
            match rule(source, piece) {
                Ok((name, rule)) => self.take(name, rule),
                Err(problems) => self.problems.extend(problems),
            }
        }
    }

    fn take(&mut self, name: PolicyName, rule: Rule) {
        if let Some(first) = self.rules.get(&name) {
            let text = format!("the id is that of the policy in {}, line {}", first.file, first.place.line);
            let problem = Problem::error(&rule.file, rule.place, text).of(name.as_str()).next("Name each policy once");
            return self.problems.push(problem);
        }
        self.rules.insert(name, rule);
    }
}

/// Reads one policy.
fn rule(source: &Source, piece: Piece<'_>) -> Result<(PolicyName, Rule), Vec<Problem>> {
    let place = source.place(piece.offset);
    // Read once to learn its name, which the second reading gives it: so no error speaks of a number.
    let nameless = parsed(source, piece, None)?;
    let id = nameless.annotation("id").map(str::to_owned);
    let problem = |mistake: Mistake| {
        let offset = mistake.annotation.as_deref().and_then(|name| annotation(piece.text, name)).unwrap_or(0);
        let problem = Problem::error(&source.name, source.place(piece.offset + offset), mistake.problem);
        let problem = id.clone().into_iter().fold(problem, Problem::of);
        mistake.next.into_iter().fold(problem, Problem::next)
    };
    let annotations = Annotations::read(nameless.annotations())
        .map_err(|mistakes| mistakes.into_iter().map(problem).collect::<Vec<_>>())?;
    let policy = parsed(source, piece, Some(&annotations.id))?;
    let meaning = policy.to_json().map_err(|error| vec![Problem::error(&source.name, place, error.to_string())])?;
    let actions = index::actions(&policy);
    let permits = policy.effect() == Effect::Permit;
    if permits && actions.is_none() {
        let next = "Say which: action == Action::\"ask\", or action in [Action::\"ask\", Action::\"askByLabel\"]";
        let problem = Problem::error(&source.name, place, "it permits every action").of(annotations.id.as_str());
        return Err(vec![problem.next(next)]);
    }
    let (file, text) = (source.name.clone(), piece.text.to_owned());
    let actions = actions.unwrap_or_else(|| Action::ALL.into());
    Ok((annotations.id.clone(), Rule { permits, actions, annotations, file, place, text, meaning, policy }))
}

fn parsed(source: &Source, piece: Piece<'_>, name: Option<&PolicyName>) -> Result<Policy, Vec<Problem>> {
    Policy::parse(name.map(|name| PolicyId::new(name.as_str())), piece.text).map_err(|errors| {
        let problem = |error: &cedar_policy::ParseError| diagnosed(source, piece.offset, error);
        errors.iter().map(problem).collect()
    })
}

/// What Cedar says of a piece of a file that begins at an offset.
fn diagnosed(source: &Source, base: usize, error: &dyn Diagnostic) -> Problem {
    let label = error.labels().and_then(|mut labels| labels.next());
    let place = source.place(base + label.as_ref().map_or(0, miette::LabeledSpan::offset));
    let said = label.as_ref().and_then(|label| label.label()).map(|label| format!(": {label}")).unwrap_or_default();
    let problem = Problem::error(&source.name, place, format!("{error}{said}"));
    error.help().into_iter().fold(problem, |problem, help| problem.next(help.to_string()))
}

/// Where an annotation stands in a policy's text.
fn annotation(text: &str, name: &str) -> Option<usize> {
    let mut found = text.match_indices('@').map(|(at, _)| at);
    found.find(|&at| {
        let rest = text.get(at + 1..).unwrap_or_default().trim_start();
        let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        rest.strip_prefix(name).is_some_and(ends)
    })
}

impl Rule {
    /// Whether it sees the day or the time.
    pub(super) fn looks_at_the_clock(&self) -> bool {
        sees(&self.meaning, &CLOCK)
    }

    fn error(&self, at: &str, problem: impl Into<Box<str>>, next: impl Into<Box<str>>) -> Problem {
        let at = annotation(&self.text, at).map(|offset| Place::of(&self.text, offset));
        // The policy's first line begins where the policy does.
        let place = at.map_or(self.place, |Place { line, column }| Place {
            line: self.place.line + line - 1,
            column: if line == 1 { self.place.column + column - 1 } else { column },
        });
        Problem::error(&self.file, place, problem).of(self.annotations.id.as_str()).next(next)
    }

    /// What is wrong with it beyond Cedar.
    fn problems(&self) -> Vec<Problem> {
        let Annotations { needs, zone, advice, .. } = &self.annotations;
        let mut problems = Vec::new();
        let names = |which: fn(Action) -> bool| {
            let names: Vec<_> =
                self.actions.iter().filter(|action| which(**action)).map(|action| action.name()).collect();
            names.join(", ")
        };
        let demanding = names(Action::demands_needs);
        let without = names(|action| !action.takes_needs());
        match needs {
            Some(_) if !self.permits => {
                problems.push(self.error(
                    "needs",
                    "a forbid needs nobody",
                    "Put @needs on the policies that permit it",
                ));
            }
            Some(_) if !without.is_empty() => {
                let text = format!("@needs means nothing for {without}");
                problems.push(self.error("needs", text, "Make two policies of it"));
            }
            None if self.permits && !demanding.is_empty() => {
                let text = format!("it permits {demanding} and does not say who has to approve");
                problems.push(self.error(
                    "",
                    text,
                    "Add @needs(\"1:approvers\"); what needs nobody is permitted by autoApprove as well",
                ));
            }
            _ => {}
        }
        match zone {
            None if self.looks_at_the_clock() => {
                let text = "it looks at the day or the time, and does not say in which zone";
                problems.push(self.error("", text, "Add @zone(\"UTC\"), or @zone(\"Europe/Berlin\")"));
            }
            Some(zone) if !self.looks_at_the_clock() => {
                let text = format!(
                    "@zone({:?}) means nothing: it looks at neither context.weekday, context.minute nor context.date",
                    zone.name
                );
                problems.push(self.error("zone", text, "Leave it out").warning());
            }
            _ => {}
        }
        if advice.is_some() && self.permits {
            problems.push(self.error("advice", "@advice is what a forbid says", "Leave it out").warning());
        }
        problems.extend(self.permits_auditors_to_write());
        problems
    }

    fn permits_auditors_to_write(&self) -> Option<Problem> {
        let (PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid)) =
            self.policy.principal_constraint()
        else {
            return None;
        };
        let writes = self.actions.iter().any(|action| *action != Action::ReadAudit);
        let auditors = uid.type_name().basename() == "Group" && uid.id().unescaped() == AUDITORS;
        let text = "members of the group auditors read the audit and do nothing else, whatever policies say";
        (self.permits && auditors && writes).then(|| self.error("", text, "Name another group").warning())
    }
}

/// Whether an expression reads one of these fields of the context.
fn sees(json: &Json, fields: &[&str]) -> bool {
    match json {
        Json::Object(object) => object.iter().any(|(operator, inner)| {
            let reads = matches!(operator.as_str(), "." | "has")
                && inner.pointer("/left/Var").and_then(Json::as_str) == Some("context")
                && inner.get("attr").is_some_and(|attr| match attr {
                    Json::Array(path) => path.first().and_then(Json::as_str).is_some_and(|it| fields.contains(&it)),
                    attr => attr.as_str().is_some_and(|it| fields.contains(&it)),
                });
            reads || sees(inner, fields)
        }),
        Json::Array(items) => items.iter().any(|item| sees(item, fields)),
        _ => false,
    }
}

/// What Cedar's strict validation finds.
fn validated(rules: &BTreeMap<PolicyName, Rule>, sources: &[Source], vocabulary: &Vocabulary) -> Vec<Problem> {
    let mut set = PolicySet::new();
    let mut problems = Vec::new();
    for rule in rules.values() {
        if let Err(error) = set.add(rule.policy.clone()) {
            problems.push(Problem::error(&rule.file, rule.place, error.to_string()).of(rule.annotations.id.as_str()));
        }
    }
    let result = Validator::new(vocabulary.schema.clone()).validate(&set, ValidationMode::Strict);
    let found = |id: &PolicyId, error: &dyn Diagnostic| {
        let name: &str = id.as_ref();
        let rule = name.parse().ok().and_then(|name: PolicyName| rules.get(&name));
        let source = rule.and_then(|rule| sources.iter().find(|source| source.name == rule.file));
        let (Some(rule), Some(source)) = (rule, source) else {
            return Problem::error("", None, error.to_string()).of(name);
        };
        let base = source.text.find(&rule.text).unwrap_or(0);
        let problem = diagnosed(source, base, error).of(name);
        let text = problem.problem.replace(&format!("for policy `{name}`, "), "");
        Problem { problem: text.into(), ..problem }
    };
    problems.extend(result.validation_errors().map(|error| found(error.policy_id(), error)));
    problems.extend(result.validation_warnings().map(|warning| {
        let problem = found(warning.policy_id(), warning).warning();
        match warning {
            ValidationWarning::ImpossiblePolicy(_) | ValidationWarning::InvalidActionApplication(_) => {
                let problem = Problem { problem: format!("it never applies: {}", problem.problem).into(), ..problem };
                problem.next("Look for a type, an action or a comparison that can't go together, or take it out")
            }
            _ => problem,
        }
    }));
    problems
}

#[cfg(test)]
mod tests;
