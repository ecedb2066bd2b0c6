//! Data calls: profile, start, settings, status, counters, stop. One WDS client for each IP family; requests about a call go
//! through the client that owns it.

use super::{Driver, DriverError, exchange, said, wds_family};
use crate::event::{IpFamily, IpSettings, Ipv4Settings, Ipv6Settings};
use crate::link::words::{Profile, Session as Made};
use crate::modem::ids::StoredSession;
use crate::modem::qmi::RequestError;
use crate::qmi::layout::Coded as _;
use crate::qmi::{ProtocolError, Refusal, Service, wds};

/// Stands for the call of whoever started it.
const GLOBAL_HANDLE: u32 = 0xFFFF_FFFF;

/// The profile that LTE attaches with, where no other is configured.
const ATTACH_PROFILE: u8 = 1;

/// What to dial.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// IP family.
    pub family: IpFamily,
    /// Access point and login.
    pub profile: &'a Profile,
}

/// A data call that is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its family.
    pub family: IpFamily,
    /// Its packet data handle; all ones when another client started it.
    pub handle: u32,
    /// Made now, or found alive.
    pub made: Made,
}

/// Counters of one call. Absent where the modem does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[allow(missing_docs)]
pub struct Statistics {
    pub rx_bytes: Option<u64>,
    pub tx_bytes: Option<u64>,
    pub rx_packets: Option<u64>,
    pub tx_packets: Option<u64>,
    pub rx_errors: Option<u64>,
    pub tx_errors: Option<u64>,
    pub rx_dropped: Option<u64>,
    pub tx_dropped: Option<u64>,
}

impl Statistics {
    /// Each counter of the one with that of the other.
    #[must_use]
    pub fn zip(&self, other: &Self, with: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) -> Self {
        Self {
            rx_bytes: with(self.rx_bytes, other.rx_bytes),
            tx_bytes: with(self.tx_bytes, other.tx_bytes),
            rx_packets: with(self.rx_packets, other.rx_packets),
            tx_packets: with(self.tx_packets, other.tx_packets),
            rx_errors: with(self.rx_errors, other.rx_errors),
            tx_errors: with(self.tx_errors, other.tx_errors),
            rx_dropped: with(self.rx_dropped, other.rx_dropped),
            tx_dropped: with(self.tx_dropped, other.tx_dropped),
        }
    }
}

impl Driver {
    /// Makes the attach profile fit, before registration: the attach bearer is dialled with it. Says whether something had to
    /// change; then the modem must attach anew.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer or takes no profile.
    pub async fn write_attach_profile(
        &self,
        profile: &Profile,
        families: &[IpFamily],
    ) -> Result<bool, DriverError> {
        let index = profile.index.unwrap_or(ATTACH_PROFILE);
        let cid = self.any_wds()?;
        let id = wds::ProfileId { profile_type: wds::ProfileType::ThreeGpp, profile_index: index };
        let get = wds::GetProfileSettings { profile_id: id.clone() };
        let present = said(exchange(&self.qmi, cid, get, self.deadlines.quick).await)?;
        let wanted = modify_profile(id, profile, families);
        if let Some(present) = present
            && present.apn_name.as_deref().unwrap_or_default() == profile.apn_name
            && present.pdp_type == wanted.pdp_type
            && present.authentication.unwrap_or_default() == wanted.authentication.unwrap_or_default()
            && present.username.unwrap_or_default() == wanted.username.clone().unwrap_or_default()
        {
            // A password cannot be read back on most modems; it is written with every other change.
            return Ok(false);
        }
        exchange(&self.qmi, cid, wanted, self.deadlines.slow).await?;
        Ok(true)
    }

