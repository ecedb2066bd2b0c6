//! What every program that stays has in common: its log, its end, and the TLS provider.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Logs to standard error, as much as `TANDEM_LOG` asks for (`info` without it); names the TLS provider.
pub fn log() {
    let asked = std::env::var("TANDEM_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let told = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false);
    let _ = tracing_subscriber::registry().with(told).with(filter).try_init();
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Waits for Ctrl-C or SIGTERM. From this call on neither ends the program by itself, and none is missed. To be called
/// inside a runtime.
///
/// # Errors
/// When signals cannot be listened to.
pub fn signalled() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
