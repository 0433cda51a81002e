//! Shows Curfew's main job on a throwaway Debian 13 host, live: refused, granted, in, sudo, warned, ended, audited.
//! Everything that appears after a `│` was printed by the real programs. `tests/demo` builds and starts this.

use std::io::{IsTerminal as _, Write as _, stdout};
use std::thread::sleep;
use std::time::{Duration, Instant};

use curfew_tests::{Grant, Host, Release, Running};
use jiff::Timestamp;

/// The window of the grant that is shown.
const WINDOW: &str = "25s";
/// Shorter warnings than the default 15, 5 and 1 minutes, and a shorter grace, so that the end comes within the demo.
const SETTINGS: &str = "warn_before = [\"10s\"]\ngrace = \"3s\"";
/// What a person needs to read a line before the next happens.
const PAUSE: Duration = Duration::from_millis(1200);

fn main() {
    let begun = Instant::now();
    let stage = Stage { colour: stdout().is_terminal() };

    stage.say("A throwaway Debian 13 boots: real systemd, sshd, sudo and journald, with the curfew package installed.");
    let host = Host::builder(Release::Trixie).not_enabled().config(SETTINGS).boot();
    stage.note(&format!("up after {:.1} s", begun.elapsed().as_secs_f32()));

    stage.say("Installing wired nothing. The operator enables Curfew; it can be undone to the byte.");
    stage.root(&host, "curfew enable");

    stage.say("Alice has an account, a key and a password. She has no grant, so she does not get in.");
    refused(&stage, &host);

    stage.say(&format!("Root grants her {WINDOW}: a login, and one command by sudo."));
    let grant = granted(&stage, &host);

    stage.say("Alice logs in. A line on entry tells how long, by which grant and who approved it.");
    let session = at_work(&stage, &host);

    stage.say("Meanwhile the operator looks.");
    stage.root(&host, "curfew status");

    stage.say("Before the end her terminal is warned; then her programs are asked to stop; then the window is over.");
    the_end(&stage, &host, &grant, session);

    stage.say("The sudo rule is gone, and the door is shut again.");
    stage.root(&host, "ls -A --ignore='curfew+*' /run/curfew/sudoers.d | wc -l");
    refused(&stage, &host);

    stage.say("The audit: who, what, when, why, and by whose leave. The journal has the same, with all fields.");
    stage.root(&host, "curfew audit");
    stage.root(&host, "journalctl -x -n 1 --no-pager CURFEW_EVENT=session.terminated");

    drop(host);
    stage.say(&format!("The host is gone without a trace. That took {} seconds.", begun.elapsed().as_secs()));
}

/// Alice's login is refused.
fn refused(stage: &Stage, host: &Host) {
    stage.typed("alice@laptop$", "ssh alice@host");
    let refusal = host.ssh("alice", "id");
    let lines = refusal.stderr.lines().filter(|line| !line.contains("known hosts"));
    lines.for_each(|line| stage.line(line));
    assert!(!refusal.success(), "she got in: {refusal:#?}");
}

/// The grant, as `curfew grant` prints it.
fn granted(stage: &Stage, host: &Host) -> Grant {
    let arguments = format!("alice --for {WINDOW} --login --sudo --command /usr/bin/id");
    stage.typed("root@host#", &format!("curfew grant {arguments} --reason 'INC-1 disk full' --json"));
    let grant = host.grant(&arguments);
    serde_json::to_string_pretty(&grant.json).unwrap_or_default().lines().for_each(|line| stage.line(line));
    host.drop_in();
    grant
}

/// Alice's terminal, after some work in it.
fn at_work<'a>(stage: &'a Stage, host: &Host) -> Terminal<'a> {
    stage.typed("alice@laptop$", "ssh alice@host");
    let mut terminal = Terminal { stage, client: host.ssh_stay("alice", "-tt"), shown: 0, partial: String::new() };
    terminal.follow(PAUSE * 2);
    terminal.type_line("sudo id");
    terminal.type_line("sudo -n cat /etc/shadow");
    // Something that means to stay when its terminal goes.
    terminal.type_line("(trap '' HUP TERM; while :; do sleep 1; done) &");
    terminal
}

/// Follows her terminal to the end, and measures it.
fn the_end(stage: &Stage, host: &Host, grant: &Grant, mut terminal: Terminal<'_>) {
    let left = |grant: &Grant| grant.not_after.as_millisecond() - Timestamp::now().as_millisecond();
    while left(grant) > 300 {
        terminal.follow(Duration::from_millis(100));
    }
    let gone = host.gone_after(grant.not_after, |host| host.session_processes("alice"));
    terminal.follow(PAUSE);
    stage.note(&format!("the last of her processes died {gone} ms after {}", grant.not_after));
}

/// Where the demo plays: the text that explains, and what programs print.
struct Stage {
    colour: bool,
}

impl Stage {
    fn say(&self, text: &str) {
        sleep(PAUSE);
        println!("\n{}", self.paint("1", text));
    }

    fn note(&self, text: &str) {
        println!("  {}", self.paint("32", &format!("→ {text}")));
    }

    fn typed(&self, prompt: &str, command: &str) {
        println!("  {} {}", self.paint("2", prompt), self.paint("36", command));
        let _ = stdout().flush();
    }

    fn line(&self, text: &str) {
        println!("  {} {text}", self.paint("2", "│"));
    }

    /// Runs a command on the host's console and shows what it prints.
    fn root(&self, host: &Host, command: &str) {
        self.typed("root@host#", command);
        let output = host.run(command);
        output.stdout.lines().chain(output.stderr.lines()).for_each(|line| self.line(line));
        assert!(output.success(), "{command} ended with status {}", output.status);
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A terminal whose lines are shown as they come.
struct Terminal<'a> {
    stage: &'a Stage,
    client: Running,
    shown: usize,
    partial: String,
}

impl Terminal<'_> {
    /// Types a line and shows what comes of it.
    fn type_line(&mut self, line: &str) {
        self.client.send(&format!("{line}\n"));
        self.follow(PAUSE);
    }

    /// Shows whole lines as they appear, for this long.
    fn follow(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let screen = self.client.stdout();
            self.partial.push_str(screen.get(self.shown..).unwrap_or_default());
            self.shown = screen.len();
            while let Some((line, rest)) = self.partial.split_once('\n') {
                if !line.trim().is_empty() {
                    self.stage.line(line.trim_end().trim_matches('\u{7}'));
                }
                self.partial = rest.to_owned();
            }
            sleep(Duration::from_millis(50));
        }
    }
}
