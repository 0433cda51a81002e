//! A stand-in for the central endpoint, with faults: it listens inside a host's network, signs real sets with real keys, and lies as it is told to.
//!
//! What an honest endpoint does is tested with the real one; this one is for what a broken or hostile one, or the network between, can do.

mod answer;
mod certificate;
mod exchange;
mod fault;

pub use certificate::{Authority, Validity};
pub use exchange::Seen;
pub use fault::Fault;

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::{PublicKey, SigningKey};
use jiff::Timestamp;
use nix::sched::{CloneFlags, setns};
use rustls::ServerConfig;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::host::Host;
use crate::wait::{SOON, wait_for};

/// Where it listens, in the host.
const ADDRESS: &str = "127.0.0.1:8443";
/// What hosts know it by.
pub const ORIGIN: &str = "https://127.0.0.1:8443";
/// The id that it gives every host.
pub const HOST_ID: &str = "stand-in-host";
/// The one token that it takes.
pub const TOKEN: &str = "a-token-of-the-stand-in";
/// Where its authority's certificate lies in the host.
pub const CA_FILE: &str = "/root/endpoint-ca.pem";

/// A running stand-in.
#[derive(Debug)]
pub struct StandIn {
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What the test and the listening thread share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Counts the changes, for parked polls.
    changes: watch::Sender<u64>,
}

/// What it holds, and how it behaves.
#[derive(Debug)]
struct State {
    authority: Authority,
    tls: Arc<ServerConfig>,
    key: Arc<SigningKey>,
    /// The keys that its sets announce.
    announced: Vec<PublicKey>,
    epoch: u64,
    version: u64,
    lifetime: i64,
    max_offline: i64,
    grants: Vec<Value>,
    fault: Fault,
    host_key: Option<PublicKey>,
    records: Vec<Value>,
    seen: Vec<Seen>,
}

impl StandIn {
    /// Starts it in the host's network and puts its authority's certificate at [`CA_FILE`].
    ///
    /// # Panics
    /// When it can't listen there.
    #[must_use]
    pub fn start(host: &Host) -> Self {
        let _set_before_or_now = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let authority = Authority::new();
        host.write(CA_FILE, authority.pem());
        let tls = authority.server(Validity::Now);
        let state = State {
            authority,
            tls,
            key: Arc::new(SigningKey::generate().expect("a key")),
            announced: Vec::new(),
            epoch: 1,
            version: 1,
            lifetime: 300,
            max_offline: 3600,
            grants: Vec::new(),
            fault: Fault::None,
            host_key: None,
            records: Vec::new(),
            seen: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changes: watch::channel(0).0 });
        let network = File::open(format!("/proc/{}/ns/net", host.leader())).expect("the host has a network");
        let (stop, stopped) = oneshot::channel();
        let (up, is_up) = std::sync::mpsc::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            // This thread alone moves into the host's network.
            setns(network, CloneFlags::CLONE_NEWNET).expect("the host's network can be joined");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
            runtime.block_on(async move {
                let listener = TcpListener::bind(ADDRESS).await.expect("the stand-in can listen");
                up.send(()).expect("the test waits");
                tokio::select! {
                    () = exchange::accept(&listener, &serving) => {}
                    _ = stopped => {}
                }
            });
        });
        is_up.recv_timeout(SOON).expect("the stand-in listens");
        Self { shared, stop: Some(stop), thread: Some(thread) }
    }

    /// Enrols the host with it and waits until the first set is in force there.
    ///
    /// # Panics
    /// When that fails.
    pub fn enroll(&self, host: &Host) {
        host.write("/root/token", TOKEN);
        host.ok(&format!("curfew enroll {ORIGIN} --token-file /root/token --ca {CA_FILE}"));
        wait_for("the first set", SOON, || (host.status()["set"]["version"] == json!(self.version())).then_some(()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// Changes something, and wakes parked polls.
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.shared.changes.send_modify(|count| *count += 1);
    }

    /// The version of the newest set.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state().version
    }

    /// The host's grants from now on, as a new version.
    pub fn grants(&self, grants: &[Value]) {
        self.change(|state| {
            state.grants = grants.to_vec();
            state.version += 1;
        });
    }

    /// How it behaves from now on. Polls that are parked are answered so.
    pub fn fault(&self, fault: Fault) {
        self.change(|state| state.fault = fault);
    }

    /// Moves it to another epoch and version, as a restored database would.
    pub fn count_from(&self, epoch: u64, version: u64) {
        self.change(|state| (state.epoch, state.version) = (epoch, version));
    }

    /// For how long its sets are fresh, and how long beyond that they open anything, in seconds.
    pub fn freshness(&self, lifetime: i64, max_offline: i64) {
        self.change(|state| {
            (state.lifetime, state.max_offline) = (lifetime, max_offline);
            state.version += 1;
        });
    }

    /// Shows another certificate on connections from now on.
    pub fn certificate(&self, validity: Validity) {
        let mut state = self.state();
        state.tls = state.authority.server(validity);
    }

    /// Shows a certificate of another authority on connections from now on.
    pub fn certificate_of_another_authority(&self) {
        self.state().tls = Authority::new().server(Validity::Now);
    }

    /// Announces a new key beside the one that signs now.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn announce_new_key(&self) -> Arc<SigningKey> {
        let new = Arc::new(SigningKey::generate().expect("a key"));
        let announced = new.public();
        self.change(|state| {
            state.announced = vec![state.key.public(), announced];
            state.version += 1;
        });
        new
    }

    /// Signs with this key from now on, and announces nothing else.
    pub fn sign_with(&self, key: Arc<SigningKey>) {
        self.change(|state| {
            state.announced = vec![key.public()];
            state.key = key;
            state.version += 1;
        });
    }

    /// The requests that came in so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The audit records that came in, by number.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.state().records.clone()
    }

    /// The public key that the host enrolled with last.
    #[must_use]
    pub fn host_key(&self) -> Option<PublicKey> {
        self.state().host_key.clone()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// The id that it gives every host.
///
/// # Panics
/// Never: the id is good.
#[must_use]
pub fn host_id() -> HostId {
    HOST_ID.parse().expect("a good id")
}

/// A grant document of the endpoint's: `access` has `login` or `sudo` or both.
///
/// # Panics
/// When `access` is no JSON object.
#[must_use]
pub fn grant(id: &str, user: &str, seconds: i64, access: &Value) -> Value {
    let now = Timestamp::from_second(Timestamp::now().as_second()).expect("now is a time");
    let end = Timestamp::from_second(now.as_second() + seconds).expect("a time");
    let mut grant = json!({
        "id": id, "user": user, "not_before": now.to_string(), "not_after": end.to_string(),
        "reason": "INC-2 disk full", "ticket": "INC-2", "requested_by": user, "approved_by": ["bob"],
    });
    let access = access.as_object().expect("an object").clone();
    grant.as_object_mut().expect("an object").extend(access);
    grant
}
