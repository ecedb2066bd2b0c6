//! Names of all message ids that libqmi knows, for traffic that is not described here.

use super::Service;

/// The name of a message; indications have their own names.
#[must_use]
pub fn message_name(service: Service, message: u16, indication: bool) -> Option<&'static str> {
    let (requests, indications) = match service {
        Service::Ctl => (CTL, CTL_INDICATIONS),
        Service::Wds => (WDS, WDS_INDICATIONS),
        Service::Dms => (DMS, DMS_INDICATIONS),
        Service::Nas => (NAS, NAS_INDICATIONS),
        Service::Uim => (UIM, UIM_INDICATIONS),
        Service::Wda => (WDA, WDA_INDICATIONS),
        Service::Loc => (LOC, LOC_INDICATIONS),
        Service::Dsd => (DSD, DSD_INDICATIONS),
        Service::Gas => (GAS, NONE),
        _ => (NONE, NONE),
    };
    let table = if indication { indications } else { requests };
    let common = || if indication { None } else { find(COMMON, message) };
    find(table, message).or_else(common)
}

fn find(table: &[(u16, &'static str)], message: u16) -> Option<&'static str> {
    table.iter().find(|(id, _)| *id == message).map(|(_, name)| *name)
}

static NONE: &[(u16, &str)] = &[];

/// What most services share.
static COMMON: &[(u16, &str)] = &[(0x0000, "Reset"), (0x001E, "Get Supported Messages")];

static CTL: &[(u16, &str)] = &[
    (0x0020, "Set Instance ID"),
    (0x0021, "Get Version Info"),
    (0x0022, "Allocate CID"),
    (0x0023, "Release CID"),
    (0x0026, "Set Data Format"),
    (0x0027, "Sync"),
    (0xFF00, "Internal Proxy Open"),
    (0xFF22, "Internal Allocate CID QRTR"),
    (0xFF23, "Internal Release CID QRTR"),
];

static CTL_INDICATIONS: &[(u16, &str)] = &[(0x0027, "Sync")];

static WDS: &[(u16, &str)] = &[
    (0x0000, "Reset"),
    (0x0001, "Set Event Report"),
    (0x0002, "Abort"),
    (0x0003, "Indication Register"),
    (0x001E, "Get Supported Messages"),
    (0x0020, "Start Network"),
    (0x0021, "Stop Network"),
    (0x0022, "Get Packet Service Status"),
    (0x0023, "Get Channel Rates"),
    (0x0024, "Get Packet Statistics"),
    (0x0025, "Go Dormant"),
    (0x0026, "Go Active"),
    (0x0027, "Create Profile"),
    (0x0028, "Modify Profile"),
    (0x0029, "Delete Profile"),
    (0x002A, "Get Profile List"),
    (0x002B, "Get Profile Settings"),
    (0x002C, "Get Default Settings"),
    (0x002D, "Get Current Settings"),
    (0x0030, "Get Dormancy Status"),
    (0x0034, "Get Autoconnect Settings"),
    (0x0037, "Get Data Bearer Technology"),
    (0x0044, "Get Current Data Bearer Technology"),
    (0x0049, "Get Default Profile Number"),
    (0x004A, "Set Default Profile Number"),
    (0x004D, "Set IP Family"),
    (0x0051, "Set Autoconnect Settings"),
    (0x006C, "Get PDN Throttle Info"),
    (0x0085, "Get LTE Attach Parameters"),
    (0x0089, "Bind Data Port"),
    (0x0092, "Get Max LTE Attach PDN Number"),
    (0x0093, "Set LTE Attach PDN List"),
    (0x0094, "Get LTE Attach PDN List"),
    (0x00A2, "Bind Mux Data Port"),
    (0x00A7, "Configure Profile Event List"),
    (0x00AF, "Bind Subscription"),
    (0x00B0, "Get Bind Subscription"),
    (0x5558, "Swi Create Profile Indexed"),
];

static WDS_INDICATIONS: &[(u16, &str)] = &[
    (0x0001, "Event Report"),
    (0x0022, "Packet Service Status"),
    (0x008C, "Extended Ip Config"),
    (0x0093, "Set LTE Attach PDN List"),
    (0x00A8, "Profile Changed"),
];

static DMS: &[(u16, &str)] = &[
    (0x0000, "Reset"),
    (0x0001, "Set Event Report"),
    (0x0020, "Get Capabilities"),
    (0x0021, "Get Manufacturer"),
    (0x0022, "Get Model"),
    (0x0023, "Get Revision"),
    (0x0024, "Get MSISDN"),
    (0x0025, "Get IDs"),
    (0x0026, "Get Power State"),
    (0x0027, "UIM Set PIN Protection"),
    (0x0028, "UIM Verify PIN"),
    (0x0029, "UIM Unblock PIN"),
    (0x002A, "UIM Change PIN"),
    (0x002B, "UIM Get PIN Status"),
    (0x002C, "Get Hardware Revision"),
    (0x002D, "Get Operating Mode"),
    (0x002E, "Set Operating Mode"),
    (0x002F, "Get Time"),
    (0x0030, "Get PRL Version"),
    (0x0031, "Get Activation State"),
    (0x0032, "Activate Automatic"),
    (0x0033, "Activate Manual"),
    (0x0034, "Get User Lock State"),
    (0x0035, "Set User Lock State"),
    (0x0036, "Set User Lock Code"),
    (0x0037, "Read User Data"),
    (0x0038, "Write User Data"),
    (0x0039, "Read ERI File"),
    (0x003A, "Restore Factory Defaults"),
    (0x003B, "Validate Service Programming Code"),
    (0x003C, "UIM Get ICCID"),
    (0x003E, "Set Firmware ID"),
    (0x0040, "UIM Get CK Status"),
    (0x0041, "UIM Set CK Protection"),
    (0x0042, "UIM Unblock CK"),
    (0x0043, "UIM Get IMSI"),
    (0x0044, "UIM Get State"),
    (0x0045, "Get Band Capabilities"),
    (0x0046, "Get Factory SKU"),
    (0x0047, "Get Firmware Preference"),
    (0x0048, "Set Firmware Preference"),
    (0x0049, "List Stored Images"),
    (0x004A, "Delete Stored Image"),
    (0x004B, "Set Time"),
    (0x004C, "Get Stored Image Info"),
    (0x004D, "Get Alt Net Config"),
    (0x004E, "Set Alt Net Config"),
    (0x004F, "Get Boot Image Download Mode"),
    (0x0050, "Set Boot Image Download Mode"),
    (0x0051, "Get Software Version"),
    (0x0052, "Set Service Programming Code"),
    (0x005C, "Get MAC Address"),
    (0x001E, "Get Supported Messages"),
    (0x5556, "Swi Get Current Firmware"),
    (0x555B, "Swi Get USB Composition"),
    (0x555C, "Swi Set USB Composition"),
    (0x555E, "Foxconn Get Firmware Version"),
    (0x555F, "Set FCC Authentication"),
    (0x5562, "Foxconn Change Device Mode"),
    (0x5571, "Foxconn Set FCC Authentication"),
];

static DMS_INDICATIONS: &[(u16, &str)] = &[(0x0001, "Event Report")];

static NAS: &[(u16, &str)] = &[
    (0x0000, "Reset"),
    (0x0001, "Abort"),
    (0x0002, "Set Event Report"),
    (0x0003, "Register Indications"),
    (0x001E, "Get Supported Messages"),
    (0x0020, "Get Signal Strength"),
    (0x0021, "Network Scan"),
    (0x0022, "Initiate Network Register"),
    (0x0023, "Attach Detach"),
    (0x0024, "Get Serving System"),
    (0x0025, "Get Home Network"),
    (0x0026, "Get Preferred Networks"),
    (0x0027, "Set Preferred Networks"),
    (0x002A, "Set Technology Preference"),
    (0x002B, "Get Technology Preference"),
    (0x0031, "Get RF Band Information"),
    (0x0033, "Set System Selection Preference"),
    (0x0034, "Get System Selection Preference"),
    (0x0039, "Get Operator Name"),
    (0x0043, "Get Cell Location Info"),
    (0x0044, "Get PLMN Name"),
    (0x004D, "Get System Info"),
    (0x004F, "Get Signal Info"),
    (0x0050, "Config Signal Info"),
    (0x006C, "Config Signal Info v2"),
    (0x005A, "Get Tx Rx Info"),
    (0x0065, "Get CDMA Position Info"),
    (0x0067, "Force Network Search"),
    (0x007D, "Get Network Time"),
    (0x0085, "Incremental Network Scan"),
    (0x0089, "Get DRX"),
    (0x00AC, "Get LTE Cphy CA Info"),
    (0x00E8, "Get ENDC Config"),
    (0x5556, "Swi Get Status"),
];

static NAS_INDICATIONS: &[(u16, &str)] = &[
    (0x0002, "Event Report"),
    (0x0024, "Serving System"),
    (0x003A, "Operator Name"),
    (0x004C, "Network Time"),
    (0x004E, "System Info"),
    (0x0051, "Signal Info"),
    (0x0068, "Network Reject"),
    (0x0085, "Incremental Network Scan"),
];

static UIM: &[(u16, &str)] = &[
    (0x0000, "Reset"),
    (0x001E, "Get Supported Messages"),
    (0x0020, "Read Transparent"),
    (0x0021, "Read Record"),
    (0x0023, "Write Record"),
    (0x0024, "Get File Attributes"),
    (0x0025, "Set PIN Protection"),
    (0x0026, "Verify PIN"),
    (0x0027, "Unblock PIN"),
    (0x0028, "Change PIN"),
    (0x0029, "Depersonalization"),
    (0x002A, "Refresh Register"),
    (0x002C, "Refresh Complete"),
    (0x002E, "Register Events"),
    (0x002F, "Get Card Status"),
    (0x0030, "Power Off SIM"),
    (0x0031, "Power On SIM"),
    (0x0038, "Change Provisioning Session"),
    (0x003A, "Get Configuration"),
    (0x003B, "Send APDU"),
    (0x003F, "Logical Channel"),
    (0x0042, "Open Logical Channel"),
    (0x0044, "Refresh Register All"),
    (0x0046, "Switch Slot"),
    (0x0047, "Get Slot Status"),
    (0x005D, "Remote Unlock"),
];

static UIM_INDICATIONS: &[(u16, &str)] =
    &[(0x0032, "Card Status"), (0x0033, "Refresh"), (0x0048, "Slot Status")];

static WDA: &[(u16, &str)] = &[
    (0x001E, "Get Supported Messages"),
    (0x0020, "Set Data Format"),
    (0x0021, "Get Data Format"),
    (0x002F, "Loopback Configuration"),
    (0x0030, "Set Capability"),
    (0x0033, "Get Ethernet Config"),
];

static WDA_INDICATIONS: &[(u16, &str)] = &[(0x002F, "Loopback Configuration")];

static LOC: &[(u16, &str)] = &[
    (0x0021, "Register Events"),
    (0x0022, "Start"),
    (0x0023, "Stop"),
    (0x0035, "Inject Predicted Orbits Data"),
    (0x0036, "Get Predicted Orbits Data Source"),
    (0x0037, "Get Predicted Orbits Data Validity"),
    (0x0038, "Inject UTC Time"),
    (0x0039, "Inject Position"),
    (0x003A, "Set Engine Lock"),
    (0x003B, "Get Engine Lock"),
    (0x003E, "Set NMEA Types"),
    (0x003F, "Get NMEA Types"),
    (0x0042, "Set Server"),
    (0x0043, "Get Server"),
    (0x0044, "Delete Assistance Data"),
    (0x004A, "Set Operation Mode"),
    (0x004B, "Get Operation Mode"),
    (0x00A7, "Inject Xtra Data"),
];

static LOC_INDICATIONS: &[(u16, &str)] = &[
    (0x0024, "Position Report"),
    (0x0026, "NMEA"),
    (0x0028, "Inject Time Request"),
    (0x0029, "Inject Predicted Orbits Request"),
    (0x002A, "Inject Position Request"),
    (0x002B, "Engine State"),
    (0x002C, "Fix Recurrence Type"),
    (0x0025, "GNSS Sv Info"),
    (0x0035, "Inject Predicted Orbits Data"),
    (0x0036, "Get Predicted Orbits Data Source"),
    (0x0037, "Get Predicted Orbits Data Validity"),
    (0x0038, "Inject UTC Time"),
    (0x0039, "Inject Position"),
    (0x003A, "Set Engine Lock"),
    (0x003B, "Get Engine Lock"),
    (0x003E, "Set NMEA Types"),
    (0x003F, "Get NMEA Types"),
    (0x0042, "Set Server"),
    (0x0043, "Get Server"),
    (0x0044, "Delete Assistance Data"),
    (0x004A, "Set Operation Mode"),
    (0x004B, "Get Operation Mode"),
    (0x00A7, "Inject Xtra Data"),
];

static DSD: &[(u16, &str)] = &[
    (0x0024, "Get System Status"),
    (0x0025, "System Status Change"),
    (0x0033, "Get APN Info"),
    (0x0051, "Set APN Type"),
];

static DSD_INDICATIONS: &[(u16, &str)] = &[(0x0026, "System Status")];

static GAS: &[(u16, &str)] = &[
    (0x0203, "DMS Set USB Composition"),
    (0x0204, "DMS Get USB Composition"),
    (0x0206, "DMS Set Active Firmware"),
    (0x0208, "DMS Get Firmware List"),
    (0x0222, "DMS Set Firmware Auto Sim"),
    (0x0223, "DMS Get Firmware Auto Sim"),
    (0x022D, "DMS Get Ethernet PDU MAC Address"),
];
