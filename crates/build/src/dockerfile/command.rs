//! The instructions of a Dockerfile as types.
//!
//! Values are as written: variables are not expanded and the quotes around a
//! value are still there where Docker removes them together with the expansion
//! (`ENV`, `LABEL`, `ARG`). What an instruction means is decided elsewhere.

/// One instruction with its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// First line, from 1.
    pub line: usize,
    /// Last line, including continuation lines and here-documents.
    pub end_line: usize,
    /// The instruction on one line, continuations joined, as Docker prints it
    /// behind `Step N/M : `.
    pub source: String,
    /// What it says.
    pub command: Command,
}

/// Every instruction of the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `ADD`
    Add(Add),
    /// `ARG`: one or more declarations.
    Arg(Vec<Arg>),
    /// `CMD`
    Cmd(CommandLine),
    /// `COPY`
    Copy(Copy),
    /// `ENTRYPOINT`
    Entrypoint(CommandLine),
    /// `ENV`
    Env(Vec<Pair>),
    /// `EXPOSE`: port specifications, sorted.
    Expose(Vec<String>),
    /// `FROM`
    From(From),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `LABEL`
    Label(Vec<Pair>),
    /// `MAINTAINER`
    Maintainer(String),
    /// `ONBUILD`
    Onbuild(Onbuild),
    /// `RUN`
    Run(Run),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(String),
    /// `USER`
    User(String),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `WORKDIR`
    Workdir(String),
}

impl Command {
    /// The instruction's name in capitals.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "ADD",
            Self::Arg(_) => "ARG",
            Self::Cmd(_) => "CMD",
            Self::Copy(_) => "COPY",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Env(_) => "ENV",
            Self::Expose(_) => "EXPOSE",
            Self::From(_) => "FROM",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Onbuild(_) => "ONBUILD",
            Self::Run(_) => "RUN",
            Self::Shell(_) => "SHELL",
            Self::Stopsignal(_) => "STOPSIGNAL",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Workdir(_) => "WORKDIR",
        }
    }
}

/// `FROM [--platform=…] image [AS name]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// An image, an earlier stage or `scratch`.
    pub image: String,
    /// `--platform`
    pub platform: Option<String>,
    /// The stage's name, in lower case.
    pub name: Option<String>,
}

/// One declaration of `ARG`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// The variable.
    pub name: String,
    /// Its default, unexpanded.
    pub default: Option<String>,
}

/// One assignment of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What is assigned to.
    pub key: String,
    /// The value, unexpanded and with its quotes.
    pub value: String,
    /// Written in the old form `ENV key value`, in which the value is the rest
    /// of the line.
    pub legacy: bool,
}

/// A here-document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, unquoted.
    pub name: String,
    /// The word was not quoted: variables are expanded in the contents.
    pub expand: bool,
    /// `<<-`: leading tabs are removed from each line.
    pub strip_tabs: bool,
    /// The file descriptor written before `<<`, 0 when none.
    pub descriptor: u32,
    /// The lines as in the file, tabs included, each with its line feed.
    pub content: String,
}

impl Heredoc {
    /// The contents as the instruction gets them: tabs removed if `<<-`.
    pub fn text(&self) -> String {
        if !self.strip_tabs {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Where `COPY` and `ADD` take a file from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A path, a pattern or, for `ADD`, an address.
    Path(String),
    /// A file written in the Dockerfile.
    Heredoc(Heredoc),
}

/// `COPY`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copy {
    /// What to copy, in the order written.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
    /// `--from`: a stage, its number or an image.
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`, each time it was given.
    pub exclude: Vec<String>,
}

/// `ADD`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Add {
    /// What to add, in the order written.
    pub sources: Vec<Source>,
    /// Where to.
    pub destination: String,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--unpack`
    pub unpack: Option<bool>,
    /// `--exclude`, each time it was given.
    pub exclude: Vec<String>,
}

/// A command in one of its two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandLine {
    /// `["a", "b"]`: run as it is.
    Exec(Vec<String>),
    /// Everything else: handed to the shell.
    Shell(String),
}

/// `RUN`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What to run.
    pub command: CommandLine,
    /// The here-documents of the line, in order.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, each time it was given.
    pub mounts: Vec<Mount>,
    /// `--network`
    pub network: Option<String>,
    /// `--security`
    pub security: Option<String>,
    /// `--device`, each time it was given.
    pub devices: Vec<String>,
}

/// `RUN --mount=…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `type=`, `bind` when it is not said.
    pub kind: MountKind,
    /// The other fields in the order written; a field may stand alone.
    pub fields: Vec<(String, Option<String>)>,
}

/// What `RUN --mount` mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountKind {
    /// A part of the context, a stage or an image.
    Bind,
    /// A directory kept between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret of the client.
    Secret,
    /// The client's ssh agent.
    Ssh,
}

impl MountKind {
    /// The word behind `type=`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// `HEALTHCHECK`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Healthcheck {
    /// `HEALTHCHECK NONE`
    None,
    /// `HEALTHCHECK CMD …`
    Command {
        /// What to run.
        command: CommandLine,
        /// `--interval`, in nanoseconds; 0 when not said.
        interval_ns: i64,
        /// `--timeout`, in nanoseconds.
        timeout_ns: i64,
        /// `--start-period`, in nanoseconds.
        start_period_ns: i64,
        /// `--start-interval`, in nanoseconds.
        start_interval_ns: i64,
        /// `--retries`
        retries: i32,
    },
}

/// `ONBUILD`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Onbuild {
    /// The text of the instruction to run later, here-documents included.
    pub trigger: String,
    /// The same, read.
    pub command: Box<Command>,
}
