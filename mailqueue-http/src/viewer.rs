//! People who look at pages.

use hyper::header::HeaderName;
use mailqueue_core::{MessageId, Outbox, Status};

use crate::app::App;
use crate::auth::Scope;
use crate::shown_content::ShownContent;
use crate::wire::access::Access;
use crate::wire::cookie;
use crate::wire::problem::Problem;
use crate::wire::request::Request;

/// A person who is logged in, or works on this very machine.
pub(crate) struct Viewer {
    /// The mail that the person may see.
    pub(crate) outbox: Outbox,
    /// The name of the key or of the proxy's user; `None` on this machine.
    pub(crate) name: Option<String>,
    /// True where the person may change what becomes of mail.
    pub(crate) may_change: bool,
    /// True where the person can log out here.
    pub(crate) has_session: bool,
    /// The content to show.
    pub(crate) shown: ShownContent,
}

impl App {
    /// The person behind a request for a page: by a login here, by that of a proxy, or on this machine while no API key
    /// is set. `None` for anybody else, and for a login whose key may not look at mail.
    ///
    /// # Errors
    ///
    /// 429 for a key that is used too often.
    pub(crate) fn viewer(&self, request: &Request) -> Result<Option<Viewer>, Problem> {
        let options = self.options();
        let viewer = |outbox, name, may_change, has_session| {
            Ok(Some(Viewer { outbox, name, may_change, has_session, shown: options.shown_content }))
        };
        if let Some(session) = cookie::session(&request.head.headers) {
            let client = options.api_keys.client_of(session, self.outbox().clock().now());
            if let Some(client) = client.filter(|client| client.scope().allows(Access::Read)) {
                self.count_key(request, &client)?;
                let may_change = client.scope().allows(Access::Change);
                let outbox = self.outbox_for(&client, Access::Read);
                return viewer(outbox, Some(client.tenant().to_owned()), may_change, true);
            }
        }
        if let Some(name) = options.user.as_ref().and_then(|header| user(request, header)) {
            return viewer(self.outbox().clone(), Some(name), true, false);
        }
        if request.local && options.api_keys.is_empty() {
            return viewer(self.outbox().clone(), None, true, false);
        }
        Ok(None)
    }

    /// True where somebody could log in.
    pub(crate) fn has_logins(&self) -> bool {
        let keys = &self.options().api_keys;
        [Scope::Full, Scope::Read, Scope::Operate].into_iter().any(|scope| keys.have(scope))
    }
}

/// The person that a proxy names. Two names are none: one of them was sent by the client.
fn user(request: &Request, header: &HeaderName) -> Option<String> {
    let name = request.single(header.clone()).ok()??;
    let name = std::str::from_utf8(name).ok()?.trim();
    (1..=128).contains(&name.len()).then(|| name.to_owned())
}

impl Viewer {
    /// Refuses a person who may only look.
    ///
    /// # Errors
    ///
    /// 403
    pub(crate) fn only_changing(&self) -> Result<(), Problem> {
        let detail = "This login may look at mail, and change nothing.";
        if self.may_change { Ok(()) } else { Err(Problem::restricted_key(detail)) }
    }

    /// Logs that this person has changed a message.
    pub(crate) fn log_change(&self, id: MessageId, change: &'static str, status: Status) {
        let by = self.name.as_deref().unwrap_or("local");
        tracing::info!(event = "message.changed", message_id = %id, change, %status, by, "somebody has changed a message");
    }
}
