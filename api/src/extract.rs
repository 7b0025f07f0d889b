//! What a request says, read strictly: what does not fit is an [`Error`] in our words, not the framework's.

use axum::extract::{FromRequestParts, Path, Query};
use http::HeaderMap;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::Error;

/// The names in the address.
#[derive(Debug)]
pub(crate) struct At<T>(pub(crate) T);

/// The query, every member of it known.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        // A name that is no UTF-8 once it is decoded names nothing.
        let path = Path::<T>::from_request_parts(parts, state).await.map_err(|_unnamed| Error::UnknownRoute)?;
        Ok(Self(path.0))
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|query| Self(query.0)).map_err(|rejection| Error::BadQuery(rejection.body_text()))
    }
}

/// A header's text, if it is there once and is text.
pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Error> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_binary| Error::BadRequest("a header is not text")),
        (Some(_), Some(_)) => Err(Error::BadRequest("a header is there twice")),
    }
}
