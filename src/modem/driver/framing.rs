//! Raw-ip framing: the modem and the kernel must both use it. With a wrong pair the link is up, counters move and nothing
//! arrives. After a modem restart both sides are back at their defaults, so this is done for every open.

use std::fs;
use std::path::Path;

use super::{Driver, DriverError, exchange};
use crate::modem::interface;
use crate::qmi::{ProtocolError, Request, ctl, wda};

impl Driver {
    /// Agrees on raw-ip with the modem, then switches the kernel's side under `sysfs` and reads it back. An interface that is
    /// up with the wrong framing is taken down for it: the kernel switches no other, and nothing got through anyway. Where
    /// sysfs does not know the interface at all (a simulator on a pty) the modem's side is all there is.
    ///
    /// # Errors
    /// [`DriverError::Framing`] when a side does not take it.
    pub async fn agree_raw_ip(&self, sysfs: &Path) -> Result<(), DriverError> {
        self.modem_raw_ip().await?;
        kernel_raw_ip(sysfs, &self.slot.netdev, !self.slot.driver.is_empty())
    }

    async fn modem_raw_ip(&self) -> Result<(), DriverError> {
        let Some(cid) = self.clients.wda else { return self.ctl_raw_ip().await };
        let present = match self.wda(cid, |endpoint_info| wda::GetDataFormat { endpoint_info }).await {
            Err(error) if error.is_unsupported() => return self.ctl_raw_ip().await,
            result => result?,
        };
        if present.link_layer_protocol == Some(wda::LinkLayerProtocol::RawIp)
            && !is_aggregating(present.uplink_data_aggregation_protocol)
            && !is_aggregating(present.downlink_data_aggregation_protocol)
        {
            return Ok(());
        }
        let raw_ip = |endpoint_info| wda::SetDataFormat {
            qos_format: Some(false),
            link_layer_protocol: Some(wda::LinkLayerProtocol::RawIp),
            uplink_data_aggregation_protocol: Some(wda::DataAggregationProtocol::Disabled),
            downlink_data_aggregation_protocol: Some(wda::DataAggregationProtocol::Disabled),
            endpoint_info,
            ..wda::SetDataFormat::default()
        };
        let agreed = match self.wda(cid, raw_ip).await {
            // A call in the other framing, which is of no use to us.
            Err(error) if error.protocol() == Some(ProtocolError::IncompatibleState) => {
                self.stop_stale_sessions().await?;
                self.wda(cid, raw_ip).await?
            }
            result => result?,
        };
        match agreed.link_layer_protocol {
            Some(wda::LinkLayerProtocol::RawIp) => Ok(()),
            other => Err(framing(format!(
                "the modem answered {} when asked for raw-ip",
                other.map_or_else(|| "nothing".to_owned(), |protocol| protocol.to_string())
            ))),
        }
    }

    /// First without the endpoint, which old modems refuse, then with it, which new ones demand.
    async fn wda<R>(
        &self,
        cid: u8,
        request: impl Fn(Option<wda::EndpointInfo>) -> R,
    ) -> Result<wda::DataFormat, DriverError>
    where
        R: Request<Response = wda::DataFormat> + Send + 'static,
    {
        match exchange(&self.qmi, cid, request(None), self.deadlines.quick).await {
            Err(error)
                if matches!(
                    error.protocol(),
                    Some(ProtocolError::MissingArgument | ProtocolError::InvalidArgument)
                ) =>
            {
                let endpoint = wda::EndpointInfo {
                    endpoint_type: wda::DataEndpointType::Hsusb,
                    interface_number: self.slot.interface_number.into(),
                };
                exchange(&self.qmi, cid, request(Some(endpoint)), self.deadlines.quick).await
            }
            result => result,
        }
    }

    /// The way of modems that know no WDA.
    async fn ctl_raw_ip(&self) -> Result<(), DriverError> {
        let set = ctl::SetDataFormat {
            format: ctl::DataFormat::QosHeaderAbsent,
            protocol: Some(ctl::DataLinkProtocol::RawIp),
        };
        let agreed = exchange(&self.qmi, 0, set, self.deadlines.quick).await?;
        match agreed.protocol {
            ctl::DataLinkProtocol::RawIp => Ok(()),
            other => Err(framing(format!("the modem answered {other} when asked for raw-ip"))),
        }
    }
}

fn is_aggregating(protocol: Option<wda::DataAggregationProtocol>) -> bool {
    protocol.is_some_and(|protocol| protocol != wda::DataAggregationProtocol::Disabled)
}

fn kernel_raw_ip(sysfs: &Path, netdev: &str, is_kernels: bool) -> Result<(), DriverError> {
    let folder = sysfs.join("class/net").join(netdev);
    let file = folder.join("qmi/raw_ip");
    let read = || fs::read_to_string(&file).map(|text| text.trim() == "Y");
    let shown = file.display();
    match read() {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(_) if !is_kernels && !folder.exists() => return Ok(()),
        Err(error) => return Err(framing(format!("cannot read {shown}: {error}"))),
    }
    let is_up = interface::is_up(&folder).unwrap_or(false);
    let take = |up| {
        let way = if up { "up" } else { "down" };
        interface::set_up(&folder, up)
            .map_err(|error| framing(format!("cannot take {netdev} {way} to change its framing: {error}")))
    };
    if is_up {
        take(false)?;
    }
    let written = fs::write(&file, "Y").map_err(|error| framing(format!("cannot write {shown}: {error}")));
    if is_up {
        take(true)?;
    }
    written?;
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => Err(framing(format!("{shown} does not take Y"))),
        Err(error) => Err(framing(format!("cannot read {shown}: {error}"))),
    }
}

fn framing(reason: String) -> DriverError {
    DriverError::Framing { reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_side_is_switched_while_the_interface_is_down() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("class/net/wwan0");
        fs::create_dir_all(folder.join("qmi")).unwrap();
        fs::write(folder.join("qmi/raw_ip"), "N\n").unwrap();
        // Up, and the kernel does not have it: taking it down fails and nothing is written.
        fs::write(folder.join("flags"), "0x1003\n").unwrap();
        let error = kernel_raw_ip(root.path(), "wwan0", true).unwrap_err();
        assert!(error.to_string().contains("cannot take wwan0 down"), "{error}");
        assert_eq!(fs::read_to_string(folder.join("qmi/raw_ip")).unwrap(), "N\n");
        fs::write(folder.join("flags"), "0x1002\n").unwrap();
        kernel_raw_ip(root.path(), "wwan0", true).unwrap();
        assert_eq!(fs::read_to_string(folder.join("qmi/raw_ip")).unwrap(), "Y");
        // Right already: not touched, for a session may be alive.
        fs::write(folder.join("flags"), "0x1003\n").unwrap();
        kernel_raw_ip(root.path(), "wwan0", true).unwrap();
    }

    #[test]
    fn an_interface_that_sysfs_does_not_know_is_fine_only_for_a_simulator() {
        let root = tempfile::tempdir().unwrap();
        kernel_raw_ip(root.path(), "sim0", false).unwrap();
        let error = kernel_raw_ip(root.path(), "wwan0", true).unwrap_err();
        assert!(error.to_string().contains("class/net/wwan0/qmi/raw_ip"), "{error}");
    }
}
