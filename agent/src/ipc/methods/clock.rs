//! `Clock` and `AcceptClock`: what is believed of the clock.

use crate::agent::Agent;
use crate::ipc::messages::{AcceptClock, ShownClock};
use crate::ipc::peer::Peer;
use crate::ipc::person;
use crate::ipc::varlink::ErrorReply;
use curfew_protocol::grant::Text;

pub(super) fn clock(agent: &Agent) -> ShownClock {
    let reading = agent.ledger.read_clocks();
    let problem = agent.ledger.clock.problem(reading);
    let (known, steps) = (agent.ledger.clock.floor(reading.boot), agent.ledger.clock.steps());
    ShownClock { wall: reading.wall, known, proven: problem.is_none(), problem, steps }
}

pub(super) async fn accept_clock(agent: &Agent, peer: &Peer, order: AcceptClock) -> Result<ShownClock, ErrorReply> {
    let person = person::behind(agent, peer).await;
    agent.ledger.accept_clock(&person, order.reason.as_ref().map(Text::as_str));
    Ok(clock(agent))
}
