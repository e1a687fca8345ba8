//! Names for what its creator gave none: an adjective and a sea creature.

/// What a creature can be like.
const ADJECTIVES: [&str; 64] = [
    "agile", "amber", "brave", "breezy", "bright", "calm", "candid", "cheerful", "clever", "coral",
    "cosy", "curious", "daring", "deep", "drifting", "eager", "early", "elegant", "fair",
    "fearless", "gentle", "glad", "gleaming", "golden", "graceful", "happy", "hardy", "honest",
    "humble", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow", "merry",
    "mighty", "modest", "nimble", "patient", "placid", "playful", "polite", "proud", "quick",
    "quiet", "radiant", "roaming", "serene", "shiny", "silent", "silver", "smooth", "steady",
    "sunny", "swift", "tidal", "tranquil", "upbeat", "vivid", "warm", "witty",
];

/// Who lives in the sea.
const CREATURES: [&str; 64] = [
    "abalone",
    "albacore",
    "anchovy",
    "anemone",
    "barnacle",
    "barracuda",
    "beluga",
    "blenny",
    "bonito",
    "bream",
    "capelin",
    "clam",
    "clownfish",
    "cockle",
    "cod",
    "conch",
    "cowrie",
    "crab",
    "cuttlefish",
    "dolphin",
    "dorado",
    "dugong",
    "eel",
    "flounder",
    "goby",
    "grouper",
    "haddock",
    "hake",
    "halibut",
    "herring",
    "jellyfish",
    "krill",
    "lamprey",
    "limpet",
    "lobster",
    "mackerel",
    "manatee",
    "manta",
    "marlin",
    "minke",
    "mullet",
    "mussel",
    "narwhal",
    "nautilus",
    "octopus",
    "orca",
    "oyster",
    "pilchard",
    "plaice",
    "pollock",
    "porpoise",
    "prawn",
    "puffin",
    "sardine",
    "scallop",
    "seahorse",
    "seal",
    "shrimp",
    "sprat",
    "squid",
    "starfish",
    "tuna",
    "turtle",
    "urchin",
];

/// Tries before a number is added: with 4,096 pairs and 500 names taken, ten
/// misses in a row have a chance below one in a billion.
pub const PLAIN_TRIES: u32 = 10;

/// The name these random bytes choose; from the [`PLAIN_TRIES`]th attempt on with a number.
pub fn name(random: [u8; 4], attempt: u32) -> String {
    let adjective = ADJECTIVES[usize::from(random[0]) % ADJECTIVES.len()];
    let creature = CREATURES[usize::from(random[1]) % CREATURES.len()];
    if attempt < PLAIN_TRIES {
        format!("{adjective}_{creature}")
    } else {
        format!("{adjective}_{creature}{}", u16::from_le_bytes([random[2], random[3]]))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_a_container_name() {
        for first in 0..=u8::MAX {
            let name = name([first, first.wrapping_mul(7), 1, 2], 0);
            assert!(shoal_model::names::check("container", &name).is_ok(), "{name}");
        }
        assert_eq!(name([0, 0, 1, 0], PLAIN_TRIES), "agile_abalone1");
    }

    #[test]
    fn no_word_is_there_twice() {
        assert_eq!(BTreeSet::from(ADJECTIVES).len(), ADJECTIVES.len());
        assert_eq!(BTreeSet::from(CREATURES).len(), CREATURES.len());
    }
}
