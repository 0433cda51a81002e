//! The audit: every decision and every deed, numbered without a gap, durable, and copied to the journal.
//!
//! [`Audit::write`] puts a record into the spool's file before its caller goes on, so that the death of the agent loses none.
//! Two tasks follow behind: one makes the file durable against a power loss, one copies the records to journald(8)
//! (`copy`). What is durable goes to the endpoint, too, where there is one (`shipment`). Audit is not logging: what the agent says of its own state goes to `tracing`.

mod copy;
pub mod journald;
pub mod query;
pub mod reader;
pub mod shipment;
pub mod spool;

use crate::clock;
use crate::journal::Journal;
use curfew_protocol::audit::Entry;
use curfew_protocol::host_api::AuditBatch;
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

/// The audit of this host.
pub struct Audit {
    spool: RefCell<Spool>,
    folder: PathBuf,
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
        let spool = Spool::open(folder, keep);
        Self {
            spool: RefCell::new(spool),
            folder: folder.into(),
            to_sync: Notify::new(),
            to_copy: Notify::new(),
            to_ship: Notify::new(),
            durable_to: Cell::new(0),
            last_written: Cell::new(Instant::now()),
        }
    }

    /// Records what happened, now. A full disk delays a record; it does not lose it or its number.
    pub fn write(&self, entry: Entry) {
        if let Err(error) = self.spool.borrow_mut().append(entry, clock::now()) {
            tracing::error!("an audit record waits to be written: {error}");
        }
        self.last_written.set(Instant::now());
        self.to_sync.notify_one();
        self.to_copy.notify_one();
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

    /// Copies what is left to journald and makes the spool durable: the last deed before the agent stops.
    pub fn finish(&self) {
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
