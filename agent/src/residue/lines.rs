//! Files that are lists: keys, groups, accounts. Each line is an item, so that the report names what was added.

use super::kind::Kind;
use super::snapshot::{Fingerprint, Snapshot};
use crate::digest::sha256;
use crate::host::files::printable;
use sha2::{Digest, Sha256};

/// The longest comment or list of members that is shown, in characters.
const SHOWN: usize = 120;

/// Adds the keys of an authorized_keys file (sshd(8)), by type, fingerprint and comment. Any other line may be a secret that a link
/// leads to: it is named by its hash alone.
///
/// `changed` is when the file was: each of its keys may have come then.
pub fn keys(snapshot: &mut Snapshot, path: &str, changed: i64, text: &[u8]) {
    for line in lines(text).filter(|line| !line.starts_with(b"#")) {
        let name = match key(line) {
            Some(key) => format!("{path}: {key}"),
            None => format!("{path}: a line that is no key (sha256 {:.16})", sha256(line)),
        };
        // Options count, too: without its `command=` a key gives a shell.
        snapshot.add(Kind::AuthorizedKeys, name, Fingerprint { shown: String::new(), compared: sha256(line), changed });
    }
}

fn key(line: &[u8]) -> Option<String> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let is_type = |word: &&[u8]| [&b"ssh-"[..], b"ecdsa-sha2-", b"sk-"].iter().any(|begin| word.starts_with(begin));
    let kind = words.by_ref().find(is_type)?;
    let blob = from_base64(words.next()?)?;
    let comment = words.map(printable).collect::<Vec<_>>().join(" ");
    let fingerprint = to_base64(Sha256::digest(blob).as_slice());
    Some(format!("{} SHA256:{fingerprint:.12} {}", printable(kind), clipped(&comment)).trim_end().to_owned())
}

/// Adds the accounts of a passwd file (passwd(5)).
pub fn accounts(snapshot: &mut Snapshot, text: &[u8]) {
    for line in lines(text) {
        let mut fields = line.split(|&byte| byte == b':').map(|field| clipped(&printable(field)));
        let mut field = || fields.next().unwrap_or_default();
        let (name, _, uid, gid, _, home, shell) = (field(), field(), field(), field(), field(), field(), field());
        let shown = format!("uid {uid} gid {gid} home {home} shell {shell}");
        snapshot.add(Kind::Account, name, Fingerprint { shown, compared: sha256(line), changed: 0 });
    }
}

/// Adds the passwords of a shadow file (shadow(5)): that one changed, never what it is.
pub fn passwords(snapshot: &mut Snapshot, text: &[u8]) {
    for line in lines(text) {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        let fingerprint = Fingerprint { shown: String::new(), compared: sha256(line), changed: 0 };
        snapshot.add(Kind::Account, format!("password of {}", clipped(&printable(name))), fingerprint);
    }
}

/// Adds the groups of a group file with their members (group(5)).
pub fn groups(snapshot: &mut Snapshot, text: &[u8]) {
    for line in lines(text) {
        let mut fields = line.split(|&byte| byte == b':');
        let name = fields.next().unwrap_or_default();
        let gid = fields.nth(1).unwrap_or_default();
        let members = fields.next().unwrap_or_default();
        let members = members.split(|&byte| byte == b',').map(printable).collect::<Vec<_>>().join(" ");
        let shown = format!("gid {} members {}", clipped(&printable(gid)), clipped(&members)).trim_end().to_owned();
        snapshot.add(Kind::Group, clipped(&printable(name)), Fingerprint { shown, compared: sha256(line), changed: 0 });
    }
}

/// The homes in a passwd file, each with whose it is.
pub fn homes(text: &[u8]) -> impl Iterator<Item = (&[u8], Option<u32>)> {
    let homes = lines(text).filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let uid = std::str::from_utf8(fields.nth(2)?).ok().and_then(|uid| uid.parse().ok());
        Some((fields.nth(2)?, uid))
    });
    homes.filter(|(home, _)| home.starts_with(b"/"))
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

