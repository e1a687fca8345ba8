//! OCI bundle to process: the shim, its protocol and its command line
