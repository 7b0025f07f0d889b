//! Callers of an app, for as long as somebody looks at what the platform tells of them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::KEY;

/// They leave when it is dropped.
pub(crate) struct Traffic {
    client: reqwest::Client,
    callers: JoinSet<()>,
}

impl Traffic {
    pub(crate) fn new(client: &reqwest::Client) -> Self {
        Self { client: client.clone(), callers: JoinSet::new() }
    }

    /// Somebody who solves in a lane. Every third request asks what was asked before, every fifth what the contract does not allow.
    pub(crate) fn solve(&mut self, gateway: &str, app: &str, lane: &str, inputs: fn(f64) -> Value) {
        let (client, url) = (self.client.clone(), format!("{gateway}/gh/{app}:stable/solve?lane={lane}"));
        self.callers.spawn(async move {
            for turn in 0_u32.. {
                let width = if turn % 3 == 0 { 30.0 } else { 30.0 + f64::from(turn % 500) / 100.0 };
                let inputs = inputs(if turn % 5 == 4 { -1.0 } else { width });
                let _ = client.post(&url).bearer_auth(KEY).body(json!({ "inputs": inputs }).to_string()).send().await;
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
        });
    }

    /// Somebody who queues jobs at the app's API.
    pub(crate) fn queue(&mut self, api: &str, app: &str, token: String) {
        let (client, url, app) = (self.client.clone(), format!("{api}/{app}/jobs/run"), app.to_owned());
        self.callers.spawn(async move {
            for turn in 0_u32.. {
                let inputs = json!({ "site_width": 30.0 + f64::from(turn % 500) / 50.0, "site_depth": 41 });
                let body = json!({ "definition": app, "version": "stable", "inputs": inputs });
                let _ = client.post(&url).bearer_auth(&token).body(body.to_string()).send().await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
    }
}

/// What sitefit, and what was stamped from it, is asked.
pub(crate) fn site(width: f64) -> Value {
    json!({ "site_width": width, "site_depth": 40 })
}
