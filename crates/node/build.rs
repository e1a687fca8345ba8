//! Generates the gRPC glue of SwarmKit's services from the tables below; no `.proto` file and
//! no `protoc` is involved. The messages themselves are written by hand in `src/wire/`.

use tonic_build::manual::{Builder, Method, Service};

/// Which side of a call streams.
#[derive(Clone, Copy, PartialEq)]
enum Streams {
    None,
    Client,
    Server,
}

const CODEC: &str = "tonic_prost::ProstCodec";

/// One call: name on the wire, message types (below `crate::wire`), direction of streaming.
type Call = (&'static str, &'static str, &'static str, Streams);

fn service(name: &str, package: &str, calls: &[Call]) -> Service {
    let mut service = Service::builder().name(name).package(package);
    for (route, input, output, streams) in calls {
        let mut method = Method::builder()
            .name(snake(route))
            .route_name(route)
            .input_type(format!("crate::wire::{input}"))
            .output_type(format!("crate::wire::{output}"))
            .codec_path(CODEC);
        if *streams == Streams::Client {
            method = method.client_streaming();
        }
        if *streams == Streams::Server {
            method = method.server_streaming();
        }
        service = service.method(method.build());
    }
    service.build()
}

/// `GetRootCACertificate` → `get_root_ca_certificate`.
fn snake(route: &str) -> String {
    let letters: Vec<char> = route.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && letters[index - 1].is_lowercase();
        let before_lower =
            index > 0 && letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn main() {
    const SWARM: &str = "docker.swarmkit.v1";
    use Streams::{Client, None, Server};
    let services = [
        service(
            "CA",
            SWARM,
            &[
                (
                    "GetRootCACertificate",
                    "GetRootCaCertificateRequest",
                    "GetRootCaCertificateResponse",
                    None,
                ),
                ("GetUnlockKey", "GetUnlockKeyRequest", "GetUnlockKeyResponse", None),
            ],
        ),
        service(
            "NodeCA",
            SWARM,
            &[
                (
                    "IssueNodeCertificate",
                    "IssueNodeCertificateRequest",
                    "IssueNodeCertificateResponse",
                    None,
                ),
                (
                    "NodeCertificateStatus",
                    "NodeCertificateStatusRequest",
                    "NodeCertificateStatusResponse",
                    None,
                ),
            ],
        ),
        service(
            "Dispatcher",
            SWARM,
            &[
                ("Session", "SessionRequest", "SessionMessage", Server),
                ("Heartbeat", "HeartbeatRequest", "HeartbeatResponse", None),
                ("UpdateTaskStatus", "UpdateTaskStatusRequest", "UpdateTaskStatusResponse", None),
                (
                    "UpdateVolumeStatus",
                    "UpdateVolumeStatusRequest",
                    "UpdateVolumeStatusResponse",
                    None,
                ),
                ("Tasks", "TasksRequest", "TasksMessage", Server),
                ("Assignments", "AssignmentsRequest", "AssignmentsMessage", Server),
            ],
        ),
        service(
            "LogBroker",
            SWARM,
            &[
                (
                    "ListenSubscriptions",
                    "ListenSubscriptionsRequest",
                    "SubscriptionMessage",
                    Server,
                ),
                ("PublishLogs", "PublishLogsMessage", "PublishLogsResponse", Client),
            ],
        ),
        service(
            "ResourceAllocator",
            SWARM,
            &[
                ("AttachNetwork", "AttachNetworkRequest", "AttachNetworkResponse", None),
                ("DetachNetwork", "DetachNetworkRequest", "DetachNetworkResponse", None),
            ],
        ),
        service("Health", SWARM, &[("Check", "HealthCheckRequest", "HealthCheckResponse", None)]),
    ];
    Builder::new().compile(&services);
    println!("cargo:rerun-if-changed=build.rs");
}
