//! Firmware images: which are stored, which are preferred, which one runs.

use serde::{Deserialize, Serialize};

use super::{Driver, DriverError, exchange};
use crate::event::ImagePair;
use crate::qmi::dms::{self, FirmwareImageType};
use crate::qmi::layout::unique_id_text;

/// What an image holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// The modem's firmware.
    Modem,
    /// A carrier's configuration (PRI).
    Carrier,
}

/// One stored image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What it holds.
    pub kind: ImageKind,
    /// Its build, such as `02.32.11.00_ATT`.
    pub build: String,
    /// Its identity: text, or hex where it is none.
    pub unique_id: String,
    /// Whether the modem prefers it.
    pub preferred: bool,
    /// Whether it runs, where the modem says so.
    pub running: bool,
    #[serde(skip)]
    id: [u8; 16],
}

/// All images of a modem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Images {
    /// Stored images, firmware first.
    pub stored: Vec<Image>,
    /// The pair preferred for the next start; its images need not be stored.
    pub preferred: ImagePair,
}

impl Images {
    /// The pair that runs.
    #[must_use]
    pub fn running(&self) -> ImagePair {
        let build = |kind| {
            let running = self.stored.iter().find(|image| image.kind == kind && image.running);
            running.map(|image| image.build.clone())
        };
        ImagePair { firmware: build(ImageKind::Modem), carrier: build(ImageKind::Carrier) }
    }

    /// The stored pair for a carrier's short name, such as `ATT`: its configuration and a firmware of the same version.
    ///
    /// # Errors
    /// [`DriverError::Image`] with the carriers there are.
    pub fn pair(&self, carrier: &str) -> Result<(&Image, &Image), DriverError> {
        let carriers = || self.stored.iter().filter(|image| image.kind == ImageKind::Carrier);
        let configuration = carriers()
            .find(|image| carrier_of(&image.build).eq_ignore_ascii_case(carrier))
            .ok_or_else(|| {
            let names: Vec<_> = carriers().map(|image| carrier_of(&image.build)).collect();
            DriverError::Image(format!("no image of {carrier} is stored, there are: {}", names.join(", ")))
        })?;
        let version = version_of(&configuration.build);
        let firmware = self
            .stored
            .iter()
            .find(|image| image.kind == ImageKind::Modem && version_of(&image.build) == version)
            .ok_or_else(|| {
                DriverError::Image(format!(
                    "no firmware {version} is stored, which {} needs",
                    configuration.build
                ))
            })?;
        Ok((firmware, configuration))
    }
}

/// `02.32.11.00_ATT` is version and carrier.
fn version_of(build: &str) -> &str {
    build.split_once('_').map_or(build, |(version, _)| version)
}

fn carrier_of(build: &str) -> &str {
    build.split_once('_').map_or(build, |(_, carrier)| carrier)
}

impl Driver {
    /// Stored and preferred images.
    ///
    /// # Errors
    /// [`DriverError`]; firmware without such images does not know the messages.
    pub async fn images(&self) -> Result<Images, DriverError> {
        let stored =
            exchange(&self.qmi, self.clients.dms, dms::ListStoredImages {}, self.deadlines.slow).await?;
        let preferred = self.dms(dms::GetFirmwarePreference {}).await?;
        Ok(images_of(&stored, &preferred))
    }

    /// Prefers a pair for the next start of the modem. Gives the builds that must be downloaded first; with stored images
    /// there are none.
    ///
    /// # Errors
    /// [`DriverError`] when the modem refuses or does not answer.
    pub async fn prefer_images(&self, firmware: &Image, carrier: &Image) -> Result<usize, DriverError> {
        let list = [firmware, carrier]
            .map(|image| dms::FirmwareImage {
                image_type: match image.kind {
                    ImageKind::Modem => FirmwareImageType::Modem,
                    ImageKind::Carrier => FirmwareImageType::Pri,
                },
                unique_id: image.id,
                build_id: image.build.clone(),
            })
            .to_vec();
        let set = dms::SetFirmwarePreference { list, download_override: None, modem_storage_index: None };
        let answer = exchange(&self.qmi, self.clients.dms, set, self.deadlines.slow).await?;
        Ok(answer.image_download_list.len())
    }
}

