//! Makes volumes.

use std::sync::Arc;

use shoal_model::{ContainerId, names};
use tokio::sync::Mutex;

use super::Volumes;
use crate::clock;
use crate::domain::{CreateVolume, Volume};
use crate::error::VolumeError;
use crate::node::blocking;

impl Volumes {
    /// Makes a volume; one that is there already and was asked for alike is returned.
    ///
    /// # Errors
    /// A driver or an option other than the local driver's, a bad name.
    pub async fn create(&self, request: CreateVolume) -> Result<Volume, VolumeError> {
        self.make(request, None).await
    }

    /// Makes a volume, or finds it, for a container that will hold it from then on.
    pub(crate) async fn make_for(
        &self,
        request: CreateVolume,
        user: &ContainerId,
    ) -> Result<Volume, VolumeError> {
        self.make(request, Some(user)).await
    }

    async fn make(
        &self,
        request: CreateVolume,
        user: Option<&ContainerId>,
    ) -> Result<Volume, VolumeError> {
        check(&request)?;
        let anonymous = request.name.is_none();
        let name = match request.name {
            Some(name) => name,
            None => {
                let random: [u8; 32] =
                    clock::random().map_err(VolumeError::io("cannot draw a name for a volume"))?;
                hex::encode(random)
            }
        };
        let volume = Volume {
            mountpoint: self.files.data(&name),
            name: name.clone(),
            created_at: clock::now(),
            labels: request.labels,
            options: request.options,
            anonymous,
        };
        loop {
            // Known before it is there: whoever wants the same one waits until it is made.
            let (busy, place) = self.take_place(&volume, user);
            let _busy = busy.lock().await;
            match place {
                Place::New => return self.make_now(volume).await,
                Place::There => {
                    let there = self.lock().get(&name).map(|known| known.volume.clone());
                    // Not there: its maker failed.
                    return there.ok_or(VolumeError::NotFound(name));
                }
                Place::Leaving => {}
            }
        }
    }

    fn take_place(&self, volume: &Volume, user: Option<&ContainerId>) -> (Arc<Mutex<()>>, Place) {
        let mut all = self.lock();
        let place = match all.get(&volume.name) {
            None => Place::New,
            Some(known) if known.leaving => Place::Leaving,
            Some(_) => Place::There,
        };
        let known = all.entry(volume.name.clone()).or_insert_with(|| volume.clone().into());
        if place != Place::Leaving {
            known.users.extend(user.cloned());
        }
        (known.busy.clone(), place)
    }

    async fn make_now(&self, volume: Volume) -> Result<Volume, VolumeError> {
        let (files, kept) = (self.files.clone(), volume.clone());
        if let Err(source) = blocking(move || files.make(&kept)).await {
            self.lock().remove(&volume.name);
            let what = format!("create {}: cannot make the volume", volume.name);
            return Err(VolumeError::Io { what, source });
        }
        self.publish(&volume.name, "create");
        Ok(volume)
    }
}

/// What was found under a wanted name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing; it is the caller's to make.
    New,
    /// A volume.
    There,
    /// A volume that is being removed.
    Leaving,
}

fn check(request: &CreateVolume) -> Result<(), VolumeError> {
    if !matches!(request.driver.as_str(), "" | "local") {
        return Err(VolumeError::Driver(request.driver.clone()));
    }
    if let Some(option) = request.options.keys().next() {
        return Err(VolumeError::Option(option.clone()));
    }
    match &request.name {
        Some(name) => names::check("volume", name).map_err(|_| VolumeError::BadName(name.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::VolumeFilter;
    use crate::events::Events;

    #[tokio::test]
    async fn a_volume_is_made_once_and_found_again() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes::open(root.path(), Events::default()).unwrap();
        let request = CreateVolume { name: Some("data".into()), ..CreateVolume::default() };
        let first = volumes.create(request.clone()).await.unwrap();
        assert!(first.mountpoint.is_dir());
        assert_eq!(volumes.create(request).await.unwrap().created_at, first.created_at);
        volumes.create(CreateVolume::default()).await.unwrap();
        drop(volumes);
        let volumes = Volumes::open(root.path(), Events::default()).unwrap();
        assert_eq!(volumes.list(&VolumeFilter::default()).len(), 2);
        assert_eq!(volumes.inspect("data").unwrap(), first);
    }

    #[tokio::test]
    async fn what_the_local_driver_has_not_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes::open(root.path(), Events::default()).unwrap();
        let nfs = CreateVolume { driver: "nfs".into(), ..CreateVolume::default() };
        let message = volumes.create(nfs).await.unwrap_err().to_string();
        assert!(message.contains("\"nfs\""), "{message}");
        let options = [("type".to_owned(), "tmpfs".to_owned())].into();
        let option = CreateVolume { options, ..CreateVolume::default() };
        assert!(volumes.create(option).await.unwrap_err().to_string().contains("\"type\""));
        let bad = CreateVolume { name: Some("../x".into()), ..CreateVolume::default() };
        assert!(matches!(volumes.create(bad).await, Err(VolumeError::BadName(_))));
    }

    #[tokio::test]
    async fn a_volume_in_use_stays() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes::open(root.path(), Events::default()).unwrap();
        let user = ContainerId::from_bytes([7; 32]);
        let request = CreateVolume { name: Some("data".into()), ..CreateVolume::default() };
        let volume = volumes.make_for(request, &user).await.unwrap();
        let message = volumes.remove("data", false).await.unwrap_err().to_string();
        assert_eq!(message, format!("remove data: volume is in use - [{user}]"));
        volumes.release("data", &user);
        volumes.remove("data", false).await.unwrap();
        assert!(!volume.mountpoint.exists());
        assert!(volumes.remove("data", false).await.is_err());
        volumes.remove("data", true).await.unwrap();
    }

    #[tokio::test]
    async fn prune_takes_anonymous_ones_and_with_all_the_rest() {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes::open(root.path(), Events::default()).unwrap();
        let named = CreateVolume { name: Some("data".into()), ..CreateVolume::default() };
        volumes.create(named).await.unwrap();
        let anonymous = volumes.create(CreateVolume::default()).await.unwrap();
        std::fs::write(anonymous.mountpoint.join("file"), "1234").unwrap();
        let filter = crate::domain::PruneFilter::default();
        let pruned = volumes.prune(&filter).await.unwrap();
        assert_eq!((pruned.removed, pruned.reclaimed_bytes), (vec![anonymous.name], 4));
        let all = crate::domain::PruneFilter { all: true, ..filter };
        assert_eq!(volumes.prune(&all).await.unwrap().removed, ["data"]);
    }
}
