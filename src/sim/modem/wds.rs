//! Pure: answers of the WDS service.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::calls::{MAX_PROFILES, Profile, legacy};
use super::{Answer, Client, Modem, No, Session};
use crate::qmi::message::{Body as _, Request};
use crate::qmi::wds::{
    self, AutoconnectSetting, ConnectionStatus, DsProfileError, IpFamily, PdpType, ProfileType,
    RequestedSettings,
};
use crate::qmi::{Done, Frame, ProtocolError, Service, VerboseCallEndReason};
use crate::sim::radio::Technology;
use crate::sim::scenario::Family;

/// Bytes of a packet on average.
const PACKET_BYTES: u64 = 640;
/// Resolvers handed out: documentation addresses (RFC 5737, RFC 3849).
const DNS_V4: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(198, 51, 100, 53)];
const DNS_V6: [Ipv6Addr; 2] =
    [Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53), Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 0x53)];

impl Modem {
    pub(super) fn wds(&mut self, frame: &Frame) {
        match frame.message {
            // Answered when the network has: not through `answer`.
            wds::StartNetwork::ID => match wds::StartNetwork::from_tlvs(&frame.tlvs) {
                Ok(request) => self.start_network(frame, &request),
                Err(_) => self.refuse(frame, ProtocolError::MalformedMessage),
            },
            wds::StopNetwork::ID => self.answer(frame, |modem, id, request: wds::StopNetwork| {
                let off = request.disable_autoconnect == Some(true);
                modem.stop_network(id, request.packet_data_handle, off)?;
                Ok(Done)
            }),
            wds::Abort::ID => self.answer(frame, |modem, id, request: wds::Abort| {
                modem.abort_start(id, request.transaction_id)?;
                Ok(Done)
            }),
            wds::GetPacketServiceStatus::ID => {
                self.answer(frame, |modem, id, _: wds::GetPacketServiceStatus| {
                    let connection_status = match modem.session_of(id) {
                        Some(_) => ConnectionStatus::Connected,
                        None => ConnectionStatus::Disconnected,
                    };
                    Ok(wds::GetPacketServiceStatusResponse { connection_status })
                });
            }
            wds::GetPacketStatistics::ID => self.answer(frame, Self::packet_statistics),
            wds::GetCurrentSettings::ID => self.answer(frame, Self::current_settings),
            wds::SetIpFamily::ID => self.answer(frame, |modem, id, request: wds::SetIpFamily| {
                let family = match request.preference {
                    IpFamily::Ipv4 => Some(Family::V4),
                    IpFamily::Ipv6 => Some(Family::V6),
                    IpFamily::Unspecified => None,
                    _ => return Err(ProtocolError::InvalidIpFamilyPreference.into()),
                };
                modem.client(Service::Wds, id).family = family;
                Ok(Done)
            }),
            wds::SetEventReport::ID => self.answer(frame, |_, _, _: wds::SetEventReport| Ok(Done)),
            wds::IndicationRegister::ID => {
                self.answer(frame, |modem, id, request: wds::IndicationRegister| {
                    let client = modem.client(Service::Wds, id);
                    let wants = request.report_extended_ip_configuration_change;
                    client.ip_config = wants.unwrap_or(client.ip_config);
                    Ok(Done)
                });
            }
            wds::BindMuxDataPort::ID => self.answer(frame, |_, _, _: wds::BindMuxDataPort| Ok(Done)),
            wds::BindDataPort::ID => self.answer(frame, |_, _, _: wds::BindDataPort| Ok(Done)),
            _ => self.wds_bearer(frame),
        }
    }

