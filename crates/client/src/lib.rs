//! A Rust client of Madang: for the command line, the tests and the load tool.
