//! One-use tokens, and the hosts that they turn into.

use super::columns::{decode_labels, encode_labels, from_micros, host_id, maybe_from_micros, micros};
use super::db::{Row, Tx, values};
use super::events::{About, Event};
use super::fleet::Known;
use super::hosts::{insert, not_an_id};
use super::{ChangeError, Store, StoreError};
use crate::actor::Act;
use crate::host_name::HostName;
use crate::labels::Labels;
use crate::secret::{Hash, new_id};
use curfew_protocol::grant_set::HostId;
use curfew_protocol::jws::PublicKey;
use jiff::Timestamp;
use serde_json::json;

const COLUMNS: &str = "id, host_name, labels, created_at, created_by, expires_at, used_at, used_key, host, revoked_at";

/// A token to be.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    pub hash: Hash,
    /// The name that the host will have; none: the host says.
    pub host_name: Option<HostName>,
    pub labels: Labels,
    pub expires_at: Timestamp,
}

/// A token, as far as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct TokenRow {
    pub id: String,
    pub host_name: Option<String>,
    pub labels: Labels,
    pub created_at: Timestamp,
    pub created_by: String,
    pub expires_at: Timestamp,
    pub used_at: Option<Timestamp>,
    pub host: Option<String>,
    pub revoked_at: Option<Timestamp>,
    used_key: Option<String>,
}

/// Why a host was not enrolled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotEnrolled {
    /// The token is not good.
    #[error("the enrolment token is {0}; ask an administrator for a new one: curfew-server token create")]
    Token(&'static str),
    /// It can't be for what is there.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

impl From<StoreError> for NotEnrolled {
    fn from(error: StoreError) -> Self {
        Self::Change(error.into())
    }
}

impl Store {
    /// Keeps a new token.
    pub(crate) async fn add_token(&self, token: &NewToken, act: Act<'_>) -> Result<TokenRow, ChangeError> {
        let mut tx = self.db.begin_change().await?;
        if let Some(name) = &token.host_name {
            not_an_id(&mut tx, name).await?;
        }
        let id = new_id();
        let name = token.host_name.as_ref().map(HostName::as_str);
        let sql = "INSERT INTO enrolment_tokens (id, hash, host_name, labels, created_at, created_by, expires_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let (labels, now, end) = (encode_labels(&token.labels)?, micros(act.now), micros(token.expires_at));
        tx.run(sql, &values![&id, token.hash.as_str(), name, labels, now, act.admin, end]).await?;
        let details = json!({"id": id, "name": name, "labels": token.labels});
        tx.log(act, Event::TokenCreated, About::default(), details).await?;
        tx.commit().await?;
        Ok(TokenRow {
            id,
            host_name: name.map(Into::into),
            labels: token.labels.clone(),
            created_at: act.now,
            created_by: act.admin.into(),
            expires_at: token.expires_at,
            used_at: None,
            host: None,
            revoked_at: None,
            used_key: None,
        })
    }

    /// The tokens that are kept, the newest first.
    pub(crate) async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM enrolment_tokens ORDER BY created_at DESC, id DESC LIMIT 1000");
        self.db.all(&sql, &[]).await?.iter().map(token).collect()
    }

    /// Revokes a token. A host that it enrolled stays.
    pub(crate) async fn revoke_token(&self, id: &str, act: Act<'_>) -> Result<TokenRow, ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let sql = format!(
            "UPDATE enrolment_tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1 RETURNING {COLUMNS}"
        );
        let Some(row) = tx.one(&sql, &values![id, micros(act.now)]).await? else {
            return Err(ChangeError::NotFound { what: "enrolment token", name: id.into() });
        };
        tx.log(act, Event::TokenRevoked, About::default(), json!({"id": id})).await?;
        tx.commit().await?;
        Ok(token(&row)?)
    }

    /// Enrols the host with this key by this token; the same again gets the same answer.
    pub(crate) async fn enrol(
        &self,
        hash: &Hash,
        name: &str,
        key: &PublicKey,
        now: Timestamp,
    ) -> Result<HostId, NotEnrolled> {
        let sql = format!("SELECT {COLUMNS} FROM enrolment_tokens WHERE hash = $1");
        if self.db.one(&sql, &values![hash.as_str()]).await?.is_none() {
            // Whoever makes tokens up holds nobody up: no lock for them.
            return Err(NotEnrolled::Token("unknown"));
        }
        let (mut tx, known) = self.begin_grants().await?;
        let Some(row) = tx.one(&sql, &values![hash.as_str()]).await? else {
            return Err(NotEnrolled::Token("unknown"));
        };
        let token = token(&row)?;
        let holder = holder(&mut tx, key).await?;
        if let Some(used) = &token.used_key {
            // The host's key has to be the token's still: one that was removed, or has changed its key, does not come back by it.
            return match holder {
                Some(host) if *used == key.x() && token.host.as_deref() == Some(host.as_str()) => Ok(host),
                _ => Err(NotEnrolled::Token("used up")),
            };
        }
        if token.revoked_at.is_some() {
            return Err(NotEnrolled::Token("revoked"));
        }
        if token.expires_at <= now {
            return Err(NotEnrolled::Token("too old"));
        }
        let id = match holder {
            Some(host) => host,
            None => add(&mut tx, &known, &token, name, key, now).await?,
        };
        let sql = "UPDATE enrolment_tokens SET used_at = $2, used_key = $3, host = $4 WHERE id = $1";
        tx.run(sql, &values![&token.id, micros(now), key.x(), id.as_str()]).await?;
        tx.commit().await?;
        Ok(id)
    }
}

/// The host that has this key.
async fn holder(tx: &mut Tx<'_>, key: &PublicKey) -> Result<Option<HostId>, StoreError> {
    let row = tx.one("SELECT id FROM hosts WHERE key_x = $1", &values![key.x()]).await?;
    row.map(|row| host_id(&row.text("id")?)).transpose()
}

async fn add(
    tx: &mut Tx<'_>,
    known: &Known,
    token: &TokenRow,
    name: &str,
    key: &PublicKey,
    now: Timestamp,
) -> Result<HostId, ChangeError> {
    let name = token.host_name.as_deref().unwrap_or(name);
    let name: HostName = name.parse().map_err(ChangeError::Conflict)?;
    let host = insert(tx, known, &name, &token.labels, Some(key), now).await?;
    let details = json!({"name": name, "labels": token.labels, "token": token.id, "kid": key.kid()});
    let act = Act { admin: &token.created_by, now };
    tx.log(act, Event::HostEnrolled, About::host(host.id.as_str()), details).await?;
    Ok(host.id)
}

fn token(row: &Row) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.text("id")?,
        host_name: row.maybe_text("host_name")?,
        labels: decode_labels(&row.text("labels")?)?,
        created_at: from_micros(row.int("created_at")?)?,
        created_by: row.text("created_by")?,
        expires_at: from_micros(row.int("expires_at")?)?,
        used_at: maybe_from_micros(row.maybe_int("used_at")?)?,
        host: row.maybe_text("host")?,
        revoked_at: maybe_from_micros(row.maybe_int("revoked_at")?)?,
        used_key: row.maybe_text("used_key")?,
    })
}
