//! What cannot be is said by name, and leaves nothing.

use shoal_engine::domain::{ContainerStatus, EndpointOptions, NetworkMode};
use shoal_model::{Classify, Kind};

use crate::bed::{on_node, shell};

#[test]
fn programs_that_cannot_run_have_dockers_codes_and_texts() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        for (program, exit_code, words) in [
            ("no-such-program", 127, "executable file not found in $PATH"),
            ("/no/such/file", 127, "stat /no/such/file: no such file or directory"),
            ("/etc/not-a-program", 126, "permission denied"),
        ] {
            let mut request = shell("");
            request.config.cmd = Some(vec![program.into()]);
            let id = daemon.containers().create(request).await.unwrap().id;
            let refused = daemon.containers().start(id.as_str()).await.unwrap_err();
            let message = refused.to_string();
            assert_eq!(refused.kind(), Kind::Invalid, "{message}");
            assert!(message.contains(&format!("exec: \"{program}\": {words}")), "{message}");
            assert!(message.contains("OCI runtime create failed"), "{message}");
            let state = daemon.containers().inspect(id.as_str()).unwrap().state;
            assert_eq!((state.status, state.exit_code), (ContainerStatus::Created, exit_code));
            daemon.remove(id.as_str()).await;
        }
        daemon.close().await;
    });
}

/// dockerd makes such containers and refuses to start them: "not found" at create means the image
/// to its clients, and they would pull it.
#[test]
fn a_missing_network_or_neighbour_is_said_at_start() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        for (mode, message) in [
            (NetworkMode::Network("nowhere".into()), "network nowhere not found"),
            (NetworkMode::Container("nobody".into()), "No such container: nobody"),
        ] {
            let mut request = shell("true");
            request.host.network_mode = mode;
            let id = daemon.containers().create(request).await.unwrap().id;
            let refused = daemon.containers().start(id.as_str()).await.unwrap_err();
            assert_eq!((refused.to_string().as_str(), refused.kind()), (message, Kind::NotFound));
            let state = daemon.containers().inspect(id.as_str()).unwrap().state;
            assert_eq!(state.status, ContainerStatus::Created);
            daemon.remove(id.as_str()).await;
        }
        daemon.close().await;
    });
}

#[test]
fn a_refused_create_leaves_nothing() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut image = shell("true");
        image.config.image = "nowhere:1".into();
        let mut driver = shell("true");
        driver.host.mounts = vec![
            shoal_engine::domain::Mount::parse_bind("fresh:/a").unwrap(),
            shoal_engine::domain::Mount {
                destination: "/b".into(),
                kind: shoal_engine::domain::MountKind::Volume {
                    name: None,
                    driver: "nfs".into(),
                    labels: Default::default(),
                    options: Default::default(),
                    copy_up: true,
                },
                read_only: false,
            },
        ];
        for (request, message) in [
            (image, "No such image: nowhere:1"),
            (driver, "volume driver \"nfs\" is not supported yet; only \"local\" is"),
        ] {
            let refused = daemon.containers().create(request).await.unwrap_err();
            assert_eq!(refused.to_string(), message);
        }
        let kept = std::fs::read_dir(bed.root().join("containers")).unwrap();
        assert_eq!(kept.count(), 0);

        let mut fixed = shell("true");
        fixed.host.network_mode = NetworkMode::Bridge;
        let options = EndpointOptions { mac_address: Some("no".into()), ..Default::default() };
        fixed.networks.insert("bridge".into(), options);
        let id = daemon.containers().create(fixed).await;
        assert_eq!(id.unwrap_err().to_string(), "invalid MAC address: no");
        daemon.close().await;
    });
}
