//! Filters all lists of swarm objects have in common.

use std::collections::BTreeMap;

/// Whether one of the texts begins with one of the values; no values match all.
pub(crate) fn any_prefix(values: Option<&Vec<String>>, texts: &[&str]) -> bool {
    let Some(values) = values.filter(|values| !values.is_empty()) else { return true };
    values
        .iter()
        .any(|value| texts.iter().any(|text| !text.is_empty() && text.starts_with(value.as_str())))
}

/// Whether the labels have all of `key` and `key=value`.
pub(crate) fn has_labels(
    wanted: Option<&Vec<String>>,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    let has = |wanted: &String| match wanted.split_once('=') {
        Some((key, value)) => labels.and_then(|labels| labels.get(key)).is_some_and(|v| v == value),
        None => labels.is_some_and(|labels| labels.contains_key(wanted)),
    };
    wanted.into_iter().flatten().all(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_prefixes_choose() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let wanted = |text: &str| vec![text.to_owned()];
        assert!(has_labels(Some(&wanted("a")), Some(&labels)));
        assert!(has_labels(Some(&wanted("a=b")), Some(&labels)));
        assert!(
            !has_labels(Some(&wanted("a=c")), Some(&labels))
                && !has_labels(Some(&wanted("x")), None)
        );
        assert!(any_prefix(None, &["x"]) && any_prefix(Some(&wanted("ab")), &["abc"]));
        assert!(!any_prefix(Some(&wanted("b")), &["abc"]));
    }
}
