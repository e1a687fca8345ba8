//! Whole builds on plain directories.

mod golden;

use std::{os::unix::fs::MetadataExt as _, sync::Arc};

use shoal_image::ImageConfig;
use tokio::sync::mpsc;

use crate::{
    BaseImage, BuildError, BuildRequest, Event, prepare,
    render::{self, Line},
    testing::{DirectoryWorker, TarContext, contract},
};

struct Bench {
    worker: Arc<DirectoryWorker>,
    contexts: tempfile::TempDir,
    request: BuildRequest,
}

struct Outcome {
    result: Result<BaseImage, BuildError>,
    /// The text a client sees.
    text: String,
}

impl Outcome {
    fn config(&self) -> &ImageConfig {
        match &self.result {
            Ok(image) => &image.config,
            Err(error) => panic!("{error}\n{}", self.text),
        }
    }

    fn error(&self) -> String {
        self.result.as_ref().unwrap_err().to_string()
    }
}

impl Bench {
    async fn new() -> Self {
        Self {
            worker: DirectoryWorker::with_busybox().await.unwrap(),
            contexts: tempfile::tempdir().unwrap(),
            request: BuildRequest::default(),
        }
    }

    async fn build(&self, dockerfile: &str) -> Outcome {
        self.build_with(TarContext::new(), dockerfile).await
    }

    async fn build_with(&self, context: TarContext, dockerfile: &str) -> Outcome {
        let context = context.file("Dockerfile", dockerfile).receive(self.contexts.path()).unwrap();
        let build = match prepare(context, self.request.clone()) {
            Ok(build) => build,
            Err(error) => return Outcome { result: Err(error), text: String::new() },
        };
        let (sender, mut receiver) = mpsc::channel(4);
        let collect = async {
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            events
        };
        let (built, events) = tokio::join!(build.solve(self.worker.clone(), sender), collect);
        let result = built.map(|id| self.worker.image(id.as_str()).unwrap());
        let empty = std::fs::read_dir(self.contexts.path()).unwrap().next().is_none();
        assert!(empty, "the context stays behind");
        Outcome { result, text: text(&events) }
    }

    fn path(&self, outcome: &Outcome, path: &str) -> std::path::PathBuf {
        self.worker.files(outcome.result.as_ref().unwrap()).join(path)
    }

    fn read(&self, outcome: &Outcome, path: &str) -> String {
        std::fs::read_to_string(self.path(outcome, path)).unwrap()
    }
}

/// The stream without what differs from run to run.
fn text(events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        match event {
            Event::Running { .. } | Event::ContainerRemoved { .. } => {}
            Event::StepDone(Some(_)) => text.push_str(" ---> ID\n"),
            Event::Built(_) => text.push_str("Successfully built ID\n"),
            event => {
                for line in render::lines(event) {
                    if let Line::Stream(part) = line {
                        text.push_str(&part);
                    }
                }
            }
        }
    }
    text
}

#[tokio::test]
async fn the_directory_worker_keeps_the_contract() {
    let contexts = tempfile::tempdir().unwrap();
    contract::all(Arc::new(DirectoryWorker::new().unwrap()), contexts.path()).await;
}

