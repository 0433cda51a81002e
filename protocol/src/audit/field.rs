//! What a record says beside its event: one table.

use serde::{Deserialize, Serialize};

macro_rules! fields {
    ($($(#[doc = $doc:literal])* $variant:ident $name:literal $journal:literal)*) => {
        /// What a record says beside its event.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
        pub enum Field {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Field {
            /// Every field, in the order of a CSV's columns.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its key in JSON.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Its name in the journal.
            pub fn journal_name(self) -> &'static str {
                match self { $(Self::$variant => $journal,)* }
            }
        }
    };
}

fields! {
    /// Why a grant ended: expired, revoked or superseded. Of what was ended with a grant: who revoked that and why, or what else its end came of;
    /// the reason is the grant's own.
    End "end" "CURFEW_END"
    /// Who acts.
    User "user" "CURFEW_USER"
    /// Whom an elevation turns into.
    RunAs "run_as" "CURFEW_RUN_AS"
    /// The PAM service.
    Service "service" "CURFEW_SERVICE"
    /// Where a login comes from.
    Rhost "rhost" "CURFEW_RHOST"
    /// The terminal.
    Tty "tty" "CURFEW_TTY"
    /// The asking process.
    Pid "pid" "CURFEW_PID"
    /// The logind session.
    Session "session" "CURFEW_SESSION"
    /// The command as it was typed.
    Command "command" "CURFEW_COMMAND"
    /// The file name of the program that sudo runs, without the path and the options that anybody may vary.
    Program "program" "CURFEW_PROGRAM"
    /// The grant behind it.
    Grant "grant" "CURFEW_GRANT"
    /// The request behind the grant.
    Request "request" "CURFEW_REQUEST"
    /// When the access ends.
    NotAfter "not_after" "CURFEW_NOT_AFTER"
    /// permit, deny or would_deny.
    Outcome "outcome" "CURFEW_OUTCOME"
    /// Why, in one word.
    ReasonCode "reason_code" "CURFEW_REASON_CODE"
    /// Why, in the words of whoever asked, or what was wrong.
    Reason "reason" "CURFEW_REASON"
    /// The ticket behind the grant.
    Ticket "ticket" "CURFEW_TICKET"
    /// Who asked for the grant.
    RequestedBy "requested_by" "CURFEW_REQUESTED_BY"
    /// Who approved the grant.
    ApprovedBy "approved_by" "CURFEW_APPROVED_BY"
    /// Where the grant or set came from: endpoint or local.
    Source "source" "CURFEW_SOURCE"
    /// The version of the endpoint's set.
    SetVersion "set_version" "CURFEW_SET_VERSION"
    /// enforce or observe.
    Mode "mode" "CURFEW_MODE"
    /// What was killed: names and counts.
    Killed "killed" "CURFEW_KILLED"
    /// How many processes could not be killed.
    Survivors "survivors" "CURFEW_SURVIVORS"
    /// From the end of the grant to the last process's death, in milliseconds.
    LatencyMs "latency_ms" "CURFEW_LATENCY_MS"
    /// What changed on the host while sudo by a grant was live: one short text each.
    Residue "residue" "CURFEW_RESIDUE"
    /// How many events this record stands for, where it is not one; how many records were dropped.
    Count "count" "CURFEW_COUNT"
    /// When the first of those happened.
    First "first" "CURFEW_FIRST"
    /// When the last of those happened.
    Last "last" "CURFEW_LAST"
    /// What was counted, where it was not all the same: one short text each.
    Counted "counted" "CURFEW_COUNTED"
    /// The number of the first record that was dropped.
    From "from" "CURFEW_FROM"
    /// The number of the last record that was dropped.
    To "to" "CURFEW_TO"
    /// What the check of a local grant's commands found, where root had them taken all the same: one sentence each.
    Unchecked "unchecked" "CURFEW_UNCHECKED"
    /// Whether the endpoint has what was dropped: yes, no or unknown.
    Shipped "shipped" "CURFEW_SHIPPED"
    /// The login services that a grant opens, each, or `any`; none where it opens no login.
    LoginServices "login_services" "CURFEW_LOGIN_SERVICES"
    /// The networks that a grant lets people log in from, or `anywhere`.
    LoginFrom "login_from" "CURFEW_LOGIN_FROM"
    /// The commands that a grant lets sudo run, each shortened where it is long, or `ALL`; none where it gives no sudo.
    SudoCommands "sudo_commands" "CURFEW_SUDO_COMMANDS"
    /// The users that a grant lets sudo run them as.
    SudoRunAs "sudo_run_as" "CURFEW_SUDO_RUN_AS"
    /// Who did it: the person behind root's shell, or behind sudo of another person's, by the name of their login.
    Actor "actor" "CURFEW_ACTOR"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_same_name_in_json_and_in_the_journal() {
        for field in Field::ALL {
            assert_eq!(field.journal_name(), format!("CURFEW_{}", field.name().to_uppercase()));
        }
    }
}
