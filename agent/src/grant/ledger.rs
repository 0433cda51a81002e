//! The ledger: what this host holds of grants, and how far each has come by the clocks. The stores of grants, the ends
//! on CLOCK_BOOTTIME, what the audit has heard of them, and what is believed of the clock have one owner here. Fed by
//! root's orders and the endpoint's sets; it audits what begins, ends and can't be read, and pulls the trigger where a
//! clock changed what holds.

use super::account::{self, directory::Directory};
use super::boot_ends::{self, BootTimeEnds};
use super::lifecycle::{Lifecycle, refusal};
use super::local;
use super::signed_set::Trust;
use super::signed_set::files::StorePaths;
use super::stores::Grants;
use super::sudo_rules::SudoRules;
use super::{Bars, State};
use crate::audit::Audit;
use crate::clock::{Clock, Keep, Reading};
use crate::human;
use crate::trigger::Trigger;
use curfew_protocol::audit::{Entry, Event, Field};
use jiff::Timestamp;
use std::cell::{Cell, Ref, RefCell, RefMut};
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// The grants, and how far they have come.
pub struct Ledger {
    grants: RefCell<Grants>,
    /// What is known of the time.
    pub clock: Clock,
    ends: RefCell<BootTimeEnds>,
    lifecycle: RefCell<Lifecycle>,
    /// The next end on CLOCK_BOOTTIME, as of the last look.
    next_end_by_boot: Cell<Option<Duration>>,
    /// People of whom something ended, to be looked at.
    pub departing: RefCell<BTreeSet<String>>,
    /// How far sudo by the grants has come.
    pub sudo_rules: SudoRules,
    audit: Rc<Audit>,
    pub(super) trigger: Rc<Trigger>,
}

impl Ledger {
    /// Reads what the host keeps. `trust` says whose sets are believed.
    ///
    /// # Errors
    ///
    /// [`StoreError`](local::StoreError) where the store can be neither read nor set aside.
    pub fn open(
        trust: Option<&Trust>,
        sudo_rules: SudoRules,
        audit: Rc<Audit>,
        trigger: Rc<Trigger>,
    ) -> Result<Self, local::StoreError> {
        let mut grants = Grants::open(Path::new(local::PATH), Path::new(local::SPARE))?;
        grants.open_endpoint(StorePaths::default(), trust);
        grants.know(Directory::open(Path::new(account::PATH)));
        Ok(Self {
            grants: RefCell::new(grants),
            clock: Clock::default(),
            ends: RefCell::new(BootTimeEnds::load(Path::new(boot_ends::PATH))),
            lifecycle: RefCell::new(Lifecycle::load()),
            next_end_by_boot: Cell::default(),
            departing: RefCell::default(),
            sudo_rules,
            audit,
            trigger,
        })
    }

    /// Lets the grants go on from where the last agent had come with them.
    pub fn resume(&self) {
        self.lifecycle.borrow().resume(self.grants.borrow_mut().held_mut(), &self.ends.borrow());
        let now = self.now();
        let grants = self.grants.borrow();
        let ended = grants.held().iter().filter(|held| held.state(now) == State::Ended);
        self.departing.borrow_mut().extend(ended.map(|held| held.grant.user.to_string()));
    }

    /// Audits what of the stores could not be read, and what in them the audit has not heard of. `endpoint`: why what
    /// the host knows of its endpoint can't be used.
    pub fn note_what_was_stored(&self, endpoint: Option<String>) {
        self.note_store_problems(endpoint);
        self.lifecycle.borrow().note_unheard_of(self.grants.borrow().held(), &self.audit);
    }

