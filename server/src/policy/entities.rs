//! The facts as Cedar's entities and contexts.

use super::annotations::Zone;
use super::facts::{Asked, Asking, Host, Moment, Person, Request, written};
use super::schema::{Action, Kind, Vocabulary};
use cedar_policy::{Context, Entity, EntityUid, RestrictedExpression as Value};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// A name in a record, and its value.
type Field = (String, Value);

/// Why the facts can't be told to Cedar: never, as far as is known; it denies.
pub(super) type Untold = String;

/// Where something is asked for: what policies name as the resource, with everything above it.
pub(super) struct Resource {
    pub uid: EntityUid,
    /// It and all above it, by which policies may name it.
    pub above: Vec<EntityUid>,
    pub entities: Vec<Entity>,
}

impl Vocabulary {
    fn named(&self, kind: Kind, id: &str) -> Result<EntityUid, Untold> {
        self.uid(kind, id).ok_or_else(|| format!("{kind:?} is no type of the schema"))
    }

    pub(super) fn action(&self, action: Action) -> Result<EntityUid, Untold> {
        self.named(Kind::Action, action.name())
    }

    /// A person, and the groups by which policies may name them.
    pub(super) fn person(&self, person: &Person) -> Result<Resource, Untold> {
        let uid = self.named(Kind::Person, person.name.as_str())?;
        let groups: Vec<_> =
            person.groups.iter().map(|group| self.named(Kind::Group, group.as_str())).collect::<Result<_, _>>()?;
        let fields = [
            ("groups".into(), texts(person.groups.iter().map(|group| group.as_str()))),
            ("known".into(), Value::new_bool(person.known)),
        ];
        let entity = Entity::new_with_tags(uid.clone(), fields, groups.clone(), []).map_err(|it| it.to_string())?;
        let above = std::iter::once(uid.clone()).chain(groups).collect();
        Ok(Resource { uid, above, entities: vec![entity] })
    }

    pub(super) fn host(&self, host: &Host) -> Result<Resource, Untold> {
        self.labelled(Kind::Host, &host.name, &host.labels)
    }

    pub(super) fn selector(&self, labels: &BTreeMap<String, String>) -> Result<Resource, Untold> {
        self.labelled(Kind::Selector, &written(labels), labels)
    }

    pub(super) fn endpoint(&self) -> Result<Resource, Untold> {
        let uid = self.named(Kind::Endpoint, super::schema::ENDPOINT)?;
        Ok(Resource { above: vec![uid.clone()], entities: vec![Entity::with_uid(uid.clone())], uid })
    }

    fn labelled(&self, kind: Kind, id: &str, labels: &BTreeMap<String, String>) -> Result<Resource, Untold> {
        let uid = self.named(kind, id)?;
        let parents: Vec<_> = labels
            .iter()
            .map(|(name, value)| self.named(Kind::Label, &format!("{name}={value}")))
            .collect::<Result<_, _>>()?;
        let entity =
            Entity::new_with_tags(uid.clone(), [], parents.clone(), tags(labels)).map_err(|it| it.to_string())?;
        let above = std::iter::once(uid.clone()).chain(parents).collect();
        Ok(Resource { uid, above, entities: vec![entity] })
    }

    /// A request at one of its hosts, or at its selector.
    pub(super) fn request(
        &self,
        request: &Request<'_>,
        place: Resource,
        labels: &BTreeMap<String, String>,
    ) -> Result<Resource, Untold> {
        let uid = self.named(Kind::Request, request.id)?;
        let person = |person: &Person| self.named(Kind::Person, person.name.as_str()).map(Value::new_entity_uid);
        let mut fields = vec![
            ("requester".into(), person(request.requester)?),
            ("filer".into(), person(request.filer)?),
            ("breakGlass".into(), Value::new_bool(request.break_glass)),
            ("byLabel".into(), Value::new_bool(request.target.by_label())),
            ("hosts".into(), number(request.target.hosts().len())),
        ];
        fields.extend(asked(request.asked));
        let entity =
            Entity::new_with_tags(uid.clone(), fields, [place.uid], tags(labels)).map_err(|it| it.to_string())?;
        let above = std::iter::once(uid.clone()).chain(place.above).collect();
        Ok(Resource { uid, above, entities: place.entities.into_iter().chain([entity]).collect() })
    }

