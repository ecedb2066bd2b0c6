//! Pure: how packets are framed: answers of the WDA service, and of CTL where it stands in for that.

use super::{Answer, Modem};
use crate::qmi::message::Request;
use crate::qmi::wda::{self, DataAggregationProtocol, DataEndpointType, EndpointInfo, LinkLayerProtocol};
use crate::qmi::{Frame, ProtocolError, ctl};
use crate::sim::scenario::Framing;

/// USB interface of the data function, as on a real MC7455.
pub const DATA_INTERFACE: u8 = 8;

impl Modem {
    pub(super) fn wda(&mut self, frame: &Frame) {
        match frame.message {
            wda::SetDataFormat::ID => self.answer(frame, Self::set_data_format),
            wda::GetDataFormat::ID => self.answer(frame, |modem, _, request: wda::GetDataFormat| {
                modem.check_endpoint(request.endpoint_info)?;
                Ok(modem.data_format())
            }),
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    /// Aggregation is not offered: the answer says what was really chosen.
    fn set_data_format(&mut self, _: u8, request: wda::SetDataFormat) -> Answer<wda::SetDataFormat> {
        self.check_endpoint(request.endpoint_info)?;
        match request.link_layer_protocol {
            None => {}
            Some(LinkLayerProtocol::RawIp) => self.frame_as(true)?,
            Some(LinkLayerProtocol::Ieee8023) => self.frame_as(false)?,
            Some(_) => return Err(ProtocolError::InvalidArgument.into()),
        }
        Ok(self.data_format())
    }

    /// The same by CTL.
    pub(super) fn ctl_data_format(
        &mut self,
        _: u8,
        request: ctl::SetDataFormat,
    ) -> Answer<ctl::SetDataFormat> {
        match request.protocol {
            None => {}
            Some(ctl::DataLinkProtocol::RawIp) => self.frame_as(true)?,
            Some(ctl::DataLinkProtocol::Ieee8023) => self.frame_as(false)?,
            Some(_) => return Err(ProtocolError::InvalidArgument.into()),
        }
        let protocol =
            if self.raw_ip { ctl::DataLinkProtocol::RawIp } else { ctl::DataLinkProtocol::Ieee8023 };
        Ok(ctl::SetDataFormatResponse { protocol })
    }

    fn frame_as(&mut self, raw_ip: bool) -> Result<(), ProtocolError> {
        if raw_ip != self.raw_ip && !self.sessions().is_empty() {
            return Err(ProtocolError::IncompatibleState);
        }
        self.raw_ip = raw_ip;
        Ok(())
    }

    fn check_endpoint(&self, told: Option<EndpointInfo>) -> Result<(), ProtocolError> {
        let ours =
            EndpointInfo { endpoint_type: DataEndpointType::Hsusb, interface_number: DATA_INTERFACE.into() };
        match (self.framing(), told) {
            (Framing::WdaEndpoint, None) => Err(ProtocolError::MissingArgument),
            (Framing::WdaEndpoint, Some(told)) if told != ours => Err(ProtocolError::InvalidArgument),
            _ => Ok(()),
        }
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
