//! Between rows and jobs, the same for both databases.
//!
//! Invariant: what cannot be read back as this version writes it is [`Error::Corrupt`], never a guess and never a panic.

use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::{ColumnIndex, Decode, Type};
use uuid::Uuid;

use crate::decide::{Micros, Row};
use crate::job::{ARTIFACTS_MAX, INLINE_BYTES_MAX};
use crate::{
    AppId, Entry, Error, Idempotency, Inputs, Job, JobId, Kind, NewJob, ResultRef, Scope, State, Stats, Submitted,
    Tenant,
};

/// Every column of `job` that [`job`] and [`decisive`] read.
macro_rules! columns {
    () => {
        "tenant_id, app_id, id, definition, version, digest, inputs, inputs_artifact, state, attempts, attempts_max, token, \
         lease_until, cancel_requested, created_at, due_at, started_at, finished_at, result, failure, traceparent, tracestate, \
         idempotency_key, request_digest, seq"
    };
}
pub(crate) use columns;

/// What the types of a row have to be decodable as.
pub(crate) trait Readable<'r>: sqlx::Row
where
    &'static str: ColumnIndex<Self>,
{
    fn text(&'r self, column: &'static str) -> Result<String, Error>;
    fn text_or_none(&'r self, column: &'static str) -> Result<Option<String>, Error>;
    fn int(&'r self, column: &'static str) -> Result<i64, Error>;
    fn int_or_none(&'r self, column: &'static str) -> Result<Option<i64>, Error>;
    fn flag(&'r self, column: &'static str) -> Result<bool, Error>;
    fn id(&'r self, column: &'static str) -> Result<JobId, Error>;
}

impl<'r, R: sqlx::Row> Readable<'r> for R
where
    &'static str: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
{
    fn text(&'r self, column: &'static str) -> Result<String, Error> {
        Ok(self.try_get(column)?)
    }

    fn text_or_none(&'r self, column: &'static str) -> Result<Option<String>, Error> {
        Ok(self.try_get(column)?)
    }

    fn int(&'r self, column: &'static str) -> Result<i64, Error> {
        Ok(self.try_get(column)?)
    }

    fn int_or_none(&'r self, column: &'static str) -> Result<Option<i64>, Error> {
        Ok(self.try_get(column)?)
    }

    fn flag(&'r self, column: &'static str) -> Result<bool, Error> {
        Ok(self.try_get(column)?)
    }

    fn id(&'r self, column: &'static str) -> Result<JobId, Error> {
        Ok(JobId(self.try_get(column)?))
    }
}

/// A job out of its row.
pub(crate) fn job<'r, R: Readable<'r>>(row: &'r R) -> Result<Job, Error>
where
    &'static str: ColumnIndex<R>,
{
    let inputs = match (row.text_or_none("inputs")?, row.text_or_none("inputs_artifact")?) {
        (Some(json), None) => Inputs::inline(json).map_err(|error| corrupt("inputs", &error))?,
        (None, Some(json)) => Inputs::Artifact(parse("inputs_artifact", &json)?),
        (Some(_), Some(_)) | (None, None) => return Err(Error::Corrupt("inputs: both or neither".to_owned())),
    };
    Ok(Job {
        id: row.id("id")?,
        scope: Scope {
            tenant: name(&row.text("tenant_id")?, Tenant::new)?,
            app: name(&row.text("app_id")?, AppId::new)?,
        },
        definition: row.text("definition")?,
        version: row.text("version")?,
        digest: row.text("digest")?,
        inputs,
        state: state(row)?,
        attempts: count(row.int("attempts")?)?,
        attempts_max: count(row.int("attempts_max")?)?,
        cancel_requested: row.flag("cancel_requested")?,
        created_at: time(row.int("created_at")?)?,
        due_at: time(row.int("due_at")?)?,
        started_at: row.int_or_none("started_at")?.map(time).transpose()?,
        finished_at: row.int_or_none("finished_at")?.map(time).transpose()?,
        result: row.text_or_none("result")?.map(|json| parse("result", &json)).transpose()?,
        failure: row.text_or_none("failure")?.map(|json| parse("failure", &json)).transpose()?,
        traceparent: row.text_or_none("traceparent")?,
        tracestate: row.text_or_none("tracestate")?,
        idempotency_key: row.text_or_none("idempotency_key")?,
    })
}

/// The part of a row that is decided on.
pub(crate) fn decisive<'r, R: Readable<'r>>(row: &'r R) -> Result<Row, Error>
where
    &'static str: ColumnIndex<R>,
{
    Ok(Row {
        state: state(row)?,
        attempts: count(row.int("attempts")?)?,
        attempts_max: count(row.int("attempts_max")?)?,
        token: row.int("token")?,
        lease_until: row.int_or_none("lease_until")?,
        cancel_requested: row.flag("cancel_requested")?,
        due_at: row.int("due_at")?,
        started_at: row.int_or_none("started_at")?,
        finished_at: row.int_or_none("finished_at")?,
        seq: row.int("seq")?,
    })
}

/// A line of a job's history out of its row.
pub(crate) fn entry<'r, R: Readable<'r>>(row: &'r R) -> Result<Entry, Error>
where
    &'static str: ColumnIndex<R>,
{
    let kind = row.text("kind")?;
    Ok(Entry {
        seq: u64::try_from(row.int("seq")?).map_err(|error| corrupt("seq", &error))?,
        at: time(row.int("at")?)?,
        kind: Kind::named(&kind).ok_or_else(|| Error::Corrupt(format!("kind: {kind}")))?,
        state: state(row)?,
        attempt: count(row.int("attempt")?)?,
        code: row.text_or_none("code")?,
    })
}

fn state<'r, R: Readable<'r>>(row: &'r R) -> Result<State, Error>
where
    &'static str: ColumnIndex<R>,
{
    let name = row.text("state")?;
    State::named(&name).ok_or_else(|| Error::Corrupt(format!("state: {name}")))
}

fn name<T>(text: &str, read: impl FnOnce(&str) -> Result<T, crate::BadName>) -> Result<T, Error> {
    read(text).map_err(|error| corrupt("name", &error))
}

fn count(number: i64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|error| corrupt("count", &error))
}

pub(crate) fn time(micros: Micros) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros).map_err(|error| corrupt("time", &error))
}

/// Microseconds of a duration; what does not fit is as long as anything can be.
pub(crate) fn micros(duration: Duration) -> Micros {
    // A hundred years: far from what a sum of two of these could overflow by.
    const LONGEST: Micros = 100 * 366 * 86_400 * 1_000_000;
    Micros::try_from(duration.as_micros()).unwrap_or(LONGEST).min(LONGEST)
}

/// A blob's length as a database keeps it.
pub(crate) fn length(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(crate) fn parse<T: DeserializeOwned>(column: &str, json: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| corrupt(column, &error))
}

pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| corrupt("json", &error))
}

