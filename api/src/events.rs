//! `GET /{app_id}/jobs/{job_id}/events`: what happens to a job, as server-sent events; whoever comes back goes on where it left.
//!
//! Invariant: a stream ends with the job or with the token, and the number of streams is bounded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use http::HeaderMap;
use jobs::{Entry, JobId, Scope, Watch};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::extract::{At, text};
use crate::{Api, Error, auth, read};

/// Proxies cut connections that are silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

struct Follower {
    api: Arc<Api>,
    scope: Scope,
    id: JobId,
    watch: Watch,
    /// The last one that was sent.
    seq: u64,
    pending: std::collections::VecDeque<Entry>,
    over: bool,
    end: Instant,
    _place: OwnedSemaphorePermit,
}

pub(crate) async fn events(
    State(api): State<Arc<Api>>,
    At((app_id, job_id)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let caller = auth::scope(&api, &headers, &app_id).await?;
    let seq = match text(&headers, "last-event-id")? {
        None | Some("") => 0,
        Some(id) => id.parse().map_err(|_other| Error::BadRequest("Last-Event-ID is none of ours"))?,
    };
    let job = read::find(&api, &caller, &job_id).await?;
    let place = Arc::clone(&api.waiting).try_acquire_owned().map_err(|_full| Error::Overloaded)?;
    let follower = Follower {
        watch: api.parts.store.watch(job.id),
        scope: caller.scope.clone(),
        id: job.id,
        seq,
        pending: std::collections::VecDeque::new(),
        over: false,
        end: Instant::now() + caller.remaining(),
        api,
        _place: place,
    };
    let stream = stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

// === impl Follower ===

impl Follower {
    /// The next event; none when there will be no other.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(entry) = self.pending.pop_front() {
                self.seq = entry.seq;
                self.over = entry.state.is_final();
                let event = Event::default().id(entry.seq.to_string()).event(entry.kind.as_str());
                // None is made that cannot be written.
                return Some(event.data(serde_json::to_string(&entry).unwrap_or_default()));
            }
            let left = self.end.saturating_duration_since(Instant::now());
            if self.over || left.is_zero() {
                return None;
            }
            match self.api.parts.store.events(&self.scope, self.id, self.seq).await {
                Ok(entries) if entries.is_empty() => {
                    // Who comes back after the last entry learns that there is no other.
                    let job = self.api.parts.store.get(&self.scope, self.id).await.ok()??;
                    if job.state.is_final() {
                        return None;
                    }
                    self.watch.changed(left).await;
                }
                Ok(entries) => self.pending = entries.into(),
                // The client comes back by itself, with the last id.
                Err(error) => {
                    tracing::warn!(%error, "events cannot be read");
                    return None;
                }
            }
        }
    }
}