    /// What is held.
    pub fn grants(&self) -> Ref<'_, Grants> {
        self.grants.borrow()
    }

    /// What is held, to be changed.
    pub fn grants_mut(&self) -> RefMut<'_, Grants> {
        self.grants.borrow_mut()
    }

    /// Records what happened under a grant, with all that an auditor asks of that grant.
    pub fn write_under(&self, grant: Option<&str>, mut entry: Entry) {
        if let Some(held) = grant.and_then(|id| self.grants.borrow().find(id).cloned()) {
            for (field, value) in held.entry(entry.event).fields {
                entry.fields.entry(field).or_insert(value);
            }
        }
        self.audit.write(entry);
    }

    /// Audits what of the store could not be read.
    fn note_store_problems(&self, endpoint: Option<String>) {
        let grants = self.grants.borrow();
        if let Some(aside) = grants.local().set_aside() {
            let problem = format!("{}, set aside as {}: {}", local::PATH, aside.path.display(), aside.problem);
            self.audit.write(Entry::new(Event::SetRefused).with(Field::Source, "local").with(Field::Reason, problem));
        }
        for refused in grants.local().refused() {
            let id = refused.entry.pointer("/grant/id").and_then(|id| id.as_str()).unwrap_or_default();
            self.audit.write(
                Entry::new(Event::GrantRefused)
                    .with(Field::Grant, id)
                    .with(Field::Source, "local")
                    .with(Field::Reason, format!("{}: {}", local::PATH, refused.problem)),
            );
        }
        let aside = grants.endpoint().set_aside();
        let aside = aside.map(|aside| format!("the stored one, now {}: {}", aside.path.display(), aside.problem));
        for problem in aside.into_iter().chain(endpoint) {
            let entry = Entry::new(Event::SetRefused).with(Field::Source, "endpoint");
            self.audit.write(entry.with(Field::Reason, problem));
        }
        grants.endpoint().refused().iter().for_each(|refused| self.audit.write(refusal(refused)));
    }

    /// Audits the grants that began or ended since the last look.
    pub fn announce(&self, now: Timestamp) {
        let followed = self.lifecycle.borrow_mut().follow(self.grants.borrow_mut().held_mut(), now, &self.audit);
        self.persist_clock(if followed.changed { Keep::Now } else { Keep::Seldom });
        self.departing.borrow_mut().extend(followed.departing);
    }

    /// What keeps anything new from opening at `now`.
    pub fn bars(&self, now: Timestamp) -> Bars {
        let set_stale = self.grants.borrow().endpoint().is_stale(now);
        Bars { clock_unproven: self.clock.is_unproven(), set_stale }
    }

    /// Keeps the windows shut that may not open now, and ends for good what is over by any clock. Returns when the next grant ends on
    /// CLOCK_BOOTTIME.
    pub fn bar(&self, reading: Reading) -> Option<Duration> {
        let bars = self.bars(reading.wall);
        let mut grants = self.grants.borrow_mut();
        grants.held_mut().iter_mut().for_each(|held| held.barred = bars.bar(held.source));
        let next = self.ends.borrow_mut().follow(grants.held_mut(), reading, self.clock.known(reading));
        self.next_end_by_boot.set(next);
        next
    }

    /// Both clocks, read now; what that changes of what is believed of the time is in force at once.
    pub fn read_clocks(&self) -> Reading {
        let reading = Reading::take();
        let steps = self.clock.steps();
        if let Some(reason) = self.clock.look(reading) {
            self.audit.write(Entry::new(Event::ClockStepped).with(Field::Reason, reason));
        }
        if self.clock.steps() != steps {
            self.trigger.pull();
        }
        reading
    }

    /// The wall clock now, for a decision: nothing is live then that is over by CLOCK_BOOTTIME.
    pub fn now(&self) -> Timestamp {
        let reading = self.read_clocks();
        if self.next_end_by_boot.get().is_some_and(|end| end <= reading.boot) {
            self.bar(reading);
            self.trigger.pull();
        }
        reading.wall
    }

    /// Takes the wall clock as right.
    pub fn accept_clock(&self, who: &str, why: Option<&str>) {
        let reading = self.read_clocks();
        self.clock.accept(reading);
        self.ends.borrow_mut().forget(self.grants.borrow_mut().held_mut());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let reason = format!("{who} took it as right at {}{why}", human::time(reading.wall));
        self.audit.write(Entry::new(Event::ClockStepped).with(Field::User, who).with(Field::Reason, reason));
        let reading = self.read_clocks();
        self.bar(reading);
        self.trigger.pull();
    }

    /// Keeps what is known of the time.
    pub fn persist_clock(&self, keep: Keep) {
        self.clock.keep(Reading::take(), keep);
    }
}
