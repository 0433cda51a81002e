//! Copies in `/etc/pam.d` of service files that the distribution keeps in [`VENDOR_FOLDER`](super::VENDOR_FOLDER) alone. Our first mark says that a
//! file is one, and what was copied: a copy that nobody has changed goes when it is unwired, and is made anew when the distribution has
//! changed its file. One that somebody has changed is theirs: it stays, and is wired like any other.

use super::kind::Kind;
use super::marks::{unwired, wired_below};
use crate::digest::sha256;

/// How the first mark of a copy begins; the digest of what was copied follows, and then [`GOES_ON`].
const BEGINS: &[u8] = b"# curfew begin: a copy of the file in /usr/lib/pam.d (SHA-256 ";

const GOES_ON: &[u8] = b"); `curfew disable` removes it\n";

/// A copy, wired.
pub(super) fn of(vendors: &[u8], kind: Kind) -> Vec<u8> {
    wired_below(&[BEGINS, sha256(vendors).as_bytes(), GOES_ON].concat(), vendors, kind)
}

/// Whether it is a copy, and nobody has changed it.
pub(super) fn is_untouched(text: &[u8]) -> bool {
    let mark = text.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
    let digest = mark.strip_prefix(BEGINS).and_then(|rest| rest.strip_suffix(GOES_ON));
    digest.is_some_and(|digest| digest == sha256(&unwired(text)).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::marks::wired;

    #[test]
    fn a_copy_is_known_as_one_until_somebody_changes_it() {
        for vendors in ["account required pam_unix.so\n", "account required pam_unix.so", ""] {
            let mut copy = of(vendors.as_bytes(), Kind::Login);
            assert!(is_untouched(&copy));
            assert_eq!(unwired(&copy), vendors.as_bytes());
            copy.extend_from_slice(b"# theirs\n");
            assert!(!is_untouched(&copy) && !is_untouched(&wired(&copy, Kind::Login)));
            assert!(!is_untouched(&wired(vendors.as_bytes(), Kind::Login)) && !is_untouched(vendors.as_bytes()));
        }
    }
}
