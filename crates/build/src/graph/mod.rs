//! From instructions to stages: what each begins with, which others it needs,
//! and which of them a target needs at all.
//!
//! Pure. A graph displays as its plan, which is what the tests compare.

mod args;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use shoal_model::Platform;

use crate::{
    BuildError, BuildRequest,
    dockerfile::{Arg, Command, Dockerfile, From, Instruction},
    expand,
};

pub use args::{PREDEFINED, platform_args};

/// The stages of a Dockerfile and how they hang together.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The `ARG`s before the first stage, with their values.
    pub global_args: BTreeMap<String, Option<String>>,
    /// The texts of those instructions, which count as steps.
    pub global_steps: Vec<String>,
    /// All stages in the order of the file.
    pub stages: Vec<Stage>,
    /// The stage whose image is wanted.
    pub target: usize,
    /// The stages to build, in order.
    pub needed: BTreeSet<usize>,
    /// The escape character of the file.
    pub escape: char,
}

/// One stage.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Its name.
    pub name: Option<String>,
    /// What it begins with.
    pub base: Base,
    /// What it is built for.
    pub platform: Platform,
    /// Its `FROM`.
    pub from: Instruction,
    /// What follows.
    pub instructions: Vec<Instruction>,
    /// The stages it needs, its base included.
    pub needs: BTreeSet<usize>,
}

/// What a stage begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// Nothing.
    Scratch,
    /// An image.
    Image(String),
    /// An earlier stage.
    Stage(usize),
}

/// Where `COPY --from` takes files from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CopyFrom {
    /// An earlier stage.
    Stage(usize),
    /// An image.
    Image(String),
}

impl Graph {
    /// Puts the stages of a file together for a request.
    ///
    /// # Errors
    /// If an instruction stands before the first stage, a base or a platform
    /// cannot be read, a stage's name is taken, or the target does not exist.
    pub fn new(file: &Dockerfile, request: &BuildRequest) -> Result<Self, BuildError> {
        let machine = Platform::host();
        let platform = request.platform.clone().unwrap_or_else(|| machine.clone());
        let mut graph = Self {
            global_args: BTreeMap::new(),
            global_steps: Vec::new(),
            stages: Vec::new(),
            target: 0,
            needed: BTreeSet::new(),
            escape: file.escape,
        };
        let automatic = platform_args(&machine, &platform);
        for instruction in &file.instructions {
            match (&instruction.command, graph.stages.last_mut()) {
                (Command::From(from), _) => {
                    let stage = graph.stage(instruction, from, &platform, &automatic)?;
                    graph.stages.push(stage);
                }
                (Command::Arg(args), None) => {
                    graph.global(instruction, args, request, &automatic)?
                }
                (_, Some(stage)) => stage.instructions.push(instruction.clone()),
                (_, None) => {
                    return Err(wrong(instruction, "no build stage in current context"));
                }
            }
        }
        if graph.stages.is_empty() {
            return Err(BuildError::Request("no build stage in current context".to_owned()));
        }
        graph.connect()?;
        graph.target = graph.find_target(request.target.as_deref())?;
        graph.needed = graph.closure(graph.target);
        Ok(graph)
    }

    /// How many steps a build has: the global `ARG`s and every instruction of
    /// the stages to build.
    pub fn steps(&self) -> usize {
        let of_stages: usize =
            self.needed.iter().map(|index| 1 + self.stages[*index].instructions.len()).sum();
        self.global_steps.len() + of_stages
    }

    /// The number of the step that is a stage's `FROM`.
    pub fn first_step(&self, stage: usize) -> usize {
        let before: usize = self
            .needed
            .range(..stage)
            .map(|index| 1 + self.stages[*index].instructions.len())
            .sum();
        self.global_steps.len() + before + 1
    }

    /// What the `--from` of a stage's instruction names.
    ///
    /// # Errors
    /// If it is a number and there is no such stage before this one.
    pub fn copy_from(&self, stage: usize, name: &str) -> Result<CopyFrom, String> {
        if let Ok(number) = name.parse::<usize>() {
            return if number < stage {
                Ok(CopyFrom::Stage(number))
            } else {
                Err(format!("invalid from flag value {name}: index out of bounds"))
            };
        }
        Ok(match self.named(name, stage) {
            Some(index) => CopyFrom::Stage(index),
            None => CopyFrom::Image(name.to_owned()),
        })
    }

