//! `POST /build/prune`, and the build cache in `GET /system/df`.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use shoal_engine::events::ObjectType;
use shoal_model::Timestamp;

use super::body;
use super::builder::{CacheFilter, CacheRecord};
use super::error::{ApiError, Result};
use super::front::App;
use super::images::read_bool;
use super::query::{Filters, Query, only};
use super::time::parse_until;

/// The only type there is; BuildKit has others for what Shoal does not keep.
const TYPE: &str = "regular";

/// Forgets steps of the build cache.
pub(super) async fn prune(State(front): App, query: Query) -> Result<Response> {
    let filter = read_filter(&query, front.now())?;
    let pruned = front.blocking(move |front| front.builder.prune(&filter)).await?;
    let reclaimed = pruned.reclaimed.to_string();
    front.tell(ObjectType::Builder, "prune", "", &[("reclaimed", reclaimed)]);
    let ids = if pruned.ids.is_empty() { Value::Null } else { json!(pruned.ids) };
    Ok(body::ok(&json!({ "CachesDeleted": ids, "SpaceReclaimed": pruned.reclaimed })))
}

/// A record as Docker shows it.
pub(super) fn render(record: &CacheRecord) -> Value {
    json!({
        "ID": record.id,
        "Parents": null,
        "Type": TYPE,
        "Description": record.description,
        "InUse": record.in_use,
        "Shared": record.shared,
        "Size": record.size,
        "CreatedAt": record.created.rfc3339_nano(),
        "LastUsedAt": record.last_used.map(Timestamp::rfc3339_nano),
        "UsageCount": record.uses,
    })
}

fn read_filter(query: &Query, now: Timestamp) -> Result<CacheFilter> {
    for key in ["max-used-space", "min-free-space"] {
        if query.int(key)?.is_some_and(|bytes| bytes != 0) {
            return Err(ApiError::unsupported(format!("the parameter {key:?}")));
        }
    }
    let mut keep_bytes = 0;
    // The same under its older and its newer name.
    for key in ["keep-storage", "reserved-space"] {
        if let Some(bytes) = query.int(key)? {
            keep_bytes = u64::try_from(bytes)
                .map_err(|_| ApiError::invalid(format!("{key} cannot be less than 0: {bytes}")))?
                .max(keep_bytes);
        }
    }
    let filters = query.filters()?;
    only(
        &filters,
        &[
            "until",
            "unused-for",
            "id",
            "description",
            "type",
            "inuse",
            "shared",
            "private",
            "label",
            "label!",
        ],
    )?;
    if filters.contains_key("until") && filters.contains_key("unused-for") {
        return Err(ApiError::invalid("conflicting filters: \"until\" and \"unused-for\""));
    }
    let time = |key: &str| -> Result<Option<Timestamp>> {
        one(&filters, key)?.map(|text| parse_until(text, now)).transpose()
    };
    let private = flag(&filters, "private")?;
    let other_type = one(&filters, "type")?.is_some_and(|kind| kind != TYPE);
    Ok(CacheFilter {
        all: query.flag("all"),
        unused_since: time("until")?.or(time("unused-for")?),
        id: one(&filters, "id")?.map(str::to_owned),
        description: one(&filters, "description")?.map(str::to_owned),
        in_use: flag(&filters, "inuse")?,
        shared: flag(&filters, "shared")?.or(private.map(|private| !private)),
        // `system prune` hands its filter on; a step of the cache has no label.
        none: other_type || filters.contains_key("label"),
        keep_bytes,
    })
}

/// The value of a filter that takes one.
fn one<'a>(filters: &'a Filters, key: &str) -> Result<Option<&'a str>> {
    match filters.get(key).map(Vec::as_slice) {
        None => Ok(None),
        Some([value]) => Ok(Some(value)),
        Some(_) => Err(ApiError::invalid(format!("filters expect only one value: {key}"))),
    }
}

/// A filter that is true by being there.
fn flag(filters: &Filters, key: &str) -> Result<Option<bool>> {
    if filters.get(key).is_some_and(Vec::is_empty) {
        return Ok(Some(true));
    }
    one(filters, key)?.map(|value| read_bool(key, value)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<CacheFilter> {
        read_filter(&Query::parse(query), Timestamp::from_seconds(100))
    }

    fn record() -> CacheRecord {
        CacheRecord {
            id: "abc".into(),
            description: "RUN x".into(),
            in_use: false,
            shared: false,
            size: 5,
            created: Timestamp::from_seconds(20),
            last_used: None,
            uses: 0,
        }
    }

    #[test]
    fn what_the_cli_sends_is_understood() {
        let all = filter("all=1&filters=%7B%7D&keep-storage=7").expect("a filter");
        assert_eq!(all, CacheFilter { all: true, keep_bytes: 7, ..CacheFilter::default() });
        let old = filter("filters=%7B%22until%22%3A%7B%221m%22%3Atrue%7D%7D").expect("a filter");
        assert_eq!(old.unused_since, Some(Timestamp::from_seconds(40)));
        let label = filter("filters=%7B%22label%22%3A%5B%22a%22%5D%7D").expect("a filter");
        assert!(!label.takes(&record()));
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_by_name() {
        for (query, name) in [
            ("filters=%7B%22parent%22%3A%5B%22a%22%5D%7D", "parent"),
            ("filters=%7B%22id%22%3A%5B%22a%22%2C%22b%22%5D%7D", "id"),
            (
                "filters=%7B%22until%22%3A%5B%221m%22%5D%2C%22unused-for%22%3A%5B%221m%22%5D%7D",
                "until",
            ),
            ("max-used-space=5", "max-used-space"),
            ("keep-storage=-1", "keep-storage"),
        ] {
            let error = filter(query).expect_err(name);
            assert!(error.message().contains(name), "{}", error.message());
        }
    }

    #[test]
    fn a_step_in_use_stays_and_one_of_an_image_unless_all_go() {
        let some = CacheFilter::default();
        let all = CacheFilter { all: true, ..CacheFilter::default() };
        let shared = CacheRecord { shared: true, ..record() };
        let in_use = CacheRecord { in_use: true, ..record() };
        assert!(some.takes(&record()) && !some.takes(&shared) && all.takes(&shared));
        assert!(!all.takes(&in_use));
        let recent = CacheRecord { last_used: Some(Timestamp::from_seconds(90)), ..record() };
        let old = CacheFilter { unused_since: Some(Timestamp::from_seconds(40)), ..some };
        assert!(old.takes(&record()) && !old.takes(&recent));
    }

    #[test]
    fn a_record_has_dockers_fields() {
        let shown = render(&record());
        assert_eq!(shown["LastUsedAt"], Value::Null);
        assert_eq!((&shown["Type"], &shown["Size"]), (&json!("regular"), &json!(5)));
        assert_eq!(shown["CreatedAt"], "1970-01-01T00:00:20Z");
    }
}
