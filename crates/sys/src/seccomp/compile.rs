//! Rules to BPF.
