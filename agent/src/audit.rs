//! The audit: every decision and every deed, numbered without a gap, durable, and copied to the journal.
//!
//! [`Audit::write`] puts a record into the spool's file before its caller goes on, so that the death of the agent loses none.
//! What people do again and again is counted there (`noise`), and noted for the next agent (`pending`). Tasks follow behind:
//! one makes the file durable against a power loss, one tells what was counted, one lets go of what is too much (`keeper`),
//! one copies the records to journald(8) (`copy`). What is durable goes to the endpoint, too, where there is one (`shipment`). Audit is not logging: what the agent says of its own state goes to `tracing`.

mod catalog;
mod copy;
pub mod journald;
pub mod keeper;
pub mod noise;
pub mod pending;
pub mod query;
pub mod reader;
pub mod shipment;
pub mod spool;

use crate::clock::{self, Reading};
use crate::journal::Journal;
use curfew_protocol::audit::Entry;
use curfew_protocol::host_api::AuditBatch;
use keeper::{Next, Shipping};
use noise::Noise;
use reader::SpoolReader;
use spool::Spool;
use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Where the spool is.
pub const FOLDER: &str = "/var/lib/curfew/audit";

/// How long records are gathered before they are synced and copied together: whoever waits for an answer comes first.
const GATHERED: Duration = Duration::from_millis(50);

/// How long records are gathered before they go to the endpoint together.
const GATHERED_TO_SHIP: Duration = Duration::from_secs(1);

/// How often what is counted is looked at, while something is.
const COUNTED: Duration = Duration::from_secs(1);

/// The least that is kept, in bytes.
const LEAST_KEPT: u64 = 1024 * 1024;

/// The audit of this host.
pub struct Audit {
    spool: RefCell<Spool>,
    noise: RefCell<Noise>,
    folder: PathBuf,
    /// About how many bytes are kept.
    keep: u64,
    shipping: Cell<Shipping>,
    /// More is there than is to be kept, and stays until the endpoint has the records up to this one.
    waits_for: Cell<Option<u64>>,
    to_count: Notify,
    to_drop: Notify,
    to_sync: Notify,
    to_copy: Notify,
    to_ship: Notify,
    /// The last record that a power loss does not take any more: only these leave the host.
    durable_to: Cell<u64>,
    last_written: Cell<Instant>,
}

impl Audit {
    /// The spool in `folder`, to go on with its numbers; keeps about `keep` bytes of it. Where it can't be opened, records wait
    /// in memory, and everything else goes on: an end does not wait for its record.
    pub fn open(folder: &Path, keep: u64) -> Self {
        let keep = keep.max(LEAST_KEPT);
        let audit = Self {
            spool: RefCell::new(Spool::open(folder, keep)),
            noise: RefCell::default(),
            folder: folder.into(),
            keep,
            shipping: Cell::new(Shipping::Nowhere),
            waits_for: Cell::default(),
            to_count: Notify::new(),
            to_drop: Notify::new(),
            to_sync: Notify::new(),
            to_copy: Notify::new(),
            to_ship: Notify::new(),
            durable_to: Cell::new(0),
            last_written: Cell::new(Instant::now()),
        };
        audit.tell_what_the_last_agent_counted();
        audit.to_drop.notify_one();
        audit
    }

    /// Says where the audit goes, and how far the endpoint is: what it has goes first.
    pub fn ships(&self, shipping: Shipping) {
        self.shipping.set(shipping);
        if self.waits_for.get().is_some_and(|last| !shipping.lacks(last)) {
            self.to_drop.notify_one();
        }
    }

    /// Records what happened, now, or counts it where the same person does too much of it. A full disk delays a record; it
    /// does not lose it or its number.
    pub fn write(&self, entry: Entry) {
        let now = Reading::take();
        let told_before = self.noise.borrow_mut().told_before(&entry);
        let heard = self.noise.borrow_mut().hear(entry, now);
        let is_counted = heard.is_none() || !told_before.is_empty();
        told_before.into_iter().chain(heard).for_each(|entry| self.append(entry));
        if is_counted {
            self.to_count.notify_one();
        }
    }

    fn append(&self, entry: Entry) {
        if let Err(error) = self.spool.borrow_mut().append(entry, clock::now()) {
            tracing::error!("an audit record waits to be written: {error}");
        }
        if self.spool.borrow_mut().has_turned() {
            self.to_drop.notify_one();
        }
        self.last_written.set(Instant::now());
        self.to_sync.notify_one();
        self.to_copy.notify_one();
    }

    /// Tells what is counted, a minute at a time, and notes the rest. Never returns.
    pub async fn tell_counts(&self) {
        loop {
            self.to_count.notified().await;
            while self.noise.borrow().is_pending() {
                self.note_counts();
                tokio::time::sleep(COUNTED).await;
                let due = self.noise.borrow_mut().due(Reading::take());
                due.into_iter().for_each(|entry| self.append(entry));
            }
            self.note_counts();
        }
    }

