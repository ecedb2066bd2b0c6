//! Pure: what a modem measures of the cells around it, and believable traces of it from a seed.
//!
//! Sites of three sectors and three layers stand around the modem's way. Received power follows the urban path loss of
//! 3GPP TR 36.942 (4.5.2) with correlated shadowing; RSRQ, SNR and RSSI follow from the same powers (TS 36.214), so
//! that they agree with each other. The modem changes cell when a neighbour is 3 dB better (event A3), falls to the
//! lowest layer when its own is weak, and to UMTS when LTE is gone.

use std::f64::consts::TAU;
use std::time::Duration;

use fastrand::Rng;

use super::trace::Trace;

/// A radio access technology.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Technology {
    /// No service.
    #[default]
    None,
    /// GSM/EDGE.
    Gsm,
    /// UMTS/HSPA.
    Umts,
    /// LTE.
    Lte,
}

/// The cell a modem camps on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cell {
    /// E-UTRAN cell identity (28 bits), or the cell id of an older radio. 0: unknown.
    pub id: u32,
    /// Tracking area code, or location area code.
    pub area: u16,
    /// Band number of 3GPP TS 36.101 (or 25.101).
    pub band: u16,
    /// Downlink channel number: EARFCN or UARFCN.
    pub channel: u16,
    /// Physical cell identity, or primary scrambling code.
    pub physical_id: u16,
}

/// What the radio measures at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// The radio in use.
    pub technology: Technology,
    /// RSRP; RSCP on UMTS.
    pub rsrp_dbm: Option<i16>,
    /// RSRQ; Ec/Io on UMTS.
    pub rsrq_db: Option<i16>,
    /// Signal to noise and interference, in 0.1 dB.
    pub snr_tenth_db: Option<i16>,
    /// Power over the whole band.
    pub rssi_dbm: Option<i16>,
    /// The cell.
    pub cell: Cell,
    /// Whether data was moving.
    pub active: bool,
    /// A round trip measured just then.
    pub ping_ms: Option<u32>,
}

/// How the modem moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Motion {
    /// It stands indoors.
    Static,
    /// It rides in a vehicle.
    Drive,
}

/// One carrier frequency of every site.
struct Layer {
    band: u16,
    frequency_mhz: f64,
    channel: u16,
    resource_blocks: f64,
}

/// Lowest first: the coverage layer, then the two of capacity.
const LAYERS: [Layer; 3] = [
    Layer { band: 12, frequency_mhz: 740.0, channel: 5110, resource_blocks: 50.0 },
    Layer { band: 2, frequency_mhz: 1960.0, channel: 900, resource_blocks: 100.0 },
    Layer { band: 4, frequency_mhz: 2130.0, channel: 2175, resource_blocks: 100.0 },
];

/// Thermal noise of one resource element with a receiver of 7 dB noise figure.
const NOISE_DBM: f64 = -125.2;
/// Transmit power of a site, antenna gain and cable loss included.
const EIRP_DBM: f64 = 58.0;
/// Share of a neighbour's resource elements that are in use.
const LOAD: f64 = 0.35;
/// An LTE cell weaker than this is left for UMTS.
const LTE_LOST_DBM: f64 = -119.0;
/// An LTE cell must be this strong to come back from UMTS.
const LTE_BACK_DBM: f64 = -114.0;

impl Cell {
    /// A cell that a log names only by its identity; what the log leaves out follows from that, so that one cell looks
    /// the same each time. Cells are numbered as operators do: ten a layer.
    #[must_use]
    pub fn observed(id: u32, area: u16, technology: Technology) -> Self {
        let physical_id = |modulus| (((id >> 8).wrapping_mul(3) + id % 10) % modulus) as u16;
        match technology {
            Technology::Lte => {
                let layer = &LAYERS[(id & 0xFF) as usize / 10 % LAYERS.len()];
                Self { id, area, band: layer.band, channel: layer.channel, physical_id: physical_id(504) }
            }
            Technology::Umts => Self { id, area, band: 2, channel: 9662, physical_id: physical_id(512) },
            Technology::Gsm => Self { id, area, band: 2, channel: 661, physical_id: 0 },
            Technology::None => Self::default(),
        }
    }
}

