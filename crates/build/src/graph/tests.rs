use super::*;
use crate::dockerfile;

fn request() -> BuildRequest {
    BuildRequest { platform: Platform::parse("linux/amd64"), ..BuildRequest::default() }
}

fn graph(source: &str, request: &BuildRequest) -> Result<Graph, BuildError> {
    Graph::new(&dockerfile::parse(source.as_bytes()).unwrap(), request)
}

const THREE: &str = "\
ARG TAG=1.22
ARG IMAGE=golang:${TAG}
FROM ${IMAGE} AS build
RUN make
FROM busybox AS unused
RUN echo never
FROM --platform=linux/arm64 scratch AS files
COPY a /a
FROM build AS test
RUN make test
FROM scratch
COPY --from=build /out /
COPY --from=2 /a /b
COPY --from=alpine:3 /etc /etc
";

#[test]
fn only_what_the_target_needs_is_built() {
    let plan = graph(THREE, &request()).unwrap().to_string();
    assert_eq!(
        plan,
        "\
arg IMAGE=golang:1.22
arg TAG=1.22
stage 0 (build) on image golang:1.22 for linux/amd64, needs {}
  3 FROM ${IMAGE} AS build
  4 RUN make
stage 1 (unused) on image busybox for linux/amd64, not needed
stage 2 (files) on scratch for linux/arm64, needs {}
  5 FROM --platform=linux/arm64 scratch AS files
  6 COPY a /a
stage 3 (test) on stage 0 for linux/amd64, not needed
stage 4 (-) on scratch for linux/amd64, needs {0, 2}
  7 FROM scratch
  8 COPY --from=build /out /
  9 COPY --from=2 /a /b
  10 COPY --from=alpine:3 /etc /etc
target 4, 10 steps
"
    );
}

#[test]
fn a_target_by_name_or_number() {
    for target in ["test", "TEST", "3"] {
        let graph =
            graph(THREE, &BuildRequest { target: Some(target.into()), ..request() }).unwrap();
        assert_eq!((graph.target, graph.needed), (3, BTreeSet::from([0, 3])));
    }
    let missing = BuildRequest { target: Some("nope".into()), ..request() };
    assert_eq!(
        graph(THREE, &missing).unwrap_err().to_string(),
        "failed to reach build target nope in Dockerfile"
    );
}

#[test]
fn build_arguments_reach_from() {
    let mut request = request();
    request.build_args.insert("TAG".into(), Some("9".into()));
    let graph = graph(THREE, &request).unwrap();
    assert_eq!(graph.stages[0].base, Base::Image("golang:9".into()));
}

#[test]
fn what_makes_no_sense_names_its_line() {
    for (source, expected) in [
        ("RUN x\nFROM a\n", "dockerfile line 1: no build stage in current context"),
        ("ARG x\n", "no build stage in current context"),
        ("FROM a AS x\nFROM b AS x\n", "dockerfile line 2: x stage name already used"),
        ("FROM $nope\n", "dockerfile line 1: base name ($nope) should not be blank"),
        (
            "FROM a\nCOPY --from=1 a b\n",
            "dockerfile line 2: invalid from flag value 1: index out of bounds",
        ),
    ] {
        assert_eq!(graph(source, &request()).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_stage_named_like_an_image_is_the_stage_only_afterwards() {
    let graph = graph("FROM alpine AS alpine\nFROM alpine\n", &request()).unwrap();
    assert_eq!(graph.stages[0].base, Base::Image("alpine".into()));
    assert_eq!(graph.stages[1].base, Base::Stage(0));
}
