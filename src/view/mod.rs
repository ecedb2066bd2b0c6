//! Events folded into the status of routers ([`RouterView`]) and of the fleet ([`FleetView`]). A fold cannot
//! fail, reads no clock and remembers no more than it needs: any view can be thrown away and folded again.
//!
//! Views are made for folding and for snapshots; what people read is made of them in `api`.

mod clock;
mod fleet;
mod link;
mod packed;
mod points;
mod router;
mod sequences;
#[cfg(test)]
mod tests;

pub use clock::Moment;
pub use fleet::{FleetCounts, FleetView, Freshness, Ill, LinkCounts};
pub use link::{Latest, LinkView, SignalPoint, SignalView, Stamp, Told, TrafficTotals};
pub use packed::Packed;
pub use points::Points;
pub use router::{Completeness, Labels, RouterState, RouterView};
pub use sequences::{Epochs, Order, Sequences};
