//! What a process may do by its ids and capabilities (credentials(7), capabilities(7)).

use super::proc::read_of;
use std::io;

/// The ids, groups and capabilities of a process, or of one of its threads, as proc_pid_status(5) shows them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Credentials {
    /// Real, effective, saved and file system user id.
    pub uids: [u32; 4],
    /// Real, effective, saved and file system group id.
    pub gids: [u32; 4],
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The permitted capabilities, a bit each.
    pub permitted: u64,
}

impl Credentials {
    /// Reads them from a file of the process `pid`; none where that is gone.
    ///
    /// # Errors
    ///
    /// That /proc can't be read, or makes no sense.
    pub(super) fn of(pid: i32, file: &str) -> io::Result<Option<Self>> {
        let Some(status) = read_of(pid, file)? else { return Ok(None) };
        let status = String::from_utf8_lossy(&status);
        let read = Self::parse(&status);
        read.map(Some).ok_or_else(|| io::Error::other(format!("/proc/{pid}/{file} makes no sense: {status:?}")))
    }

    /// All rights that there are: those of what can't be told.
    pub(super) fn all() -> Self {
        Self { permitted: u64::MAX, ..Self::default() }
    }

    /// Reads them; none where the text makes no sense.
    fn parse(status: &str) -> Option<Self> {
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        let numbers = |text: &str| text.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u32>, _>>().ok();
        let four = |name: &str| <[u32; 4]>::try_from(numbers(line(name)?)?).ok();
        Some(Self {
            uids: four("Uid:")?,
            gids: four("Gid:")?,
            groups: numbers(line("Groups:").unwrap_or_default())?,
            permitted: u64::from_str_radix(line("CapPrm:").unwrap_or("0").trim(), 16).ok()?,
        })
    }

    /// The effective user id.
    pub fn euid(&self) -> u32 {
        let [_real, effective, _saved, _files] = self.uids;
        effective
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tperl\nUid:\t1001\t1000\t0\t1000\nGid:\t1001\t1001\t1001\t1001\n\
        Groups:\t27 1001 \nCapPrm:\t00000000000000c0\n";

    #[test]
    fn ids_groups_and_capabilities_are_read() {
        let read = Credentials::parse(STATUS).unwrap();
        assert_eq!(read.uids, [1001, 1000, 0, 1000]);
        assert_eq!((read.groups.as_slice(), read.permitted, read.euid()), ([27, 1001].as_slice(), 0xc0, 1000));
        assert_eq!(Credentials::parse("Uid:\t1\t2\t3\n"), None);
    }
}
