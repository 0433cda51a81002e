//! Who calls: host tokens that were used, and sign-ins of administrators that failed.

pub(crate) mod replay;
pub(crate) mod sign_ins;

use crate::store::Store;
use jiff::Timestamp;
use replay::Replay;
use sign_ins::SignIns;
use std::time::Duration;

/// How often sign-ins that failed are written down, and old tokens are forgotten.
const OFTEN: Duration = Duration::from_secs(5);

/// Writes down and forgets. Never ends.
pub(crate) async fn maintain(replay: &Replay, sign_ins: &SignIns, store: &Store) {
    let mut often = tokio::time::interval(OFTEN);
    loop {
        often.tick().await;
        sign_ins.write(store, Timestamp::now()).await;
        replay.forget(Timestamp::now().as_second());
    }
}
