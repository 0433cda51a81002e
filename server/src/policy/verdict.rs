//! What a decision says: permitted by which policies and needing whom, or refused and why.

use super::fixed::rule::Fixed;
use super::names::PolicyName;
use super::needs::Needs;
use super::schema::Action;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// What becomes of a request for access.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[must_use]
pub enum Verdict {
    /// It may be asked for.
    Permitted(Permitted),
    /// It may not.
    Refused(Refused),
}

/// It may be asked for.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Permitted {
    /// Who has to approve; of break-glass, who has to review afterwards. The strictest of all policies that permit it, and of all hosts.
    pub needs: Needs,
    /// When it is granted.
    pub approval: Approval,
    /// The policies that permit it.
    pub policies: BTreeSet<PolicyName>,
    /// Why it is not granted at once, where reviews are needed.
    pub not_automatic: Vec<Reason>,
}

/// When it is granted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// When the reviewers that it needs have approved.
    Reviews,
    /// At once, by these policies.
    Automatic(BTreeSet<PolicyName>),
    /// At once, in an emergency: everybody who could review it is told, and a review is due afterwards.
    BreakGlass,
}

/// What becomes of anything else that somebody does.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
#[must_use]
pub enum Answer {
    /// They may.
    Permitted {
        /// The policies that permit it.
        policies: BTreeSet<PolicyName>,
        /// Who else has to approve, if anybody.
        needs: Option<Needs>,
    },
    /// They may not.
    Refused(Refused),
}

/// Why not: at least one reason.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Refused {
    /// Each reason, by host where it is about one.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Reason {
    /// The host or the labels that it is about.
    pub place: Option<String>,
    /// What was asked of the policies.
    #[serde(serialize_with = "action_name")]
    pub action: Action,
    /// What they said.
    #[serde(flatten)]
    pub why: WhyNot,
}

/// What denied it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum WhyNot {
    /// A rule that no policy changes.
    Fixed {
        /// The rule.
        rule: Fixed,
    },
    /// Policies forbid it.
    Forbidden {
        /// The policies.
        policies: Vec<Forbidding>,
    },
    /// No policy permits it.
    NonePermits,
    /// Policies could not be evaluated, so that nobody knows whether they forbid it.
    Failed {
        /// The policies.
        policies: Vec<Failure>,
    },
}

/// A policy that forbids, with what it advises.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Forbidding {
    /// The policy.
    pub policy: PolicyName,
    /// Its `@advice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// A policy that could not be evaluated. Nothing for the facts themselves.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Failure {
    /// The policy.
    pub policy: Option<PolicyName>,
    /// What went wrong.
    pub problem: String,
}

impl Verdict {
    /// What it permits, if it does.
    pub fn permitted(&self) -> Option<&Permitted> {
        match self {
            Self::Permitted(permitted) => Some(permitted),
            Self::Refused(_) => None,
        }
    }
}

impl Answer {
    /// Whether they may.
    pub fn is_permitted(&self) -> bool {
        matches!(self, Self::Permitted { .. })
    }
}

impl Refused {
    /// For one reason that is about no place.
    pub(super) fn by(action: Action, why: WhyNot) -> Self {
        Self { reasons: vec![Reason { place: None, action, why }] }
    }

    /// The policies that refused it.
    pub fn policies(&self) -> BTreeSet<PolicyName> {
        let of = |reason: &Reason| match &reason.why {
            WhyNot::Forbidden { policies } => policies.iter().map(|it| it.policy.clone()).collect(),
            WhyNot::Failed { policies } => policies.iter().filter_map(|it| it.policy.clone()).collect::<Vec<_>>(),
            WhyNot::Fixed { .. } | WhyNot::NonePermits => Vec::new(),
        };
        self.reasons.iter().flat_map(of).collect()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, reason) in self.reasons.iter().enumerate() {
            let between = if index == 0 { "" } else { "; " };
            write!(f, "{between}{reason}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        let action = self.action.name();
        match &self.why {
            WhyNot::Fixed { rule } => write!(f, "{rule}"),
            WhyNot::NonePermits => write!(f, "no policy permits {action}"),
            WhyNot::Forbidden { policies } => {
                let told = policies.iter().map(|Forbidding { policy, advice }| match advice {
                    Some(advice) => format!("{policy} ({advice})"),
                    None => policy.to_string(),
                });
                write!(f, "{action} is forbidden by {}", told.collect::<Vec<_>>().join(", "))
            }
            WhyNot::Failed { policies } => {
                let told = policies.iter().map(|Failure { policy, problem }| match policy {
                    Some(policy) => format!("{policy}: {problem}"),
                    None => problem.clone(),
                });
                write!(f, "{action} could not be decided, which denies it: {}", told.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn action_name<S: serde::Serializer>(action: &Action, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(action.name())
}
