//! Content store, layers, tags, pull, push, save and load
