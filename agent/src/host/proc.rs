//! The files of a process in /proc (proc(5)).

use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read};

/// The value of an audit session or login uid that was never set.
const UNSET: u32 = u32::MAX;

/// A file of /proc that is shorter than this comes in one read(2), in bytes.
const ONE_READ: usize = 4096;

/// The kernel's audit session of a process.
///
/// # Errors
///
/// That /proc can't be read.
pub(super) fn audit_session(pid: i32) -> io::Result<Option<u32>> {
    number(pid, "sessionid")
}

/// A file of a process; none if the process is gone. /proc gives a short file whole in one read(2), and every process is read at an end.
pub(super) fn read_of(pid: i32, file: &str) -> io::Result<Option<Vec<u8>>> {
    let read = || {
        let mut file = File::open(format!("/proc/{pid}/{file}"))?;
        let mut bytes = vec![0; ONE_READ];
        let length = file.read(&mut bytes)?;
        bytes.truncate(length);
        if length == ONE_READ {
            file.read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error of /proc means that the process is not there any more.
pub(super) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// A number that may be unset, or not be there on a kernel without audit.
pub(super) fn number(pid: i32, file: &str) -> io::Result<Option<u32>> {
    let number = read_of(pid, file)?.and_then(|bytes| String::from_utf8_lossy(&bytes).trim().parse().ok());
    Ok(number.filter(|&number| number != UNSET))
}
