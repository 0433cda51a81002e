//! A certificate for trying an endpoint out, and the CA that signs it.

use super::InitError;
use super::files::{make_file, make_folder};
use super::undo::Undo;
use crate::config::Config;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use std::path::Path;

/// What this machine is called by itself.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// For how long the certificate for trying it out is good, in years.
const YEARS: i32 = 10;

/// A certificate for the origins' names and for this machine itself, and the CA that signed it; unless there is a certificate.
pub(super) fn make_certificate(config: &Config, undo: &mut Undo) -> Result<bool, InitError> {
    if config.certificate.exists() {
        return Ok(false);
    }
    let year = Timestamp::now().to_zoned(TimeZone::UTC).year();
    let (begin, end) = (date_time_ymd(i32::from(year) - 1, 1, 1), date_time_ymd(i32::from(year) + YEARS, 1, 1));
    let mut names: Vec<String> = config.origins.iter().map(|origin| name_of(origin)).collect();
    names.extend(LOCAL.map(str::to_owned).into_iter().filter(|name| !names.contains(name)).collect::<Vec<_>>());
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "Curfew endpoint's own CA");
    (ca.not_before, ca.not_after) = (begin, end);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_pem = ca_key.serialize_pem();
    let ca = CertifiedIssuer::self_signed(ca, ca_key)?;
    let mut server = CertificateParams::new(names.clone())?;
    server.distinguished_name.push(DnType::CommonName, names.first().map_or("curfew-server", String::as_str));
    (server.not_before, server.not_after) = (begin, end);
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let server_key = KeyPair::generate()?;
    let server = server.signed_by(&server_key, &ca)?;
    let (certificate, key) = (server.pem(), server_key.serialize_pem());
    for (path, text) in [
        (config.ca.clone(), ca.pem()),
        (config.ca.with_extension("key"), ca_pem),
        (config.certificate.clone(), certificate),
        (config.certificate_key.clone(), key),
    ] {
        make_folder(path.parent().unwrap_or(Path::new("/")), undo)?;
        make_file(&path, text.as_bytes(), undo)?;
    }
    Ok(true)
}

/// `https://NAME:PORT` without the scheme and the port.
fn name_of(origin: &str) -> String {
    let name = origin.strip_prefix("https://").unwrap_or(origin);
    let name = match name.strip_prefix('[').and_then(|name| name.split_once(']')) {
        Some((address, _)) => address,
        None => name.split_once(':').map_or(name, |(name, _)| name),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_name_of_an_origin() {
        for (origin, name) in [
            ("https://curfew.example.org:8443", "curfew.example.org"),
            ("https://127.0.0.1:8443", "127.0.0.1"),
            ("https://[::1]:8443", "::1"),
            ("https://curfew", "curfew"),
        ] {
            assert_eq!(name_of(origin), name);
        }
    }
}