/// A trace of one reading a second. The same arguments give the same trace.
#[must_use]
pub fn generate(seed: u64, motion: Motion, length: Duration) -> Trace {
    let mut way = Way::new(seed, motion);
    let seconds = length.as_secs().max(1);
    Trace::evenly(Duration::from_secs(1), (0..seconds).map(|_| way.step()))
        .expect("at least one second was asked for")
}

struct Site {
    x_m: f64,
    y_m: f64,
    node: u32,
    bearing: f64,
    shadow_db: f64,
}

/// One sector of one layer of one site, by index.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sector {
    site: usize,
    sector: usize,
    layer: usize,
}

struct Way {
    random: Rng,
    motion: Motion,
    sites: Vec<Site>,
    x_m: f64,
    speed_m_s: f64,
    serving: Sector,
    on_umts: bool,
    /// Metres of a tunnel or deep valley still ahead.
    hole_m: f64,
    area: u16,
}

impl Way {
    fn new(seed: u64, motion: Motion) -> Self {
        let mut random = Rng::with_seed(seed ^ 0x7261_6469_6f00_0000);
        let first_node = random.u32(0x1_0000..0xF_0000);
        let spacing_m = 900.0 + 900.0 * random.f64();
        let sites = (0..8_u32)
            .map(|index| Site {
                x_m: (f64::from(index) + random.f64() * 0.5) * spacing_m,
                y_m: (random.f64() - 0.5) * 1400.0,
                node: first_node + index * 7,
                bearing: random.f64() * TAU,
                shadow_db: 0.0,
            })
            .collect();
        let mut way = Self {
            area: random.u16(0x1000..0xFFFE),
            x_m: random.f64() * spacing_m * 7.0,
            speed_m_s: if motion == Motion::Drive { 8.0 } else { 0.0 },
            serving: Sector { site: 0, sector: 0, layer: 1 },
            on_umts: false,
            hole_m: 0.0,
            random,
            motion,
            sites,
        };
        for site in 0..way.sites.len() {
            way.sites[site].shadow_db = 7.0 * normal(&mut way.random);
        }
        way.serving = way.best(0).0;
        way
    }

    /// One second on.
    fn step(&mut self) -> Reading {
        self.walk();
        self.choose();
        if self.on_umts { self.umts() } else { self.lte() }
    }

    fn walk(&mut self) {
        if self.motion == Motion::Drive {
            self.speed_m_s = (self.speed_m_s + normal(&mut self.random)).clamp(0.0, 25.0);
            let end_m = self.sites.last().map_or(1.0, |site| site.x_m);
            // To and fro: the trace has no seam but its last row.
            self.x_m = (self.x_m + self.speed_m_s) % (2.0 * end_m);
            self.hole_m -= self.speed_m_s;
            if self.hole_m < -2500.0 && self.random.f64() < 0.004 {
                self.hole_m = 150.0 + 500.0 * self.random.f64();
            }
        }
        // Shadowing is correlated over 50 m of way, or over minutes where nothing moves but people.
        let (keep, sigma_db) = match self.motion {
            Motion::Drive => ((-self.speed_m_s / 50.0).exp(), 7.0),
            Motion::Static => ((-1.0_f64 / 240.0).exp(), 2.5),
        };
        for site in &mut self.sites {
            let fresh = sigma_db * (1.0 - keep * keep).sqrt() * normal(&mut self.random);
            site.shadow_db = match self.motion {
                Motion::Drive => site.shadow_db * keep + fresh,
                Motion::Static => site.shadow_db + fresh * 0.3 - site.shadow_db * 0.000_2,
            };
        }
    }

    fn choose(&mut self) {
        let own_dbm = self.power_dbm(self.serving);
        let (best, best_dbm) = self.best(self.serving.layer);
        if best != self.serving && best_dbm > own_dbm + 3.0 {
            self.serving = best;
        }
        let own_dbm = self.power_dbm(self.serving);
        let (low, low_dbm) = self.best(0);
        let (high, high_dbm) = {
            let (a, b) = (self.best(1), self.best(2));
            if a.1 >= b.1 { a } else { b }
        };
        if self.serving.layer != 0 && own_dbm < -106.0 && low_dbm > own_dbm + 2.0 {
            self.serving = low;
        } else if self.serving.layer == 0 && high_dbm > -98.0 {
            self.serving = high;
        }
        let best_dbm = low_dbm.max(high_dbm);
        self.on_umts = best_dbm < if self.on_umts { LTE_BACK_DBM } else { LTE_LOST_DBM };
    }

