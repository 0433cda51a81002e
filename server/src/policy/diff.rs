//! What a new version of the policies changes: which policies, and whose verdicts.

use super::cases::{Cases, Finding};
use super::check::Policies;
use super::names::PolicyName;
use serde::Serialize;
use std::collections::BTreeSet;

/// What changes.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Diff {
    /// Policies that are new.
    pub added: BTreeSet<PolicyName>,
    /// Policies that go.
    pub removed: BTreeSet<PolicyName>,
    /// Policies that mean something else, be it by an annotation. Comments and white space are nothing.
    pub changed: BTreeSet<PolicyName>,
    /// Cases to which the new version says something else.
    pub cases: Vec<Differs>,
}

/// A case to which the new version says something else.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Differs {
    /// The case.
    pub case: String,
    /// What the old version says.
    pub old: Finding,
    /// What the new one says.
    pub new: Finding,
}

impl Diff {
    /// What `new` changes.
    pub fn between(old: &Policies, new: &Policies, cases: Option<&Cases>) -> Self {
        let (olds, news) = (old.rules(), new.rules());
        let only = |of: &Policies, other: &Policies| {
            of.rules().keys().filter(|name| !other.rules().contains_key(*name)).cloned().collect()
        };
        let changed = olds.iter().filter(|(name, rule)| news.get(*name).is_some_and(|new| new.meaning != rule.meaning));
        let differs = |cases: &Cases| {
            let found = cases.cases.iter().map(|case| Differs {
                case: case.name.clone(),
                old: old.find(&case.question, &cases.roster),
                new: new.find(&case.question, &cases.roster),
            });
            found.filter(|it| it.matters()).collect()
        };
        Self {
            added: only(new, old),
            removed: only(old, new),
            changed: changed.map(|(name, _)| name.clone()).collect(),
            cases: cases.map(differs).unwrap_or_default(),
        }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty() && self.cases.is_empty()
    }
}

impl Differs {
    /// Whether people would see a difference; which policies say it is none.
    fn matters(&self) -> bool {
        let seen = |finding: &Finding| (finding.verdict, finding.needs.clone(), finding.reviewers.clone());
        seen(&self.old) != seen(&self.new)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::testing::policies;
    use crate::policy::{DEFAULT, DEFAULT_CASES, Source};

    fn names(policies: &BTreeSet<PolicyName>) -> Vec<&str> {
        policies.iter().map(PolicyName::as_str).collect()
    }

    #[test]
    fn what_changes_is_told_by_policy_and_by_case() {
        let cases = Cases::read(&Source::new("a.toml", DEFAULT_CASES)).unwrap();
        let between = |old: &str, new: &str| Diff::between(&policies(old), &policies(new), Some(&cases));
        // Comments and white space are nothing; an annotation is something.
        let spaced = DEFAULT.replace("  principal,", "  // who\n principal,");
        assert!(between(DEFAULT, &spaced).is_empty());
        let new = DEFAULT.replace("@id(\"admins-administer\")", "@id(\"admins\")");
        let diff = between(DEFAULT, &new.replace("28800", "7200"));
        assert_eq!((names(&diff.added), names(&diff.removed)), (vec!["admins"], vec!["admins-administer"]));
        assert_eq!(names(&diff.changed), ["everybody-asks"]);
        let changed: Vec<_> = diff.cases.iter().map(|it| it.case.as_str()).collect();
        assert_eq!(changed, ["an approver's own request is for the others"]);
        let diff = between(DEFAULT, &DEFAULT.replacen("1:approvers", "2:approvers", 1));
        assert!(diff.cases.iter().any(|it| it.new.needs.as_ref().unwrap().to_string() == "2:approvers"));
    }
}
