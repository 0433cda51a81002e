//! Which policies could apply: by action, by the zone that they think in, by whom and where they name in their heads.
//!
//! A policy whose head names a group that the person is not in, or a label that the host does not have, is false and can't fail: leaving it out changes nothing. So
//! a thousand policies cost what the few cost that are about this person and this host. What is left is evaluated by Cedar, set by set, and put together as Cedar
//! does: a forbid wins, then a permit, and nothing is a denial. Beyond Cedar, a policy that fails to evaluate denies.

use super::annotations::Zone;
use super::entities::{Resource, Untold};
use super::names::PolicyName;
use super::schema::Action;
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicySet, PrincipalConstraint,
    Request, ResourceConstraint,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a head names; nothing for anybody, or anything.
type Named = Option<EntityUid>;

/// Policies by whom, then by where.
type ByHead = HashMap<Named, HashMap<Named, PolicySet>>;

/// All policies, so that those that could apply are found at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Of each action, and each zone by its name: `None` for policies that do not look at the clock.
    policies: HashMap<Action, Vec<(Option<Zone>, ByHead)>>,
}

/// What the policies say together.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Outcome {
    /// Those that permit, where none forbids.
    pub permits: BTreeSet<PolicyName>,
    /// Those that forbid.
    pub forbids: BTreeSet<PolicyName>,
    /// What went wrong, by policy where it is one's.
    pub failures: BTreeMap<Option<PolicyName>, String>,
}

impl Index {
    /// Takes a policy up. Nothing is said of one that is there already: its names are unique.
    pub(super) fn add(&mut self, policy: &Policy, actions: &[Action], zone: Option<&Zone>) -> Result<(), String> {
        let head = (principal(policy), resource(policy));
        for action in actions {
            let zones = self.policies.entry(*action).or_default();
            let name = zone.map(|zone| zone.name.as_str());
            let at = zones.iter().position(|(other, _)| other.as_ref().map(|zone| zone.name.as_str()) == name);
            let at = at.unwrap_or_else(|| {
                zones.push((zone.cloned(), ByHead::new()));
                zones.len() - 1
            });
            let Some((_, by_head)) = zones.get_mut(at) else { continue };
            let set = by_head.entry(head.0.clone()).or_default().entry(head.1.clone()).or_default();
            set.add(policy.clone()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Asks all policies that could apply. `context` is what they see, in a zone.
    pub(super) fn ask(
        &self,
        action: (Action, EntityUid),
        principal: &Resource,
        resource: &Resource,
        entities: &Entities,
        context: &mut dyn FnMut(Option<&Zone>) -> Result<Context, Untold>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let authorizer = Authorizer::new();
        for (zone, by_head) in self.policies.get(&action.0).into_iter().flatten() {
            let sets: Vec<_> = keys(principal)
                .filter_map(|whom| by_head.get(&whom))
                .flat_map(|by_place| keys(resource).filter_map(|place| by_place.get(&place)))
                .collect();
            if sets.is_empty() {
                continue;
            }
            let request = context(zone.as_ref()).and_then(|context| {
                let (principal, action, resource) = (principal.uid.clone(), action.1.clone(), resource.uid.clone());
                Request::new(principal, action, resource, context, None).map_err(|error| error.to_string())
            });
            match request {
                Ok(request) => {
                    sets.iter().for_each(|set| outcome.add(&authorizer.is_authorized(&request, set, entities)))
                }
                Err(error) => outcome.fail(error),
            }
        }
        outcome
    }
}

/// By which names a policy's head may mean it.
fn keys(thing: &Resource) -> impl Iterator<Item = Named> {
    std::iter::once(None).chain(thing.above.iter().cloned().map(Some))
}

impl Outcome {
    /// One in which nothing could be asked.
    pub(super) fn failed(error: impl Into<String>) -> Self {
        let mut outcome = Self::default();
        outcome.fail(error.into());
        outcome
    }

    /// Whether it permits.
    pub(super) fn permits(&self) -> bool {
        !self.permits.is_empty() && self.forbids.is_empty() && self.failures.is_empty()
    }

    fn fail(&mut self, error: String) {
        self.failures.insert(None, error);
    }

    pub(super) fn add(&mut self, response: &cedar_policy::Response) {
        let said = match response.decision() {
            Decision::Allow => &mut self.permits,
            Decision::Deny => &mut self.forbids,
        };
        let mut nameless = None;
        for id in response.diagnostics().reason() {
            match AsRef::<str>::as_ref(id).parse() {
                Ok(name) => _ = said.insert(name),
                Err(error) => nameless = Some(format!("{error}")),
            }
        }
        for cedar_policy::AuthorizationError::PolicyEvaluationError(error) in response.diagnostics().errors() {
            let name = AsRef::<str>::as_ref(error.policy_id()).parse().ok();
            self.failures.insert(name, error.inner().to_string());
        }
        // No policy is taken up without a name.
        if let Some(error) = nameless {
            self.fail(error);
        }
    }
}

fn principal(policy: &Policy) -> Named {
    match policy.principal_constraint() {
        PrincipalConstraint::Eq(uid) | PrincipalConstraint::In(uid) | PrincipalConstraint::IsIn(_, uid) => Some(uid),
        PrincipalConstraint::Any | PrincipalConstraint::Is(_) => None,
    }
}

fn resource(policy: &Policy) -> Named {
    match policy.resource_constraint() {
        ResourceConstraint::Eq(uid) | ResourceConstraint::In(uid) | ResourceConstraint::IsIn(_, uid) => Some(uid),
        ResourceConstraint::Any | ResourceConstraint::Is(_) => None,
    }
}

/// The actions of a policy; all of them where its head names none.
pub(super) fn actions(policy: &Policy) -> Option<Vec<Action>> {
    let named = |uids: Vec<EntityUid>| uids.iter().filter_map(|uid| Action::named(uid.id().unescaped())).collect();
    match policy.action_constraint() {
        ActionConstraint::Any => None,
        ActionConstraint::Eq(uid) => Some(named(vec![uid])),
        ActionConstraint::In(uids) => Some(named(uids)),
    }
}
