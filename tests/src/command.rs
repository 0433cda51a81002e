//! Programs that run with a time limit, and programs that run beside a test.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wait::until;

/// What a finished program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit status; 128 and the signal's number for one that a signal ended, as a shell counts.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Output {
    /// Whether it ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Standard output without the white space around it.
    ///
    /// # Panics
    /// When the program failed.
    pub fn expect_ok(self, what: &str) -> String {
        assert!(self.success(), "{what}: {self:#?}");
        self.stdout.trim().to_owned()
    }
}

/// A program that runs beside the test, in a process group of its own. Dropping it kills the group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
    stdin: Option<ChildStdin>,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    /// Starts `command` with its three streams held by the test.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("can't start {command:?}: {error}"));
        Self {
            started: Instant::now(),
            stdin: child.stdin.take(),
            stdout: Captured::read(child.stdout.take().expect("stdout is a pipe")),
            stderr: Captured::read(child.stderr.take().expect("stderr is a pipe")),
            child,
        }
    }

    /// Writes to its standard input.
    ///
    /// # Panics
    /// When the input was closed before.
    pub fn send(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        // A program that has ended takes no more input; the caller sees that in its output.
        let _ = stdin.write_all(text.as_bytes());
        let _ = stdin.flush();
    }

    /// Closes its standard input.
    pub fn close_input(&mut self) {
        self.stdin = None;
    }

    /// What it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Closes its input, waits for its end and takes what it left.
    ///
    /// # Panics
    /// When it has not ended within `limit`; it is killed then.
    #[must_use]
    pub fn finish(mut self, limit: Duration) -> Output {
        self.close_input();
        let ended = until(limit, || self.child.try_wait().ok().flatten());
        let took = self.started.elapsed();
        let Some(status) = ended else {
            panic!("still running after {limit:?}\n--- stdout\n{}\n--- stderr\n{}", self.stdout(), self.stderr());
        };
        self.stdout.join();
        self.stderr.join();
        Output { status: shell_status(status), stdout: self.stdout(), stderr: self.stderr(), took }
    }

    /// Stops it and all that it started in its process group, until it is killed: it takes no processor from here on.
    pub fn freeze(&self) {
        let _ = killpg(self.group(), Signal::SIGSTOP);
    }

    fn group(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX))
    }

    /// Kills it and all that it started in its process group.
    pub fn kill(&mut self) {
        if self.is_alive() {
            let _ = killpg(self.group(), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs `command` with nothing to read on its standard input, for at most `limit`.
///
/// # Panics
/// When it can't be started, or has not ended by then.
#[must_use]
pub fn run(command: &mut Command, limit: Duration) -> Output {
    Running::start(command).finish(limit)
}

/// The status as a shell counts it.
fn shell_status(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A stream that a thread of its own reads to the end, so that the writer never blocks.
#[derive(Debug)]
struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn read(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut chunk) {
                sink.lock().expect("no reader panics").extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, reader: Some(reader) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no reader panics")).into_owned()
    }

    /// Waits for the stream's end, shortly: a process that was left behind may hold it open.
    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            until(Duration::from_secs(1), || reader.is_finished().then_some(()));
        }
    }
}
