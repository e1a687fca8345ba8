//! Makes containers.
//!
//! Everything that can be refused is refused before anything is made; what was
//! made before a later step failed is unmade.

use std::collections::BTreeMap;
use std::fs;

use shoal_image::{Image, Lease};
use shoal_model::{Classify as _, ContainerId, names as name_rule};

use super::container::Container;
use super::launch::endpoint_request;
use super::record::{Record, Rootfs};
use super::state::RunState;
use super::table::Reservation;
use super::{Containers, check, is_durable, merge, mounts, names};
use crate::clock;
use crate::domain::{
    ContainerConfig, CreateContainer, Created, EndpointOptions, HostConfig, Mount, MountError,
    MountKind, MountPoint, NetworkMode, RootfsSource, UtsMode, Volume,
};
use crate::error::ContainerError;
use crate::files::remove_tree;
use crate::node::blocking;

/// Attempts at a free name before giving up: each has a fresh five-digit number in it.
const NAME_ATTEMPTS: u32 = 40;

impl Containers {
    /// Makes a container from what the caller gives, what its image says and Docker's rules.
    ///
    /// # Errors
    /// A name that is taken, an image that is not here, an option that makes no sense or is not
    /// supported, a mount that cannot be used. Nothing is left then.
    pub async fn create(&self, request: CreateContainer) -> Result<Created, ContainerError> {
        let containers = self.clone();
        self.node.tasks.finish(async move { containers.make(request).await }).await
    }

    async fn make(&self, mut request: CreateContainer) -> Result<Created, ContainerError> {
        let random = clock::random().map_err(ContainerError::io("cannot draw an id"))?;
        let id = ContainerId::from_bytes(random);
        let (image, lease) = self.find_image(&request).await?;
        let config = match &image {
            Some(image) => merge::merge(request.config, &image.config.config),
            None => request.config,
        };
        let warnings = check::check(&config, &request.host, self.node.machine())?;
        request.host.say_defaults(self.node.cgroups.is_v2());
        // Whether the networks and neighbours are there is asked at every start, as dockerd does:
        // a client takes "not found" at create for a missing image.
        for (network, options) in &request.networks {
            endpoint_request(network, options)?;
        }
        let planned = mounts::plan(&config, &request.host)?;
        check_sources(&planned)?;

        let (name, reservation) = self.reserve_name(request.name, &id)?;
        let config = self.finish_config(config, &request.host, &id)?;
        let rootfs = self.rootfs(&id, &image, request.rootfs)?;
        let mut record = Record {
            id: id.clone(),
            name,
            created_at: clock::now(),
            image_id: image.as_ref().map(|image| image.id.clone()),
            layers: image.map(|image| image.layers).unwrap_or_default(),
            networks: first_network(&request.host, request.networks),
            config,
            host: request.host,
            mounts: Vec::new(),
            rootfs,
            hidden: request.hidden,
        };
        if let Err(error) = self.make_files(&mut record, planned).await {
            self.unmake(&record).await;
            return Err(error);
        }
        let record_for_event = record.clone();
        reservation.keep();
        self.table.insert(Container::new(record, RunState::default(), lease));
        self.publish(&record_for_event, "create", &[]);
        Ok(Created { id, warnings })
    }

    async fn find_image(
        &self,
        request: &CreateContainer,
    ) -> Result<(Option<Image>, Option<Lease>), ContainerError> {
        if let RootfsSource::Layers { .. } = request.rootfs {
            return Ok((None, None));
        }
        let (images, name) = (self.node.images.clone(), request.config.image.clone());
        blocking(move || {
            // Held as a whole until its layers are: somebody may be removing it.
            let whole = images.lease();
            let image = images.resolve_and_lease(&name, &whole)?;
            let lease = images.lease_layers(&image.layers);
            Ok((Some(image), Some(lease)))
        })
        .await
    }

