//! Other programs, run for what they say: with nothing to read, a plain `PATH` for their environment, a bound on their words and on their time.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long one may take where nothing else waits: a login by a slow directory takes its time.
const LONG_PATIENCE: Duration = Duration::from_secs(20);

/// All of their environment. sudo 1.9.16 crashes without any.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How much of what a program says is read from each of its streams, in bytes.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// What a program said.
#[derive(Debug)]
pub struct Said {
    /// Whether it ended with 0.
    pub success: bool,
    /// What it wrote to standard output.
    pub output: String,
    /// What it wrote to standard error.
    pub errors: String,
}

impl Said {
    /// What it wrote to standard error, then to standard output.
    pub fn text(&self) -> String {
        format!("{}{}", self.errors, self.output)
    }

    /// What it wrote to standard output, if it ended with 0.
    ///
    /// # Errors
    ///
    /// What it wrote to standard error, in one line.
    pub fn output(self) -> Result<String, String> {
        if self.success { Ok(self.output) } else { Err(self.errors.split_whitespace().collect::<Vec<_>>().join(" ")) }
    }
}

/// Runs `program` under the name `name`.
///
/// # Errors
///
/// That it can't be run, or takes too long.
pub async fn run(program: &Path, name: &str, arguments: &[&OsStr]) -> Result<Said, String> {
    run_within(PATIENCE, program, name, arguments).await
}

async fn run_within(limit: Duration, program: &Path, name: &str, arguments: &[&OsStr]) -> Result<Said, String> {
    let mut command = tokio::process::Command::new(program);
    command.arg0(name).args(arguments).env_clear().env("PATH", PATH).current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let answer = async {
        let mut child = command.spawn()?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let (output, errors) = tokio::join!(read(output), read(errors));
        io::Result::Ok(Said { success: child.wait().await?.success(), output: output?, errors: errors? })
    };
    match tokio::time::timeout(limit, answer).await {
        Ok(said) => said.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it took longer than {limit:?}")),
    }
}

/// Runs the program at `path`, and waits, for longer than [`run`]: for a process that has no event loop.
///
/// # Errors
///
/// As [`run`], with the program's name.
pub fn run_and_wait(path: &str, arguments: &[&str]) -> Result<Said, String> {
    let named = |problem: String| format!("{path}: {problem}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| named(error.to_string()))?;
    let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
    runtime.block_on(run_within(LONG_PATIENCE, Path::new(path), path, &arguments)).map_err(named)
}

/// What a stream has, up to a bound. What writes more finds it closed.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        stream.take(LONGEST_ANSWER).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_says_too_much_is_cut_short() {
        let yes = run_and_wait("/usr/bin/yes", &[]).unwrap();
        assert!(!yes.success);
        assert_eq!(yes.text().len() as u64, LONGEST_ANSWER);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let problem = run_and_wait("/nowhere/at/all", &[]).unwrap_err();
        assert!(problem.contains("/nowhere/at/all: No such file"), "{problem}");
    }
}
