//! Administrators' tokens.

use super::columns::{from_micros, maybe_from_micros, micros};
use super::db::{Row, Tx, values};
use super::events::{About, Event};
use super::{ChangeError, Store, StoreError};
use crate::actor::{self, Act};
use crate::secret::{Hash, new_id};
use jiff::Timestamp;
use serde_json::json;

/// An administrator's token, as far as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct AdminToken {
    pub id: String,
    pub name: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Store {
    /// The name of the administrator whose token has this hash, and whether the token is good still.
    pub(crate) async fn admin(&self, hash: &Hash) -> Result<Option<(String, bool)>, StoreError> {
        let sql = "SELECT name, revoked_at FROM admin_tokens WHERE hash = $1";
        let row = self.db.one(sql, &values![hash.as_str()]).await?;
        row.map(|row| Ok((row.text("name")?, row.maybe_int("revoked_at")?.is_none()))).transpose()
    }

    /// Keeps a new token.
    pub(crate) async fn add_admin(&self, name: &str, hash: &Hash, act: Act<'_>) -> Result<AdminToken, ChangeError> {
        if actor::is_on_the_server(name) {
            let problem =
                format!("{name:?} would stand in the log for somebody on the server itself; take another name");
            return Err(ChangeError::Conflict(problem));
        }
        let mut tx = self.db.begin_change().await?;
        let token = add_admin(&mut tx, name, hash, act).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// Every token.
    pub(crate) async fn admins(&self) -> Result<Vec<AdminToken>, StoreError> {
        let sql = "SELECT id, name, created_at, revoked_at FROM admin_tokens ORDER BY id";
        self.db.all(sql, &[]).await?.iter().map(admin_token).collect()
    }

    /// Revokes the token of this id or name.
    pub(crate) async fn revoke_admin(&self, id_or_name: &str, act: Act<'_>) -> Result<AdminToken, ChangeError> {
        let mut tx = self.db.begin_change().await?;
        let sql = "UPDATE admin_tokens SET revoked_at = COALESCE(revoked_at, $2) WHERE id = $1 OR name = $1
                   RETURNING id, name, created_at, revoked_at";
        let Some(row) = tx.one(sql, &values![id_or_name, micros(act.now)]).await? else {
            return Err(ChangeError::NotFound { what: "administrator's token", name: id_or_name.into() });
        };
        let token = admin_token(&row)?;
        tx.log(act, Event::AdminRevoked, About::default(), json!({"id": token.id, "name": token.name})).await?;
        tx.commit().await?;
        Ok(token)
    }
}

/// A new administrator's token.
pub(super) async fn add_admin(
    tx: &mut Tx<'_>,
    name: &str,
    hash: &Hash,
    act: Act<'_>,
) -> Result<AdminToken, ChangeError> {
    if tx.one("SELECT id FROM admin_tokens WHERE name = $1", &values![name]).await?.is_some() {
        // Names are not used again: the log would not say whom it means.
        let problem = format!("there is, or was, an administrator's token {name:?}; take another name");
        return Err(ChangeError::Conflict(problem));
    }
    let id = new_id();
    let sql = "INSERT INTO admin_tokens (id, name, hash, created_at) VALUES ($1, $2, $3, $4)";
    tx.run(sql, &values![&id, name, hash.as_str(), micros(act.now)]).await?;
    tx.log(act, Event::AdminAdded, About::default(), json!({"id": id, "name": name})).await?;
    Ok(AdminToken { id, name: name.into(), created_at: act.now, revoked_at: None })
}

fn admin_token(row: &Row) -> Result<AdminToken, StoreError> {
    Ok(AdminToken {
        id: row.text("id")?,
        name: row.text("name")?,
        created_at: from_micros(row.int("created_at")?)?,
        revoked_at: maybe_from_micros(row.maybe_int("revoked_at")?)?,
    })
}
