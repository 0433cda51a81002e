//! logind, over D-Bus (org.freedesktop.login1(5)): which sessions there are, when one opens, and that one is to end.
//!
//! logind may be stopped, hung or not there at all: every call has a time limit, and what the agent knows from PAM and /proc
//! goes on without it.

use futures_util::StreamExt;
use std::cell::RefCell;
use std::time::Duration;
use zbus::{OwnedObjectPath, OwnedVariant};

/// How long one call may take.
const PATIENCE: Duration = Duration::from_millis(500);

/// A session as logind knows it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogindSession {
    /// Its id, such as `3` or `c1`.
    pub id: String,
    /// The user's id.
    pub uid: u32,
    /// The user's name.
    pub user: String,
    /// The PAM service that opened it.
    pub service: String,
    /// The address that it came from.
    pub rhost: Option<String>,
    /// The PID of the process that opened it.
    pub leader: i32,
    /// When it opened, in microseconds of CLOCK_MONOTONIC.
    pub opened_us: u64,
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1"
)]
trait Manager {
    fn list_sessions(&self) -> zbus::Result<Vec<(String, u32, String, String, OwnedObjectPath)>>;
    fn terminate_session(&self, session_id: &str) -> zbus::Result<()>;
    fn set_user_linger(&self, uid: u32, enable: bool, interactive: bool) -> zbus::Result<()>;
    #[zbus(signal)]
    fn session_new(&self, session_id: &str, path: OwnedObjectPath) -> zbus::Result<()>;
}

/// logind's bus, connected when it is needed, and again after it was lost.
#[derive(Default)]
pub struct Logind(RefCell<Option<zbus::Connection>>);

impl Logind {
    /// The sessions of people; managers and greeters are none.
    ///
    /// # Errors
    ///
    /// What the bus says, or that it did not answer in time.
    pub async fn sessions(&self) -> zbus::Result<Vec<LogindSession>> {
        let list = async {
            let connection = &self.connection().await?;
            let manager = ManagerProxy::new(connection).await?;
            let mut sessions = Vec::new();
            for (id, uid, user, _seat, path) in manager.list_sessions().await? {
                // A session that ends between the list and the question is none.
                if let Ok(Some(session)) = describe(connection, id, uid, user, &path).await {
                    sessions.push(session);
                }
            }
            Ok(sessions)
        };
        self.checked(in_time(list).await)
    }

    /// Tells logind to end a session, so that it forgets it.
    ///
    /// # Errors
    ///
    /// What the bus says, or that it did not answer in time.
    pub async fn terminate(&self, id: &str) -> zbus::Result<()> {
        let call = async { ManagerProxy::new(&self.connection().await?).await?.terminate_session(id).await };
        in_time(call).await
    }

    /// Tells logind that a user does not linger any more: their manager stops with their last session, and does not start at boot.
    ///
    /// # Errors
    ///
    /// What the bus says, or that it did not answer in time.
    pub async fn end_lingering(&self, uid: u32) -> zbus::Result<()> {
        let call =
            async { ManagerProxy::new(&self.connection().await?).await?.set_user_linger(uid, false, false).await };
        in_time(call).await
    }

    /// Calls `opened` with its id whenever a session opens, for as long as the bus is there.
    ///
    /// # Errors
    ///
    /// What the bus says when it goes away.
    pub async fn watch(&self, opened: impl Fn(&str)) -> zbus::Result<()> {
        let manager = ManagerProxy::new(&self.connection().await?).await?;
        let mut sessions = manager.receive_session_new().await?;
        while let Some(new) = sessions.next().await {
            opened(new.args()?.session_id());
        }
        self.checked(Err(zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::UnexpectedEof.into()))))
    }

    async fn connection(&self) -> zbus::Result<zbus::Connection> {
        let known = self.0.borrow().clone();
        match known {
            Some(connection) => Ok(connection),
            None => {
                let connection = zbus::Connection::system().await?;
                Ok(self.0.borrow_mut().insert(connection).clone())
            }
        }
    }

    /// A connection on which something failed is not used again.
    fn checked<T>(&self, answer: zbus::Result<T>) -> zbus::Result<T> {
        if answer.is_err() {
            self.0.borrow_mut().take();
        }
        answer
    }
}

async fn in_time<T>(call: impl Future<Output = zbus::Result<T>>) -> zbus::Result<T> {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer,
        Err(_) => Err(zbus::Error::InputOutput(std::sync::Arc::new(std::io::ErrorKind::TimedOut.into()))),
    }
}

async fn describe(
    connection: &zbus::Connection,
    id: String,
    uid: u32,
    user: String,
    path: &OwnedObjectPath,
) -> zbus::Result<Option<LogindSession>> {
    let interface = zbus::names::InterfaceName::try_from("org.freedesktop.login1.Session")?;
    let proxy = zbus::fdo::PropertiesProxy::builder(connection)
        .destination("org.freedesktop.login1")
        .path(path.as_ref())
        .build()
        .await?;
    let properties = proxy.get_all(interface).await?;
    let value = |name: &str| properties.get(name).and_then(|value| value.try_clone().ok());
    let text = |name: &str| value(name).and_then(|value: OwnedVariant| String::try_from(value).ok());
    let number = |name: &str| value(name).and_then(|value| u32::try_from(value).ok());
    if text("Class").as_deref().is_none_or(|class| !matches!(class, "user" | "user-early" | "user-light")) {
        return Ok(None);
    }
    Ok(Some(LogindSession {
        id,
        uid,
        user,
        service: text("Service").unwrap_or_default(),
        rhost: text("RemoteHost").filter(|host| !host.is_empty()),
        leader: number("Leader").and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0),
        opened_us: value("TimestampMonotonic").and_then(|value| u64::try_from(value).ok()).unwrap_or(0),
    }))
}