    fn note_counts(&self) {
        let after = self.last_seq().unwrap_or_default();
        if let Err(error) = pending::note(&self.folder, after, self.noise.borrow().pending()) {
            tracing::debug!("what the audit counts could not be noted: {error}");
        }
    }

    fn tell_what_the_last_agent_counted(&self) {
        let untold = pending::untold(&self.folder);
        if !untold.is_empty() {
            untold.into_iter().for_each(|entry| self.append(entry));
            self.note_counts();
        }
    }

    /// Lets go of what is more than is to be kept, once the audit says so. Never returns.
    pub async fn drop_what_is_too_much(&self) {
        loop {
            self.to_drop.notified().await;
            if let Err(error) = self.drop_all().await {
                tracing::error!("what is too much in the audit's spool could not be removed: {error}");
            }
        }
    }

    async fn drop_all(&self) -> std::io::Result<()> {
        loop {
            let (folder, keep, shipping) = (self.folder.clone(), self.keep, self.shipping.get());
            let next = tokio::task::spawn_blocking(move || keeper::next(&folder, keep, shipping)).await;
            let dropped = match next.map_err(std::io::Error::other)?? {
                Next::Nothing => break self.waits_for.set(None),
                Next::WaitsFor(last) => break self.waits_for.set(Some(last)),
                Next::Goes(dropped) => dropped,
            };
            if let Some(entry) = dropped.entry() {
                self.append(entry);
                // It is said before it is done, also if the power goes. A disk that takes nothing has room again afterwards.
                let said = self.spool.borrow().handle();
                if let Ok(file) = said {
                    tokio::task::spawn_blocking(move || file.sync_data()).await.map_err(std::io::Error::other)??;
                }
            }
            dropped.remove()?;
        }
        Ok(())
    }

    /// Makes the spool durable whenever something was written. Never returns.
    pub async fn sync_when_written(&self) {
        loop {
            self.to_sync.notified().await;
            tokio::time::sleep(GATHERED).await;
            // Records that the disk did not take are tried again, with or without a new one behind them.
            if self.spool.borrow().waiting().next().is_some() {
                if self.spool.borrow_mut().flush().is_err() {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    self.to_sync.notify_one();
                }
                self.to_copy.notify_one();
            }
            let written_to = self.spool.borrow().last_seq();
            let Ok(file) = self.spool.borrow().handle() else { continue };
            match tokio::task::spawn_blocking(move || file.sync_data()).await {
                Ok(Ok(())) => {
                    self.durable_to.set(written_to.unwrap_or_default());
                    self.to_ship.notify_one();
                }
                Ok(Err(error)) => tracing::error!("the audit spool could not be synced: {error}"),
                Err(error) => tracing::error!("the audit spool's sync was cut off: {error}"),
            }
        }
    }

    /// The next batch for the endpoint, behind the record with the number `stored_to`; waits until there is one.
    ///
    /// # Errors
    ///
    /// What reading the spool says.
    pub async fn next_shipment(&self, stored_to: u64) -> std::io::Result<AuditBatch> {
        loop {
            let batch = shipment::read(&self.folder, stored_to, self.durable_to.get())?;
            if !batch.records.is_empty() {
                return Ok(batch);
            }
            self.to_ship.notified().await;
            // What belongs together goes together: one request for a login, not five.
            tokio::time::sleep(GATHERED_TO_SHIP).await;
        }
    }

    /// A batch without records, to ask the endpoint how far it is.
    ///
    /// # Errors
    ///
    /// What reading the spool says.
    pub fn empty_shipment(&self) -> std::io::Result<AuditBatch> {
        shipment::read(&self.folder, u64::MAX, 0)
    }

    /// The number of the last record; none where it is not known.
    pub fn last_seq(&self) -> Option<u64> {
        self.spool.borrow().last_seq()
    }

    /// Gives the spool another name at the endpoint.
    ///
    /// # Errors
    ///
    /// What the disk says.
    pub fn begin_series(&self) -> std::io::Result<()> {
        shipment::begin_series(&self.folder)
    }

    /// Tells what is counted, copies what is left to journald and makes the spool durable: the last deed before the agent stops.
    pub fn finish(&self) {
        let counted = self.noise.borrow_mut().all();
        counted.into_iter().for_each(|entry| self.append(entry));
        self.note_counts();
        let mut reader = SpoolReader::resume(&self.folder, self.spool.borrow().last_seq());
        let mut journal = None;
        while let Ok(1..) = copy::batch(&mut reader, &mut journal) {}
        // What no disk took is in the journal at least, without a number.
        if let Ok(journal) = Journal::connect() {
            for (entry, time) in self.spool.borrow().waiting() {
                let _ = journal.send(&journald::message(&entry.clone().into_record(0, *time)));
            }
        }
        if let Ok(file) = self.spool.borrow().handle() {
            let _ = file.sync_data();
        }
    }
}
