//! Tandem keeps a Linux router online over two LTE modems and makes a fleet of such routers
//! understandable. The modules stand in rows; a module uses the rows above it in this list, never
//! one beside or below it. `tests/layering.rs` reads the blank lines between the rows.

/// Views are many small things made by some threads and changed by others: on that the C library's allocator spends half
/// of a fold's time, and keeps a third more memory. An agent alone has little to allocate and does without.
#[cfg(feature = "central")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What happened on a router: one variant and one struct per kind of event.
pub mod event;

/// AT commands, replies and unsolicited lines.
pub mod at;
/// What an operator writes for one router: parsed, checked, printed.
pub mod config;
/// The QMI protocol: frames, TLVs, messages and transactions.
pub mod qmi;

/// Decisions about one modem and about which link carries the traffic.
pub mod link;
/// Events folded into the status of routers and of the fleet.
#[cfg(feature = "central")]
pub mod view;

/// The modems of this machine: found, opened, driven.
#[cfg(feature = "agent")]
pub mod modem;
/// Routes, rules, addresses and NAT of this machine.
#[cfg(feature = "agent")]
pub mod net;
/// Events on the router's disk until central has them.
#[cfg(feature = "agent")]
pub mod spool;
/// Events in central: appended, read from an offset.
#[cfg(any(feature = "central", feature = "kafka"))]
pub mod stream;

/// The program on the router.
#[cfg(feature = "agent")]
pub mod agent;
/// The HTTP API and the web page.
#[cfg(feature = "central")]
pub mod api;
/// Reads the stream once and feeds the views.
#[cfg(feature = "central")]
pub mod central;
/// Takes batches from routers and appends them to the stream.
#[cfg(feature = "central")]
pub mod gateway;
/// A simulated modem, at the wire.
#[cfg(feature = "central")]
pub mod sim;

/// One file per subcommand; the only place that wires shells together.
pub mod cli;
