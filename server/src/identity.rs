//! Who calls: host tokens that were used, and sign-ins of administrators that failed.

pub(crate) mod replay;
pub(crate) mod sign_ins;

use crate::store::{Disk, Store};
use jiff::Timestamp;
use replay::Replay;
use sign_ins::SignIns;
use std::time::Duration;

/// How often sign-ins that failed are written down, and old tokens are forgotten.
const OFTEN: Duration = Duration::from_secs(5);

/// Writes down and forgets. Never ends.
pub(crate) async fn maintain(replay: &Replay, sign_ins: &SignIns, store: &Store, disk: &Disk) {
    let mut often = tokio::time::interval(OFTEN);
    loop {
        often.tick().await;
        // Below the reserve they are counted on, and written down when there is room.
        if !disk.is_low() {
            sign_ins.write(store, Timestamp::now()).await;
        }
        replay.forget(Timestamp::now().as_second());
    }
}
