//! The schema, and the words of it that the code uses.

use cedar_policy::{EntityId, EntityTypeName, EntityUid, Schema};
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

/// The schema as Cedar's own language has it.
pub const TEXT: &str = include_str!("curfew.cedarschema");

/// The one [`Endpoint`](Kind::Endpoint).
pub(super) const ENDPOINT: &str = "curfew";

static VOCABULARY: LazyLock<Result<Vocabulary, String>> = LazyLock::new(Vocabulary::read);

/// The schema as it was read, and the names of its types.
#[derive(Debug)]
pub(super) struct Vocabulary {
    pub(super) schema: Schema,
    types: HashMap<Kind, EntityTypeName>,
}

impl Vocabulary {
    /// The one vocabulary. A test holds that it can be read; where it could not, no policies can be used.
    pub(super) fn get() -> Result<&'static Self, &'static str> {
        VOCABULARY.as_ref().map_err(String::as_str)
    }

    fn read() -> Result<Self, String> {
        let (schema, _) = Schema::from_cedarschema_str(TEXT).map_err(|error| error.to_string())?;
        let types = Kind::ALL.into_iter().map(|kind| {
            let name = EntityTypeName::from_str(kind.name()).map_err(|error| error.to_string())?;
            Ok::<_, String>((kind, name))
        });
        Ok(Self { schema, types: types.collect::<Result<_, _>>()? })
    }

    /// The entity of this type and id. Nothing for a type without a name, which there is none of.
    pub(super) fn uid(&self, kind: Kind, id: &str) -> Option<EntityUid> {
        Some(EntityUid::from_type_name_and_id(self.types.get(&kind)?.clone(), EntityId::new(id)))
    }
}

/// What somebody does.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Action {
    /// Asks for access to a host.
    Ask,
    /// Asks for access to all hosts with some labels.
    AskByLabel,
    /// Files a request for somebody else.
    AskFor,
    /// Gets at once what may be asked for.
    AutoApprove,
    /// Takes access in an emergency.
    BreakGlass,
    /// Approves or denies a request.
    Review,
    /// Ends what a request gave.
    Revoke,
    /// Reads the audit.
    ReadAudit,
    /// Changes people, hosts, tokens, keys and settings.
    Administer,
    /// Puts other policies in force.
    EditPolicy,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 10] = [
        Self::Ask,
        Self::AskByLabel,
        Self::AskFor,
        Self::AutoApprove,
        Self::BreakGlass,
        Self::Review,
        Self::Revoke,
        Self::ReadAudit,
        Self::Administer,
        Self::EditPolicy,
    ];

    /// Its name in policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::AskByLabel => "askByLabel",
            Self::AskFor => "askFor",
            Self::AutoApprove => "autoApprove",
            Self::BreakGlass => "breakGlass",
            Self::Review => "review",
            Self::Revoke => "revoke",
            Self::ReadAudit => "readAudit",
            Self::Administer => "administer",
            Self::EditPolicy => "editPolicy",
        }
    }

    /// The action of this name in policies.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether a permit of it has to say in `@needs` who reviews.
    pub(super) fn demands_needs(self) -> bool {
        matches!(self, Self::Ask | Self::AskByLabel | Self::BreakGlass)
    }

    /// Whether a permit of it may say so.
    pub(super) fn takes_needs(self) -> bool {
        self.demands_needs() || self == Self::EditPolicy
    }
}

/// The types of the schema.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    Action,
    Channel,
    Endpoint,
    Group,
    Host,
    Label,
    Person,
    Request,
    Selector,
}

impl Kind {
    const ALL: [Self; 9] = [
        Self::Action,
        Self::Channel,
        Self::Endpoint,
        Self::Group,
        Self::Host,
        Self::Label,
        Self::Person,
        Self::Request,
        Self::Selector,
    ];

    /// Its name in the schema.
    fn name(self) -> &'static str {
        match self {
            Self::Action => "Action",
            Self::Channel => "Channel",
            Self::Endpoint => "Endpoint",
            Self::Group => "Group",
            Self::Host => "Host",
            Self::Label => "Label",
            Self::Person => "Person",
            Self::Request => "Request",
            Self::Selector => "Selector",
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_can_be_read_and_has_every_action_and_type_that_the_code_names() {
        let (schema, warnings) = Schema::from_cedarschema_str(TEXT).unwrap();
        assert_eq!(warnings.count(), 0);
        let declared: Vec<_> = schema.actions().map(ToString::to_string).collect();
        assert_eq!(declared.len(), Action::ALL.len());
        let vocabulary = Vocabulary::get().unwrap();
        for action in Action::ALL {
            let uid = vocabulary.uid(Kind::Action, action.name()).unwrap();
            assert!(declared.contains(&uid.to_string()), "{}", action.name());
            assert_eq!(Action::named(action.name()), Some(action));
        }
        let types: Vec<_> = schema.entity_types().map(ToString::to_string).collect();
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Action) {
            assert!(types.contains(&kind.name().to_owned()), "{kind:?}");
        }
    }
}
