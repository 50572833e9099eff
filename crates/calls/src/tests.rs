//! A café: who is asked when, and how it ends. `world` is the same at random.

mod bounds;
mod cafe;
mod check;
mod ending;
mod handing;
mod leaving;
mod restarting;
mod world;