    fn wds_bearer(&mut self, frame: &Frame) {
        match frame.message {
            wds::GetChannelRates::ID => self.answer(frame, |modem, id, _: wds::GetChannelRates| {
                modem.session_of(id).ok_or(ProtocolError::OutOfCall)?;
                Ok(wds::GetChannelRatesResponse {
                    channel_rates: wds::ChannelRates {
                        channel_tx_rate_bps: 50_000_000,
                        channel_rx_rate_bps: 300_000_000,
                        max_channel_tx_rate_bps: 50_000_000,
                        max_channel_rx_rate_bps: 300_000_000,
                    },
                })
            }),
            wds::GetDataBearerTechnology::ID => {
                self.answer(frame, |modem, id, _: wds::GetDataBearerTechnology| {
                    let current = match modem.reading().technology {
                        Technology::Lte => wds::DataBearerTechnology::Lte,
                        Technology::Umts => wds::DataBearerTechnology::HsdpaplusHsupa,
                        Technology::Gsm => wds::DataBearerTechnology::Edge,
                        Technology::None => wds::DataBearerTechnology::Unknown,
                    };
                    match modem.session_of(id) {
                        Some(_) => Ok(wds::GetDataBearerTechnologyResponse { current }),
                        None => Err(No(
                            ProtocolError::OutOfCall,
                            wds::GetDataBearerTechnologyFailure { last: Some(current) },
                        )),
                    }
                });
            }
            wds::GetCurrentDataBearerTechnology::ID => {
                self.answer(frame, |modem, id, _: wds::GetCurrentDataBearerTechnology| {
                    modem.session_of(id).ok_or(ProtocolError::OutOfCall)?;
                    // WdsRat3gpp: wcdma 1, hsdpa 4, hsupa 8, hsdpa-plus 16, lte 32, edge 2.
                    let rat_mask = match modem.reading().technology {
                        Technology::Lte => 0x20,
                        Technology::Umts => 0x18,
                        Technology::Gsm => 0x06,
                        Technology::None => 0,
                    };
                    let network_type = wds::NetworkType::ThreeGpp;
                    let current = wds::BearerTechnology { network_type, rat_mask, so_mask: 0 };
                    Ok(wds::GetCurrentDataBearerTechnologyResponse { current, last: None })
                });
            }
            wds::GetPdnThrottleInfo::ID => self.answer(frame, |modem, _, _: wds::GetPdnThrottleInfo| {
                let throttled = modem.conditions.throttled;
                let left = if throttled { 720_000 } else { 0 };
                let info = wds::PdnThrottle {
                    ipv4_throttled: throttled,
                    ipv6_throttled: throttled,
                    ipv4_throttle_time_left_ms: left,
                    ipv6_throttle_time_left_ms: left,
                    apn: modem.attach_apn(),
                };
                Ok(wds::GetPdnThrottleInfoResponse { info: Some(vec![info]) })
            }),
            wds::GetLteAttachParameters::ID => {
                self.answer(frame, |modem, _, _: wds::GetLteAttachParameters| {
                    if !modem.is_attached() {
                        return Err(ProtocolError::InformationUnavailable.into());
                    }
                    Ok(wds::GetLteAttachParametersResponse {
                        apn: Some(modem.attach_apn()),
                        ip_support_type: Some(wds::IpSupportType::Ipv4v6),
                        ota_attach_performed: Some(true),
                    })
                });
            }
            wds::GetLteAttachPdnList::ID => self.answer(frame, |modem, _, _: wds::GetLteAttachPdnList| {
                let current_list = Some(modem.calls.attach_profiles.clone());
                Ok(wds::GetLteAttachPdnListResponse { current_list, pending_list: Some(Vec::new()) })
            }),
            wds::SetLteAttachPdnList::ID => {
                self.answer(frame, |modem, _, request: wds::SetLteAttachPdnList| {
                    modem.calls.attach_profiles = request.list;
                    Ok(Done)
                });
            }
            wds::GetAutoconnectSettings::ID => {
                self.answer(frame, |modem, _, _: wds::GetAutoconnectSettings| {
                    let on = modem.calls.autoconnect;
                    let status = if on { AutoconnectSetting::Enabled } else { AutoconnectSetting::Disabled };
                    let roaming = Some(wds::AutoconnectSettingRoaming::Allowed);
                    Ok(wds::GetAutoconnectSettingsResponse { status, roaming })
                });
            }
            wds::SetAutoconnectSettings::ID => {
                self.answer(frame, |modem, _, request: wds::SetAutoconnectSettings| {
                    modem.calls.autoconnect = request.status == AutoconnectSetting::Enabled;
                    if modem.is_attached() {
                        modem.autoconnect();
                    }
                    Ok(Done)
                });
            }
            _ => self.wds_profiles(frame),
        }
    }

