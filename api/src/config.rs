//! What the job API is told by flags or by the environment. Secrets come by the environment only.

use std::net::SocketAddr;

use clap::Parser;
use jobs::program::{ArtifactsArgs, JobsArgs};

/// Serve jobs over HTTP, of one app or of all.
#[derive(Debug, Clone, Parser)]
#[command(name = "appserver-api", version)]
pub struct Config {
    /// The only app that is served; all where it is absent.
    #[arg(long, env = "APP_ID")]
    pub app_id: Option<String>,
    /// Where to listen.
    #[arg(long, env = "API_LISTEN", default_value = "127.0.0.1:3001")]
    pub listen: SocketAddr,
    /// The port to listen on, in place of the one of `--listen`.
    #[arg(long, env = "PORT")]
    pub port: Option<u16>,
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
    /// 64 hexadecimal digits that sign links to artifacts: the same for every replica.
    #[arg(long, env = "LINK_KEY", hide_env_values = true)]
    pub link_key: Option<String>,
    /// Where the issuer of users' tokens publishes its keys.
    #[arg(long, env = "JWT_JWKS_URL")]
    pub jwks_url: String,
    /// What the tokens' `iss` must be.
    #[arg(long, env = "JWT_ISSUER")]
    pub issuer: String,
    /// What the tokens' `aud` must be, or hold.
    #[arg(long, env = "JWT_AUDIENCE", default_value = "authenticated")]
    pub audience: String,
    /// Where the tokens name the tenant, names with dots between them.
    #[arg(long, env = "JWT_TENANT_CLAIM", default_value = "app_metadata.tenant_id")]
    pub tenant_claim: String,
    /// Where the tokens list apps.
    #[arg(long, env = "JWT_APPS_CLAIM", default_value = "app_metadata.apps")]
    pub apps_claim: String,
    /// Where the tokens name the user's role.
    #[arg(long, env = "JWT_ROLE_CLAIM", default_value = "app_metadata.role")]
    pub role_claim: String,
    /// What addresses in answers begin with, such as `https://jobs.example`.
    #[arg(long, env = "PUBLIC_URL", default_value = "")]
    pub public_url: String,
    /// How often a job is tried that may fare better the next time.
    #[arg(long, env = "JOB_ATTEMPTS_MAX", default_value_t = 5)]
    pub attempts_max: u32,
    /// Where /metrics and /admin/log-level are answered for operators: a loopback address. Nowhere where it is absent.
    #[arg(long, env = "API_ADMIN_LISTEN")]
    pub admin_listen: Option<SocketAddr>,
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
