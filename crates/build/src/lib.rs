//! Dockerfile parser, build graph, cache keys and solver