    fn wds_profiles(&mut self, frame: &Frame) {
        match frame.message {
            wds::GetProfileList::ID => self.answer(frame, |modem, _, request: wds::GetProfileList| {
                if request.profile_type == Some(ProfileType::ThreeGpp2) {
                    return Ok(wds::GetProfileListResponse::default());
                }
                let profiles = modem.calls.profiles.iter();
                let profile_list = profiles.map(|(index, profile)| wds::ListedProfile {
                    profile_type: ProfileType::ThreeGpp,
                    profile_index: *index,
                    profile_name: profile.name.clone(),
                });
                Ok(wds::GetProfileListResponse { profile_list: profile_list.collect() })
            }),
            wds::GetProfileSettings::ID => {
                self.answer(frame, |modem, _, request: wds::GetProfileSettings| {
                    let index = request.profile_id.profile_index;
                    let missing = || {
                        let extended_error_code = Some(DsProfileError::InvalidProfileNumber);
                        No(
                            ProtocolError::ExtendedInternal,
                            wds::GetProfileSettingsFailure { extended_error_code },
                        )
                    };
                    let profile = modem.calls.profiles.get(&index).ok_or_else(missing)?;
                    Ok(wds::GetProfileSettingsResponse {
                        profile_name: Some(profile.name.clone()),
                        pdp_type: Some(profile.pdp_type),
                        apn_name: Some(profile.apn.clone()),
                        username: Some(profile.username.clone()),
                        password: Some(profile.password.clone()),
                        authentication: Some(profile.authentication),
                        pdp_context_number: Some(index),
                        apn_disabled_flag: Some(false),
                        roaming_disallowed_flag: Some(false),
                        ..Default::default()
                    })
                });
            }
            wds::CreateProfile::ID => self.answer(frame, Self::create_profile),
            wds::ModifyProfile::ID => self.answer(frame, |modem, _, request: wds::ModifyProfile| {
                let missing = || {
                    let extended_error_code = Some(DsProfileError::InvalidProfileNumber);
                    No(ProtocolError::ExtendedInternal, wds::ModifyProfileFailure { extended_error_code })
                };
                let index = request.profile_identifier.profile_index;
                let profile = modem.calls.profiles.get_mut(&index).ok_or_else(missing)?;
                set(&mut profile.name, request.profile_name);
                set(&mut profile.apn, request.apn_name);
                set(&mut profile.username, request.username);
                set(&mut profile.password, request.password);
                profile.pdp_type = request.pdp_type.unwrap_or(profile.pdp_type);
                profile.authentication = request.authentication.unwrap_or(profile.authentication);
                Ok(Done)
            }),
            wds::DeleteProfile::ID => {
                self.answer(frame, |modem, _, request: wds::DeleteProfile| {
                    match modem.calls.profiles.remove(&request.profile_identifier.profile_index) {
                        Some(_) => Ok(Done),
                        None => {
                            let extended_error_code = Some(DsProfileError::InvalidProfileNumber);
                            let details = wds::DeleteProfileFailure { extended_error_code };
                            Err(No(ProtocolError::ExtendedInternal, details))
                        }
                    }
                })
            }
            wds::GetDefaultProfileNumber::ID => {
                self.answer(frame, |modem, _, _: wds::GetDefaultProfileNumber| {
                    Ok(wds::GetDefaultProfileNumberResponse { index: modem.calls.default_profile })
                });
            }
            wds::SetDefaultProfileNumber::ID => {
                self.answer(frame, |modem, _, request: wds::SetDefaultProfileNumber| {
                    let index = request.profile_identifier.index;
                    if !modem.calls.profiles.contains_key(&index) {
                        return Err(ProtocolError::InvalidProfile.into());
                    }
                    modem.calls.default_profile = index;
                    Ok(Done)
                });
            }
            _ => self.refuse(frame, ProtocolError::InvalidQmiCommand),
        }
    }

