//! In which services PAM asks us, as of the last look; the audit is told whenever that changes.

use crate::audit::Audit;
use crate::config::{Config, Mode};
use crate::wiring::PAM_FOLDER;
use crate::wiring::cause::Cause;
use crate::wiring::service_file::is_wired;
use crate::wiring::unwired;
use curfew_protocol::audit::{Entry, Event, Field};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// The services that are wired.
#[derive(Debug, Default)]
pub struct Wired {
    services: RefCell<BTreeSet<String>>,
    /// Which they were, and the mode, when the audit was last told.
    told: RefCell<Option<(BTreeSet<String>, Mode)>>,
    /// The services that the log was last told to stand open beside those.
    open: RefCell<Vec<String>>,
}

impl Wired {
    /// Takes the services of the configuration to be wired, until a look says otherwise: as the last agent left them.
    pub fn resume(&self, config: &Config) {
        self.services.borrow_mut().extend(config.services().cloned());
    }

    /// Looks. A file that can't be read changes nothing.
    pub fn look(&self, config: &Config) {
        let mut services = self.services.borrow_mut();
        for service in config.services() {
            match is_wired(Path::new(PAM_FOLDER), service) {
                Ok(true) => drop(services.insert(service.clone())),
                Ok(false) => drop(services.remove(service)),
                Err(error) => tracing::error!("whether {service} is wired can't be told: {error}"),
            }
        }
        let open = unwired::open(config);
        let before = self.open.replace(open.clone());
        open.iter()
            .filter(|service| !before.contains(service))
            .for_each(|service| tracing::error!("{}", unwired::tell(service)));
    }

    /// Tells the audit what is another than when it was last told, and whose change that is, where it is noted. An agent that finds what the last one
    /// left (`in_force`) tells nothing.
    pub fn tell(&self, audit: &Audit, mode: Mode, in_force: bool) {
        let now = (self.services.borrow().clone(), mode);
        let told = self.told.replace(Some(now.clone()));
        let changed = match told {
            // The mode of what is not wired does nothing.
            Some(told) => told != now && !(told.0.is_empty() && now.0.is_empty()),
            None => in_force != (mode == Mode::Enforce && !now.0.is_empty()),
        };
        if changed {
            let entry = self.entry(mode);
            audit.write(Cause::of_now().map_or(entry.clone(), |cause| cause.told(entry)));
        }
    }

    /// How it is wired, for the audit.
    pub fn entry(&self, mode: Mode) -> Entry {
        let services = self.services.borrow().iter().cloned().collect::<Vec<_>>().join(" ");
        Entry::new(Event::WiringChanged).with(Field::Mode, mode.name()).with(Field::Service, services)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.services.borrow().is_empty()
    }

    /// Whether `service` is.
    pub fn has(&self, service: &str) -> bool {
        self.services.borrow().contains(service)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::query::{self, Query};

    fn told(begins: &[&str], in_force: bool, looks: &[(&[&str], Mode)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let (audit, wired) = (Audit::open(folder.path(), 0), Wired::default());
        let set = |services: &[&str]| {
            wired.services.replace(services.iter().map(|&service| service.to_owned()).collect());
        };
        set(begins);
        wired.tell(&audit, Mode::Enforce, in_force);
        for (services, mode) in looks {
            set(services);
            wired.tell(&audit, *mode, in_force);
        }
        let records = query::run(folder.path(), &Query::default(), usize::MAX).unwrap();
        records.into_iter().map(|record| record.message).collect()
    }

    #[test]
    fn what_was_never_wired_is_not_told_to_be_unwired() {
        let (observes, off) =
            ("PAM asks Curfew in sshd, in mode observe.", "PAM does not ask Curfew any more: nobody is refused.");
        let first = told(
            &[],
            false,
            &[(&[], Mode::Observe), (&["sshd"], Mode::Observe), (&[], Mode::Observe), (&[], Mode::Enforce)],
        );
        assert_eq!(first, [observes, off]);
        // The last agent left it wired.
        assert_eq!(told(&["sshd"], true, &[(&["sshd"], Mode::Observe), (&[], Mode::Observe)]), [observes, off]);
        assert_eq!(told(&[], true, &[]), [off]);
    }
}