fn corrupt(column: &str, error: &dyn std::error::Error) -> Error {
    Error::Corrupt(format!("{column}: {error}"))
}

/// The database's clock, where it was asked for with the row.
pub(crate) fn now<'r, R: Readable<'r>>(row: &'r R) -> Result<Micros, Error>
where
    &'static str: ColumnIndex<R>,
{
    row.int("now_at")
}

/// What a key means that was used before: for this very request, or for another.
pub(crate) fn same_request<'r, R: Readable<'r>>(row: &'r R, idempotency: &Idempotency) -> Result<Submitted, Error>
where
    &'static str: ColumnIndex<R>,
{
    let same = row.text_or_none("request_digest")?.as_deref() == Some(idempotency.request_digest.as_str());
    if same { Ok(Submitted::Existing(job(row)?)) } else { Ok(Submitted::Conflict) }
}

/// A queue's figures out of one row of them.
pub(crate) fn stats<'r, R: Readable<'r>>(row: &'r R, now: Micros) -> Result<Stats, Error>
where
    &'static str: ColumnIndex<R>,
{
    let figure = |column| Ok::<_, Error>(u64::try_from(row.int(column)?).unwrap_or(0));
    let age = |oldest: Micros| Duration::from_micros(u64::try_from(now - oldest).unwrap_or(0));
    Ok(Stats {
        ready: figure("ready")?,
        scheduled: figure("scheduled")?,
        held: figure("held")?,
        dead: figure("dead")?,
        oldest_age: row.int_or_none("oldest")?.map(age),
    })
}

/// The two columns that inputs are kept in: as they are, or the artifact that they are in.
pub(crate) fn inputs(new: &NewJob) -> Result<(Option<String>, Option<String>), Error> {
    match &new.inputs {
        Inputs::Inline(json) if json.get().len() > INLINE_BYTES_MAX => {
            Err(Error::TooLarge { what: "inputs", bytes: json.get().len() })
        }
        Inputs::Inline(inputs) => Ok((Some(inputs.get().to_owned()), None)),
        Inputs::Artifact(artifact) => Ok((None, Some(json(artifact)?))),
    }
}

/// The text that a result is kept as.
pub(crate) fn result(result: &ResultRef) -> Result<String, Error> {
    let text = json(result)?;
    // Receipts are small; artifacts are counted, because each has a row.
    if result.artifacts.len() > ARTIFACTS_MAX || text.len() > INLINE_BYTES_MAX * 4 {
        return Err(Error::TooLarge { what: "result", bytes: text.len() });
    }
    Ok(text)
}
