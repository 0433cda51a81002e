//! `Clock` and `AcceptClock`: what is believed of the clock.

use super::Methods;
use crate::ipc::messages::{AcceptClock, ShownClock};
use crate::ipc::peer::Peer;
use crate::ipc::person;
use crate::ipc::varlink::ErrorReply;
use curfew_protocol::grant::Text;

pub(super) fn clock(methods: &Methods) -> ShownClock {
    let reading = methods.ledger.read_clocks();
    let problem = methods.ledger.clock.problem(reading);
    let (known, steps) = (methods.ledger.clock.floor(reading.boot), methods.ledger.clock.steps());
    ShownClock { wall: reading.wall, known, proven: problem.is_none(), problem, steps }
}

pub(super) async fn accept_clock(methods: &Methods, peer: &Peer, order: AcceptClock) -> Result<ShownClock, ErrorReply> {
    let person = person::behind(&methods.sessions, peer).await;
    methods.ledger.accept_clock(&person, order.reason.as_ref().map(Text::as_str));
    Ok(clock(methods))
}
