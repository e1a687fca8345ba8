//! The root file system as a mount of this mount namespace only.

use std::os::fd::AsFd;

use shoal_sys::{
    mount::{self, Change, Propagation},
    root::Root,
};

use super::failed;
use crate::{bundle::Bundle, plan::RootPlan, protocol::Failure};

/// Mounts it on the bundle's directory: a place that surely exists, and is hidden
/// in this namespace only.
pub(super) fn mount(bundle: &Bundle, plan: &RootPlan) -> Result<Root, Failure> {
    let mounted = match plan {
        RootPlan::Overlay(overlay) => {
            overlay.mount().map_err(failed("mounting the root file system"))?
        }
        RootPlan::Directory(path) => {
            let copy = mount::copy_path(path, true)
                .map_err(failed(format!("root file system {}", path.display())))?;
            let private = Change {
                propagation: Some(Propagation::Private),
                recursive: true,
                ..Change::default()
            };
            mount::change(&copy, private).map_err(failed("private root file system"))?;
            copy
        }
    };
    let place = mount::handle(bundle.dir())
        .map_err(failed(format!("bundle {}", bundle.dir().display())))?;
    mount::attach(mounted.as_fd(), place).map_err(failed("attaching the root file system"))?;
    Ok(Root::new(mounted))
}