    /// The context of ask and its kin.
    pub(super) fn asking(&self, asking: &Asking<'_>, zone: Option<&Zone>) -> Result<Context, Untold> {
        let filer = self.named(Kind::Person, asking.filer.name.as_str())?;
        let begins = asking.moment.now.checked_add(asking.asked.starts_in).unwrap_or(Timestamp::MAX);
        let mut fields = self.moment(&asking.moment, begins, zone)?;
        fields.extend([
            ("filer".into(), Value::new_entity_uid(filer)),
            ("forAnother".into(), Value::new_bool(asking.filer.name != asking.person.name)),
            ("byLabel".into(), Value::new_bool(asking.target.by_label())),
            ("hosts".into(), number(asking.target.hosts().len())),
            ("startsInSeconds".into(), seconds(asking.asked.starts_in)),
            ("overdueReviews".into(), Value::new_long(i64::try_from(asking.overdue_reviews).unwrap_or(i64::MAX))),
        ]);
        fields.extend(asked(asking.asked));
        Context::from_pairs(fields).map_err(|error| error.to_string())
    }

    /// The context of all other actions.
    pub(super) fn acting(&self, moment: &Moment, zone: Option<&Zone>) -> Result<Context, Untold> {
        Context::from_pairs(self.moment(moment, moment.now, zone)?).map_err(|error| error.to_string())
    }

    fn moment(&self, moment: &Moment, at: Timestamp, zone: Option<&Zone>) -> Result<Vec<Field>, Untold> {
        let utc = Zone::utc();
        let at = at.to_zoned(zone.unwrap_or(&utc).rules.clone());
        let minute = i64::from(at.hour()) * 60 + i64::from(at.minute());
        let mut fields = vec![
            ("weekday".into(), Value::new_long(i64::from(at.weekday().to_monday_one_offset()))),
            ("minute".into(), Value::new_long(minute)),
            ("date".into(), text(&at.date().to_string())),
            ("channel".into(), Value::new_entity_uid(self.named(Kind::Channel, moment.channel.name())?)),
        ];
        fields.extend(moment.mfa_age.map(|age| ("mfaAge".into(), seconds(age))));
        Ok(fields)
    }
}

/// What is asked, as both a context and a request have it.
fn asked(asked: &Asked) -> Vec<Field> {
    let mut fields = vec![
        ("account".into(), text(asked.account.as_str())),
        ("login".into(), Value::new_bool(asked.login.is_some())),
        ("sudo".into(), Value::new_bool(asked.sudo.is_some())),
        ("root".into(), Value::new_bool(asked.as_root())),
        ("anyCommand".into(), Value::new_bool(asked.any_command())),
        ("commands".into(), texts(asked.commands())),
        ("runAs".into(), texts(asked.run_as())),
        ("seconds".into(), seconds(asked.length)),
        ("extends".into(), Value::new_bool(asked.extends)),
        ("ticketOk".into(), Value::new_bool(asked.ticket.as_ref().is_some_and(|ticket| ticket.confirmed))),
    ];
    fields.extend(asked.template.iter().map(|template| ("template".into(), text(template))));
    fields.extend(asked.ticket.iter().map(|ticket| ("ticket".into(), text(&ticket.id))));
    fields
}

fn text(text: &str) -> Value {
    Value::new_string(text.to_owned())
}

fn texts<T: AsRef<str>>(items: impl Iterator<Item = T>) -> Value {
    Value::new_set(items.map(|item| text(item.as_ref())))
}

fn tags(labels: &BTreeMap<String, String>) -> Vec<Field> {
    labels.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn number(count: usize) -> Value {
    Value::new_long(i64::try_from(count).unwrap_or(i64::MAX))
}

fn seconds(duration: Duration) -> Value {
    Value::new_long(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}
