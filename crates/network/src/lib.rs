//! Address plans, bridges, published ports, names
