//! What a worker is told by flags or by the environment. Secrets come by the environment only.

use std::net::SocketAddr;

use clap::Parser;
use jobs::program::{ArtifactsArgs, JobsArgs};

/// Take jobs of apps from their queues, and have the gateway solve them.
#[derive(Debug, Clone, Parser)]
#[command(name = "appserver-worker", version)]
pub struct Config {
    /// The apps whose jobs are taken, with commas between them.
    #[arg(long, env = "APP_ID", value_delimiter = ',', required = true)]
    pub app_id: Vec<String>,
    /// The gateway.
    #[arg(long, env = "APP_SERVER_URL", default_value = "http://127.0.0.1:3000")]
    pub gateway: String,
    /// A service key of the role `worker`.
    #[arg(long, env = "APP_SERVER_KEY", hide_env_values = true, default_value = "")]
    pub key: String,
    #[command(flatten)]
    pub jobs: JobsArgs,
    #[command(flatten)]
    pub artifacts: ArtifactsArgs,
    /// Jobs that run at one time.
    #[arg(long, env = "JOBS_AT_ONCE", default_value_t = 4)]
    pub at_once: usize,
    /// How often a lease is renewed. It is granted for four times as long.
    #[arg(long, env = "LOCK_RENEW_SEC", default_value_t = 8)]
    pub lock_renew_sec: u64,
    /// The longest that one attempt may take.
    #[arg(long, env = "JOB_TIMEOUT_SEC", default_value_t = 600)]
    pub job_timeout_sec: u64,
    /// How long running jobs may take after SIGTERM before they are given back.
    #[arg(long, env = "DRAIN_SEC", default_value_t = 20)]
    pub drain_sec: u64,
    /// How often old jobs are forgotten, and blobs that no job names removed.
    #[arg(long, env = "UPKEEP_SEC", default_value_t = 3_600)]
    pub upkeep_sec: u64,
    /// How long a job is remembered after its end, with its result and its idempotency key: a day at least.
    #[arg(long, env = "JOB_RETENTION_SEC", default_value_t = 30 * 86_400)]
    pub job_retention_sec: u64,
    /// How old a blob must be that no job names before it is removed: an hour, and the time of a job, at least.
    #[arg(long, env = "ARTIFACT_GRACE_SEC", default_value_t = 86_400)]
    pub artifact_grace_sec: u64,
    /// Where /livez, /readyz, /metrics and /admin/log-level are answered, the last to programs on the same computer only.
    #[arg(long, env = "WORKER_LISTEN", default_value = "127.0.0.1:3002")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub operators: program::operators::Flags,
    #[command(flatten)]
    pub log: logs::Flags,
    #[command(flatten)]
    pub trace: trace::Flags,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Config::command().debug_assert();
    }
}
