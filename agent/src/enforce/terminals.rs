//! Warnings on the terminals of a session, as write(1) and wall(1) give them.

use super::processes::Process;
use crate::human::printable;
use nix::fcntl::OFlag;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

/// The device numbers of pseudo-terminals (pts(4)).
const PTS_MAJORS: std::ops::RangeInclusive<i32> = 136..=143;

/// Writes `message` on every pseudo-terminal that one of `processes` has. A terminal that takes nothing is passed over.
pub fn warn(processes: &[Process], message: &str) {
    let mut terminals: Vec<i32> = processes.iter().filter_map(|process| pseudo_terminal(process.tty)).collect();
    terminals.sort_unstable();
    terminals.dedup();
    for terminal in terminals {
        if let Err(error) = write(terminal, message) {
            tracing::debug!(terminal, "a terminal took no warning: {error}");
        }
    }
}

/// The number of the pseudo-terminal behind a device number of proc_pid_stat(5).
fn pseudo_terminal(device: i32) -> Option<i32> {
    let major = (device >> 8) & 0xfff;
    let minor = (device & 0xff) | ((device >> 12) & 0xfff00);
    PTS_MAJORS.contains(&major).then(|| (major - PTS_MAJORS.start()) * 256 + minor)
}

fn write(terminal: i32, message: &str) -> std::io::Result<()> {
    // A terminal that is stopped or full must not hold up the agent, and must not become its own.
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW;
    let path = format!("/dev/pts/{terminal}");
    let mut file = File::options().write(true).custom_flags(flags.bits()).open(path)?;
    let about = file.metadata()?;
    if !about.file_type().is_char_device() || !PTS_MAJORS.contains(&(((about.rdev() >> 8) & 0xfff) as i32)) {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    file.write_all(format!("\r\n\u{7}{}\r\n", printable(message)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_name_pseudo_terminals_and_nothing_else() {
        assert_eq!(pseudo_terminal(136 << 8 | 7), Some(7));
        assert_eq!(pseudo_terminal(137 << 8 | 1), Some(257));
        assert_eq!(pseudo_terminal(4 << 8 | 1), None);
        assert_eq!(pseudo_terminal(0), None);
    }
}
