//! The QMI protocol: bytes to messages and back, and the transactions over them. No clock, no file, no socket.
//!
//! Messages are described once, in one file or folder per service, with the macros of [`message`] (TLVs, requests with
//! their answers, indications) and [`layout`] (what stands inside a TLV). From that one description the agent writes
//! requests and reads answers, the simulator does the reverse, and [`describe`] tells a person what a frame says.
//! [`client`] is the host's side of transactions; [`frame::Deframer`] finds frames in a stream.

pub mod band;
pub mod cause;
pub mod client;
pub mod ctl;
pub mod describe;
pub mod dms;
pub mod frame;
#[cfg(test)]
pub mod golden;
pub mod known;
pub mod layout;
pub mod message;
pub mod names;
pub mod nas;
pub mod tlv;
pub mod uim;
pub mod wda;
pub mod wds;

#[cfg(test)]
mod tests;

pub use cause::{ProtocolError, RejectCause, VerboseCallEndReason};
pub use frame::{Deframer, Frame, FrameError, Kind, Refusal};
pub use message::{Body, Done, Indication, Request};

layout::open_enum! {
    /// A QMI service.
    Service {
        0x00 Ctl "ctl",
        0x01 Wds "wds",
        0x02 Dms "dms",
        0x03 Nas "nas",
        0x04 Qos "qos",
        0x05 Wms "wms",
        0x06 Pds "pds",
        0x07 Auth "auth",
        0x08 At "at",
        0x09 Voice "voice",
        0x0a Cat2 "cat2",
        0x0b Uim "uim",
        0x0c Pbm "pbm",
        0x0d Qchat "qchat",
        0x0e Rmtfs "rmtfs",
        0x0f Test "test",
        0x10 Loc "loc",
        0x11 Sar "sar",
        0x12 Ims "ims",
        0x13 Adc "adc",
        0x14 Csd "csd",
        0x15 Mfs "mfs",
        0x16 Time "time",
        0x17 Ts "ts",
        0x18 Tmd "tmd",
        0x19 Sap "sap",
        0x1a Wda "wda",
        0x1b Tsync "tsync",
        0x1c Rfsa "rfsa",
        0x1d Csvt "csvt",
        0x1e Qcmap "qcmap",
        0x1f Imsp "imsp",
        0x20 Imsvt "imsvt",
        0x21 Imsa "imsa",
        0x22 Coex "coex",
        0x24 Pdc "pdc",
        0x26 Stx "stx",
        0x27 Bit "bit",
        0x28 Imsrtp "imsrtp",
        0x29 Rfrpe "rfrpe",
        0x2a Dsd "dsd",
        0x2b Ssctl "ssctl",
        0x2f Dpm "dpm",
        0x32 UimRmt "uim-rmt",
        0x47 UimHttp "uim-http",
        0xe0 Cat "cat",
        0xe1 Rms "rms",
        0xe2 Oma "oma",
        0xe3 Fox "fox",
        0xe6 Fota "fota",
        0xe7 Gms "gms",
        0xe8 Gas "gas",
        0xed Atr "atr",
    }
}

impl Service {
    /// Its number on the wire.
    #[must_use]
    pub fn number(self) -> u8 {
        layout::Coded::number(self) as u8
    }

    /// The messages described for it.
    #[must_use]
    pub fn messages(self) -> &'static [message::MessageSpec] {
        match self {
            Self::Ctl => ctl::MESSAGES,
            Self::Dms => dms::MESSAGES,
            Self::Nas => nas::MESSAGES,
            Self::Wds => wds::MESSAGES,
            Self::Wda => wda::MESSAGES,
            Self::Uim => uim::MESSAGES,
            _ => &[],
        }
    }
}

impl From<u8> for Service {
    fn from(number: u8) -> Self {
        layout::Coded::from_number(number.into())
    }
}