    fn create_profile(&mut self, _: u8, request: wds::CreateProfile) -> Answer<wds::CreateProfile> {
        let free = (1..=MAX_PROFILES).find(|index| !self.calls.profiles.contains_key(index));
        let Some(profile_index) = free else {
            let extended_error_code = Some(DsProfileError::ThreeGppOutOfProfiles);
            let details = wds::CreateProfileFailure { extended_error_code };
            return Err(No(ProtocolError::ExtendedInternal, details));
        };
        let profile = Profile {
            name: request.profile_name.unwrap_or_else(|| format!("profile{profile_index}")),
            apn: request.apn_name.unwrap_or_default(),
            pdp_type: request.pdp_type.unwrap_or_default(),
            authentication: request.authentication.unwrap_or_default(),
            username: request.username.unwrap_or_default(),
            password: request.password.unwrap_or_default(),
        };
        self.calls.profiles.insert(profile_index, profile);
        let profile_identifier = wds::ProfileId { profile_type: request.profile_type, profile_index };
        Ok(wds::CreateProfileResponse { profile_identifier })
    }

    fn packet_statistics(
        &mut self,
        id: u8,
        request: wds::GetPacketStatistics,
    ) -> Answer<wds::GetPacketStatistics> {
        use wds::PacketStatisticsMaskFlag as Flag;
        let now = self.now;
        let (last_sent, last_received) = self.calls.last_bytes();
        let Some(session) = self.session_of(id) else {
            return Ok(wds::GetPacketStatisticsResponse {
                last_call_tx_bytes_ok: Some(last_sent),
                last_call_rx_bytes_ok: Some(last_received),
                ..Default::default()
            });
        };
        let (sent, received) = session.bytes(now);
        let asked = |flag: Flag| request.mask.contains(flag);
        let count = |flag, number: u64| asked(flag).then_some(number as u32);
        Ok(wds::GetPacketStatisticsResponse {
            tx_packets_ok: count(Flag::TX_PACKETS_OK, sent.div_ceil(PACKET_BYTES)),
            rx_packets_ok: count(Flag::RX_PACKETS_OK, received.div_ceil(PACKET_BYTES)),
            tx_packets_error: count(Flag::TX_PACKETS_ERROR, 0),
            rx_packets_error: count(Flag::RX_PACKETS_ERROR, 0),
            tx_overflows: count(Flag::TX_OVERFLOWS, u32::MAX.into()),
            rx_overflows: count(Flag::RX_OVERFLOWS, u32::MAX.into()),
            tx_bytes_ok: asked(Flag::TX_BYTES_OK).then_some(sent),
            rx_bytes_ok: asked(Flag::RX_BYTES_OK).then_some(received),
            last_call_tx_bytes_ok: None,
            last_call_rx_bytes_ok: None,
            tx_packets_dropped: count(Flag::TX_PACKETS_DROPPED, 0),
            rx_packets_dropped: count(Flag::RX_PACKETS_DROPPED, 0),
        })
    }

