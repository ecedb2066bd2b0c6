//! Answers a technician's look at a modem through the agent's own driver: no second hand on the modem, no client ids spent.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::socket::Answer;
use crate::modem::driver::Driver;
use crate::modem::report;

/// How long a look may take: a modem that hangs is told so.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a technician wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// What changes.
    State,
    /// What does not.
    Info,
    /// Firmware images: stored, preferred, running.
    Images,
}

/// Looks and answers. Ends by itself; nobody waits for it but the one who asked.
pub async fn answer(driver: Option<Arc<Driver>>, look: Look, answer: oneshot::Sender<Answer>) {
    let looked = match driver {
        None => Err("the agent has not opened the modem".to_owned()),
        Some(driver) => timeout(DEADLINE, read(&driver, look))
            .await
            .unwrap_or_else(|_| Err(format!("the modem has not answered within {} s", DEADLINE.as_secs()))),
    };
    let _ = answer.send(looked);
}

async fn read(driver: &Driver, look: Look) -> Answer {
    match look {
        Look::State => json(&report::state(driver).await),
        Look::Info => json(&report::info(driver).await),
        Look::Images => json(&driver.images().await.map_err(|error| error.to_string())?),
    }
}

fn json(value: &impl Serialize) -> Answer {
    serde_json::to_value(value).map_err(|error| error.to_string())
}
