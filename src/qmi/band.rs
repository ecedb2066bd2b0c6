//! Band codes: which LTE, NR, GSM or WCDMA band a number on the wire means.

use serde_json::{Value, json};

use super::layout::Coded;

/// Code of the band in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActiveBand(pub u16);

impl ActiveBand {
    /// The code of an LTE band number.
    #[must_use]
    pub fn of_lte(band: u16) -> Option<Self> {
        LTE.iter().find(|(_, number)| *number == band).map(|(code, _)| Self(*code))
    }

    /// LTE band number (E-UTRA operating band, 3GPP TS 36.101 table 5.5-1).
    #[must_use]
    pub fn lte(self) -> Option<u16> {
        find(LTE, self.0)
    }

    /// NR band number (3GPP TS 38.101).
    #[must_use]
    pub fn nr(self) -> Option<u16> {
        find(NR, self.0)
    }

    /// The name libqmi prints: `eutran-3`, `ngran-78`, `wcdma-2100`.
    #[must_use]
    pub fn name(self) -> Option<String> {
        let lte = self.lte().map(|band| format!("eutran-{band}"));
        let nr = || self.nr().map(|band| format!("ngran-{band}"));
        lte.or_else(nr).or_else(|| find(OLDER, self.0).map(str::to_owned))
    }
}

impl std::fmt::Display for ActiveBand {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.name() {
            Some(name) => out.write_str(&name),
            None => write!(out, "{}", self.0),
        }
    }
}

impl Coded for ActiveBand {
    fn from_number(number: i64) -> Self {
        Self(number as u16)
    }

    fn number(self) -> i64 {
        self.0.into()
    }

    fn json(self) -> Value {
        self.name().map_or_else(|| json!(self.0), |name| json!(name))
    }
}

/// The bands of a mask whose bit n-1 stands for band n.
#[must_use]
pub fn bands(mask: &[u64]) -> Vec<u16> {
    (0..mask.len() * 64)
        .filter(|bit| mask[bit / 64] >> (bit % 64) & 1 == 1)
        .map(|bit| bit as u16 + 1)
        .collect()
}

fn find<T: Copy>(table: &[(u16, T)], code: u16) -> Option<T> {
    table.iter().find(|(number, _)| *number == code).map(|(_, value)| *value)
}

/// LTE: code and band.
static LTE: &[(u16, u16)] = &[
    (120, 1),
    (121, 2),
    (122, 3),
    (123, 4),
    (124, 5),
    (125, 6),
    (126, 7),
    (127, 8),
    (128, 9),
    (129, 10),
    (130, 11),
    (131, 12),
    (132, 13),
    (133, 14),
    (134, 17),
    (135, 33),
    (136, 34),
    (137, 35),
    (138, 36),
    (139, 37),
    (140, 38),
    (141, 39),
    (142, 40),
    (143, 18),
    (144, 19),
    (145, 20),
    (146, 21),
    (147, 24),
    (148, 25),
    (149, 41),
    (150, 42),
    (151, 43),
    (152, 23),
    (153, 26),
    (154, 32),
    (155, 125),
    (156, 126),
    (157, 127),
    (158, 28),
    (159, 29),
    (160, 30),
    (161, 66),
    (162, 250),
    (163, 46),
    (164, 27),
    (165, 31),
    (166, 47),
    (167, 48),
    (168, 71),
];

/// NR: code and band.
static NR: &[(u16, u16)] = &[
    (250, 1),
    (251, 2),
    (252, 3),
    (253, 5),
    (254, 7),
    (255, 8),
    (256, 20),
    (257, 28),
    (258, 38),
    (259, 41),
    (260, 50),
    (261, 51),
    (262, 66),
    (263, 70),
    (264, 71),
    (265, 74),
    (266, 75),
    (267, 76),
    (268, 77),
    (269, 78),
    (270, 79),
    (271, 80),
    (272, 81),
    (273, 82),
    (274, 83),
    (275, 84),
    (276, 85),
    (277, 257),
    (278, 258),
    (279, 259),
    (280, 260),
    (281, 261),
    (282, 12),
    (283, 25),
    (284, 34),
    (285, 39),
    (286, 40),
    (287, 65),
    (288, 86),
    (289, 48),
    (290, 14),
    (291, 13),
    (292, 18),
    (293, 26),
    (294, 30),
    (295, 29),
    (296, 53),
    (297, 46),
    (298, 91),
    (299, 92),
    (300, 93),
    (301, 94),
];

/// GSM and WCDMA: code and name.
static OLDER: &[(u16, &str)] = &[
    (40, "gsm-450"),
    (41, "gsm-480"),
    (42, "gsm-750"),
    (43, "gsm-850"),
    (44, "gsm-900-extended"),
    (45, "gsm-900-primary"),
    (46, "gsm-900-railways"),
    (47, "gsm-dcs-1800"),
    (48, "gsm-pcs-1900"),
    (80, "wcdma-2100"),
    (81, "wcdma-pcs-1900"),
    (82, "wcdma-dcs-1800"),
    (83, "wcdma-1700-us"),
    (84, "wcdma-850"),
    (85, "wcdma-800"),
    (86, "wcdma-2600"),
    (87, "wcdma-900"),
    (88, "wcdma-1700-japan"),
    (90, "wcdma-1500-japan"),
    (91, "wcdma-850-japan"),
];
