//! Pure: the firmware images a modem stores, which it runs and which it should run after the next reset.

use super::identity::FIRMWARE;
use crate::qmi::dms::{FirmwareImage, FirmwareImageType, StoredImage, StoredImageList};
use crate::qmi::layout::unique_id;

/// Carrier images stored: name in the build id, configuration version.
const CARRIERS: [(&str, &str); 4] = [
    ("ATT", "002.066_000"),
    ("VERIZON", "002.061_000"),
    ("SPRINT", "002.059_000"),
    ("GENERIC", "002.079_000"),
];

/// Images of one modem: one of the modem type, several carrier configurations (PRI).
#[derive(Debug, Clone)]
pub struct Firmware {
    stored: Vec<FirmwareImage>,
    running: Vec<FirmwareImage>,
    preferred: Vec<FirmwareImage>,
}

impl Firmware {
    pub(super) fn new(carrier_name: &str) -> Self {
        let modem = image(FirmwareImageType::Modem, "?_?", format!("{FIRMWARE}_?"));
        let pri = |(carrier, version): (&str, &str)| {
            image(FirmwareImageType::Pri, version, format!("{FIRMWARE}_{carrier}"))
        };
        let wanted = match carrier_name {
            "AT&T" => CARRIERS[0],
            "Verizon" => CARRIERS[1],
            _ => CARRIERS[3],
        };
        let running = vec![modem.clone(), pri(wanted)];
        let stored = std::iter::once(modem).chain(CARRIERS.map(pri)).collect();
        Self { stored, preferred: running.clone(), running }
    }

    /// The images in use.
    #[must_use]
    pub fn running(&self) -> &[FirmwareImage] {
        &self.running
    }

    /// The images to use after the next reset.
    #[must_use]
    pub fn preferred(&self) -> &[FirmwareImage] {
        &self.preferred
    }

    /// Carrier of the configuration in use, such as `ATT`.
    #[must_use]
    pub fn carrier(&self) -> &str {
        let pri = self.running.iter().find(|image| image.image_type == FirmwareImageType::Pri);
        pri.and_then(|image| image.build_id.rsplit('_').next()).unwrap_or("")
    }

    /// Configuration version in use.
    pub(super) fn version(&self) -> String {
        let pri = self.running.iter().find(|image| image.image_type == FirmwareImageType::Pri);
        pri.map(|image| crate::qmi::layout::unique_id_text(&image.unique_id)).unwrap_or_default()
    }

    /// Takes a preference and says which types would have to be downloaded first.
    pub(super) fn prefer(&mut self, images: Vec<FirmwareImage>) -> Vec<FirmwareImageType> {
        let missing = images.iter().filter(|image| !self.stored.contains(image));
        let missing: Vec<_> = missing.map(|image| image.image_type).collect();
        for image in images {
            self.preferred.retain(|preferred| preferred.image_type != image.image_type);
            self.preferred.push(image);
        }
        self.preferred.sort_by_key(|image| image.image_type);
        missing
    }

    /// After a reset; false when the preferred images are not all stored: the modem then keeps its radio off.
    pub(super) fn boot(&mut self) -> bool {
        let whole = self.preferred.iter().all(|image| self.stored.contains(image));
        if whole {
            self.running.clone_from(&self.preferred);
        }
        whole
    }

    /// The preferred carrier image vanishes.
    pub(super) fn lose_preferred(&mut self) {
        let preferred = &self.preferred;
        self.stored
            .retain(|image| image.image_type == FirmwareImageType::Modem || !preferred.contains(image));
    }

    pub(super) fn delete(&mut self, image: &FirmwareImage) -> bool {
        let count = self.stored.len();
        self.stored.retain(|stored| stored != image);
        self.stored.len() < count
    }

    pub(super) fn contains(&self, image: &FirmwareImage) -> bool {
        self.stored.contains(image)
    }

    pub(super) fn lists(&self) -> Vec<StoredImageList> {
        [(FirmwareImageType::Modem, 4), (FirmwareImageType::Pri, 50)]
            .into_iter()
            .map(|(image_type, maximum_images)| {
                let stored: Vec<_> =
                    self.stored.iter().filter(|image| image.image_type == image_type).collect();
                let running = stored.iter().position(|image| self.running.contains(image));
                StoredImageList {
                    image_type,
                    maximum_images,
                    index_of_running_image: running.map_or(u8::MAX, |index| index as u8),
                    images: stored.into_iter().map(stored_image).collect(),
                }
            })
            .collect()
    }
}

fn stored_image(image: &FirmwareImage) -> StoredImage {
    StoredImage {
        storage_index: if image.image_type == FirmwareImageType::Modem { 1 } else { u8::MAX },
        failure_count: 0,
        unique_id: image.unique_id,
        build_id: image.build_id.clone(),
    }
}

fn image(image_type: FirmwareImageType, id: &str, build_id: String) -> FirmwareImage {
    FirmwareImage { image_type, unique_id: unique_id(id), build_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_preference_runs_after_the_next_boot_and_a_missing_one_keeps_the_radio_off() {
        let mut firmware = Firmware::new("AT&T");
        assert_eq!(firmware.carrier(), "ATT");
        let verizon =
            firmware.stored.iter().find(|image| image.build_id.ends_with("VERIZON")).cloned().unwrap();
        assert_eq!(firmware.prefer(vec![verizon]), []);
        assert_eq!((firmware.carrier(), firmware.preferred().len()), ("ATT", 2));
        assert!(firmware.boot());
        assert_eq!(firmware.carrier(), "VERIZON");
        firmware.lose_preferred();
        assert!(!firmware.boot());
        let unknown = image(FirmwareImageType::Pri, "009.000_000", "09.00.00.00_X".to_owned());
        assert_eq!(firmware.prefer(vec![unknown]), [FirmwareImageType::Pri]);
        assert!(!firmware.boot());
        assert_eq!(firmware.carrier(), "VERIZON");
    }
}
