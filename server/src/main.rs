//! The central endpoint of Curfew.
#![forbid(unsafe_code)]

fn main() {}
