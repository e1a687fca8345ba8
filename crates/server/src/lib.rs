//! HTTP front doors: the Docker Engine API and the registry
