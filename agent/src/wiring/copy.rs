//! Copies in `/etc/pam.d` of service files that the distribution keeps in [`VENDOR_FOLDER`](super::VENDOR_FOLDER) alone. Our first mark says that a
//! file is one, and what was copied: a copy that nobody has changed goes when it is unwired, and is made anew when the distribution has
//! changed its file; one that somebody has changed is theirs.

use super::marks::{END, unwired};
use crate::enforce::residue::file::sha256;

/// How the first mark of a copy begins; the digest of what was copied follows, and then [`GOES_ON`].
const BEGINS: &[u8] = b"# curfew begin: a copy of the file in /usr/lib/pam.d (SHA-256 ";

const GOES_ON: &[u8] = b"); `curfew disable` removes it\n";

/// A copy, not yet wired.
pub(super) fn of(vendors: &[u8]) -> Vec<u8> {
    [BEGINS, sha256(vendors).as_bytes(), GOES_ON, END.as_bytes(), vendors].concat()
}

/// The first mark of a copy.
pub(super) fn mark(text: &[u8]) -> Option<&[u8]> {
    let mark = text.split_inclusive(|&byte| byte == b'\n').next()?;
    digest(mark).map(|_| mark)
}

/// Whether it is a copy, and nobody has changed it.
pub(super) fn is_untouched(text: &[u8]) -> bool {
    mark(text).and_then(digest).is_some_and(|digest| digest == sha256(&unwired(text)).as_bytes())
}

fn digest(mark: &[u8]) -> Option<&[u8]> {
    mark.strip_prefix(BEGINS)?.strip_suffix(GOES_ON)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, marks::wired};
    use super::*;

    #[test]
    fn a_copy_stays_known_as_one_until_somebody_changes_it() {
        let vendors = b"account required pam_unix.so\n";
        let mut copy = wired(&of(vendors), Kind::Login);
        assert!(is_untouched(&copy));
        assert_eq!(wired(&copy, Kind::Login), copy);
        assert_eq!(unwired(&copy), vendors);
        copy.extend_from_slice(b"# theirs\n");
        assert!(mark(&copy).is_some() && !is_untouched(&copy));
        assert!(!is_untouched(vendors) && !is_untouched(&wired(vendors, Kind::Login)));
    }
}
