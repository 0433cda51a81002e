//! What calls need on their way: one of each, made once, and shared with whoever looks after it while the server runs.

use super::body::BodyMemory;
use super::upload_slots::UploadSlots;
use crate::config::Config;
use crate::identity::replay::Replay;
use crate::identity::sign_ins::SignIns;
use crate::sets::keys::Keys;
use crate::sets::last_seen::LastSeen;
use crate::sets::parked::ParkedPolls;
use crate::store::{Disk, Health, Store};
use std::sync::Arc;

/// What the handlers of calls share.
#[derive(Debug)]
pub(crate) struct AppState {
    pub config: Config,
    pub store: Arc<Store>,
    pub keys: Arc<Keys>,
    pub parked: Arc<ParkedPolls>,
    pub last_seen: Arc<LastSeen>,
    pub replay: Arc<Replay>,
    pub sign_ins: Arc<SignIns>,
    pub health: Arc<Health>,
    pub disk: Arc<Disk>,
    /// The memory for hosts' bodies.
    pub bodies: BodyMemory,
    /// What hosts send now.
    pub uploads: UploadSlots,
}

impl AppState {
    /// With nobody connected.
    pub(crate) fn new(config: Config, store: Store, keys: Keys) -> Arc<Self> {
        Arc::new(Self {
            disk: Arc::new(Disk::of(&config)),
            config,
            store: Arc::new(store),
            keys: Arc::new(keys),
            parked: Arc::default(),
            last_seen: Arc::default(),
            replay: Arc::default(),
            sign_ins: Arc::default(),
            health: Arc::default(),
            bodies: BodyMemory::default(),
            uploads: UploadSlots::default(),
        })
    }
}
