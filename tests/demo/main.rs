//! The demo as a person meets it: what it tells by itself, on the command line, and on its page.
#![cfg(all(feature = "agent", feature = "central"))]

mod browser;
mod page;
mod process;
mod start;
mod story;
