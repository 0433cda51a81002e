//! The agent's own code, in this process: on the host's real files, with its visudo, and without a socket in between.

use crate::people::Person;
use curfew::daemon::{self, parts::Parts};
use curfew::enforce::{adoption, reconcile::reconcile};
use curfew::grant::State;
use curfew::grant::account::Holder;
use curfew::grant::account::directory::known::Resolution;
use curfew::ipc::peer::Peer;
use curfew::ipc::varlink::RawCall;
use curfew::ipc::{methods, pam};
use curfew_protocol::audit::{Entry, Event};
use curfew_protocol::ipc::{Hook, PamAnswer, PamQuestion, Verdict};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// How long the agent may be at work for one transition.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);

/// An agent that runs. Dropped, it has died: nothing of it comes to its end.
pub struct InProcess {
    agent: Parts,
    tasks: LocalSet,
    runtime: Runtime,
}

impl InProcess {
    /// As the daemon starts.
    pub fn start() -> Self {
        let runtime = daemon::event_loop().expect("an event loop can be made");
        let tasks = LocalSet::new();
        let agent = tasks.block_on(&runtime, async {
            let agent = Parts::open().expect("the agent can be started");
            adoption::adopt_unknown(&agent.enforcer.adoption).await;
            agent
        });
        agent.audit.write(Entry::new(Event::AgentStarted));
        Self { agent, tasks, runtime }
    }

    /// Looks until there is nothing more to do, as the sweep does.
    pub fn settle(&self) {
        let end = Instant::now() + SETTLES_WITHIN;
        self.tasks.block_on(&self.runtime, async {
            loop {
                reconcile(&self.agent.enforcer);
                if !self.agent.trigger.has_pending() && !self.asks_for_accounts() {
                    return;
                }
                let left = end.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "the agent is still at work");
                let _whichever_comes_first = tokio::time::timeout(left, self.agent.trigger.pulled()).await;
            }
        });
    }

    /// Whether the user database is being asked whose a grant is.
    fn asks_for_accounts(&self) -> bool {
        let (grants, now) = (self.agent.ledger.grants(), self.agent.ledger.now());
        let outdated = |who: &Person| grants.accounts().resolve(who.name()) == Resolution::Outdated;
        let mut live = grants.held().iter().filter(|held| held.state(now) == State::Live);
        live.any(|held| held.holder == Holder::Unknown) || Person::GRANTEES.iter().any(outdated)
    }

    /// Does what there is to do, and stops in an orderly way.
    pub fn stop(self) {
        self.settle();
        self.agent.audit.write(Entry::new(Event::AgentStopped));
        self.agent.audit.finish();
    }

    /// Looks, and dies a while later, whatever it is at.
    pub fn die_at_work(self, later: Duration) {
        self.tasks.block_on(&self.runtime, async {
            reconcile(&self.agent.enforcer);
            tokio::time::sleep(later).await;
        });
    }

    /// What root tells it.
    pub fn tell(&self, method: &str, parameters: Value) -> Result<Value, String> {
        let call = call(method, &parameters);
        let answer = self.tasks.block_on(&self.runtime, async {
            // Whoever is told that it is done waits for the agent's look.
            let looks = async {
                loop {
                    self.agent.trigger.pulled().await;
                    reconcile(&self.agent.enforcer);
                    self.agent.trigger.note_looked();
                }
            };
            let root = root(own_pid());
            let answer = methods::answer(&self.agent.methods, &root, &call);
            tokio::select! {
                biased;
                answer = answer => answer,
                () = looks => unreachable!("it looks until there is an answer"),
            }
        });
        answer.map(|answer| json!(answer)).map_err(|error| json!(error).to_string())
    }

    /// What the PAM module asks in the process `pid`; whether it is permitted.
    pub fn ask(&self, pid: i32, hook: Hook, question: &PamQuestion) -> bool {
        let call = call(hook.method(), &json!(question));
        let answer = self.tasks.block_on(&self.runtime, async {
            let answer = pam::answer(&self.agent.pam, &root(pid), &call);
            // As sudo does where it opens its session; what it would start before that is no part of the model.
            self.agent.watch.run_groups.made_for(pid).await;
            answer
        });
        let answer: PamAnswer = serde_json::from_value(answer.expect("PAM gets an answer")).expect("it is one");
        answer.verdict == Verdict::Permit
    }
}

fn call(method: &str, parameters: &Value) -> RawCall {
    let text = json!({"method": method, "parameters": parameters}).to_string();
    serde_json::from_str(&text).expect("it is a call")
}

fn root(pid: i32) -> Peer {
    Peer::new(pid, 0)
}

/// The model itself asks, too.
pub fn own_pid() -> i32 {
    i32::try_from(std::process::id()).expect("a PID is positive")
}