    fn reserve_name(
        &self,
        wanted: Option<String>,
        id: &ContainerId,
    ) -> Result<(String, Reservation<'_>), ContainerError> {
        if let Some(wanted) = wanted {
            let name = wanted.strip_prefix('/').unwrap_or(&wanted).to_owned();
            name_rule::check("container", &name)
                .map_err(|_| ContainerError::BadName(name.clone()))?;
            let reservation = self.table.reserve(&name, id)?;
            return Ok((name, reservation));
        }
        let mut refused = None;
        for attempt in 0..NAME_ATTEMPTS {
            let random = clock::random().map_err(ContainerError::io("cannot draw a name"))?;
            let name = names::name(random, attempt);
            match self.table.reserve(&name, id) {
                Ok(reservation) => return Ok((name, reservation)),
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or(ContainerError::ShuttingDown))
    }

    /// Fills in what depends on the machine and the id.
    fn finish_config(
        &self,
        mut config: ContainerConfig,
        host: &HostConfig,
        id: &ContainerId,
    ) -> Result<ContainerConfig, ContainerError> {
        if config.hostname.is_none() {
            let shared = host.network_mode == NetworkMode::Host || host.uts_mode == UtsMode::Host;
            // In another's network it takes the other's name at its start.
            config.hostname = Some(if shared { node_name() } else { id.short().to_owned() });
        }
        config.exposed_ports.extend(host.port_bindings.keys());
        Ok(config)
    }

    fn rootfs(
        &self,
        id: &ContainerId,
        image: &Option<Image>,
        source: RootfsSource,
    ) -> Result<Rootfs, ContainerError> {
        match (source, image) {
            (RootfsSource::Layers { lower, upper, work }, _) => Ok(Rootfs { lower, upper, work }),
            (RootfsSource::Image, Some(image)) => {
                let dir = self.node.paths.dir(id);
                Ok(Rootfs {
                    lower: self.node.images.lower_dirs(image)?,
                    upper: dir.join("upper"),
                    work: dir.join("work"),
                })
            }
            (RootfsSource::Image, None) => Err(ContainerError::NoSuchImage(String::new())),
        }
    }

    /// Makes directories and volumes, then the record: only with it is it a container.
    async fn make_files(
        &self,
        record: &mut Record,
        planned: Vec<mounts::Planned>,
    ) -> Result<(), ContainerError> {
        let dir = self.node.paths.dir(&record.id);
        let own = record.rootfs.upper.starts_with(&dir);
        let rootfs = record.rootfs.clone();
        let failed = ContainerError::io(format!("cannot make container {}", record.name));
        blocking(move || {
            fs::create_dir(&dir)?;
            if own {
                fs::create_dir(&rootfs.upper)?;
                fs::create_dir(&rootfs.work)?;
            }
            Ok(())
        })
        .await
        .map_err(failed)?;
        for planned in planned {
            let fresh = self.make_mount_point(record, planned).await?;
            // Known before it is filled: if that fails, its volume is unmade, too.
            let destination = fresh.point.mount.destination.clone();
            record.mounts.push(fresh.point);
            if let Some(volume) = fresh.to_fill {
                self.volumes.fill(&volume, &record.rootfs, &destination).await?;
            }
        }
        let (node, kept) = (self.node.clone(), record.clone());
        blocking(move || node.paths.write_record(&kept, is_durable(&kept)))
            .await
            .map_err(ContainerError::io(format!("cannot store container {}", record.name)))
    }

    async fn make_mount_point(
        &self,
        record: &Record,
        planned: mounts::Planned,
    ) -> Result<FreshMount, ContainerError> {
        let mounts::Planned { mut mount, from_mounts } = planned;
        let mut anonymous = false;
        let mut to_fill = None;
        let source = match &mut mount.kind {
            MountKind::Tmpfs(_) => Default::default(),
            MountKind::Bind { source, .. } => source.clone().into(),
            MountKind::Volume { name, driver, labels, options, copy_up } => {
                anonymous = name.is_none();
                let request = crate::domain::CreateVolume {
                    name: name.clone(),
                    driver: driver.clone(),
                    labels: labels.clone(),
                    options: options.clone(),
                };
                let volume = self.volumes.make_for(request, &record.id).await?;
                *name = Some(volume.name.clone());
                let source = volume.mountpoint.clone();
                to_fill = copy_up.then_some(volume);
                source
            }
        };
        Ok(FreshMount { point: MountPoint { mount, source, anonymous, from_mounts }, to_fill })
    }

    /// Removes what was made of a container that will not be.
    async fn unmake(&self, record: &Record) {
        for point in record.mounts.iter().filter(|point| point.anonymous) {
            if let MountKind::Volume { name: Some(name), .. } = &point.mount.kind {
                self.volumes.release(name, &record.id);
                if let Err(error) = self.volumes.remove(name, true).await {
                    tracing::error!(error = %error.chain(), "cannot remove the volume of a container never made");
                }
            }
        }
        self.volumes.release_all(&record.id);
        let dir = self.node.paths.dir(&record.id);
        let removed = blocking(move || remove_tree(&dir)).await;
        if let Err(error) = removed {
            tracing::error!(%error, "cannot remove the directory of a container never made");
        }
    }
}

/// A mount whose source is there.
struct FreshMount {
    point: MountPoint,
    /// The volume that begins with what the image has at this place.
    to_fill: Option<Volume>,
}

/// The networks of a container by name, the one of its mode among them.
fn first_network(
    host: &HostConfig,
    mut networks: BTreeMap<String, EndpointOptions>,
) -> BTreeMap<String, EndpointOptions> {
    if let Some(options) = networks.remove("default") {
        networks.entry("bridge".into()).or_insert(options);
    }
    match &host.network_mode {
        NetworkMode::Container(_) => {}
        mode => {
            networks.entry(mode.to_string()).or_default();
        }
    }
    networks
}

/// Sources of `--mount type=bind` must be there; those of `-v` are made.
fn check_sources(planned: &[mounts::Planned]) -> Result<(), MountError> {
    for mounts::Planned { mount: Mount { kind, .. }, .. } in planned {
        if let MountKind::Bind { source, create_source: false, .. } = kind
            && fs::symlink_metadata(source).is_err()
        {
            return Err(MountError::NoSource(source.clone()));
        }
    }
    Ok(())
}

/// The node's own host name.
pub(crate) fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
