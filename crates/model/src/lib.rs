//! Ids, references, digests, specs and states: plain data with rules, no IO
