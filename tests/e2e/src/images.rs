//! Images for tests, made from programs of this machine: no network needed.

use std::{fs, net::TcpStream, os::unix::fs::PermissionsExt, path::Path};

use crate::{Node, Program, until};

/// Makes images on a node.
#[derive(Debug)]
pub struct Images;

impl Images {
    /// The name of the image [`Images::busybox`] makes.
    pub const BUSYBOX: &str = "busybox:test";

    /// A static busybox with its applets as links in `/bin`.
    ///
    /// # Panics
    /// When the client refuses it.
    pub fn busybox(node: &Node) {
        let dir = tempfile::TempDir::with_prefix("shoal-e2e-").expect("a temporary folder");
        let root = dir.path().join("root");
        for folder in ["bin", "tmp", "etc", "root"] {
            fs::create_dir_all(root.join(folder)).expect("a folder");
        }
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
        fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
        let applets = Program::new("/bin/busybox").args(["--list"]).run();
        for applet in applets.ok().lines().filter(|name| *name != "busybox") {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("a link");
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n",
        )
        .expect("a file");
        fs::write(root.join("etc/group"), "root:x:0:\nalice:x:1000:\nstaff:x:50:alice\n")
            .expect("a file");
        Self::import(node, &root, Self::BUSYBOX, &["CMD [\"sh\"]", "ENV PATH=/bin"]);
    }

    /// Redis from this machine's own, with the libraries it loads, as `redis`.
    ///
    /// # Panics
    /// When redis-server is not installed or the client refuses the image.
    pub fn redis(node: &Node) {
        let dir = tempfile::TempDir::with_prefix("shoal-e2e-").expect("a temporary folder");
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("data")).expect("a folder");
        let program = "/usr/bin/redis-server";
        let ldd = Program::new("ldd").args([program]).run();
        let loaded = ldd.ok().lines().filter_map(|line| {
            let file = line.split("=>").last()?.split_whitespace().next()?;
            file.starts_with('/').then_some(file)
        });
        for file in loaded.chain([program]) {
            let place = root.join(&file[1..]);
            fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
            fs::copy(file, place).expect("a library");
        }
        let entry = r#"ENTRYPOINT ["/usr/bin/redis-server","--protected-mode","no","--save",""]"#;
        Self::import(node, &root, "redis", &[entry, "WORKDIR /data"]);
    }

    /// A registry in a container, published on a port of the node; it listens when this returns.
    ///
    /// # Panics
    /// When it cannot be made or run, or never listens.
    pub fn registry(node: &Node, port: u16) {
        node.shoal(&["registry", "image", "registry"]).ok();
        let publish = format!("{port}:5000");
        node.docker(&["run", "-d", "-p", &publish, "--name", "registry", "registry"]).ok();
        until("the registry to listen", || {
            TcpStream::connect((node.address.as_str(), port)).ok().map(drop)
        });
    }

    /// The crawler's offline form as a build context below `dir`.
    ///
    /// # Panics
    /// When the example is not where it belongs.
    pub fn spider(dir: &Path) -> std::path::PathBuf {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/crawler/offline");
        let context = dir.join("spider");
        Program::new("cp").args(["-rT"]).arg_path(&example).arg_path(&context).run().ok();
        context
    }

    /// A folder as an image.
    ///
    /// # Panics
    /// When tar or the client fails.
    pub fn import(node: &Node, root: &Path, name: &str, changes: &[&str]) {
        let tar = root.with_extension("tar");
        Program::new("tar")
            .args(["-C"])
            .arg_path(root)
            .args(["-cf"])
            .arg_path(&tar)
            .args(["."])
            .run()
            .ok();
        let mut args = vec!["import"];
        for change in changes {
            args.extend(["--change", change]);
        }
        let path = tar.to_string_lossy().into_owned();
        args.extend([path.as_str(), name]);
        node.docker(&args).ok();
    }
}
