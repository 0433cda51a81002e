//! A host is removed: whatever was granted there alone is revoked with it.

use crate::actor::Act;
use crate::store::{About, ChangeError, Event, Host, Store};
use serde_json::json;

/// Removes a host: its key, its labels, and the grants that were for it alone.
pub(crate) async fn remove(store: &Store, id_or_name: &str, act: Act<'_>) -> Result<Host, ChangeError> {
    let mut tx = store.begin_change().await?;
    let host = tx.remove_host(id_or_name, act.now).await?;
    tx.revoke_grants_of(&host.id, "the host was removed", act).await?;
    tx.log(act, Event::HostRemoved, About::host(host.id.as_str()), json!({"name": host.name})).await?;
    tx.commit().await?;
    Ok(host)
}
