//! The program `madang`.
fn main() {}