    /// Keeps the modem from dialling by itself, for two dialers fight. Firmware without autoconnect is fine.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn disable_autoconnect(&self) -> Result<(), DriverError> {
        let disable =
            wds::SetAutoconnectSettings { status: wds::AutoconnectSetting::Disabled, roaming: None };
        said(exchange(&self.qmi, self.any_wds()?, disable, self.deadlines.quick).await).map(|_| ())
    }

    /// Brings up one family. A call that is up already is adopted, its traffic untouched: one of our own of an earlier run, or
    /// anyone's when the modem says *no effect*.
    ///
    /// # Errors
    /// [`DriverError::CallFailed`] with the network's reasons, or any other.
    pub async fn connect(&self, call: Call<'_>) -> Result<Session, DriverError> {
        let Call { family, profile } = call;
        let cid = self.wds(family)?;
        if let Some(session) = self.session(family)
            && self.packet_status(family).await? == wds::ConnectionStatus::Connected
        {
            return Ok(Session { family, handle: session.handle, made: Made::Adopted });
        }
        let login = profile.authentication.as_ref();
        let start = wds::StartNetwork {
            apn: Some(profile.apn_name.clone()).filter(|apn| !apn.is_empty()),
            authentication_preference: login.map(|login| authentication(login.protocol)),
            username: login.map(|login| login.user_name.clone()),
            password: login.map(|login| login.password.reveal().to_owned()),
            ip_family_preference: Some(wds_family(family)),
            profile_index_3gpp: profile.index,
            ..wds::StartNetwork::default()
        };
        let (handle, made) = match self.qmi.request(cid, start, self.deadlines.connect).await {
            Ok(answer) => (answer.packet_data_handle, Made::New),
            Err(RequestError::Refusal(Refusal::Refused { error: ProtocolError::NoEffect, .. })) => {
                (GLOBAL_HANDLE, Made::Adopted)
            }
            Err(error) => return Err(call_failed(family, error)),
        };
        self.remember(family, Some(StoredSession { family, cid, handle })).await;
        Ok(Session { family, handle, made })
    }

    /// The settings that the network gave one family. The other family's part is empty.
    ///
    /// # Errors
    /// [`DriverError`]; `OutOfCall` when the family is not up.
    pub async fn current_settings(&self, family: IpFamily) -> Result<IpSettings, DriverError> {
        use wds::RequestedSettings as Wanted;
        let requested_settings = Wanted::PDP_TYPE
            | Wanted::APN_NAME
            | Wanted::DNS_ADDRESS
            | Wanted::IP_ADDRESS
            | Wanted::GATEWAY_INFO
            | Wanted::MTU
            | Wanted::DOMAIN_NAME_LIST
            | Wanted::IP_FAMILY;
        let get = wds::GetCurrentSettings { requested_settings };
        let told = exchange(&self.qmi, self.wds(family)?, get, self.deadlines.quick).await?;
        Ok(settings(family, &told))
    }

    /// The settings of every family that is up, together.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer, or no family is up.
    pub async fn settings(&self) -> Result<IpSettings, DriverError> {
        let mut all = IpSettings::default();
        let mut result = Err(no_client());
        for family in self.families() {
            match self.current_settings(family).await {
                Ok(settings) => {
                    merge(&mut all, settings);
                    result = Ok(());
                }
                Err(error) if error.protocol().is_some() => result = result.or(Err(error)),
                Err(error) => return Err(error),
            }
        }
        result.map(|()| all)
    }

    /// Whether a family's call is up, as the modem sees it.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn packet_status(&self, family: IpFamily) -> Result<wds::ConnectionStatus, DriverError> {
        let get = wds::GetPacketServiceStatus {};
        let answer = exchange(&self.qmi, self.wds(family)?, get, self.deadlines.quick).await?;
        Ok(answer.connection_status)
    }

    /// The counters of a family's call. Some firmware leaves them at 0; the kernel's are better then.
    ///
    /// # Errors
    /// [`DriverError`]; `OutOfCall` when the family is not up.
    pub async fn statistics(&self, family: IpFamily) -> Result<Statistics, DriverError> {
        let mask = wds::PacketStatisticsMaskFlag(0x3FF);
        let get = wds::GetPacketStatistics { mask };
        let told = exchange(&self.qmi, self.wds(family)?, get, self.deadlines.quick).await?;
        let packets = |count: Option<u32>| count.filter(|count| *count != u32::MAX).map(u64::from);
        let bytes = |count: Option<u64>| count.filter(|count| *count != u64::MAX);
        Ok(Statistics {
            rx_bytes: bytes(told.rx_bytes_ok),
            tx_bytes: bytes(told.tx_bytes_ok),
            rx_packets: packets(told.rx_packets_ok),
            tx_packets: packets(told.tx_packets_ok),
            rx_errors: packets(told.rx_packets_error),
            tx_errors: packets(told.tx_packets_error),
            rx_dropped: packets(told.rx_packets_dropped),
            tx_dropped: packets(told.tx_packets_dropped),
        })
    }

    /// The counters of every family's call that is up.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer.
    pub async fn session_statistics(&self) -> Result<Vec<(IpFamily, Statistics)>, DriverError> {
        let mut all = Vec::new();
        for family in self.families() {
            // Without a call some modems refuse, and some answer with no counter at all.
            let told = said(self.statistics(family).await)?.filter(|told| *told != Statistics::default());
            all.extend(told.map(|told| (family, told)));
        }
        Ok(all)
    }

    /// Takes a family down. One that is down already is success.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer or refuses.
    pub async fn disconnect(&self, family: IpFamily) -> Result<(), DriverError> {
        let handle = self.session(family).map_or(GLOBAL_HANDLE, |session| session.handle);
        self.stop(family, handle).await?;
        self.remember(family, None).await;
        Ok(())
    }

    /// Stops whatever call anyone has up, and the modem's own dialling with it.
    ///
    /// # Errors
    /// [`DriverError`] when the modem does not answer or refuses.
    pub async fn stop_stale_sessions(&self) -> Result<(), DriverError> {
        for (family, _) in self.clients.wds.clone() {
            self.stop(family, GLOBAL_HANDLE).await?;
            self.remember(family, None).await;
        }
        self.disable_autoconnect().await
    }

    /// Forgets the session of a family that the modem said is down.
    pub async fn session_ended(&self, family: IpFamily) {
        self.remember(family, None).await;
    }

    async fn stop(&self, family: IpFamily, handle: u32) -> Result<(), DriverError> {
        let stop = wds::StopNetwork {
            packet_data_handle: handle,
            disable_autoconnect: (handle == GLOBAL_HANDLE).then_some(true),
        };
        match exchange(&self.qmi, self.wds(family)?, stop, self.deadlines.disconnect).await {
            Err(error) => match error.protocol() {
                Some(
                    ProtocolError::NoEffect
                    | ProtocolError::InvalidHandle
                    | ProtocolError::OutOfCall
                    | ProtocolError::InvalidClientId,
                ) => Ok(()),
                _ => Err(error),
            },
            Ok(_) => Ok(()),
        }
    }

    async fn remember(&self, family: IpFamily, session: Option<StoredSession>) {
        {
            let mut sessions = self.sessions.lock().expect("no task panics with the lock");
            sessions.retain(|stored| stored.family != family);
            sessions.extend(session);
        }
        self.qmi.note_session(family, session).await;
    }

    fn session(&self, family: IpFamily) -> Option<StoredSession> {
        let sessions = self.sessions.lock().expect("no task panics with the lock");
        sessions.iter().find(|session| session.family == family).copied()
    }

    fn wds(&self, family: IpFamily) -> Result<u8, DriverError> {
        let client = self.clients.wds.iter().find(|(of, _)| *of == family);
        client.map(|(_, cid)| *cid).ok_or_else(no_client)
    }

    fn any_wds(&self) -> Result<u8, DriverError> {
        self.clients.wds.first().map(|(_, cid)| *cid).ok_or_else(no_client)
    }
}