    /// The strongest sector of a layer.
    fn best(&self, layer: usize) -> (Sector, f64) {
        let candidates = self.sectors(layer).map(|sector| (sector, self.power_dbm(sector)));
        candidates.max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are always sites")
    }

    fn sectors(&self, layer: usize) -> impl Iterator<Item = Sector> {
        (0..self.sites.len()).flat_map(move |site| (0..3).map(move |sector| Sector { site, sector, layer }))
    }

    /// RSRP of a sector here, before fast fading.
    fn power_dbm(&self, sector: Sector) -> f64 {
        let (site, layer) = (&self.sites[sector.site], &LAYERS[sector.layer]);
        let end_m = self.sites.last().map_or(1.0, |site| site.x_m);
        let x_m = if self.x_m > end_m { 2.0 * end_m - self.x_m } else { self.x_m };
        let (dx, dy) = (x_m - site.x_m, -site.y_m);
        let distance_km = (dx.hypot(dy) / 1000.0).max(0.05);
        let loss_db = 128.1 + 37.6 * distance_km.log10() + 21.0 * (layer.frequency_mhz / 2000.0).log10();
        let boresight = site.bearing + sector.sector as f64 * TAU / 3.0;
        let off = (dy.atan2(dx) - boresight + TAU * 1.5).rem_euclid(TAU) - TAU / 2.0;
        let pattern_db = (12.0 * (off.to_degrees() / 65.0).powi(2)).min(20.0);
        let walls_db = if self.motion == Motion::Static { 8.0 } else { 5.0 };
        let hole_db = if self.hole_m > 0.0 { 32.0 } else { 0.0 };
        let element_dbm = EIRP_DBM - 10.0 * (12.0 * layer.resource_blocks).log10();
        element_dbm - loss_db - pattern_db - walls_db - hole_db - site.shadow_db
    }

    fn lte(&mut self) -> Reading {
        let fading_db = normal(&mut self.random);
        let own = milliwatts(self.power_dbm(self.serving) + fading_db);
        let others: f64 = self
            .sectors(self.serving.layer)
            .filter(|sector| *sector != self.serving)
            .map(|sector| milliwatts(self.power_dbm(sector)))
            .sum();
        let noise = milliwatts(NOISE_DBM);
        let active = self.random.f64() < 0.7;
        let own_load = if active { 0.5 } else { 0.15 };
        // Reference signals take 2 of 12 elements whatever the load.
        let block = own * (2.0 + 10.0 * own_load) + others * (2.0 + 10.0 * LOAD) + 12.0 * noise;
        let snr_db = decibels(own / (others * LOAD + noise)).clamp(-15.0, 30.0);
        let site = &self.sites[self.serving.site];
        let local = (self.serving.layer * 10 + self.serving.sector + 1) as u32;
        let area = self.area + (self.serving.site / 4) as u16;
        let blocks = LAYERS[self.serving.layer].resource_blocks;
        Reading {
            technology: Technology::Lte,
            rsrp_dbm: Some(decibels(own).round().clamp(-140.0, -44.0) as i16),
            rsrq_db: Some(decibels(own / block).round().clamp(-25.0, -3.0) as i16),
            snr_tenth_db: Some((snr_db * 10.0).round() as i16),
            rssi_dbm: Some(decibels(block * blocks).round().clamp(-113.0, -30.0) as i16),
            cell: Cell::observed((site.node << 8) | local, area, Technology::Lte),
            active,
            ping_ms: Some((35.0 + 900.0 / (snr_db + 20.0) + 12.0 * self.random.f64()) as u32),
        }
    }

