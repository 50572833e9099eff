//! A café: who is asked when, and how it ends.

mod bounds;
mod cafe;
mod check;
mod ending;
mod handing;
mod leaving;
mod restarting;
