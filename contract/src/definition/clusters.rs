//! Documents inside documents: a cluster carries its own archive in a byte array.
//!
//! Compute does not enter clusters for inputs and outputs, and the outer file does not list what they need. Invariant: all
//! nested archives of a file share one budget with it, so that nesting multiplies nothing.

use super::archive::{Archive, Value};
use super::canvas::{Canvas, Object};
use super::error::ReadError;
use super::guids;
use super::limits::Budget;
use super::model::{Problem, Severity, Spot};

/// The archive of a cluster at any depth.
#[derive(Debug)]
pub(super) struct Cluster {
    /// The cluster on the top-level canvas that it lies in.
    pub(super) within: Spot,
    pub(super) archive: Archive,
}

/// Reads every cluster of a document, and those inside them. What cannot be read is told and left out.
pub(super) fn read(canvas: &Canvas<'_>, budget: &mut Budget) -> (Vec<Cluster>, Vec<Problem>) {
    let (mut clusters, mut problems) = (Vec::new(), Vec::new());
    for object in canvas.objects.iter().filter(|object| object.component == guids::CLUSTER) {
        enter(object, &object.spot(), 1, budget, &mut clusters, &mut problems);
    }
    for cluster in &clusters {
        problems.extend(hidden(cluster));
    }
    (clusters, problems)
}

fn enter(
    object: &Object<'_>,
    within: &Spot,
    depth: usize,
    budget: &mut Budget,
    clusters: &mut Vec<Cluster>,
    problems: &mut Vec<Problem>,
) {
    let Some(Value::Bytes(bytes)) = object.container.item("ClusterDocument") else { return };
    let archive = if depth > budget.limits.cluster_depth {
        Err(super::limits::over("nested clusters", budget.limits.cluster_depth, super::error::Place::File))
    } else {
        Archive::read_within(bytes, budget)
    };
    match archive {
        Ok(archive) => {
            if let Some(document) = archive.document() {
                for inner in Canvas::new(document).objects.iter().filter(|inner| inner.component == guids::CLUSTER) {
                    enter(inner, within, depth + 1, budget, clusters, problems);
                }
            }
            clusters.push(Cluster { within: within.clone(), archive });
        }
        Err(error) => problems.push(unreadable(within, &error)),
    }
}

fn unreadable(within: &Spot, error: &ReadError) -> Problem {
    Problem {
        code: "cluster_unreadable",
        severity: Severity::Warning,
        message: format!("{within} cannot be looked into ({error}), so its plug-ins and scripts are not listed"),
        spot: Some(within.clone()),
        fix: "explode the cluster, or remove its password".to_owned(),
    }
}

/// What would be an input or output on the top level.
fn hidden(cluster: &Cluster) -> Option<Problem> {
    let canvas = Canvas::new(cluster.archive.document()?);
    let is_group = |object: &Object<'_>| {
        object.component == guids::GROUP && (object.nickname.contains("RH_IN") || object.nickname.contains("RH_OUT"))
    };
    let is_context = |object: &Object<'_>| {
        object.contextual_type().is_some()
            || object.component == guids::CONTEXT_BAKE
            || object.component == guids::CONTEXT_PRINT
    };
    let found = canvas.objects.iter().find(|object| is_group(object) || is_context(object))?;
    Some(Problem {
        code: "inside_cluster",
        severity: Severity::Error,
        message: format!("{} lies inside {}, and compute does not enter clusters", found.spot(), cluster.within),
        spot: Some(Spot { position: None, ..found.spot() }),
        fix: "move it out of the cluster, and connect it to an input or output of the cluster".to_owned(),
    })
}