    fn umts(&mut self) -> Reading {
        let rscp_dbm = (self.best(0).1 + 16.0 + normal(&mut self.random)).clamp(-119.0, -60.0);
        let ec_io_db = (-6.0 - (-(rscp_dbm + 95.0) / 4.0).max(0.0)).max(-20.0);
        let id = (self.sites[self.serving.site].node & 0xFFF) << 16 | (self.serving.sector as u32 + 1);
        Reading {
            technology: Technology::Umts,
            rsrp_dbm: Some(rscp_dbm.round() as i16),
            rsrq_db: Some(ec_io_db.round() as i16),
            snr_tenth_db: None,
            rssi_dbm: Some((rscp_dbm - ec_io_db).round() as i16),
            cell: Cell::observed(id, self.area, Technology::Umts),
            active: true,
            ping_ms: Some(110 + self.random.u32(0..90)),
        }
    }
}

fn milliwatts(dbm: f64) -> f64 {
    10.0_f64.powf(dbm / 10.0)
}

fn decibels(ratio: f64) -> f64 {
    10.0 * ratio.log10()
}

/// A standard normal deviate (Box and Muller).
fn normal(random: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
    radius * (TAU * random.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const HOUR: Duration = Duration::from_secs(3600);

    fn readings(seed: u64, motion: Motion) -> Vec<Reading> {
        generate(seed, motion, HOUR).samples().iter().map(|sample| sample.reading).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_trace_and_another_one_another() {
        assert_eq!(generate(1, Motion::Drive, HOUR), generate(1, Motion::Drive, HOUR));
        assert_ne!(generate(1, Motion::Drive, HOUR), generate(2, Motion::Drive, HOUR));
    }

    #[test]
    fn values_stay_in_the_ranges_of_3gpp_and_agree_with_each_other() {
        for seed in 0..6 {
            for motion in [Motion::Static, Motion::Drive] {
                for reading in readings(seed, motion) {
                    let (rsrp, rsrq) = (reading.rsrp_dbm.unwrap(), reading.rsrq_db.unwrap());
                    let rssi = reading.rssi_dbm.unwrap();
                    assert!((-140..=-44).contains(&rsrp) && (-25..=-3).contains(&rsrq), "{reading:?}");
                    assert!((-113..=-30).contains(&rssi), "{reading:?}");
                    if reading.technology == Technology::Lte {
                        assert!((-150..=300).contains(&reading.snr_tenth_db.unwrap()), "{reading:?}");
                        // TS 36.214: RSRQ = N x RSRP / RSSI, N of 50 or 100 blocks; rounding and clamping aside.
                        let blocks = if reading.cell.band == 12 { 17 } else { 20 };
                        let computed = rsrp + blocks - rssi;
                        let clamped =
                            rssi <= -113 || rssi >= -30 || rsrp <= -140 || rsrp >= -44 || rsrq <= -25;
                        assert!(clamped || (computed - rsrq).abs() <= 2, "{reading:?} {computed}");
                    }
                }
            }
        }
    }

    #[test]
    fn who_stands_still_keeps_few_cells_and_who_drives_meets_many_and_sometimes_umts() {
        let (mut still, mut driven, mut umts) = (0, 0, 0);
        for seed in 0..6 {
            let cells = |motion| {
                readings(seed, motion).iter().map(|reading| reading.cell.id).collect::<BTreeSet<_>>().len()
            };
            still += cells(Motion::Static);
            driven += cells(Motion::Drive);
            let drive = readings(seed, Motion::Drive);
            umts += drive.iter().filter(|reading| reading.technology == Technology::Umts).count();
            let bands: BTreeSet<_> = drive.iter().map(|reading| reading.cell.band).collect();
            assert!(bands.len() > 1, "seed {seed}: {bands:?}");
        }
        assert!(still <= 6 * 8, "{still} cells standing still");
        assert!(driven >= 6 * 8, "{driven} cells driving");
        assert!((30..6 * 3600 / 5).contains(&umts), "{umts} seconds of UMTS in 6 hours");
    }

    #[test]
    fn the_signal_is_one_that_routers_live_with() {
        let mut all: Vec<_> = (0..8)
            .flat_map(|seed| readings(seed, Motion::Static))
            .filter(|reading| reading.technology == Technology::Lte)
            .map(|reading| reading.rsrp_dbm.unwrap())
            .collect();
        all.sort_unstable();
        let (low, median, high) = (all[all.len() / 20], all[all.len() / 2], all[all.len() * 19 / 20]);
        assert!((-112..=-78).contains(&median), "median RSRP {median}");
        assert!(low < median - 5 && high > median + 5, "{low} {median} {high}");
    }
}