fn clipped(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.trim_ascii_end().iter().filter(|&&letter| letter != b'=') {
        let value = BASE64.iter().position(|it| it == letter)?;
        bits = (bits << 6 | u32::try_from(value).ok()?) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    (bytes.len() > 8).then_some(bytes)
}

/// Without padding, as ssh-keygen(1) prints fingerprints.
fn to_base64(bytes: &[u8]) -> String {
    let sextets = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(move |place| bits >> (18 - 6 * place) & 63).collect::<Vec<_>>()
    };
    bytes.chunks(3).flat_map(sextets).filter_map(|value| BASE64.get(value).copied().map(char::from)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIh8r2nMCZ2VdVUQLdMNlNMvpEe7CbnRHcZTW4gvBAhV";

    fn names(kind: Kind, add: impl Fn(&mut Snapshot)) -> Vec<String> {
        let mut snapshot = Snapshot::new();
        add(&mut snapshot);
        snapshot.of(kind).iter().map(|(name, it)| format!("{name} {}", it.shown).trim_end().to_owned()).collect()
    }

    #[test]
    fn a_key_is_named_by_type_fingerprint_and_comment_as_ssh_keygen_does() {
        let text =
            format!("# mine\n\ncommand=\"a b\",no-pty {KEY} eve@far\n{KEY}\nroot:$6$secret:1:2\nssh-ed25519 short\n");
        let mut snapshot = Snapshot::new();
        keys(&mut snapshot, "/root/.ssh/authorized_keys", 7, text.as_bytes());
        let names: Vec<&str> = snapshot.of(Kind::AuthorizedKeys).keys().map(String::as_str).collect();
        let key = "/root/.ssh/authorized_keys: ssh-ed25519 SHA256:YVmL3EJPPtwD";
        assert!(names.contains(&key), "{names:#?}");
        assert!(names.contains(&format!("{key} eve@far").as_str()), "{names:#?}");
        assert_eq!(names.iter().filter(|name| name.contains("a line that is no key (sha256 ")).count(), 2);
        assert!(!names.concat().contains("secret"));
    }

    #[test]
    fn accounts_and_groups_show_what_counts_and_passwords_nothing() {
        assert_eq!(
            names(Kind::Account, |it| accounts(it, b"eve:x:0:0:Eve, E.:/root:/bin/bash\nodd\n")),
            ["eve uid 0 gid 0 home /root shell /bin/bash", "odd uid  gid  home  shell"]
        );
        assert_eq!(
            names(Kind::Group, |it| groups(it, b"sudo:x:27:ops,alice\nempty:x:9:\n")),
            ["empty gid 9 members", "sudo gid 27 members ops alice"]
        );
        assert_eq!(names(Kind::Account, |it| passwords(it, b"root:$y$j9T$secret:1::\n")), ["password of root"]);
    }

    #[test]
    fn homes_are_absolute() {
        let found: Vec<_> = homes(b"a:x:1:1::/home/a:/bin/sh\nb:x:1:1::here:\nc:x\nd:x:-:1::/home/d:\n").collect();
        assert_eq!(found, [(&b"/home/a"[..], Some(1)), (b"/home/d", None)]);
    }

    #[test]
    fn base64_is_read_and_written() {
        assert_eq!(from_base64(b"aGVsbG8gd29ybGQ=").unwrap(), b"hello world");
        assert_eq!(to_base64(b"hello world"), "aGVsbG8gd29ybGQ");
        assert_eq!(to_base64(b"hello worl"), "aGVsbG8gd29ybA");
        assert!(from_base64(b"not base64 at all").is_none());
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_list_is_printable_and_short(
            lines in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b':'), Just(b' '), any::<u8>()], 0..400), 0..9)
        ) {
            let text = lines.join(&b'\n');
            let mut snapshot = Snapshot::new();
            keys(&mut snapshot, "/k", 0, &[b"ssh-rsa ", KEY.as_bytes(), b"\n", &text].concat());
            accounts(&mut snapshot, &text);
            passwords(&mut snapshot, &text);
            groups(&mut snapshot, &text);
            for kind in [Kind::AuthorizedKeys, Kind::Account, Kind::Group] {
                for (name, fingerprint) in snapshot.of(kind) {
                    prop_assert!(!name.chars().chain(fingerprint.shown.chars()).any(|c| c.is_control() || c == ','));
                    prop_assert!(name.len() < 5 * SHOWN && fingerprint.shown.len() < 20 * SHOWN);
                }
            }
        }
    }
}
