//! What a policy says of itself: `@id`, `@needs`, `@zone`, `@advice`. Anything else is refused, so that a slip does not go unseen.

use super::names::PolicyName;
use super::needs::Needs;
use super::problem::nearest;
use curfew_protocol::grant::Text;
use jiff::tz::TimeZone;

/// The annotations that mean something.
const KNOWN: [&str; 4] = ["id", "needs", "zone", "advice"];

/// The annotations of a policy.
#[derive(Clone, Debug)]
pub struct Annotations {
    /// Its name; unique among all policies.
    pub id: PolicyName,
    /// Who has to approve, or to review afterwards, what it permits.
    pub needs: Option<Needs>,
    /// The zone of its `context.weekday`, `context.minute` and `context.date`.
    pub zone: Option<Zone>,
    /// What somebody is told whom it forbids something.
    pub advice: Option<Text>,
}

/// A zone of the IANA's database, by its name.
#[derive(Clone, Debug)]
pub struct Zone {
    /// As `Europe/Berlin`.
    pub name: String,
    /// Its rules.
    pub rules: TimeZone,
}

/// An annotation that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mistake {
    /// Its name, to find its place by; nothing for one that is missing.
    pub annotation: Option<String>,
    pub problem: String,
    pub next: Option<String>,
}

impl Mistake {
    fn new(annotation: &str, problem: String, next: impl Into<String>) -> Self {
        Self { annotation: Some(annotation.into()), problem, next: Some(next.into()) }
    }
}

impl Annotations {
    /// Reads them, or says everything that is wrong with them.
    pub(super) fn read<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Vec<Mistake>> {
        let (mut id, mut needs, mut zone, mut advice) = (None, None, None, None);
        let (mut mistakes, mut named) = (Vec::new(), false);
        for (name, value) in annotations {
            let wrong = |problem: String, next: &str| Mistake::new(name, format!("@{name}: {problem}"), next);
            let read = match name {
                "id" => {
                    named = true;
                    value.parse().map(|it| id = Some(it)).map_err(|error: super::names::NameError| {
                        wrong(error.to_string(), "Name it for what it does: @id(\"dev-asks-prod\")")
                    })
                }
                "needs" => {
                    let read = value.parse().map(|it| needs = Some(it));
                    read.map_err(|error: super::needs::NeedsError| {
                        wrong(error.to_string(), "See curfew-server-policy(1)")
                    })
                }
                "zone" => Zone::named(value).map(|it| zone = Some(it)).map_err(|error| {
                    wrong(
                        error,
                        "Take a name of the time zone database, such as @zone(\"Europe/Berlin\") or @zone(\"UTC\")",
                    )
                }),
                "advice" => {
                    let read = value.parse().map(|it| advice = Some(it));
                    read.map_err(|error: curfew_protocol::grant::TextError| {
                        wrong(error.to_string(), "Say in one line what to do instead")
                    })
                }
                other => Err(unknown(other)),
            };
            mistakes.extend(read.err());
        }
        if !named {
            let next = "Name it for what it does: @id(\"dev-asks-prod\")".to_owned();
            mistakes.push(Mistake { annotation: None, problem: "it has no @id".into(), next: Some(next) });
        }
        match id {
            Some(id) if mistakes.is_empty() => Ok(Self { id, needs, zone, advice }),
            _ => Err(mistakes),
        }
    }
}

fn unknown(name: &str) -> Mistake {
    let next = match nearest(name, KNOWN) {
        Some(meant) => format!("Did you mean @{meant}?"),
        None => format!("There are @{}", KNOWN.join(", @")),
    };
    Mistake::new(name, format!("unknown annotation @{name}"), next)
}

impl Zone {
    /// Coordinated Universal Time.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rules: TimeZone::UTC }
    }

    /// The zone of this name.
    ///
    /// # Errors
    ///
    /// A sentence with the name.
    pub fn named(name: &str) -> Result<Self, String> {
        if name == "UTC" {
            return Ok(Self::utc());
        }
        match TimeZone::get(name) {
            Ok(rules) => Ok(Self { name: name.into(), rules }),
            Err(_) => Err(format!("{name:?} is no time zone of this machine")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(annotations: &[(&str, &str)]) -> Result<Annotations, String> {
        let all = |mistakes: Vec<Mistake>| {
            let told = mistakes.into_iter().map(|it| format!("{}. {}", it.problem, it.next.unwrap_or_default()));
            told.collect::<Vec<_>>().join("; ")
        };
        Annotations::read(annotations.iter().copied()).map_err(all)
    }

    #[test]
    fn annotations_are_read_and_everything_that_is_wrong_is_said() {
        let all = read(&[("id", "a"), ("needs", "1:sre"), ("zone", "UTC"), ("advice", "Ask on #ops")]).unwrap();
        assert_eq!((all.id.as_str(), all.needs.unwrap().to_string().as_str()), ("a", "1:sre"));
        assert_eq!((all.zone.unwrap().name.as_str(), all.advice.unwrap().as_str()), ("UTC", "Ask on #ops"));
        for (annotations, says) in [
            (&[][..], "it has no @id. Name it"),
            (&[("id", "a"), ("need", "1:sre")], "unknown annotation @need. Did you mean @needs?"),
            (&[("id", "a"), ("colour", "red")], "unknown annotation @colour. There are @id, @needs"),
            (&[("id", "a b")], "@id: \"a b\" is no policy id"),
            (&[("id", "a"), ("needs", "0:sre")], "@needs: \"0\" is no number of reviewers"),
            (&[("id", "a"), ("needs", "")], "@needs: it is empty"),
            (&[("id", "a"), ("zone", "Mars/Olympus")], "@zone: \"Mars/Olympus\" is no time zone"),
            (&[("id", "a"), ("advice", "\u{1b}")], "@advice:"),
            (&[("id", "-"), ("need", "1")], "is no policy id: 1 to 64"),
        ] {
            let error = read(annotations).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
