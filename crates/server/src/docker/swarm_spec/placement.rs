//! Where a task may run.

use serde_json::{Value, json};
use shoal_model::Platform;
use shoal_model::swarm::{Placement, PlacementPreference};

use super::super::wire::wire;
use super::{set, set_list};

wire!(
    /// `Placement`.
    PlacementDocument {
        constraints: Vec<String> = "Constraints",
        preferences: Vec<PreferenceDocument> = "Preferences",
        max_replicas: u64 = "MaxReplicas",
        platforms: Vec<PlatformDocument> = "Platforms",
    }
);

wire!(
    /// One of `Preferences`.
    PreferenceDocument { spread: SpreadDocument = "Spread" }
);

wire!(
    /// `Spread`.
    SpreadDocument { descriptor: String = "SpreadDescriptor" }
);

wire!(
    /// One of `Platforms`.
    PlatformDocument { architecture: String = "Architecture", os: String = "OS" }
);

impl PlacementDocument {
    /// The placement this document asks for.
    pub(super) fn into_domain(self) -> Placement {
        let Self { constraints, preferences, max_replicas, platforms } = self;
        let spread = |preference: PreferenceDocument| PlacementPreference::Spread {
            descriptor: preference.spread.descriptor,
        };
        let platform = |platform: PlatformDocument| Platform {
            os: platform.os,
            architecture: platform.architecture,
            variant: String::new(),
        };
        Placement {
            constraints,
            preferences: preferences.into_iter().map(spread).collect(),
            max_replicas,
            platforms: platforms.into_iter().map(platform).collect(),
        }
    }
}

/// A placement as Docker shows it.
pub(super) fn render_placement(placement: &Placement) -> Value {
    let Placement { constraints, preferences, max_replicas, platforms } = placement;
    let mut document = json!({});
    set_list(&mut document, "Constraints", constraints.is_empty(), || json!(constraints));
    set_list(&mut document, "Preferences", preferences.is_empty(), || {
        preferences.iter().map(render_preference).collect()
    });
    set(&mut document, "MaxReplicas", (*max_replicas != 0).then(|| json!(max_replicas)));
    set_list(&mut document, "Platforms", platforms.is_empty(), || {
        platforms.iter().map(render_platform).collect()
    });
    document
}

fn render_preference(preference: &PlacementPreference) -> Value {
    let PlacementPreference::Spread { descriptor } = preference;
    json!({ "Spread": { "SpreadDescriptor": descriptor } })
}

/// A platform as Docker shows it.
pub(super) fn render_platform(platform: &Platform) -> Value {
    let mut document = json!({});
    super::set_text(&mut document, "Architecture", &platform.architecture);
    super::set_text(&mut document, "OS", &platform.os);
    document
}
