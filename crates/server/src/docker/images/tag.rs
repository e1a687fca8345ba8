//! `POST /images/{name}/tag`.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use http::StatusCode;
use shoal_engine::events::ObjectType;
use shoal_model::Reference;

use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::Query;

/// Gives an image another name.
pub(super) async fn tag(State(front): App, name: &str, query: &Query) -> Result<Response> {
    let repository =
        query.get("repo").ok_or_else(|| ApiError::invalid("invalid reference format"))?;
    let target = target(repository, query.get("tag"))?;
    let source = name.to_owned();
    let stored = target.clone();
    front.blocking(move |front| front.images.tag(&source, &stored)).await?;
    let image = front.images.resolve(&target.familiar())?;
    front.tell(ObjectType::Image, "tag", image.id.as_str(), &[("name", &target.familiar())]);
    Ok(StatusCode::CREATED.into_response())
}

/// The reference of `repo` and `tag`.
///
/// # Errors
/// Docker's text for what is no reference.
pub(super) fn target(repository: &str, tag: Option<&str>) -> Result<Reference> {
    let reference = Reference::parse(repository)?;
    let reference = match tag {
        Some(tag) => reference.with_tag(tag)?,
        None => reference,
    };
    checked(reference.with_default_tag())
}

/// A name an image may get.
///
/// # Errors
/// For the one that reads like an id.
pub(in super::super) fn checked(reference: Reference) -> Result<Reference> {
    if reference.familiar_name() == "sha256" {
        let reason = "refusing to create an ambiguous tag using digest algorithm as name";
        return Err(ApiError::invalid(reason));
    }
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_image_is_named_like_an_id() {
        let error = target("sha256", Some("abc")).expect_err("refused");
        assert!(error.message().contains("ambiguous tag"), "{}", error.message());
        assert_eq!(target("a/sha256", None).expect("a name").familiar(), "a/sha256:latest");
    }
}
