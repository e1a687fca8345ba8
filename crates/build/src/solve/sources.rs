//! `--cache-from`: steps out of the histories of images, as Docker's classic
//! builder takes them.
//!
//! A step is found where an image was made of the very steps and layers there
//! are so far, and then of one that reads alike. A line of the history tells
//! what counts: arguments, and the checksums of what was copied.

use shoal_image::ImageConfig;

use crate::CachedStep;

/// The step after `so_far` in an image, if it is the one wanted.
pub(super) fn find(
    image: &ImageConfig,
    so_far: &ImageConfig,
    created_by: &str,
) -> Option<CachedStep> {
    let rest = image.history.strip_prefix(so_far.history.as_slice())?;
    let layers = image.rootfs.diff_ids.strip_prefix(so_far.rootfs.diff_ids.as_slice())?;
    let next = rest.first().filter(|next| next.created_by == created_by)?;
    let layer = if next.empty_layer { None } else { Some(layers.first()?.clone()) };
    Some(CachedStep {
        layer,
        created: next.created.clone()?,
        description: String::new(),
        other: Default::default(),
    })
}

#[cfg(test)]
mod tests {
    use shoal_image::History;
    use shoal_model::{Digest, Platform};

    use super::*;

    fn image(steps: &[(&str, Option<u8>)]) -> ImageConfig {
        let mut image = ImageConfig::new(&Platform::host());
        for (created_by, layer) in steps {
            image.rootfs.diff_ids.extend(layer.map(|layer| Digest::sha256([layer; 32])));
            image.history.push(History {
                created: Some("2026-01-02T03:04:05Z".into()),
                created_by: (*created_by).into(),
                empty_layer: layer.is_none(),
                ..History::default()
            });
        }
        image
    }

    #[test]
    fn a_step_is_the_next_one_after_the_same_steps_and_layers() {
        let whole = image(&[("ADD", Some(1)), ("ENV", None), ("RUN", Some(2))]);
        let find = |so_far: &[(&str, Option<u8>)], next| find(&whole, &image(so_far), next);
        let layer = |step: Option<CachedStep>| step.map(|step| step.layer);
        let digest = |byte| Digest::sha256([byte; 32]);
        assert_eq!(layer(find(&[], "ADD")), Some(Some(digest(1))));
        assert_eq!(layer(find(&[("ADD", Some(1))], "ENV")), Some(None));
        let both = [("ADD", Some(1)), ("ENV", None)];
        assert_eq!(layer(find(&both, "RUN")), Some(Some(digest(2))));
        assert_eq!(find(&both, "RUN x"), None);
        assert_eq!(find(&[("ADD", Some(3)), ("ENV", None)], "RUN"), None);
        assert_eq!(find(&[("ADD", Some(1)), ("ENV x", None)], "RUN"), None);
        let all = [both[0], both[1], ("RUN", Some(2))];
        assert_eq!(find(&all, "RUN"), None);
    }
}
