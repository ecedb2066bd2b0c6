//! Pure: answers of the WDA service.

use super::{Answer, Modem};
use crate::qmi::message::Request;
use crate::qmi::wda::{self, DataAggregationProtocol, LinkLayerProtocol};
use crate::qmi::{Frame, ProtocolError};

impl Modem {
    pub(super) fn wda(&mut self, frame: &Frame) {
        match frame.message {
            wda::SetDataFormat::ID => self.answer(frame, Self::set_data_format),
            wda::GetDataFormat::ID => {
                self.answer(frame, |modem, _, _: wda::GetDataFormat| Ok(modem.data_format()));
            }
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    /// Aggregation is not offered: the answer says what was really chosen.
    fn set_data_format(&mut self, _: u8, request: wda::SetDataFormat) -> Answer<wda::SetDataFormat> {
        let raw_ip = match request.link_layer_protocol {
            None => self.raw_ip,
            Some(LinkLayerProtocol::RawIp) => true,
            Some(LinkLayerProtocol::Ieee8023) => false,
            Some(_) => return Err(ProtocolError::InvalidArgument.into()),
        };
        if raw_ip != self.raw_ip && !self.sessions().is_empty() {
            return Err(ProtocolError::IncompatibleState.into());
        }
        self.raw_ip = raw_ip;
        Ok(self.data_format())
    }

    fn data_format(&self) -> wda::DataFormat {
        let protocol = if self.raw_ip { LinkLayerProtocol::RawIp } else { LinkLayerProtocol::Ieee8023 };
        wda::DataFormat {
            qos_format: Some(false),
            link_layer_protocol: Some(protocol),
            uplink_data_aggregation_protocol: Some(DataAggregationProtocol::Disabled),
            downlink_data_aggregation_protocol: Some(DataAggregationProtocol::Disabled),
            ndp_signature: Some(0),
            downlink_data_aggregation_max_datagrams: Some(0),
            downlink_data_aggregation_max_size: Some(0),
            ..Default::default()
        }
    }
}
