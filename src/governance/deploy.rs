//! What deploys an app: its shim for Terragrunt, its workflow, the file that its images are made of. Each is a few lines that name the app,
//! and nothing else of a repository has to change.
//!
//! Invariant: nothing that is there is overwritten, and where anything is there, nothing is written.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const SHIM: &str = include_str!("deploy/terragrunt.hcl");
const WORKFLOW: &str = include_str!("deploy/workflow.yml");
const IMAGES: &str = include_str!("deploy/Dockerfile");

/// A container app's name has 32 characters at most, and `worker-<app_id>` is one; infra/modules/app-stack says the same.
const ID_BYTES_MAX: usize = 24;

/// The files of one app in one environment, not yet written.
#[derive(Debug)]
pub struct Deploy {
    root: PathBuf,
    /// From the repository's root, with their text.
    files: Vec<(PathBuf, String)>,
}

// === impl Deploy ===

impl Deploy {
    /// What deploys the app from the repository at `root` to `environment`.
    ///
    /// # Errors
    /// When the id does not fit Azure's names, the environment is none of the repository's, or a file is there already.
    pub fn of(root: &Path, environment: &str, app_id: &str) -> io::Result<Self> {
        let unfit = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        if !(2..=ID_BYTES_MAX).contains(&app_id.len()) || app_id.contains("--") || app_id.ends_with('-') {
            return Err(unfit(format!(
                "`{app_id}` can be no name in Azure: 2 to {ID_BYTES_MAX} characters, without two `-` in a row or one at the end"
            )));
        }
        let live = Path::new("infra/live").join(environment);
        let plain = environment.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit());
        if environment.is_empty() || !plain || !root.join(&live).join("env.hcl").is_file() {
            return Err(unfit(format!(
                "{} has no {}: copy infra/ into the repository, or name another environment",
                root.display(),
                live.join("env.hcl").display()
            )));
        }
        let text = |template: &str| template.replace("APP_ID", app_id);
        let files = vec![
            (live.join("apps").join(app_id).join("terragrunt.hcl"), text(SHIM)),
            (
                PathBuf::from(format!(".github/workflows/app-{app_id}.yml")),
                text(WORKFLOW).replace("infra/live/dev/", &format!("infra/live/{environment}/"))
                    + &if environment == "dev" { String::new() } else { format!("      environment: {environment}\n") },
            ),
            (Path::new("apps").join(app_id).join("Dockerfile"), text(IMAGES)),
        ];
        if let Some((taken, _)) = files.iter().find(|(file, _)| fs::symlink_metadata(root.join(file)).is_ok()) {
            let why = format!("{} is there already; nothing was written", root.join(taken).display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(Self { root: root.to_owned(), files })
    }

    /// Their places below the repository's root.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|(path, _)| path.as_path())
    }

    /// Writes them.
    ///
    /// # Errors
    /// When one cannot be written; those before it stay.
    pub fn write(&self) -> io::Result<()> {
        for (path, text) in &self.files {
            let path = self.root.join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for environment in ["dev", "prod"] {
            let folder = root.path().join("infra/live").join(environment);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("env.hcl"), "").unwrap();
        }
        root
    }

    #[test]
    fn three_files_name_the_app_and_nothing_is_overwritten() {
        let root = repository();
        let deploy = Deploy::of(root.path(), "dev", "room").unwrap();
        deploy.write().unwrap();
        let paths: Vec<_> = deploy.paths().map(|path| path.to_str().unwrap().to_owned()).collect();
        let expected =
            ["infra/live/dev/apps/room/terragrunt.hcl", ".github/workflows/app-room.yml", "apps/room/Dockerfile"];
        assert_eq!(paths, expected);
        for path in &paths {
            let text = fs::read_to_string(root.path().join(path)).unwrap();
            assert!(text.contains("room") && !text.contains("APP_ID:") && !text.contains("APP_ID\""), "{path}: {text}");
        }
        fs::remove_file(root.path().join(&paths[0])).unwrap();
        let again = Deploy::of(root.path(), "dev", "room").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists, "{again}");
        assert!(!root.path().join(&paths[0]).exists());
    }

    #[test]
    fn another_environment_is_said_where_it_matters() {
        let root = repository();
        Deploy::of(root.path(), "prod", "room").unwrap().write().unwrap();
        let text = fs::read_to_string(root.path().join(".github/workflows/app-room.yml")).unwrap();
        assert!(text.contains("infra/live/prod/apps/room/**") && text.ends_with("environment: prod\n"), "{text}");
        for environment in ["", "staging", "..", "../live/dev"] {
            assert!(Deploy::of(root.path(), environment, "shed").is_err(), "{environment}");
        }
    }

    #[test]
    fn an_id_that_azure_cannot_have_is_refused() {
        let root = repository();
        for id in ["a", "a--b", "a-", "a-name-that-is-far-too-long"] {
            assert!(Deploy::of(root.path(), "dev", id).is_err(), "{id}");
        }
    }
}
