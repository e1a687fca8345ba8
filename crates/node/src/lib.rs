//! The shell of the cluster: consensus, certificates, sessions, the agent's loop