#[tokio::test]
async fn a_build_reads_like_dockers_and_gives_its_configuration() {
    let mut bench = Bench::new().await;
    bench.request.tags = vec!["spider:0.01".parse().unwrap()];
    let context = TarContext::new().file("spider.py", "print()\n");
    let outcome = bench
        .build_with(
            context,
            "FROM busybox\nWORKDIR /app\nCOPY spider.py .\nENV A=1 B=\"x y\"\nRUN echo built $A\nRUN echo oops >&2\nEXPOSE 80 53/udp\nVOLUME /data\nCMD [\"python\", \"spider.py\"]\n",
        )
        .await;
    let config = outcome.config();
    assert_eq!(
        outcome.text,
        "Step 1/9 : FROM busybox\n ---> ID\nStep 2/9 : WORKDIR /app\n ---> ID\n\
         Step 3/9 : COPY spider.py .\n ---> ID\nStep 4/9 : ENV A=1 B=\"x y\"\n ---> ID\n\
         Step 5/9 : RUN echo built $A\nbuilt 1\n ---> ID\n\
         Step 6/9 : RUN echo oops >&2\n\u{1b}[91moops\n\u{1b}[0m ---> ID\n\
         Step 7/9 : EXPOSE 80 53/udp\n ---> ID\nStep 8/9 : VOLUME /data\n ---> ID\n\
         Step 9/9 : CMD [\"python\", \"spider.py\"]\n ---> ID\nSuccessfully built ID\n\
         Successfully tagged spider:0.01\n"
    );
    let run = &config.config;
    assert_eq!(run.env.last().unwrap(), "B=x y");
    assert!(run.env[0].starts_with("PATH="));
    assert_eq!(run.cmd.as_deref().unwrap(), ["python", "spider.py"]);
    assert_eq!(run.working_dir, "/app");
    assert_eq!(run.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
    assert_eq!(run.volumes.keys().collect::<Vec<_>>(), ["/data"]);
    let history: Vec<_> =
        config.history.iter().map(|h| (h.created_by.as_str(), h.empty_layer)).collect();
    let copied = history[3].0;
    assert!(copied.starts_with("/bin/sh -c #(nop) COPY file:"), "{copied}");
    assert!(copied.ends_with(" in . "), "{copied}");
    assert_eq!(
        [&history[2..3], &history[4..]].concat(),
        [
            ("/bin/sh -c #(nop) WORKDIR /app", false),
            ("/bin/sh -c #(nop)  ENV A=1 B=x y", true),
            ("/bin/sh -c echo built $A", true),
            ("/bin/sh -c echo oops >&2", true),
            ("/bin/sh -c #(nop)  EXPOSE 53/udp 80", true),
            ("/bin/sh -c #(nop)  VOLUME [/data]", true),
            ("/bin/sh -c #(nop)  CMD [\"python\" \"spider.py\"]", true),
        ]
    );
    let layers = config.history.iter().filter(|h| !h.empty_layer).count();
    assert_eq!(config.rootfs.diff_ids.len(), layers);
    assert_eq!(bench.read(&outcome, "app/spider.py"), "print()\n");
    assert_eq!(bench.path(&outcome, "app/spider.py").metadata().unwrap().uid(), 0);
}

#[tokio::test]
async fn a_cached_build_gives_the_very_same_image() {
    let bench = Bench::new().await;
    let dockerfile = "FROM busybox\nARG V=1\nWORKDIR /w\nCOPY a .\nRUN cat a > b\nLABEL x=y\n";
    let context = || TarContext::new().file("a", "1");
    let first = bench.build_with(context(), dockerfile).await;
    let ran = bench.worker.ran().len();
    let second = bench.build_with(context(), dockerfile).await;
    assert_eq!(first.result.as_ref().unwrap(), second.result.as_ref().unwrap());
    assert_eq!(bench.worker.ran().len(), ran, "nothing ran again");
    assert_eq!(second.text.matches(" ---> Using cache\n").count(), 5, "{}", second.text);
    let other = bench.build_with(TarContext::new().file("a", "2"), dockerfile).await;
    assert_eq!(other.text.matches(" ---> Using cache\n").count(), 2, "{}", other.text);
    assert_eq!(bench.read(&other, "w/b"), "2");
}

#[tokio::test]
async fn what_counts_for_the_cache() {
    let mut bench = Bench::new().await;
    let dockerfile = "FROM busybox\nCOPY d /d\nARG V\nRUN echo $V\n";
    let context = |mode| TarContext::new().file_with_mode("d/f", "1", mode);
    let hits = |outcome: &Outcome| outcome.text.matches("Using cache").count();
    assert_eq!(hits(&bench.build_with(context(0o644), dockerfile).await), 0);
    assert_eq!(hits(&bench.build_with(context(0o600), dockerfile).await), 0, "permissions count");
    assert_eq!(hits(&bench.build_with(context(0o644), dockerfile).await), 3);
    bench.request.build_args.insert("V".into(), Some("x".into()));
    assert_eq!(hits(&bench.build_with(context(0o644), dockerfile).await), 2, "arguments count");
    bench.request.no_cache = true;
    assert_eq!(hits(&bench.build_with(context(0o644), dockerfile).await), 0);
    bench.request.no_cache = false;
    bench.worker.forget_layers().unwrap();
    let bench = Bench { worker: DirectoryWorker::with_busybox().await.unwrap(), ..bench };
    assert_eq!(hits(&bench.build_with(context(0o644), dockerfile).await), 0);
}

#[tokio::test]
async fn values_that_read_alike_in_the_history_do_not_share_a_result() {
    let bench = Bench::new().await;
    for (one, other) in [
        ("ENV J=-Xmx1g D=x", "ENV J=\"-Xmx1g D=x\""),
        ("SHELL [\"/bin/sh\", \"-e -c\"]", "SHELL [\"/bin/sh\", \"-e\", \"-c\"]"),
    ] {
        let build = |line: &str| {
            format!("FROM busybox\n{line}\nRUN [\"/bin/sh\", \"-c\", \"echo $J- > /j\"]\n")
        };
        bench.build(&build(one)).await.config();
        let outcome = bench.build(&build(other)).await;
        outcome.config();
        assert!(!outcome.text.contains("Using cache"), "{other}: {}", outcome.text);
    }
    let quoted = bench.build("FROM busybox\nENV J=\"-Xmx1g D=x\"\nRUN echo $J- > /j\n").await;
    assert_eq!(bench.read(&quoted, "j"), "-Xmx1g D=x-\n");
}

#[tokio::test]
async fn a_failing_command_ends_the_build_in_dockers_words() {
    let bench = Bench::new().await;
    let outcome = bench.build("FROM busybox\nRUN echo before; exit 3\nRUN echo never\n").await;
    assert_eq!(
        outcome.error(),
        "The command '/bin/sh -c echo before; exit 3' returned a non-zero code: 3"
    );
    assert_eq!(outcome.result.unwrap_err().exit_code(), Some(3));
    assert!(outcome.text.ends_with("RUN echo before; exit 3\nbefore\n"), "{}", outcome.text);
    assert_eq!(bench.worker.ran().len(), 1);
}

#[tokio::test]
async fn stages_copy_from_each_other_and_share_steps() {
    let bench = Bench::new().await;
    let outcome = bench
        .build(
            "FROM busybox AS a\nRUN echo shared > /s\nRUN echo a > /a\n\
             FROM busybox AS b\nRUN echo shared > /s\nRUN echo b > /b\n\
             FROM busybox AS unused\nRUN exit 1\n\
             FROM scratch\nCOPY --from=a /s /a /out/\nCOPY --from=1 /b /out/b\nCOPY --from=busybox /etc /etc\n",
        )
        .await;
    outcome.config();
    assert_eq!(bench.read(&outcome, "out/a"), "a\n");
    assert_eq!(bench.read(&outcome, "out/b"), "b\n");
    assert_eq!(bench.read(&outcome, "out/s"), "shared\n");
    assert!(bench.read(&outcome, "etc/passwd").contains("web"));
    let shared = bench.worker.ran().iter().filter(|command| command.contains("shared")).count();
    assert_eq!(shared, 1, "the same step runs once");
    let steps: Vec<_> = outcome.text.lines().filter(|line| line.starts_with("Step")).collect();
    let numbers: Vec<u32> =
        steps.iter().map(|line| line.split([' ', '/']).nth(1).unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<u32>>(), "{}", outcome.text);
}

#[tokio::test]
async fn the_failure_of_one_stage_ends_the_others() {
    let bench = Bench::new().await;
    let outcome = bench
        .build(
            "FROM busybox AS a\nRUN sleep 1\nRUN echo late\nFROM busybox AS b\nRUN echo why; exit 4\n\
             FROM scratch\nCOPY --from=a / /\nCOPY --from=b / /\n",
        )
        .await;
    assert!(outcome.error().ends_with("returned a non-zero code: 4"));
    assert!(outcome.text.contains("why\n"), "{}", outcome.text);
    assert!(!bench.worker.ran().iter().any(|command| command.contains("late")));
}

#[tokio::test]
async fn triggers_of_the_base_run_first() {
    let mut bench = Bench::new().await;
    bench.request.tags = vec!["base:latest".parse().unwrap()];
    let base = bench.build("FROM busybox\nONBUILD COPY f /f\nONBUILD RUN cat /f\n").await;
    assert_eq!(base.config().config.on_build, ["COPY f /f", "RUN cat /f"]);
    bench.request.tags.clear();
    let context = TarContext::new().file("f", "from the child\n");
    let outcome = bench.build_with(context, "FROM base\nLABEL a=b\n").await;
    assert!(outcome.config().config.on_build.is_empty());
    assert_eq!(
        outcome.text,
        "Step 1/2 : FROM base\n# Executing 2 build triggers\nfrom the child\n ---> ID\nStep 2/2 : LABEL a=b\n ---> ID\nSuccessfully built ID\n"
    );
}

#[tokio::test]
async fn arguments_come_from_everywhere() {
    let mut bench = Bench::new().await;
    for (name, value) in [("given", "g"), ("http_proxy", "p"), ("unused", "u"), ("over", "o")] {
        bench.request.build_args.insert(name.into(), Some(value.into()));
    }
    let outcome = bench
        .build(
            "ARG global=glob\nARG over=1\nFROM busybox\nARG given=default\nARG global\nARG TARGETOS\nARG unset\nARG over\nENV over=env\nRUN echo $given $global $TARGETOS -$unset- $http_proxy $over\n",
        )
        .await;
    assert!(outcome.text.contains("\ng glob linux -- p env\n"), "{}", outcome.text);
    assert!(outcome.text.contains("One or more build-args [unused] were not consumed"));
    let history = &outcome.config().history;
    assert_eq!(
        history.last().unwrap().created_by,
        "|3 TARGETOS=linux given=g global=glob /bin/sh -c echo $given $global $TARGETOS -$unset- $http_proxy $over"
    );
    assert!(!outcome.config().config.env.iter().any(|e| e.starts_with("given")));
}

#[tokio::test]
async fn a_stage_inherits_the_arguments_of_the_one_it_is_based_on() {
    let bench = Bench::new().await;
    let dockerfile = |v: &str| {
        format!(
            "FROM busybox AS a\nARG V={v}\nFROM a AS b\nRUN echo $V > /v\n\
             FROM busybox\nCOPY --from=b /v /v\nRUN echo -$V- > /other\n"
        )
    };
    for v in ["1", "2"] {
        let outcome = bench.build(&dockerfile(v)).await;
        outcome.config();
        assert_eq!(bench.read(&outcome, "v"), format!("{v}\n"));
        assert_eq!(bench.read(&outcome, "other"), "--\n", "and no other does");
    }
}

#[tokio::test]
async fn a_working_directory_belongs_to_the_user() {
    let bench = Bench::new().await;
    let outcome = bench
        .build(
            "FROM busybox\nUSER nobody\nWORKDIR /etc\nUSER web\nWORKDIR /new/er\nUSER 7:8\nWORKDIR /new/est\n",
        )
        .await;
    outcome.config();
    let owner = |path: &str| {
        let there = bench.path(&outcome, path).metadata().unwrap();
        (there.uid(), there.gid())
    };
    assert_eq!(
        ["etc", "new", "new/er", "new/est"].map(owner),
        [(1000, 1000), (33, 34), (33, 34), (7, 8)]
    );
    let error = bench.build("FROM busybox\nUSER nobody\nWORKDIR /new\n").await.error();
    assert!(error.starts_with("dockerfile line 3: cannot mkdir: /new: "), "{error}");
    assert!(error.ends_with("no such user: nobody"), "{error}");
}

#[tokio::test]
async fn documents_are_scripts_files_and_shell_text() {
    let bench = Bench::new().await;
    let outcome = bench
        .build(
            "FROM busybox\nENV X=1\nRUN <<EOF\necho one\necho $X\nEOF\n\
             RUN <<'EOF'\n#!/bin/cat\nraw $X\nEOF\n\
             RUN cat <<A > /a && cat <<B >> /a\nfirst $X\nA\nsecond\nB\n\
             COPY <<-one <<'two' /files/\n\tx $X\none\nx $X\ntwo\n",
        )
        .await;
    outcome.config();
    assert!(outcome.text.contains("one\n1\n"), "{}", outcome.text);
    assert!(outcome.text.contains("#!/bin/cat\nraw $X\n"), "{}", outcome.text);
    assert_eq!(bench.read(&outcome, "a"), "first 1\nsecond\n");
    assert_eq!(bench.read(&outcome, "files/one"), "x 1\n");
    assert_eq!(bench.read(&outcome, "files/two"), "x $X\n");
}

#[tokio::test]
async fn labels_of_the_request_and_a_target() {
    let mut bench = Bench::new().await;
    bench.request.labels.insert("who".into(), "me".into());
    bench.request.target = Some("one".into());
    let outcome = bench.build("FROM busybox AS one\nUSER web\nFROM one AS two\nRUN exit 1\n").await;
    assert_eq!(outcome.config().config.labels["who"], "me");
    assert_eq!(outcome.config().config.user, "web");
    assert!(outcome.text.contains("Step 3/3 : LABEL who=me\n"), "{}", outcome.text);
}

#[tokio::test]
async fn errors_say_where() {
    let bench = Bench::new().await;
    for (dockerfile, expected) in [
        (
            "FROM busybox\nRUM x\n",
            "dockerfile parse error on line 2: unknown instruction: RUM (did you mean RUN?)",
        ),
        ("FROM nope\n", "No such image: nope"),
        (
            "FROM busybox\nCOPY nope /x\n",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist",
        ),
        (
            "FROM busybox\nCOPY ../x /x\n",
            "COPY failed: forbidden path outside the build context: ../x ()",
        ),
        ("FROM busybox\nCOPY *.none /x\n", "COPY failed: no source files were specified"),
        (
            "FROM busybox\nCOPY --from=busybox /nope /x\n",
            "COPY failed: stat nope: file does not exist",
        ),
        (
            "FROM busybox\nCOPY Dockerfile Dockerfile /x\n",
            "dockerfile line 2: When using COPY with more than one source file, the destination must be a directory and end with a /",
        ),
        (
            "FROM busybox\nENV U=http://x/y\nADD $U /x\n",
            "dockerfile line 3: ADD from a URL (http://x/y) is not supported by this builder yet",
        ),
        ("FROM busybox\nEXPOSE x\n", "dockerfile line 2: invalid containerPort: x"),
        ("FROM busybox\nSTOPSIGNAL FOO\n", "dockerfile line 2: Invalid signal: FOO"),
        (
            "FROM busybox\nENV a=${b:?needed}\n",
            "dockerfile line 2: failed to process \"${b:?needed}\": b: needed",
        ),
        (
            "FROM busybox\nCOPY --chown=nobody Dockerfile /x\n",
            "COPY failed: unable to convert uid/gid chown string to host mapping: can't find uid for user nobody: no such user: nobody",
        ),
    ] {
        assert_eq!(bench.build(dockerfile).await.error(), expected);
    }
    let request = BuildRequest { dockerfile: "other".into(), ..BuildRequest::default() };
    let bench = Bench { request, ..bench };
    assert_eq!(
        bench.build("FROM busybox\n").await.error(),
        "Cannot locate specified Dockerfile: other"
    );
}

#[tokio::test]
async fn nobody_listening_ends_the_build() {
    let bench = Bench::new().await;
    let context = TarContext::new()
        .file("Dockerfile", "FROM busybox\nRUN sleep 1\nRUN echo never\n")
        .receive(bench.contexts.path())
        .unwrap();
    let (sender, mut events) = mpsc::channel(1);
    let build = prepare(context, BuildRequest::default()).unwrap();
    let listen = async {
        while !matches!(events.recv().await, Some(Event::Running { .. })) {}
        drop(events);
    };
    let (result, ()) = tokio::join!(build.solve(bench.worker.clone(), sender), listen);
    assert!(matches!(result, Err(BuildError::Cancelled)));
    assert_eq!(bench.worker.ran(), ["/bin/sh -c sleep 1"]);
}

#[tokio::test]
async fn steps_are_taken_from_an_image_as_far_as_it_is_made_alike() {
    let mut bench = Bench::new().await;
    let context = |a: &str| TarContext::new().file("a", a).file("b", "b\n");
    let dockerfile =
        "FROM busybox\nSHELL [\"/bin/sh\", \"-ec\"]\nCOPY a /\nRUN cat /a > /c\nCOPY b /\n";
    bench.request.tags = vec!["made:1".parse().unwrap()];
    let first = bench.build_with(context("a\n"), dockerfile).await;
    // As on a machine that has the image only.
    bench.worker.forget_cache();
    bench.request.cache_from = vec!["gone:1".into(), "made:1".into()];
    let again = bench.build_with(context("a\n"), dockerfile).await;
    assert_eq!(again.config(), first.config());
    assert_eq!(again.text.matches("Using cache").count(), 4, "{}", again.text);
    let other = bench.build_with(context("other\n"), dockerfile).await;
    assert_eq!(other.text.matches("Using cache").count(), 1, "{}", other.text);
    assert_eq!(bench.read(&other, "c"), "other\n");
    bench.request.no_cache = true;
    let anew = bench.build_with(context("a\n"), dockerfile).await;
    assert_eq!(anew.text.matches("Using cache").count(), 0, "{}", anew.text);
}

#[tokio::test]
async fn an_argument_counts_for_the_steps_that_see_it_only() {
    let mut bench = Bench::new().await;
    let dockerfile = "FROM busybox\nARG V\nCOPY f /f\nENV E=$V\nRUN echo $E > /v\n";
    let build =
        async |bench: &Bench| bench.build_with(TarContext::new().file("f", "1"), dockerfile).await;
    bench.request.build_args.insert("V".into(), Some("1".into()));
    build(&bench).await.config();
    bench.request.build_args.insert("V".into(), Some("2".into()));
    let second = build(&bench).await;
    assert_eq!(second.text.matches("Using cache").count(), 2, "{}", second.text);
    assert_eq!(bench.read(&second, "v"), "2\n");
}

#[tokio::test]
async fn an_image_has_no_more_layers_than_docker_takes() {
    let bench = Bench::new().await;
    let dockerfile = |layers| {
        let steps: String = (0..layers).map(|n| format!("COPY f /{n}\n")).collect();
        format!("FROM scratch\n{steps}")
    };
    let build = async |layers| {
        bench.build_with(TarContext::new().file("f", "1"), &dockerfile(layers)).await
    };
    assert_eq!(build(125).await.config().rootfs.diff_ids.len(), 125);
    assert!(build(126).await.error().contains("max depth exceeded"));
}

#[tokio::test]
async fn a_base_without_a_step_is_the_image_and_nothing_is_none() {
    let mut bench = Bench::new().await;
    let base = bench.worker.image("busybox:latest").unwrap();
    bench.request.tags = vec!["again:1".parse().unwrap()];
    let outcome = bench.build("FROM busybox AS a\nFROM a\n").await;
    assert_eq!(outcome.result.unwrap().id, base.id);
    assert_eq!(bench.worker.image("again:1").unwrap().id, base.id);
    let nothing = bench.build("FROM scratch\n").await.error();
    assert_eq!(nothing, "No image was generated. Is your Dockerfile empty?");
    bench.request.labels.insert("a".into(), "b".into());
    assert_ne!(bench.build("FROM busybox\n").await.result.unwrap().id, base.id);
}
