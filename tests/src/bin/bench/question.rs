//! One question to the agent, put to its PAM socket as the module puts it, and to an echo server; `tests/peers/question_client.c`
//! asks.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use curfew_tests::ssh::quoted;
use curfew_tests::{Host, wait_for};
use serde_json::{Value, json};

use crate::peers::FOLDER;

/// Where the PAM module asks.
pub const PAM_SOCKET: &str = "/run/curfew/io.curfew.Pam";
/// Where the echo server answers.
pub const ECHO_SOCKET: &str = "/run/curfew-bench-echo.sock";
/// The longest that one run of the client may take.
const LIMIT: Duration = Duration::from_secs(120);
/// No audit record here is longer, in bytes.
const LONGEST_RECORD: u64 = 8192;

/// A question, and a host to put it in.
pub struct Question<'a> {
    host: &'a Host,
    text: String,
}

impl<'a> Question<'a> {
    /// May `user` log in over ssh?
    pub fn about(host: &'a Host, user: &str) -> Self {
        let parameters = json!({"service": "sshd", "user": user, "rhost": "10.0.0.1", "tty": "ssh"});
        Self { host, text: json!({"method": "io.curfew.Pam.Account", "parameters": parameters}).to_string() }
    }

    /// Starts the echo server, which answers as many bytes as the agent.
    pub fn start_echo(&self) {
        let answer = self.client("ask", PAM_SOCKET, "");
        let server = format!("{FOLDER}/echo_server {ECHO_SOCKET} {}", quoted(&answer));
        self.host.ok(&format!("systemd-run --quiet --unit=curfew-bench-echo {server}"));
        wait_for("the echo server", Duration::from_secs(5), || self.host.has(ECHO_SOCKET).then_some(()));
    }

    /// Answers a second that `socket` gave to `processes` clients.
    pub fn rate(&self, socket: &str, processes: usize, milliseconds: usize) -> f64 {
        let output = self.client("rate", socket, &format!("{processes} {milliseconds}"));
        let figures: Vec<f64> = numbers(&output);
        figures[0] / figures[1] * 1e9
    }

    /// How long each of `count` answers of the agent's took, in microseconds, with `pause` before each question.
    pub fn each(&self, count: usize, pause: Duration) -> Vec<f64> {
        let output = self.client("each", PAM_SOCKET, &format!("{count} {}", pause.as_micros()));
        numbers(&output).into_iter().map(|ns| ns / 1000.0).collect()
    }

    /// Waits until the audit of what was asked so far has been copied: the agent does that after its answers, and it would take
    /// the time of what is measured next.
    pub fn settle(&self) {
        wait_for("the audit to be copied", LIMIT, || {
            (last_copied(self.host)? >= last_written(self.host)?).then_some(())
        });
    }

    /// Runs it as a service of the host, where sshd would.
    fn client(&self, mode: &str, socket: &str, arguments: &str) -> String {
        let client = format!("{FOLDER}/question_client {mode} {socket} {} {arguments}", quoted(&self.text));
        let output = self.host.spawn(&format!("systemd-run --quiet --wait --pipe --collect {client}")).finish(LIMIT);
        output.expect_ok(&client)
    }
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().expect("the client prints numbers")).collect()
}

/// The number of the last audit record that journald has.
fn last_copied(host: &Host) -> Option<u64> {
    fs::read_to_string(host.path("/var/lib/curfew/audit/journald.mark")).ok()?.trim().parse().ok()
}

/// The number of the last audit record. Only the end of its file is read: this looks again and again.
fn last_written(host: &Host) -> Option<u64> {
    let files = fs::read_dir(host.path("/var/lib/curfew/audit")).ok()?.flatten().map(|entry| entry.path());
    let newest: PathBuf = files.filter(|path| path.extension().is_some_and(|kind| kind == "jsonl")).max()?;
    let mut file = File::open(&newest).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_RECORD))).ok()?;
    let mut end = String::new();
    file.read_to_string(&mut end).ok()?;
    let Some(line) = end.lines().next_back() else {
        // A file that has just begun is named after the record that will be its first.
        return newest.file_stem()?.to_str()?.parse::<u64>().ok()?.checked_sub(1);
    };
    serde_json::from_str::<Value>(line).ok()?["seq"].as_u64()
}