fn no_client() -> DriverError {
    DriverError::ClientIdsExhausted { service: Service::Wds.to_string() }
}

fn modify_profile(id: wds::ProfileId, profile: &Profile, families: &[IpFamily]) -> wds::ModifyProfile {
    let login = profile.authentication.as_ref();
    let pdp_type = match (families.contains(&IpFamily::Ipv4), families.contains(&IpFamily::Ipv6)) {
        (true, false) => wds::PdpType::Ipv4,
        (false, true) => wds::PdpType::Ipv6,
        _ => wds::PdpType::Ipv4OrIpv6,
    };
    wds::ModifyProfile {
        profile_identifier: id,
        apn_name: Some(profile.apn_name.clone()),
        pdp_type: Some(pdp_type),
        authentication: Some(login.map_or(wds::Authentication::NONE, |login| authentication(login.protocol))),
        username: login.map(|login| login.user_name.clone()),
        password: login.map(|login| login.password.reveal().to_owned()),
        ..wds::ModifyProfile::default()
    }
}

fn authentication(protocol: crate::config::AuthenticationProtocol) -> wds::Authentication {
    use crate::config::AuthenticationProtocol as Protocol;
    match protocol {
        Protocol::None => wds::Authentication::NONE,
        Protocol::Pap => wds::Authentication::PAP,
        Protocol::Chap => wds::Authentication::CHAP,
        Protocol::PapOrChap => wds::Authentication::PAP | wds::Authentication::CHAP,
    }
}

