//! A change of the carrier's firmware image, as a transaction: check that it is stored, set it, reset, wait for the modem to
//! come back, compare what runs with what was wanted; if it does not fit, set the old one and reset again.
//!
//! Whether the modem may be reset at all is for the caller to know: it takes the link down for a minute.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::driver::{Driver, DriverError, Image, Images, OpenOptions};
use super::sysfs::Slot;
use crate::event::{ImageChanged, ImagePair};
use crate::qmi::dms::OperatingMode;

/// Longest time for the modem to come back after a reset; firmware that unpacks an image takes a minute or two.
const RETURN_DEADLINE: Duration = Duration::from_secs(240);

/// Pause between two looks for it.
const RETURN_PAUSE: Duration = Duration::from_secs(1);

/// Time for the modem to leave the bus.
const LEAVE_DEADLINE: Duration = Duration::from_secs(30);

/// The images of a modem.
///
/// # Errors
/// [`DriverError`]; firmware without such images does not know the messages.
pub async fn read(slot: &Slot, options: &OpenOptions) -> Result<Images, DriverError> {
    let (driver, _notices) = Driver::open(slot, options).await?;
    let images = driver.images().await;
    driver.close(true).await;
    images
}

/// What a change to `carrier` comes to where nothing need be done; `None` where the modem must restart for it.
///
/// # Errors
/// [`DriverError::Image`] when its image is not stored.
pub fn without_a_restart(images: &Images, carrier: &str) -> Result<Option<ImageChanged>, DriverError> {
    let (firmware, configuration) = images.pair(carrier)?;
    let runs = [firmware, configuration].iter().all(|image| image.running && image.preferred);
    let pair = images.running();
    let unchanged =
        ImageChanged { before: pair.clone(), after: pair, result: "unchanged".to_owned(), cause: None };
    Ok(runs.then_some(unchanged))
}

/// Makes the stored image of `carrier` run. `find` looks for the slot, which comes back with other numbers. What happened is
/// the answer, also when it was taken back.
///
/// # Errors
/// [`DriverError`] when nothing was changed: the image is not stored, or the modem refused.
pub async fn change(
    carrier: &str,
    options: &OpenOptions,
    find: impl Fn() -> Option<Slot>,
) -> Result<ImageChanged, DriverError> {
    let slot = find().ok_or_else(|| DriverError::Open("the modem is not there".to_owned()))?;
    let (driver, _notices) = Driver::open(&slot, options).await?;
    let result = set(&driver, carrier).await;
    driver.close(result.is_err()).await;
    let (before, wanted, old) = match result? {
        Set::Already(unchanged) => return Ok(unchanged),
        Set::Done { before, wanted, old } => (before, wanted, old),
    };
    let cause = match running_after_reset(&slot, options, &find).await {
        Ok(running) if fits(&wanted, &running) => {
            let result = "changed".to_owned();
            return Ok(ImageChanged { before, after: running, result, cause: None });
        }
        Ok(running) => format!("{} runs instead", shown(&running)),
        Err(error) => error,
    };
    tracing::warn!(%cause, "the image did not take, the old one is set again");
    Ok(match roll_back(&old, options, &find).await {
        Ok(after) => ImageChanged { before, after, result: "rolled-back".to_owned(), cause: Some(cause) },
        Err(error) => {
            let cause = Some(format!("{cause}; and the old image could not be set again: {error}"));
            ImageChanged { before, after: ImagePair::default(), result: "failed".to_owned(), cause }
        }
    })
}

enum Set {
    /// It runs and is preferred already.
    Already(ImageChanged),
    /// It is set and the modem restarts.
    Done { before: ImagePair, wanted: ImagePair, old: Vec<Image> },
}

async fn set(driver: &Driver, carrier: &str) -> Result<Set, DriverError> {
    let images = driver.images().await?;
    if let Some(unchanged) = without_a_restart(&images, carrier)? {
        return Ok(Set::Already(unchanged));
    }
    let (firmware, configuration) = images.pair(carrier)?;
    let wanted = pair_of(firmware, configuration);
    let old: Vec<_> = images.stored.iter().filter(|image| image.running).cloned().collect();
    if old.len() != 2 {
        return Err(DriverError::Image(
            "the running image is not stored, it could not be set again".to_owned(),
        ));
    }
    if driver.prefer_images(firmware, configuration).await? > 0 {
        driver.prefer_images(&old[0], &old[1]).await?;
        return Err(DriverError::Image(format!("{} must be downloaded first", shown(&wanted))));
    }
    driver.reset_operating_mode().await?;
    Ok(Set::Done { before: images.running(), wanted, old })
}

async fn roll_back(
    old: &[Image],
    options: &OpenOptions,
    find: &impl Fn() -> Option<Slot>,
) -> Result<ImagePair, String> {
    let slot = find().ok_or("the modem did not come back")?;
    let (driver, _notices) = Driver::open(&slot, options).await.map_err(|error| error.to_string())?;
    let set = async {
        driver.prefer_images(&old[0], &old[1]).await?;
        driver.reset_operating_mode().await
    };
    let result = set.await;
    driver.close(false).await;
    result.map_err(|error: DriverError| error.to_string())?;
    let running = running_after_reset(&slot, options, find).await?;
    match fits(&pair_of(&old[0], &old[1]), &running) {
        true => Ok(running),
        false => Err(format!("{} runs instead", shown(&running))),
    }
}

/// Waits for the modem to go and come back; says what runs then. A modem whose images do not fit keeps its radio off.
async fn running_after_reset(
    before: &Slot,
    options: &OpenOptions,
    find: &impl Fn() -> Option<Slot>,
) -> Result<ImagePair, String> {
    wait_until_gone(before, find).await;
    let end = Instant::now() + RETURN_DEADLINE;
    let mut last = "the modem did not come back".to_owned();
    while Instant::now() < end {
        if let Some(slot) = find() {
            match Driver::open(&slot, options).await {
                Ok((driver, _notices)) => {
                    let result = look(&driver, options.deadlines.settle).await;
                    driver.close(false).await;
                    return result;
                }
                Err(error) => last = error.to_string(),
            }
        }
        sleep(RETURN_PAUSE).await;
    }
    Err(last)
}

async fn look(driver: &Driver, settle: Duration) -> Result<ImagePair, String> {
    let images = driver.images().await.map_err(|error| error.to_string())?;
    let end = Instant::now() + settle;
    loop {
        let mode = driver.operating_mode().await.map_err(|error| error.to_string())?;
        if mode == OperatingMode::Online {
            return Ok(images.running());
        }
        if Instant::now() >= end {
            return Err(format!("the modem stays in {mode} mode with {}", shown(&images.running())));
        }
        sleep(RETURN_PAUSE / 4).await;
    }
}

async fn wait_until_gone(before: &Slot, find: &impl Fn() -> Option<Slot>) {
    let end = Instant::now() + LEAVE_DEADLINE;
    while Instant::now() < end {
        match find() {
            Some(slot) if slot.device == before.device && slot.control.exists() => {
                sleep(RETURN_PAUSE / 10).await
            }
            _ => return,
        }
    }
}

fn pair_of(firmware: &Image, carrier: &Image) -> ImagePair {
    ImagePair { firmware: Some(firmware.build.clone()), carrier: Some(carrier.build.clone()) }
}

fn fits(wanted: &ImagePair, running: &ImagePair) -> bool {
    wanted.firmware == running.firmware && wanted.carrier == running.carrier
}

fn shown(pair: &ImagePair) -> String {
    pair.carrier.clone().or_else(|| pair.firmware.clone()).unwrap_or_else(|| "no known image".to_owned())
}
