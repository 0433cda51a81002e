//! Somebody at a terminal: types, and reads what comes.

use std::time::Duration;

use crate::command::{Output, Running};
use crate::ssh::quoted;
use crate::wait::{until, wait_for};

/// How long a command that is typed may take.
const ANSWER: Duration = Duration::from_secs(15);

/// An interactive shell on a terminal of its own.
#[derive(Debug)]
pub struct Shell {
    client: Running,
    user: String,
    /// How much of the screen was read.
    read: usize,
    /// Numbers the commands, so that an answer is told from an echo.
    count: u32,
}

impl Shell {
    /// The shell that `client` opens for `user`.
    ///
    /// # Panics
    /// When it does not answer.
    #[must_use]
    pub fn open(client: Running, user: &str) -> Self {
        let mut shell = Self { client, user: user.to_owned(), read: 0, count: 0 };
        shell.run("true");
        shell
    }

    /// Types a command and gives what appears until it is done, its echo included.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn run(&mut self, command: &str) -> String {
        self.count += 1;
        let done = format!("<done {}>", self.count);
        // The echo shows the arithmetic, the answer its result.
        // On one line: sudo throws away what was typed behind the line that started it.
        let then = if command.ends_with('&') { " " } else { "; " };
        self.type_text(&format!("{command}{then}echo \"<done $(({} + 1))>\"\n", self.count - 1));
        let end = wait_for(
            &format!("the end of `{command}` at a terminal, which shows:\n{}", self.client.stdout()),
            ANSWER,
            || self.unread().find(&done),
        );
        let answer = self.unread()[..end].to_owned();
        self.read += end + done.len();
        answer
    }

    /// Runs a command under sudo, with the password at hand should it ask.
    pub fn sudo(&mut self, arguments: &str) -> String {
        let password = quoted(&format!("{}-pw", self.user));
        self.run(&format!("echo {password} | sudo -S -p '' {arguments}; echo \"status:$?\""))
    }

    /// Becomes root by `sudo -i`, with a password where one is asked for.
    ///
    /// # Panics
    /// When the shell that answers then is not root's.
    pub fn become_root(&mut self) {
        self.sudo("-v");
        // What is typed before the new shell reads the terminal may be thrown away.
        self.type_text("sudo -i\n");
        wait_for("a root shell", ANSWER, || {
            self.client.send("id -un | sed 's/^/I am /'\n");
            until(Duration::from_millis(500), || self.unread().contains("I am root").then_some(()))
        });
        self.run("true");
    }

    /// Types, without waiting for anything.
    pub fn type_text(&mut self, text: &str) {
        self.client.send(text);
    }

    /// Waits until `text` appears that was not read yet.
    ///
    /// # Panics
    /// When it does not, within `limit`.
    pub fn see(&mut self, text: &str, limit: Duration) {
        let found = until(limit, || self.unread().find(text));
        let Some(place) = found else { panic!("{text:?} did not appear within {limit:?} in:\n{}", self.unread()) };
        self.read += place + text.len();
    }

    /// Everything that appeared so far.
    #[must_use]
    pub fn screen(&self) -> String {
        self.client.stdout()
    }

    /// Whether the connection is still there.
    pub fn is_alive(&mut self) -> bool {
        self.client.is_alive()
    }

    /// Waits for the connection's end.
    ///
    /// # Panics
    /// When it does not end within `limit`.
    #[must_use]
    pub fn finish(self, limit: Duration) -> Output {
        self.client.finish(limit)
    }

    fn unread(&self) -> String {
        self.client.stdout().get(self.read..).unwrap_or_default().to_owned()
    }
}
