//! Volumes, binds and memory file systems.

use std::fs;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use shoal_engine::domain::{
    CreateVolume, Mount, MountKind, RemoveOptions, TmpfsOptions, VolumeFilter, WaitCondition,
};
use shoal_model::{Classify, Kind};

use crate::bed::{on_node, shell};

#[test]
fn a_named_volume_outlives_its_containers_and_begins_with_the_images_content() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let with = |line: &str| {
            let mut request = shell(line);
            request.host.mounts = vec![Mount::parse_bind("store:/data").unwrap()];
            request
        };
        let (output, _) = daemon.run(with("cat /data/file; echo new > /data/new")).await;
        assert_eq!(output, "from the image\n");
        let (output, _) = daemon.run(with("rm /data/file 2>/dev/null; cat /data/new")).await;
        assert_eq!(output, "new\n");
        let volume = daemon.engine.volumes().inspect("store").unwrap();
        assert_eq!(fs::read_to_string(volume.mountpoint.join("new")).unwrap(), "new\n");
        daemon.engine.volumes().remove("store", false).await.unwrap();
        assert!(!volume.mountpoint.exists());
        daemon.close().await;
    });
}

#[test]
fn an_images_volume_is_anonymous_and_goes_with_its_container() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let volumes = daemon.engine.volumes();
        let mut request = shell("cat /data/file");
        request.config.image = "voluminous".into();
        let id = daemon.start(request.clone()).await;
        let point = daemon.containers().inspect(id.as_str()).unwrap().mounts[0].clone();
        assert!(point.anonymous && point.source.join("sub").is_dir());
        let name = &volumes.list(&VolumeFilter::default())[0].name;
        assert_eq!(name.len(), 64);
        assert_eq!(volumes.remove(name, true).await.unwrap_err().kind(), Kind::Conflict);
        daemon.containers().wait(id.as_str(), WaitCondition::NotRunning).unwrap().done().await;
        assert_eq!(daemon.log(id.as_str()).await, "from the image\n");
        let keep = RemoveOptions { force: false, volumes: false };
        daemon.containers().remove(id.as_str(), keep).await.unwrap();
        assert_eq!(volumes.list(&VolumeFilter::default()).len(), 1);
        assert_eq!(volumes.prune(&Default::default()).await.unwrap().removed.len(), 1);

        request.host.auto_remove = true;
        let id = daemon.containers().create(request).await.unwrap().id;
        let gone = daemon.containers().wait(id.as_str(), WaitCondition::Removed).unwrap();
        daemon.containers().start(id.as_str()).await.unwrap();
        gone.done().await;
        assert_eq!(volumes.list(&VolumeFilter::default()), []);
        daemon.close().await;
    });
}

#[test]
fn binds_show_the_host_and_follow_the_rules_of_their_form() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let source = bed.dir().join("made/by-v");
        let mut request =
            shell("echo hi > /mnt/file; ls /ro; touch /ro/x 2>/dev/null || echo read-only");
        let ro = bed.dir().join("ro");
        fs::create_dir(&ro).unwrap();
        fs::write(ro.join("there"), "").unwrap();
        request.host.mounts = vec![
            Mount::parse_bind(&format!("{}:/mnt", source.display())).unwrap(),
            Mount::parse_bind(&format!("{}:/ro:ro", ro.display())).unwrap(),
        ];
        assert_eq!(daemon.run(request).await.0, "there\nread-only\n");
        assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "hi\n");

        let mut request = shell("true");
        let missing = bed.dir().join("missing");
        request.host.mounts = vec![Mount {
            destination: "/mnt".into(),
            kind: MountKind::Bind {
                source: missing.display().to_string(),
                create_source: false,
                propagation: Default::default(),
                recursive: true,
            },
            read_only: false,
        }];
        let refused = daemon.containers().create(request).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                missing.display()
            )
        );
        daemon.close().await;
    });
}

#[test]
fn a_memory_file_system_has_its_limit() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let mut request = shell("dd if=/dev/zero of=/mem/x bs=1024 count=200 2>/dev/null; ls /mem");
        let tmpfs = TmpfsOptions { size_bytes: Some(100 << 10), ..TmpfsOptions::default() };
        request.host.mounts = vec![Mount {
            destination: "/mem".into(),
            kind: MountKind::Tmpfs(tmpfs),
            read_only: false,
        }];
        request.config.cmd.as_mut().unwrap()[2] =
            "dd if=/dev/zero of=/mem/x bs=1024 count=200 2>&1 | tail -1; wc -c < /mem/x".into();
        let (output, _) = daemon.run(request).await;
        assert!(output.ends_with("102400\n"), "{output}");
        daemon.close().await;
    });
}

#[test]
fn two_containers_fill_one_new_volume_once() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let request = || {
            let mut request = shell("cat /data/file");
            request.host.mounts = vec![Mount::parse_bind("both:/data").unwrap()];
            request
        };
        let runs = futures_util::future::join_all((0..8).map(|_| daemon.run(request()))).await;
        assert!(runs.iter().all(|run| run.0 == "from the image\n"));
        let labelled = CreateVolume {
            name: Some("labelled".into()),
            labels: [("a".to_owned(), "b".to_owned())].into(),
            ..CreateVolume::default()
        };
        daemon.engine.volumes().create(labelled).await.unwrap();
        let filter = VolumeFilter { label: ["a=b".to_owned()].into(), ..Default::default() };
        assert_eq!(daemon.engine.volumes().list(&filter)[0].name, "labelled");
        daemon.close().await;
    });
}

#[test]
fn a_full_disk_leaves_volumes_empty_and_none_without_a_container() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let volumes = daemon.engine.volumes();
        let dir = bed.root().join("volumes");
        // Room for the records and for less than what the image has.
        mount("tmpfs", &dir, "tmpfs", MountFlags::empty(), c"size=256k").unwrap();
        let mut anonymous = shell("true");
        anonymous.config.volumes = ["/bin".to_owned()].into();
        let mut named = shell("true");
        named.host.mounts = vec![Mount::parse_bind("named:/bin").unwrap()];
        for request in [anonymous, named] {
            let refused = daemon.containers().create(request).await.unwrap_err().to_string();
            assert!(refused.starts_with("cannot copy /bin of the image into volume"), "{refused}");
        }
        let left = volumes.list(&VolumeFilter::default());
        assert_eq!(left.iter().map(|volume| volume.name.as_str()).collect::<Vec<_>>(), ["named"]);
        let content = fs::read_dir(&left[0].mountpoint).unwrap().count();
        assert_eq!(content, 0, "a part is taken for the whole");
        volumes.remove("named", false).await.unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        unmount(&dir, UnmountFlags::empty()).unwrap();
        daemon.close().await;
    });
}

#[test]
fn what_is_read_only_on_the_host_stays_so() {
    on_node(async |bed| {
        let daemon = bed.open().await;
        let source = bed.dir().join("source");
        let below = source.join("below");
        fs::create_dir_all(&below).unwrap();
        mount("tmpfs", &below, "tmpfs", MountFlags::RDONLY, c"size=64k").unwrap();
        let mut request = shell("touch /mnt/x && touch /mnt/below/x 2>/dev/null || echo read-only");
        let bind = Mount::parse_bind(&format!("{}:/mnt", source.display())).unwrap();
        request.host.mounts = vec![bind];
        assert_eq!(daemon.run(request).await.0, "read-only\n");
        assert!(source.join("x").exists());
        unmount(&below, UnmountFlags::empty()).unwrap();
        daemon.close().await;
    });
}