    fn global(
        &mut self,
        instruction: &Instruction,
        args: &[Arg],
        request: &BuildRequest,
        automatic: &BTreeMap<String, String>,
    ) -> Result<(), BuildError> {
        for arg in args {
            let value = match request.build_args.get(&arg.name) {
                Some(Some(given)) => Some(given.clone()),
                _ => match &arg.default {
                    Some(default) => Some(self.expand(instruction, default, automatic)?),
                    None => automatic.get(&arg.name).cloned(),
                },
            };
            self.global_args.insert(arg.name.clone(), value);
        }
        self.global_steps.push(instruction.source.clone());
        Ok(())
    }

    fn expand(
        &self,
        instruction: &Instruction,
        text: &str,
        automatic: &BTreeMap<String, String>,
    ) -> Result<String, BuildError> {
        let get = |name: &str| match self.global_args.get(name) {
            Some(value) => value.clone(),
            None => automatic.get(name).cloned(),
        };
        expand::word(text, self.escape, &get).map_err(|message| wrong(instruction, message))
    }

    fn stage(
        &self,
        instruction: &Instruction,
        from: &From,
        platform: &Platform,
        automatic: &BTreeMap<String, String>,
    ) -> Result<Stage, BuildError> {
        if let Some(name) = &from.name
            && self.named(name, self.stages.len()).is_some()
        {
            return Err(wrong(instruction, format!("{name} stage name already used")));
        }
        let image = self.expand(instruction, &from.image, automatic)?;
        if image.is_empty() {
            return Err(wrong(
                instruction,
                format!("base name ({}) should not be blank", from.image),
            ));
        }
        let platform = match &from.platform {
            None => platform.clone(),
            Some(text) => {
                let text = self.expand(instruction, text, automatic)?;
                Platform::parse(&text).ok_or_else(|| {
                    wrong(instruction, format!("{text:?} is an invalid OS or architecture"))
                })?
            }
        };
        let base = match self.named(&image, self.stages.len()) {
            Some(index) => Base::Stage(index),
            None if image == "scratch" => Base::Scratch,
            None => Base::Image(image),
        };
        Ok(Stage {
            name: from.name.clone(),
            base,
            platform,
            from: instruction.clone(),
            instructions: Vec::new(),
            needs: BTreeSet::new(),
        })
    }

    /// The stage of a name among the first `before`.
    fn named(&self, name: &str, before: usize) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages[..before.min(self.stages.len())]
            .iter()
            .position(|stage| stage.name.as_deref() == Some(&name))
    }

    fn connect(&mut self) -> Result<(), BuildError> {
        for index in 0..self.stages.len() {
            let mut needs = BTreeSet::new();
            if let Base::Stage(base) = self.stages[index].base {
                needs.insert(base);
            }
            for instruction in &self.stages[index].instructions {
                let Command::Copy(copy) = &instruction.command else { continue };
                let Some(name) = &copy.from else { continue };
                let from =
                    self.copy_from(index, name).map_err(|message| wrong(instruction, message))?;
                if let CopyFrom::Stage(source) = from {
                    needs.insert(source);
                }
            }
            self.stages[index].needs = needs;
        }
        Ok(())
    }

    fn find_target(&self, target: Option<&str>) -> Result<usize, BuildError> {
        let last = self.stages.len() - 1;
        let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(last) };
        self.named(target, self.stages.len())
            .or_else(|| target.parse().ok().filter(|number| *number <= last))
            .ok_or_else(|| {
                BuildError::Request(format!("failed to reach build target {target} in Dockerfile"))
            })
    }

    fn closure(&self, target: usize) -> BTreeSet<usize> {
        let mut needed = BTreeSet::from([target]);
        for index in (0..=target).rev() {
            if needed.contains(&index) {
                needed.extend(&self.stages[index].needs);
            }
        }
        needed
    }
}

fn wrong(instruction: &Instruction, message: impl Into<String>) -> BuildError {
    BuildError::Instruction { line: instruction.line, message: message.into() }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.global_args {
            writeln!(f, "arg {name}={}", value.as_deref().unwrap_or("<unset>"))?;
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let name = stage.name.as_deref().unwrap_or("-");
            let base = match &stage.base {
                Base::Scratch => "scratch".to_owned(),
                Base::Image(image) => format!("image {image}"),
                Base::Stage(base) => format!("stage {base}"),
            };
            write!(f, "stage {index} ({name}) on {base} for {}", stage.platform)?;
            if !self.needed.contains(&index) {
                writeln!(f, ", not needed")?;
                continue;
            }
            writeln!(f, ", needs {:?}", stage.needs)?;
            let first = self.first_step(index);
            writeln!(f, "  {first} {}", stage.from.source)?;
            for (offset, instruction) in stage.instructions.iter().enumerate() {
                writeln!(f, "  {} {}", first + 1 + offset, instruction.source)?;
            }
        }
        writeln!(f, "target {}, {} steps", self.target, self.steps())
    }
}

#[cfg(test)]
mod tests;
