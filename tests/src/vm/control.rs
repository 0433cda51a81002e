//! Runs scripts in a virtual machine over a virtio port: no network, no PAM, no clock is in between, so it outlives clock steps
//! and suspend. `root/vm-control` is the other end, and says what travels.

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::command::Output;
use crate::wait::until;

/// How long the machine may take to read a script from the port: it reads none before it is up.
const WRITING: Duration = Duration::from_secs(180);

/// The outer end of the port.
#[derive(Debug)]
pub(super) struct Control {
    port: UnixStream,
    last: u64,
    answers: Arc<Mutex<Answers>>,
}

/// What came back, and nobody has taken yet.
#[derive(Debug, Default)]
struct Answers {
    left: HashMap<u64, (Output, Instant)>,
    /// The machine is gone: there will be no more.
    closed: bool,
}

/// A script that runs in a virtual machine beside the test.
#[derive(Debug)]
pub struct Script {
    number: u64,
    started: Instant,
    answers: Arc<Mutex<Answers>>,
}

impl Control {
    pub(super) fn new(port: UnixStream) -> Self {
        port.set_write_timeout(Some(WRITING)).expect("a socket takes a time limit");
        let mut reader = BufReader::new(port.try_clone().expect("a socket can be opened twice"));
        let answers = Arc::new(Mutex::new(Answers::default()));
        let sink = Arc::clone(&answers);
        std::thread::spawn(move || {
            while let Ok((number, output)) = read(&mut reader) {
                sink.lock().expect("no reader panics").left.insert(number, (output, Instant::now()));
            }
            sink.lock().expect("no reader panics").closed = true;
        });
        Self { port, last: 0, answers }
    }

    pub(super) fn start(&mut self, script: &str) -> Script {
        self.last += 1;
        let message = format!("{} {}\n{script}", self.last, script.len());
        // A machine that is gone takes no more; the caller sees that when it asks for the answer.
        let _ = self.port.write_all(message.as_bytes());
        Script { number: self.last, started: Instant::now(), answers: Arc::clone(&self.answers) }
    }
}

impl Script {
    /// Whether it still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let answers = self.answers.lock().expect("no reader panics");
        !answers.closed && !answers.left.contains_key(&self.number)
    }

    /// Waits for its end and takes what it left. None when it is still running after `limit`, or the machine is gone.
    #[must_use]
    pub fn ended(&self, limit: Duration) -> Option<Output> {
        until(limit, || (!self.is_alive()).then_some(()));
        let (mut output, ended) = self.answers.lock().expect("no reader panics").left.remove(&self.number)?;
        output.took = ended - self.started;
        Some(output)
    }

    /// As [`Script::ended`], for a script that must end.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn finish(self, limit: Duration) -> Output {
        self.ended(limit).unwrap_or_else(|| panic!("a script in the virtual machine was not over within {limit:?}"))
    }

    /// The folder in the machine with its `stdout` and `stderr`, as long as it runs.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("/run/curfew-tests/{}", self.number)
    }
}

/// One answer. How long the script ran is not known here.
fn read(port: &mut BufReader<UnixStream>) -> io::Result<(u64, Output)> {
    let mut header = String::new();
    port.read_line(&mut header)?;
    let numbers: Vec<u64> = header.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [number, status, stdout, stderr] = numbers[..] else { return Err(io::ErrorKind::InvalidData.into()) };
    let mut text = |length| -> io::Result<String> {
        let mut bytes = Vec::new();
        port.take(length).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let status = i32::try_from(status).map_err(|_| io::ErrorKind::InvalidData)?;
    let output = Output { status, stdout: text(stdout)?, stderr: text(stderr)?, took: Duration::ZERO };
    Ok((number, output))
}
