//! What kind of PAM service asks, by the lists of the configuration, and what is known of some services by their names.

use super::Config;

/// What kind of service asks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// People log in by it.
    Login,
    /// Runs what was left for later.
    Background,
    /// Turns somebody into somebody else.
    Elevation,
    /// In no list: not ours to judge.
    Other,
}

impl Config {
    /// What kind of service `service` is.
    pub fn kind(&self, service: &str) -> Kind {
        let lists = |list: &[String]| list.iter().any(|name| name == service);
        if lists(&self.elevation_services) {
            Kind::Elevation
        } else if lists(&self.login_services) {
            Kind::Login
        } else if lists(&self.background_services) {
            Kind::Background
        } else {
            Kind::Other
        }
    }
}

/// Whether a service asks for anything that the user may do into whom it turns: no rules of Curfew's say which commands it runs.
pub fn runs_anything(service: &str) -> bool {
    matches!(service, "su" | "su-l" | "polkit-1" | "doas")
}

/// Whether what a service may do is not known beforehand, nor into whom it turns: it is judged as root's work.
pub fn is_roots_work(service: &str) -> bool {
    matches!(service, "polkit-1" | "doas")
}

/// Whether a service is su, by whatever name.
pub fn is_su(service: &str) -> bool {
    service.starts_with("su") && !service.starts_with("sudo")
}

/// Whether the rules of a service include those of another one of ours, on some distribution: PAM asks twice then.
pub fn is_asked_twice(service: &str) -> bool {
    matches!(service, "su-l" | "sudo-i")
}
