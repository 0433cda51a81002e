//! Logins over the network. The client runs inside the host, against its own address, as a stranger would:
//! no known hosts, no agent, nothing asked.

use std::time::Duration;

use crate::command::{Output, Running};
use crate::host::Host;
use crate::shell::Shell;

/// What each client is given. The reason for a refusal comes as a banner, which `LogLevel=ERROR` would hide.
const OPTIONS: &str = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=30";
/// How long a login that ends by itself may take.
const LOGIN: Duration = Duration::from_secs(30);

impl Host {
    /// `ssh USER@host COMMAND` with the user's key.
    #[must_use]
    pub fn ssh(&self, user: &str, command: &str) -> Output {
        self.spawn(&login(user, command)).finish(LOGIN)
    }

    /// As [`Host::ssh`], with the password typed at the server's prompt.
    #[must_use]
    pub fn ssh_with_password(&self, user: &str, command: &str) -> Output {
        let client = format!("ssh {OPTIONS} -o PreferredAuthentications=keyboard-interactive");
        self.spawn(&format!("exec sshpass -p {user}-pw {client} {user}@127.0.0.1 {}", quoted(command))).finish(LOGIN)
    }

    /// As [`Host::ssh`], beside the test.
    #[must_use]
    pub fn ssh_stay_and_run(&self, user: &str, command: &str) -> Running {
        self.spawn(&login(user, command))
    }

    /// A client that stays, such as `-N` or `-N -L …`.
    #[must_use]
    pub fn ssh_stay(&self, user: &str, arguments: &str) -> Running {
        self.spawn(&format!("exec ssh {} {arguments} {user}@127.0.0.1", options(user)))
    }

    /// `ssh -tt USER@host COMMAND`, which stays: a command on a terminal of its own.
    #[must_use]
    pub fn ssh_on_terminal(&self, user: &str, command: &str) -> Running {
        self.spawn(&format!("exec ssh {} -tt {user}@127.0.0.1 {}", options(user), quoted(command)))
    }

    /// `scp FROM TO`, where one of them is `USER@host:PATH`.
    #[must_use]
    pub fn scp(&self, user: &str, from: &str, to: &str) -> Output {
        self.spawn(&format!("exec scp {} {} {}", options(user), quoted(from), quoted(to))).finish(LOGIN)
    }

    /// `sftp`, with these lines as its commands.
    #[must_use]
    pub fn sftp(&self, user: &str, batch: &str) -> Output {
        self.sftp_stay(user, "", batch).finish(LOGIN)
    }

    /// As [`Host::sftp`] with more arguments, beside the test.
    #[must_use]
    pub fn sftp_stay(&self, user: &str, arguments: &str, batch: &str) -> Running {
        let mut client = self.spawn(&format!("exec sftp {} {arguments} -b - {user}@127.0.0.1", options(user)));
        client.send(&format!("{batch}\n"));
        client.close_input();
        client
    }

    /// An interactive login on a terminal.
    ///
    /// # Panics
    /// When no shell answers.
    #[must_use]
    pub fn login(&self, user: &str) -> Shell {
        Shell::open(self.spawn(&format!("exec ssh {} -tt {user}@127.0.0.1", options(user))), user)
    }
}

/// The script that runs `command` over a login with the user's key.
#[must_use]
pub fn login(user: &str, command: &str) -> String {
    format!("exec ssh {} {user}@127.0.0.1 {}", options(user), quoted(command))
}

fn options(user: &str) -> String {
    format!("-i /etc/curfew-tests/keys/{user} -o BatchMode=yes {OPTIONS}")
}

/// `text` as one word of a shell.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
