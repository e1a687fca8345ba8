//! `POST /containers/create`.

use axum::extract::State;
use axum::response::Response;
use serde_json::json;
use shoal_engine::domain::{CreateContainer, NetworkMode, RestartPolicy, RootfsSource};
use shoal_image::Store;
use shoal_model::{Kind, Platform};

use super::super::body::{self, JsonBody};
use super::super::error::{ApiError, Result};
use super::super::front::App;
use super::super::query::Query;
use super::config::CreateDocument;

/// Makes a container.
pub(crate) async fn create(State(front): App, query: Query, body: JsonBody) -> Result<Response> {
    let document: CreateDocument = body::document(body).await?;
    let name = query.get("name").map(|name| name.trim_start_matches('/').to_owned());
    let request = read(document, name)?;
    if let Some(platform) = query.get("platform") {
        check_platform(&front.images, &request.config.image, platform)?;
    }
    let created = front.engine.containers().create(request).await?;
    Ok(body::created(&json!({ "Id": created.id.as_str(), "Warnings": created.warnings })))
}

fn read(document: CreateDocument, name: Option<String>) -> Result<CreateContainer> {
    let (config, rest) = document.into_domain()?;
    let host = rest.host.into_domain()?;
    if host.auto_remove && host.restart_policy != RestartPolicy::No {
        return Err(ApiError::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    let endpoints = rest.networking.endpoints.into_iter();
    let mut networks = endpoints
        .map(|(name, endpoint)| Ok((name, endpoint.into_domain()?)))
        .collect::<Result<std::collections::BTreeMap<_, _>>>()?;
    if !rest.mac_address.is_empty() {
        // Its place before API 1.44; it means the first network.
        let first = match &host.network_mode {
            NetworkMode::Network(name) => name.clone(),
            mode => mode.to_string(),
        };
        networks.entry(first).or_default().mac_address = Some(rest.mac_address);
    }
    Ok(CreateContainer { name, config, host, networks, rootfs: RootfsSource::Image, hidden: false })
}

/// A container's platform is its image's.
fn check_platform(images: &Store, image: &str, wanted: &str) -> Result<()> {
    let platform = Platform::parse(wanted)
        .ok_or_else(|| ApiError::invalid(format!("{wanted:?} is an invalid platform")))?;
    let found = images.resolve(image)?.config.platform();
    if found.runs_on(&platform) {
        return Ok(());
    }
    Err(ApiError::new(
        Kind::NotFound,
        format!(
            "image with reference {image} was found but does not provide the specified platform ({wanted})"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::super::wire::{At, Wire};
    use super::*;

    fn request(document: Value) -> Result<CreateContainer> {
        read(CreateDocument::read(document, &At::ROOT)?, None)
    }

    /// What docker CLI 28 sends for `docker run -it -p 8080:80 -v /a:/b busybox sh`.
    fn cli_document() -> Value {
        json!({
            "Hostname": "", "Domainname": "", "User": "", "AttachStdin": true,
            "AttachStdout": true, "AttachStderr": true, "ExposedPorts": {"80/tcp": {}},
            "Tty": true, "OpenStdin": true, "StdinOnce": true, "Env": null, "Cmd": ["sh"],
            "Image": "busybox", "Volumes": {}, "WorkingDir": "", "Entrypoint": null,
            "OnBuild": null, "Labels": {},
            "HostConfig": cli_host_document(),
            "NetworkingConfig": {"EndpointsConfig": {"default": {
                "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "",
                "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "",
                "IPPrefixLen": 0, "IPv6Gateway": "", "GlobalIPv6Address": "",
                "GlobalIPv6PrefixLen": 0, "DNSNames": null, "DriverOpts": null, "GwPriority": 0}}},
        })
    }

    fn cli_host_document() -> Value {
        serde_json::from_str(
            r#"{ "Binds": ["/a:/b"], "ContainerIDFile": "", "LogConfig": {"Type": "", "Config":
                {}}, "NetworkMode": "default", "PortBindings": {"80/tcp": [{"HostIp": "",
                "HostPort": "8080"}]}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
                "AutoRemove": false, "VolumeDriver": "", "VolumesFrom": null, "ConsoleSize": [24,
                80], "CapAdd": null, "CapDrop": null, "CgroupnsMode": "", "Dns": [],
                "DnsOptions": [], "DnsSearch": [], "ExtraHosts": null, "GroupAdd": null,
                "IpcMode": "", "Cgroup": "", "Links": null, "OomScoreAdj": 0, "PidMode": "",
                "Privileged": false, "PublishAllPorts": false, "ReadonlyRootfs": false,
                "SecurityOpt": null, "UTSMode": "", "UsernsMode": "", "ShmSize": 0, "Isolation":
                "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "",
                "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [],
                "BlkioDeviceWriteBps": [], "CpuPeriod": 0, "CpuQuota": 0, "CpuRealtimePeriod": 0,
                "CpusetCpus": "", "Devices": [], "DeviceCgroupRules": null, "DeviceRequests":
                null, "MemoryReservation": 0, "MemorySwap": 0, "MemorySwappiness": -1,
                "OomKillDisable": false, "PidsLimit": 0, "Ulimits": [], "CpuCount": 0,
                "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths":
                null, "ReadonlyPaths": null}"#,
        )
        .expect("JSON")
    }

    #[test]
    fn what_the_cli_sends_is_understood() {
        let request = request(cli_document()).expect("a request");
        assert_eq!(request.config.image, "busybox");
        assert_eq!(request.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
        assert!(request.config.tty && request.config.open_stdin);
        assert_eq!(request.host.network_mode, NetworkMode::Bridge);
        assert_eq!(request.host.port_bindings.len(), 1);
        assert_eq!(request.host.binds, ["/a:/b"]);
        assert_eq!(request.host.resources.memory_swappiness, None);
    }

    #[test]
    fn a_variant_that_the_image_does_not_name_is_no_other_platform() {
        use shoal_image::{ImageConfig, StoreConfig};
        let root = tempfile::tempdir().expect("a directory");
        let store = Store::open(root.path(), StoreConfig::default()).expect("a store");
        let arm = Platform::parse("linux/arm64").expect("a platform");
        let tag = "x:1".parse().expect("a name");
        store.put_image(ImageConfig::new(&arm), &[], &[tag], None).expect("an image");
        for wanted in ["linux/arm64", "linux/arm64/v8"] {
            check_platform(&store, "x:1", wanted).expect(wanted);
        }
        assert!(check_platform(&store, "x:1", "linux/amd64").is_err());
    }

    #[test]
    fn options_shoal_has_not_are_refused_by_name() {
        for (key, value, name) in [
            ("Init", json!(true), "--init"),
            ("OomKillDisable", json!(true), "--oom-kill-disable"),
            ("UsernsMode", json!("private"), "--userns"),
            ("DeviceRequests", json!([{"Count": -1}]), "--gpus"),
            ("BlkioWeight", json!(10), "--blkio-weight"),
            ("VolumesFrom", json!(["x"]), "--volumes-from"),
            ("Runtime", json!("runc"), "--runtime"),
            ("LogConfig", json!({"Type": "syslog"}), "syslog"),
        ] {
            let mut document = cli_document();
            document["HostConfig"][key] = value;
            let error = request(document).expect_err(name);
            assert!(error.message().contains(name), "{}", error.message());
            assert_eq!(error.kind(), Kind::NotImplemented, "{name}");
        }
    }

    #[test]
    fn links_mean_something_on_the_default_bridge_only() {
        let mut document = cli_document();
        document["HostConfig"]["Links"] = json!(["p_web_1:web", "p_web_1:web_1"]);
        let error = request(document.clone()).expect_err("links");
        assert_eq!(error.message(), "HostConfig.Links (--link) is not supported");
        // As docker-compose 1.29 sends it for a run beside the service itself.
        document["HostConfig"]["NetworkMode"] = json!("p_default");
        request(document.clone()).expect("siblings");
        document["NetworkingConfig"]["EndpointsConfig"] =
            json!({"p_default": {"Links": ["p_db_1:database"]}});
        let error = request(document).expect_err("a link of its own");
        assert!(
            error.message().ends_with("Links (--link) is not supported"),
            "{}",
            error.message()
        );
    }

    #[test]
    fn what_other_clients_send_is_understood() {
        let document = json!({
            "image": "i", "Cmd": "echo", "ExposedPorts": {"53/udp": null}, "Labels": ["a=b", "c"],
            "HostConfig": {"PortBindings": {"53/udp": [{"HostPort": 5353}], "80": null},
                "Tmpfs": {"/t": "size=1m"}, "Mounts": [{"Target": "/d", "Type": "volume"}]},
            "MacAddress": "02:42:ac:11:00:02",
        });
        let request = request(document).expect("a request");
        assert_eq!(request.config.labels["a"], "b");
        assert_eq!(request.host.mounts.len(), 1);
        assert_eq!(request.host.tmpfs["/t"], "size=1m");
        assert!(request.networks["bridge"].mac_address.is_some());
    }
}
