//! `/admin/log-level` on the operators' listener, answered as all programs do; here every change, and the end of one that was made for a
//! while, is an event.

use http_body_util::Full;
use logs::Level;
use program::operators::Operators;

use super::Admin;
use crate::gateway::{Request, Response};
use crate::registry::events::Events;

pub(super) async fn answer(admin: &Admin, operators: &Operators, request: Request) -> Response {
    let (response, changed) = operators.log_level(request, None).await;
    if let Some(changed) = changed {
        admin.registry.events().log_level(changed);
    }
    response.map(|body| Full::new(body.into()))
}

/// Ends changes that were made for a while, as long as the process lives.
///
/// Cancel safe.
pub async fn keep(level: &Level, events: &Events) {
    level.keep(|changed| events.log_level(changed.clone())).await;
}
