//! The Node AppServer's addresses: the list of definitions, a definition's description, solves by query, and its pages.
//!
//! Invariant: what was a hole there stays closed: no address reads a file, and HEAD solves nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::question::{self, Names, Question, Said};
use super::{Call, Wish, address, describe, reply, solve, wants_page};
use crate::gateway::Error;
use crate::gateway::authorize::Identity;
use crate::gateway::stage::Reply;
use crate::registry::{App, Release};
use contract::policy::Describe;

// === impl Call ===

impl Call {
    /// `GET /`: what the caller may use, or the page that shows it.
    pub(super) async fn list(self) -> Result<Reply, Error> {
        if !matches!(*self.method(), Method::GET | Method::HEAD) {
            return Err(Error::MethodNotAllowed { allowed: "GET, HEAD" });
        }
        if wants_page(self.seen.http().headers().get(http::header::ACCEPT)) {
            return self.page();
        }
        let identity = self.identify().await;
        let listed = self.listed(identity.as_ref().ok());
        // Hops takes the first of the list without looking whether there is one.
        match identity {
            Err(refusal) if listed.is_empty() => Err(refusal),
            _ => Ok(reply("application/json", Value::from(listed).to_string())),
        }
    }

    /// One entry for each definition: the version that its `stable` stands for.
    fn listed(&self, identity: Option<&Identity>) -> Vec<Value> {
        let nodes = &self.faces.parts.nodes;
        let visible = |app_id: &str, describe: Describe| match identity {
            Some(identity) => identity.may_use(&self.snapshot, app_id),
            // A key that is wrong opens nothing.
            None => describe == Describe::Public && !self.has_key(),
        };
        let apps = self.snapshot.apps.values();
        let apps = apps.filter_map(|app| Some((app, app.policy.as_ref()?)));
        let apps = apps.filter(|(app, policy)| visible(&app.app_id, policy.describe));
        let entries = |(app, _): (&Arc<App>, _)| {
            let contracts = app.releases.values().filter_map(|release| release.contract());
            let definitions: BTreeSet<&str> = contracts.map(|contract| contract.manifest.definition.as_str()).collect();
            let entry = |definition: &str| {
                let stable = app.resolve(definition, "stable", |contract| nodes.attestation(contract).is_ready()).ok();
                // Where there are pre-releases only, the highest of them.
                let of_definition = |release: &&Arc<Release>| release.definition() == definition;
                let release = stable.or_else(|| app.releases.values().rev().find(of_definition))?;
                let contract = release.contract()?;
                let title = contract.manifest.title.as_deref();
                let uri = format!("/gh/{definition}/{}", release.version);
                Some(json!({ "name": describe::file_name(contract), "uri": uri, "description": title }))
            };
            definitions.into_iter().filter_map(entry).collect::<Vec<_>>()
        };
        apps.flat_map(entries).collect()
    }

    /// `GET /sitefit.gh`
    pub(super) async fn described(self, definition: &str) -> Result<Reply, Error> {
        if !matches!(*self.method(), Method::GET | Method::HEAD) {
            return Err(Error::MethodNotAllowed { allowed: "GET, HEAD" });
        }
        let dialect = solve::Compute::describing(&self.faces, &self.snapshot);
        self.send(Wish::Describe, definition, "stable", dialect).await
    }

    /// `GET|HEAD|POST /solve/sitefit.gh?site_width=30`
    pub(super) async fn by_query(self, name: &str) -> Result<Reply, Error> {
        let target = address::name(name).ok_or(Error::UnknownRoute)?;
        match *self.method() {
            // It may be solved, and that is all that is told.
            Method::HEAD => {
                let dialect = solve::Compute::describing(&self.faces, &self.snapshot);
                self.send(Wish::Describe, &target.definition, &target.version, dialect).await
            }
            Method::GET => {
                let pairs = question::pairs(self.seen.http().uri().query().unwrap_or_default())?;
                let names = Names { pointer: None, algo: None };
                let inputs_bytes = self.seen.http().uri().query().map_or(0, str::len) as u64;
                let question = Question { names, said: Said::Pairs(pairs), inputs_bytes, hops: false };
                let dialect = solve::Compute::asking(&self.faces, &self.snapshot, question, None);
                self.send(Wish::Solve, &target.definition, &target.version, dialect).await
            }
            _ => Err(Error::MethodNotAllowed { allowed: "GET, HEAD" }),
        }
    }

    /// `GET /view/sitefit.gh`: our own page.
    pub(super) fn view(&self, name: &str) -> Result<Reply, Error> {
        let target = address::name(name).ok_or(Error::UnknownRoute)?;
        self.redirect(&format!("/gh/{}:{}", target.definition, target.version))
    }

    pub(super) fn redirect(&self, to: &str) -> Result<Reply, Error> {
        if !matches!(*self.method(), Method::GET | Method::HEAD) {
            return Err(Error::MethodNotAllowed { allowed: "GET, HEAD" });
        }
        super::redirect(to)
    }
}