fn call_failed(family: IpFamily, error: RequestError<wds::CallFailure>) -> DriverError {
    let RequestError::Refusal(Refusal::Refused { error: ProtocolError::CallFailed, details }) = error else {
        return DriverError::of::<wds::StartNetwork>(error);
    };
    let verbose = details.verbose_call_end_reason;
    let name = verbose
        .map(|reason| reason.name().map_or_else(|| reason.reason.to_string(), str::to_owned))
        .or_else(|| details.call_end_reason.map(|reason| reason.to_string()))
        .unwrap_or_else(|| "call-failed".to_owned());
    DriverError::CallFailed {
        family,
        legacy: details.call_end_reason.map(|reason| reason.number() as u16),
        verbose_type: verbose.map(|reason| reason.reason_type),
        verbose_code: verbose.map(|reason| reason.reason),
        name,
    }
}

/// One family's settings beside the other's; the smaller MTU holds for both.
pub(in crate::modem) fn merge(into: &mut IpSettings, more: IpSettings) {
    into.ipv4 = more.ipv4.or(into.ipv4.take());
    into.ipv6 = more.ipv6.or(into.ipv6.take());
    into.mtu_bytes = match (into.mtu_bytes, more.mtu_bytes) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    for domain in more.domains {
        if !into.domains.contains(&domain) {
            into.domains.push(domain);
        }
    }
}

fn settings(family: IpFamily, told: &wds::GetCurrentSettingsResponse) -> IpSettings {
    let mut settings = IpSettings {
        mtu_bytes: told.mtu.filter(|mtu| (576..=65_535).contains(mtu)),
        domains: told.domain_name_list.clone().unwrap_or_default(),
        ..IpSettings::default()
    };
    match family {
        IpFamily::Ipv4 => {
            settings.ipv4 =
                told.ipv4_address.filter(|address| !address.is_unspecified()).map(|address| Ipv4Settings {
                    address,
                    prefix_length: told
                        .ipv4_gateway_subnet_mask
                        .map_or(32, |mask| u32::from(mask).leading_ones() as u8),
                    gateway: told.ipv4_gateway_address.filter(|gateway| !gateway.is_unspecified()),
                    dns: [told.primary_ipv4_dns_address, told.secondary_ipv4_dns_address]
                        .into_iter()
                        .flatten()
                        .filter(|server| !server.is_unspecified())
                        .collect(),
                });
        }
        IpFamily::Ipv6 => {
            settings.ipv6 =
                told.ipv6_address.as_ref().filter(|told| !told.address.is_unspecified()).map(|address| {
                    Ipv6Settings {
                        address: address.address,
                        prefix_length: address.prefix_length.min(128),
                        gateway: told
                            .ipv6_gateway_address
                            .as_ref()
                            .map(|gateway| gateway.address)
                            .filter(|gateway| !gateway.is_unspecified()),
                        dns: [told.ipv6_primary_dns_address, told.ipv6_secondary_dns_address]
                            .into_iter()
                            .flatten()
                            .filter(|server| !server.is_unspecified())
                            .collect(),
                    }
                });
        }
    }
    settings
}
