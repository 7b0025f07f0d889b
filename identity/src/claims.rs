//! What a token says, once its signature is known to be good: is it for us, is it in force, and whom does it name.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// No clock of a server is further off; the same as the most that any rule may set.
const LEEWAY_SEC_MAX: u64 = 30;
/// The last second of the year 9999: a later `exp` is a slip, in milliseconds most likely.
const TIME_MAX: u64 = 253_402_300_799;
const APPS_MAX: usize = 500;

/// What a token must say.
#[derive(Debug, Clone)]
pub struct Rules {
    pub issuer: String,
    /// One of the token's audiences must be this one.
    pub audience: String,
    /// How far the issuer's clock may be off, at most 30 s.
    pub leeway_sec: u64,
    pub claims: Claims,
}

/// Where in the claims what we need stands, each as names with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub tenant: String,
    /// The apps that the user may use of those that the tenant may; all of these where the claim is absent.
    pub apps: String,
    pub role: String,
}

/// Whom a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub subject: String,
    pub tenant: String,
    pub role: Option<String>,
    /// The only apps that the user may use; none where the tenant's are.
    pub apps: Option<BTreeSet<String>>,
    /// The second from which on the token is not in force, since 1970.
    pub expires: u64,
}

impl Default for Claims {
    /// Supabase's layout: what only the operator may set stands in `app_metadata`.
    fn default() -> Self {
        let name = |last: &str| format!("app_metadata.{last}");
        Self { tenant: name("tenant_id"), apps: name("apps"), role: name("role") }
    }
}

/// Whom the claims name, at a moment.
pub(crate) fn read(rules: &Rules, claims: &Map<String, Value>, now: u64) -> Result<Identity, &'static str> {
    let leeway = rules.leeway_sec.min(LEEWAY_SEC_MAX);
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(rules.issuer.as_str()) {
        return Err("`iss` is another issuer");
    }
    let meant = match claims.get("aud") {
        Some(Value::String(one)) => *one == rules.audience,
        Some(Value::Array(several)) => {
            several.iter().all(Value::is_string) && several.iter().any(|one| one.as_str() == Some(&rules.audience))
        }
        _ => false,
    };
    if !meant {
        return Err("`aud` is another audience");
    }
    let expires = time(claims, "exp")?.ok_or("`exp` is missing")?;
    if now >= expires.saturating_add(leeway) {
        return Err("the token has expired");
    }
    for begin in ["nbf", "iat"] {
        if time(claims, begin)?.is_some_and(|begin| begin > now.saturating_add(leeway)) {
            return Err("the token is not in force yet");
        }
    }
    let subject = text("sub").filter(|sub| (1..=256).contains(&sub.len())).ok_or("`sub` is missing")?;
    let tenant = at(claims, &rules.claims.tenant).and_then(Value::as_str).filter(|tenant| is_tenant(tenant));
    let apps = match at(claims, &rules.claims.apps) {
        None | Some(Value::Null) => None,
        Some(Value::Array(apps)) if apps.len() <= APPS_MAX => {
            let apps = apps.iter().map(|app| app.as_str().map(str::to_owned)).collect::<Option<_>>();
            Some(apps.ok_or("the claim of the apps is no list of names")?)
        }
        Some(_) => return Err("the claim of the apps is no list of names"),
    };
    Ok(Identity {
        subject: subject.to_owned(),
        tenant: tenant.ok_or("no tenant is named")?.to_owned(),
        role: at(claims, &rules.claims.role).and_then(Value::as_str).map(str::to_owned),
        apps,
        expires,
    })
}

/// A moment is a whole number of seconds: text, fractions and negative ones are refused.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<u64>, &'static str> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => {
            let seconds = value.as_u64().filter(|seconds| (1..=TIME_MAX).contains(seconds));
            seconds.map(Some).ok_or("a time is no whole number of seconds")
        }
    }
}

/// What stands under names with dots between them.
fn at<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

/// As `tenants.json` spells them: the name stands in rows, paths and logs.
fn is_tenant(word: &str) -> bool {
    let fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&word.len())
        && fit(word.as_bytes()[0])
        && word.bytes().all(|byte| fit(byte) || byte == b'-' || byte == b'_')
}
