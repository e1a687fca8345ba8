//! The kernel: mounts, namespaces, processes, cgroups; the only unsafe code
