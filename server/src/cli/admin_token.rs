//! `curfew-server admin-token`.

use super::{CliError, Global, local, output};
use crate::actor::Act;
use crate::secret::Secret;
use crate::store::AdminToken as Row;
use clap::Subcommand;
use curfew_protocol::grant::Text;
use jiff::Timestamp;
use serde_json::json;

/// Administrators' tokens, on the server's own machine: straight in its database, whether it runs or not.
#[derive(Debug, Subcommand)]
pub(super) enum AdminToken {
    /// Create a token and print it, this once. Its name stands in the audit for whoever uses it.
    Create {
        /// Its name: one a person.
        name: Text,
    },
    /// List tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// Its name or id.
        name: String,
    },
}

impl AdminToken {
    pub(super) async fn run(self, global: &Global) -> Result<(), CliError> {
        let who = local::who();
        let (_, store) = local::store(global).await?;
        let failed = |error: &dyn std::error::Error| CliError::Failed(error.to_string());
        let act = Act { admin: &who, now: Timestamp::now() };
        match self {
            Self::Create { name } => {
                let secret = Secret::generate("curfew_admin").map_err(|error| failed(&error))?;
                let added = store.add_admin(name.as_str(), &secret.hash(), act).await;
                let row = added.map_err(|error| failed(&error))?;
                let value = json!({"id": row.id, "name": row.name, "token": secret.reveal()});
                output::print(global, &value, |_| format!("{}\n", secret.reveal()))?;
            }
            Self::List => {
                let rows = store.admins().await.map_err(|error| failed(&error))?;
                let values: Vec<_> = rows.iter().map(value).collect();
                output::print(global, &values, |_| table(&rows))?;
            }
            Self::Revoke { name } => {
                let row = store.revoke_admin(&name, act).await.map_err(|error| failed(&error))?;
                output::print(global, &value(&row), |_| format!("token {} is revoked\n", row.name))?;
            }
        }
        store.close().await;
        Ok(())
    }
}

fn value(row: &Row) -> serde_json::Value {
    json!({"id": row.id, "name": row.name, "created_at": row.created_at, "revoked_at": row.revoked_at})
}

fn table(rows: &[Row]) -> String {
    let rows = rows.iter().map(|row| {
        [row.id.clone(), row.name.clone(), output::time(row.created_at), output::maybe_time(row.revoked_at)]
    });
    output::table(["ID", "NAME", "CREATED", "REVOKED"], rows)
}
