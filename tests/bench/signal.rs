//! The signal of a link that drives about.

use tandem::event::{CellRun, Radio, SignalSampled};

/// So many samples of one link, one each ten seconds.
pub fn sampled(seed: usize, samples: usize) -> SignalSampled {
    let wave = |n: usize| i16::try_from((n * 7 + seed * 13) % 9).expect("below 9");
    let column = |base: i16| (0..samples).map(|n| Some(base + wave(n))).collect::<Vec<_>>();
    let run = CellRun {
        count: u32::try_from(samples).expect("few"),
        radio: Radio::Lte,
        band: Some(3),
        cell_id: Some(0x01a2_b301),
        tac: Some(4_711),
    };
    SignalSampled {
        offset_ms: (0..samples as u32).map(|n| n * 10_000).collect(),
        rssi_dbm: column(-70),
        rsrp_dbm: column(-101),
        rsrq_db: column(-12),
        snr_db: (0..samples).map(|n| Some(f32::from(wave(n)) + 0.4)).collect(),
        runs: vec![run],
    }
}