fn images_of(
    stored: &dms::ListStoredImagesResponse,
    preferred: &dms::GetFirmwarePreferenceResponse,
) -> Images {
    let prefers = |kind: FirmwareImageType| {
        preferred.list.iter().find(|image| image.image_type == kind).map(|image| image.build_id.clone())
    };
    let mut images = Images {
        stored: Vec::new(),
        preferred: ImagePair {
            firmware: prefers(FirmwareImageType::Modem),
            carrier: prefers(FirmwareImageType::Pri),
        },
    };
    for list in &stored.list {
        let kind = match list.image_type {
            FirmwareImageType::Modem => ImageKind::Modem,
            FirmwareImageType::Pri => ImageKind::Carrier,
            FirmwareImageType::Other(_) => continue,
        };
        for (index, image) in list.images.iter().enumerate() {
            let preferred = preferred.list.iter().any(|wanted| {
                wanted.image_type == list.image_type && matches(&wanted.build_id, &image.build_id)
            });
            images.stored.push(Image {
                kind,
                build: image.build_id.clone(),
                unique_id: unique_id_text(&image.unique_id),
                preferred,
                running: index == usize::from(list.index_of_running_image),
                id: image.unique_id,
            });
        }
    }
    images
}

/// A preference may leave the carrier of the firmware open: `02.32.11.00_?`.
fn matches(wanted: &str, build: &str) -> bool {
    wanted == build || wanted.strip_suffix('?').is_some_and(|prefix| build.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(image_type: FirmwareImageType, builds: &[&str]) -> dms::StoredImageList {
        dms::StoredImageList {
            image_type,
            maximum_images: 4,
            index_of_running_image: 0,
            images: builds
                .iter()
                .map(|build| dms::StoredImage {
                    build_id: (*build).to_owned(),
                    ..dms::StoredImage::default()
                })
                .collect(),
        }
    }

    fn images() -> Images {
        let stored = dms::ListStoredImagesResponse {
            list: vec![
                list(FirmwareImageType::Modem, &["02.32.11.00_?", "02.30.01.01_?"]),
                list(FirmwareImageType::Pri, &["02.32.11.00_VERIZON", "02.30.01.01_ATT", "09.01.00.00_LOST"]),
            ],
        };
        let preferred = dms::GetFirmwarePreferenceResponse {
            list: vec![dms::FirmwareImage {
                image_type: FirmwareImageType::Pri,
                build_id: "02.32.11.00_VERIZON".into(),
                ..dms::FirmwareImage::default()
            }],
        };
        images_of(&stored, &preferred)
    }

    #[test]
    fn a_carriers_pair_has_one_version() {
        let images = images();
        let (firmware, carrier) = images.pair("att").unwrap();
        assert_eq!((firmware.build.as_str(), carrier.build.as_str()), ("02.30.01.01_?", "02.30.01.01_ATT"));
        assert_eq!(images.running().carrier.as_deref(), Some("02.32.11.00_VERIZON"));
        assert_eq!(images.preferred.carrier.as_deref(), Some("02.32.11.00_VERIZON"));
        assert_eq!(images.stored.iter().filter(|image| image.preferred).count(), 1);
    }

    #[test]
    fn what_is_not_stored_is_refused_with_what_there_is() {
        let error = images().pair("SPRINT").unwrap_err().to_string();
        assert!(error.contains("SPRINT") && error.contains("VERIZON, ATT"), "{error}");
        let error = images().pair("LOST").unwrap_err().to_string();
        assert!(error.contains("no firmware 09.01.00.00"), "{error}");
    }
}
