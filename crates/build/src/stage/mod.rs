//! What the instructions of a stage do to its image's configuration.
//!
//! Pure: a state and an instruction in, a step out; a step and what came of it
//! in, the next state out. Which steps touch files is said by [`Step`]; doing
//! so is the solver's business.

mod change;
mod changes;
mod go_text;
mod ports;
mod resolve;

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use shoal_image::{History, ImageConfig};
use shoal_model::{Digest, Platform};

use crate::{cache_key::CacheKey, graph::PREDEFINED};

pub use change::Change;
pub use changes::changes;
pub use resolve::{CopySource, CopyStep, Step};
pub(crate) use resolve::{Scope, resolve};

/// The shell of `RUN`, `CMD` and `ENTRYPOINT` where `SHELL` names no other.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// The `PATH` of an image that says none.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The diff id of an empty tar: a layer that is none.
const EMPTY_LAYER: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

/// A stage between two of its steps.
#[derive(Debug, Clone)]
pub struct State {
    /// The image so far.
    pub config: ImageConfig,
    /// The identity of everything so far.
    pub key: CacheKey,
    /// The image it was built on.
    pub parent: Option<Digest>,
    args: BTreeMap<String, Option<String>>,
    /// `CMD` was given in this stage.
    cmd_set: bool,
    /// A step came after the base.
    touched: bool,
}

impl State {
    /// A stage on nothing.
    pub fn scratch(platform: &Platform) -> Self {
        let key = CacheKey::base(None, &platform.to_string());
        Self::begin(ImageConfig::new(platform), key, None)
    }

    /// A stage on an image.
    pub fn image(id: &Digest, config: ImageConfig, platform: &Platform) -> Self {
        let key = CacheKey::base(Some(id), &platform.to_string());
        Self::begin(config, key, Some(id.clone()))
    }

    /// A stage on an earlier one: its image, and what its arguments were at the
    /// end, which BuildKit hands on as well.
    pub fn stage(base: &Self) -> Self {
        let stage = Self::begin(base.config.clone(), base.key.clone(), base.parent.clone());
        Self { args: base.args.clone(), touched: base.touched, ..stage }
    }

    /// Whether this is the base and no more: then nothing new is made of it.
    pub fn is_untouched(&self) -> bool {
        !self.touched
    }

    fn begin(mut config: ImageConfig, key: CacheKey, parent: Option<Digest>) -> Self {
        // How the base was made is not how this image is made; `os.version`
        // and the like go on.
        config.other.retain(|name, _| name.starts_with("os."));
        config.config.other.remove("Image");
        config.comment.clear();
        if !config.config.env.iter().any(|variable| variable.starts_with("PATH=")) {
            config.config.env.push(DEFAULT_PATH.to_owned());
        }
        Self { config, key, parent, args: BTreeMap::new(), cmd_set: false, touched: false }
    }

    /// Takes the triggers of the base out of the configuration.
    pub fn take_triggers(&mut self) -> Vec<String> {
        std::mem::take(&mut self.config.config.on_build)
    }

    /// The shell of the shell forms.
    pub fn shell(&self) -> Vec<String> {
        match &self.config.config.shell {
            Some(shell) if !shell.is_empty() => shell.clone(),
            _ => DEFAULT_SHELL.map(str::to_owned).to_vec(),
        }
    }

    /// The value of a variable in an instruction: `ENV` goes before `ARG`.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.env(name).or_else(|| self.args.get(name).cloned().flatten())
    }

    fn env(&self, name: &str) -> Option<String> {
        self.config.config.env.iter().find_map(|variable| match variable.split_once('=') {
            Some((key, value)) if key == name => Some(value.to_owned()),
            _ => None,
        })
    }

    /// The arguments a `RUN` sees as variables, sorted; those that `ENV` has
    /// set are not among them.
    pub fn run_args(&self, build_args: &BTreeMap<String, Option<String>>) -> Vec<String> {
        let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
        for name in PREDEFINED {
            if let Some(Some(value)) = build_args.get(name) {
                seen.insert(name, value);
            }
        }
        for (name, value) in &self.args {
            if let Some(value) = value {
                seen.insert(name, value);
            }
        }
        seen.into_iter()
            .filter(|(name, _)| self.env(name).is_none())
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// The arguments that belong to the identity and history of a `RUN`: all
    /// but predefined ones that were not declared.
    pub fn recorded_args(&self, build_args: &BTreeMap<String, Option<String>>) -> Vec<String> {
        let mut args = self.run_args(build_args);
        args.retain(|arg| {
            let name = arg.split('=').next().unwrap_or_default();
            self.args.contains_key(name) || !PREDEFINED.contains(&name)
        });
        args
    }

    /// Goes on after a step: its layer, if it made one, and its line in the
    /// history.
    pub fn advance(
        &mut self,
        key: CacheKey,
        layer: Option<&Digest>,
        created: &str,
        created_by: String,
    ) {
        self.touched = true;
        let layer = layer.filter(|layer| layer.as_str() != EMPTY_LAYER);
        // What the step gave goes into the identity of the next one: a step
        // that ran again with another result must not meet old followers.
        self.key = match layer {
            Some(layer) => key.step(["layer", layer.as_str()]),
            None => key,
        };
        self.config.rootfs.diff_ids.extend(layer.cloned());
        self.config.created = Some(created.to_owned());
        self.config.history.push(History {
            created: Some(created.to_owned()),
            created_by,
            author: self.config.author.clone(),
            comment: String::new(),
            empty_layer: layer.is_none(),
        });
    }

    /// The id of the image so far.
    pub fn id(&self) -> Digest {
        // A map of strings and plain values has no way to fail.
        let bytes = serde_json::to_vec(&self.config).unwrap_or_default();
        Digest::sha256(Sha256::digest(bytes).into())
    }
}

#[cfg(test)]
mod tests;
