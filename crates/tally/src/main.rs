//! The one binary of Tallystick.
fn main() {}