    fn current_settings(
        &mut self,
        id: u8,
        request: wds::GetCurrentSettings,
    ) -> Answer<wds::GetCurrentSettings> {
        let asked = |flag: RequestedSettings| request.requested_settings.contains(flag);
        let session = self.session_of(id).ok_or(ProtocolError::OutOfCall)?;
        let settings = session.settings;
        let (v4, v6) = (session.family == Family::V4, session.family == Family::V6);
        let if_v4 = |flag| v4 && asked(flag);
        let if_v6 = |flag| v6 && asked(flag);
        let prefix = |address| wds::Ipv6Prefix { address, prefix_length: 64 };
        let gateway_v6 = Ipv6Addr::from(u128::from(settings.ipv6) >> 64 << 64 | 1);
        use RequestedSettings as Flag;
        Ok(wds::GetCurrentSettingsResponse {
            pdp_type: asked(Flag::PDP_TYPE).then_some(if v4 { PdpType::Ipv4 } else { PdpType::Ipv6 }),
            apn_name: asked(Flag::APN_NAME).then(|| session.apn.clone()),
            primary_ipv4_dns_address: if_v4(Flag::DNS_ADDRESS).then_some(DNS_V4[0]),
            secondary_ipv4_dns_address: if_v4(Flag::DNS_ADDRESS).then_some(DNS_V4[1]),
            ipv4_address: if_v4(Flag::IP_ADDRESS).then_some(settings.ipv4),
            ipv4_gateway_address: if_v4(Flag::GATEWAY_INFO).then_some(settings.gateway),
            ipv4_gateway_subnet_mask: if_v4(Flag::GATEWAY_INFO).then_some(Ipv4Addr::new(255, 255, 255, 252)),
            ipv6_address: if_v6(Flag::IP_ADDRESS).then(|| prefix(settings.ipv6)),
            ipv6_gateway_address: if_v6(Flag::GATEWAY_INFO).then(|| prefix(gateway_v6)),
            ipv6_primary_dns_address: if_v6(Flag::DNS_ADDRESS).then_some(DNS_V6[0]),
            ipv6_secondary_dns_address: if_v6(Flag::DNS_ADDRESS).then_some(DNS_V6[1]),
            mtu: asked(Flag::MTU).then_some(settings.mtu),
            ip_family: asked(Flag::IP_FAMILY).then_some(family(session.family)),
            domain_name_list: asked(Flag::DOMAIN_NAME_LIST).then(Vec::new),
            ..Default::default()
        })
    }

    /// The session of the family that a client asks about.
    fn session_of(&mut self, client: u8) -> Option<&Session> {
        let family = self.family_of(client);
        self.calls.session(family)
    }

    fn attach_apn(&self) -> String {
        let profile = self.calls.attach_profiles.first().and_then(|index| u8::try_from(*index).ok());
        let apn =
            profile.and_then(|index| self.calls.profiles.get(&index)).map(|profile| profile.apn.clone());
        apn.filter(|apn| !apn.is_empty()).unwrap_or_else(|| "internet".to_owned())
    }

    /// Tells every WDS client of the family how its session stands.
    pub(super) fn indicate_status(
        &mut self,
        of: Family,
        status: ConnectionStatus,
        reconfiguration_required: bool,
        reason: Option<VerboseCallEndReason>,
    ) {
        let indication = wds::PacketServiceStatus {
            connection_status: wds::PacketServiceState { status, reconfiguration_required },
            call_end_reason: reason.map(legacy),
            verbose_call_end_reason: reason,
            ip_family: Some(family(of)),
            ..Default::default()
        };
        let wanting = self.clients_that(Service::Wds, |client| client.family.unwrap_or(Family::V4) == of);
        self.indicate(&indication, &wanting);
    }

    /// Tells those who asked that settings changed.
    pub(super) fn indicate_settings(&mut self) {
        let changed =
            RequestedSettings::IP_ADDRESS | RequestedSettings::GATEWAY_INFO | RequestedSettings::MTU;
        let wanting = self.clients_that(Service::Wds, |client: &Client| client.ip_config);
        self.indicate(&wds::ExtendedIpConfig { changed_ip_configuration: Some(changed) }, &wanting);
    }
}

fn family(family: Family) -> IpFamily {
    match family {
        Family::V4 => IpFamily::Ipv4,
        Family::V6 => IpFamily::Ipv6,
    }
}

fn set(field: &mut String, value: Option<String>) {
    if let Some(value) = value {
        *field = value;
    }
}
