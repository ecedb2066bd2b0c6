//! A stand-in for the kernel: plans as the real one would and remembers the steps, for the demo and for tests
//! without privileges. It touches nothing.

use std::collections::VecDeque;
use std::time::Instant;

use super::plan;
use super::state::{Change, Link, Present};
use super::words::{Applied, Told, Wanted};

/// Steps remembered; older ones are forgotten.
const STEPS_MAX: usize = 1000;

/// The stand-in.
#[derive(Debug, Default)]
pub struct Recorder {
    present: Present,
    steps: VecDeque<Change>,
    told: Told,
}

impl Recorder {
    /// Takes every step that the plan asks for. Every interface named exists.
    pub fn apply(&mut self, wanted: &Wanted) -> Applied {
        for uplink in &wanted.uplinks {
            let number = self.present.links.len() as u32 + 1;
            self.present.links.entry(uplink.device.clone()).or_insert_with(|| Link {
                index: number,
                up: false,
                mtu_bytes: 1500,
            });
            self.present.ipv6.insert(uplink.device.clone());
        }
        let plan = plan::plan(wanted, &self.present);
        self.take(plan)
    }

    /// Takes every step of a hand-over.
    pub fn hand_over(&mut self, wanted: &Wanted) -> Applied {
        let plan = plan::hand_over(&plan::Left::of(wanted), &self.present);
        self.take(plan)
    }

    fn take(&mut self, plan: plan::Plan) -> Applied {
        let (added, removed) = plan::told(&plan.changes, &self.present);
        for change in &plan.changes {
            self.present.take(change);
            if self.steps.len() == STEPS_MAX {
                self.steps.pop_front();
            }
            self.steps.push_back(change.clone());
        }
        Applied {
            added,
            removed,
            changes: plan.changes.len(),
            routed_at: Some(Instant::now()),
            problems: self.told.news(plan.problems),
            ..Applied::default()
        }
    }

    /// What a kernel would hold now.
    #[must_use]
    pub fn present(&self) -> &Present {
        &self.present
    }

    /// The steps taken, the latest last.
    #[must_use]
    pub fn steps(&self) -> &VecDeque<Change> {
        &self.steps
    }
}
