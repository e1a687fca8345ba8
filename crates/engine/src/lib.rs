//! One node: containers, exec, attach, logs, events, volumes, networks
