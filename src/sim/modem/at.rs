//! Pure: the AT port (ITU-T V.250, 3GPP TS 27.007, and what a Sierra modem says besides).

use super::identity::{MANUFACTURER, MODEL, REVISION};
use super::{CardCondition, Modem, Output, Registration};
use crate::at::name_of_cause;
use crate::qmi::VerboseCallEndReason;
use crate::qmi::dms::OperatingMode;
use crate::sim::radio::Technology;

/// Longest command line; what comes beyond is dropped and the line is an error.
const MAX_LINE_LEN: usize = 1024;

/// State of the AT port.
#[derive(Debug, Clone)]
pub(super) struct At {
    line: Vec<u8>,
    overlong: bool,
    echo: bool,
    quiet: bool,
    /// `AT+CEREG=n`: unsolicited lines on registration, with the cell from 2 on.
    cereg: u8,
    /// `AT+CMEE=n`: what `+CME ERROR` looks like.
    cmee: u8,
    /// Why the last session ended, for `AT+CEER`.
    pub(super) last_call_end: Option<VerboseCallEndReason>,
}

impl Default for At {
    fn default() -> Self {
        Self {
            line: Vec::new(),
            overlong: false,
            echo: true,
            quiet: false,
            cereg: 0,
            cmee: 1,
            last_call_end: None,
        }
    }
}

/// A refusal by number (3GPP TS 27.007, 9.2), or a plain `ERROR`.
enum AtError {
    Plain,
    Cme(u16, &'static str),
}

const SIM_NOT_INSERTED: AtError = AtError::Cme(10, "SIM not inserted");
const SIM_PIN_REQUIRED: AtError = AtError::Cme(11, "SIM PIN required");
const SIM_PUK_REQUIRED: AtError = AtError::Cme(12, "SIM PUK required");
const SIM_FAILURE: AtError = AtError::Cme(13, "SIM failure");
const SIM_BUSY: AtError = AtError::Cme(14, "SIM busy");
const INCORRECT_PASSWORD: AtError = AtError::Cme(16, "incorrect password");

type Lines = Result<Vec<String>, AtError>;

impl Modem {
    pub(super) fn at_bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' => self.at_line(),
                b'\n' => {}
                0x08 => {
                    self.at.line.pop();
                }
                _ if self.at.line.len() < MAX_LINE_LEN => self.at.line.push(*byte),
                _ => self.at.overlong = true,
            }
        }
    }

    /// Registration changed: `+CEREG` for those who asked.
    pub(super) fn at_registration_changed(&mut self) {
        if self.at.cereg > 0 && self.is_present() {
            let line = self.cereg_values();
            self.at_text(&format!("\r\n+CEREG: {line}\r\n"));
        }
    }

    /// The card changed: Sierra modems say nothing unless asked; this one does when it chatters.
    pub(super) fn at_card_changed(&mut self) {
        if self.conditions.at_chatter {
            let state = if self.card.condition() == CardCondition::Absent { "NOT INSERTED" } else { "READY" };
            self.at_text(&format!("\r\n+CPIN: {state}\r\n"));
        }
    }

    fn at_line(&mut self) {
        let raw = std::mem::take(&mut self.at.line);
        let overlong = std::mem::take(&mut self.at.overlong);
        let text = String::from_utf8_lossy(&raw).into_owned();
        if self.at.echo {
            self.at_text(&format!("{text}\r"));
        }
        let body = match text.trim() {
            "" => return,
            _ if overlong => return self.at_text("\r\nERROR\r\n"),
            text if text.get(..2).is_some_and(|at| at.eq_ignore_ascii_case("AT")) => text[2..].to_owned(),
            _ => return,
        };
        let mut lines = Vec::new();
        for command in commands(&body) {
            match self.at_command(command) {
                Ok(answer) => lines.extend(answer),
                Err(error) => return self.at_answer(&lines, &self.at_refusal(&error)),
            }
        }
        self.at_answer(&lines, "OK");
    }

    fn at_answer(&mut self, lines: &[String], result: &str) {
        let mut text = String::new();
        for line in lines {
            text += &format!("\r\n{line}\r\n");
            if self.conditions.at_chatter {
                text += &format!("\r\n+CEREG: {}\r\n", self.cereg_values());
            }
        }
        if !self.at.quiet {
            text += &format!("\r\n{result}\r\n");
        }
        self.at_text(&text);
    }

    fn at_refusal(&self, error: &AtError) -> String {
        match (error, self.at.cmee) {
            (AtError::Plain, _) | (_, 0) => "ERROR".to_owned(),
            (AtError::Cme(number, _), 1) => format!("+CME ERROR: {number}"),
            (AtError::Cme(_, text), _) => format!("+CME ERROR: {text}"),
        }
    }

    fn at_text(&mut self, text: &str) {
        if !text.is_empty() {
            self.put(Output::At(text.as_bytes().to_vec()));
        }
    }

    fn at_command(&mut self, command: &str) -> Lines {
        let upper = command.trim().to_ascii_uppercase();
        match upper.as_str() {
            "" | "Z" | "&F" | "V1" | "S0=0" | "+CFUN=1" if upper != "+CFUN=1" => Ok(Vec::new()),
            "Q0" | "Q" => {
                self.at.quiet = false;
                Ok(Vec::new())
            }
            "Q1" => {
                self.at.quiet = true;
                Ok(Vec::new())
            }
            "E0" | "E" => {
                self.at.echo = false;
                Ok(Vec::new())
            }
            "E1" => {
                self.at.echo = true;
                Ok(Vec::new())
            }
            "I" | "I0" => Ok(vec![
                format!("Manufacturer: {MANUFACTURER}"),
                format!("Model: {MODEL}"),
                format!("Revision: {REVISION}"),
                format!("IMEI: {}", self.identity.imei),
                "IMEI SV: 32".to_owned(),
                "FSN: LF82540011010310".to_owned(),
                "+GCAP: +CGSM".to_owned(),
            ]),
            "+CGMI" | "+GMI" => Ok(vec![MANUFACTURER.to_owned()]),
            "+CGMM" | "+GMM" => Ok(vec![MODEL.to_owned()]),
            "+CGMR" | "+GMR" => Ok(vec![REVISION.to_owned()]),
            "+CGSN" | "+GSN" => Ok(vec![self.identity.imei.clone()]),
            "+CIMI" => self.at_unlocked().map(|()| vec![self.identity.imsi.clone()]),
            "+CCID" | "+ICCID" | "!ICCID?" => {
                self.at_reachable()?;
                Ok(vec![format!("{}: {}", upper.trim_end_matches('?'), self.identity.iccid)])
            }
            "+CPIN?" => self.at_pin_state(),
            "+CEER" => Ok(vec![format!("+CEER: {}", self.at_call_end())]),
            "+CSQ" => Ok(vec![format!("+CSQ: {},99", self.at_rssi())]),
            "+COPS?" => Ok(vec![self.at_operator()]),
            "+CEREG?" => Ok(vec![format!("+CEREG: {},{}", self.at.cereg, self.cereg_values())]),
            "+CGATT?" => Ok(vec![format!("+CGATT: {}", u8::from(self.is_attached()))]),
            "+CGDCONT?" => Ok(self.at_contexts()),
            "+CGACT?" => Ok(vec![format!("+CGACT: 1,{}", u8::from(!self.sessions().is_empty()))]),
            "+CFUN?" => {
                Ok(vec![format!("+CFUN: {}", u8::from(self.operating_mode() == OperatingMode::Online))])
            }
            "+CMEE?" => Ok(vec![format!("+CMEE: {}", self.at.cmee)]),
            "!GSTATUS?" => Ok(self.at_status()),
            "!IMPREF?" => Ok(self.at_images()),
            "!RESET" | "+CFUN=1,1" => {
                self.reset_soon();
                Ok(Vec::new())
            }
            "+CFUN=1" => {
                if self.image_mismatch {
                    return Err(AtError::Plain);
                }
                self.change_mode(OperatingMode::Online);
                Ok(Vec::new())
            }
            "+CFUN=0" | "+CFUN=4" => {
                self.change_mode(OperatingMode::LowPower);
                Ok(Vec::new())
            }
            _ => self.at_setting(&upper, command),
        }
    }

    fn at_setting(&mut self, upper: &str, command: &str) -> Lines {
        let number = |text: &str, most: u8| text.parse().ok().filter(|n| *n <= most).ok_or(AtError::Plain);
        if let Some(value) = upper.strip_prefix("+CEREG=") {
            self.at.cereg = number(value, 2)?;
        } else if let Some(value) = upper.strip_prefix("+CMEE=") {
            self.at.cmee = number(value, 2)?;
        } else if upper.starts_with("+CPIN=") {
            let codes: Vec<_> = command[6..].split(',').map(|code| code.trim().trim_matches('"')).collect();
            let result = match codes[..] {
                [pin] => self.card.verify(pin),
                [puk, pin] => self.card.unblock(puk, pin),
                _ => return Err(AtError::Plain),
            };
            self.card_changed();
            result.map_err(|_| match self.at_reachable() {
                Err(error) => error,
                Ok(()) if self.card.condition() == CardCondition::PukRequired => SIM_PUK_REQUIRED,
                Ok(()) => INCORRECT_PASSWORD,
            })?;
        } else if upper.starts_with("+CGDCONT=") {
            self.at_define_context(command[9..].trim())?;
        } else if !["+COPS=", "+CGATT=", "!ENTERCND=", "S7=", "+CGACT="]
            .iter()
            .any(|known| upper.starts_with(known))
        {
            return Err(AtError::Plain);
        }
        Ok(Vec::new())
    }

    fn at_define_context(&mut self, arguments: &str) -> Result<(), AtError> {
        let parts: Vec<_> = arguments.split(',').map(|part| part.trim().trim_matches('"')).collect();
        let index: u8 =
            parts[0].parse().ok().filter(|index| (1..=16).contains(index)).ok_or(AtError::Plain)?;
        let profile = self.calls.profiles.entry(index).or_default();
        if let Some(apn) = parts.get(2) {
            (*apn).clone_into(&mut profile.apn);
        }
        Ok(())
    }

    fn at_reachable(&self) -> Result<(), AtError> {
        match self.card.condition() {
            CardCondition::Absent => Err(SIM_NOT_INSERTED),
            CardCondition::Off | CardCondition::Initialising => Err(SIM_BUSY),
            CardCondition::Blocked => Err(SIM_FAILURE),
            _ => Ok(()),
        }
    }

    fn at_unlocked(&self) -> Result<(), AtError> {
        self.at_reachable()?;
        match self.card.condition() {
            CardCondition::PinRequired => Err(SIM_PIN_REQUIRED),
            CardCondition::PukRequired => Err(SIM_PUK_REQUIRED),
            _ => Ok(()),
        }
    }

    fn at_pin_state(&self) -> Lines {
        self.at_reachable()?;
        let state = match self.card.condition() {
            CardCondition::PinRequired => "SIM PIN",
            CardCondition::PukRequired => "SIM PUK",
            _ => "READY",
        };
        Ok(vec![format!("+CPIN: {state}")])
    }

    fn at_call_end(&self) -> String {
        match self.at.last_call_end {
            Some(reason) => {
                let standard = name_of_cause(reason.reason).filter(|_| reason.reason_type == 6);
                standard.or(reason.name()).unwrap_or("unknown").to_owned()
            }
            None => "No cause information available".to_owned(),
        }
    }

    /// RSSI as 27.007 counts it: 0 is -113 dBm or less, 31 is -51 dBm or more, 99 unknown.
    fn at_rssi(&self) -> i16 {
        self.reading().rssi_dbm.map_or(99, |rssi| ((rssi + 113) / 2).clamp(0, 31))
    }

    fn at_operator(&self) -> String {
        if self.registration() != Registration::Registered {
            return "+COPS: 0".to_owned();
        }
        let act = match self.reading().technology {
            Technology::Lte => 7,
            Technology::Umts => 2,
            Technology::Gsm | Technology::None => 0,
        };
        format!("+COPS: 0,0,\"{}\",{act}", self.identity.carrier.name)
    }

    /// State, and from `AT+CEREG=2` on the cell.
    fn cereg_values(&self) -> String {
        let state = match self.registration() {
            Registration::Idle => 0,
            Registration::Registered => 1,
            Registration::Searching => 2,
            Registration::Denied(_) => 3,
        };
        let cell = self.reading().cell;
        if self.at.cereg == 2 && state == 1 {
            format!("{state},\"{:04X}\",\"{:08X}\",7", cell.area, cell.id)
        } else {
            state.to_string()
        }
    }

    fn at_contexts(&self) -> Vec<String> {
        let profiles = self.calls.profiles.iter();
        profiles
            .map(|(index, profile)| {
                format!(
                    "+CGDCONT: {index},\"IPV4V6\",\"{}\",\"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0\",0,0,0,0",
                    profile.apn
                )
            })
            .collect()
    }

    fn at_status(&self) -> Vec<String> {
        let reading = self.reading();
        let online = self.operating_mode() == OperatingMode::Online;
        let value = |number: Option<i16>| number.map_or("---".to_owned(), |number| number.to_string());
        vec![
            "!GSTATUS:".to_owned(),
            format!("Current Time:  {}", self.now.as_secs()),
            format!("Mode:        \t {}", if online { "ONLINE" } else { "LOW POWER MODE" }),
            format!(
                "System mode: \t {}",
                if reading.technology == Technology::Lte { "LTE" } else { "NO SERVICE" }
            ),
            format!("LTE band:    \t B{}", reading.cell.band),
            format!("EMM state:   \t {}", if self.is_attached() { "Registered" } else { "Deregistered" }),
            format!("RSRP (dBm):  \t {}", value(reading.rsrp_dbm)),
            format!("RSRQ (dB):   \t {}", value(reading.rsrq_db)),
            format!("TAC:         \t {:04X} ({})", reading.cell.area, reading.cell.area),
            format!("Cell ID:     \t {:08X} ({})", reading.cell.id, reading.cell.id),
        ]
    }

    fn at_images(&self) -> Vec<String> {
        let of = |images: &[crate::qmi::dms::FirmwareImage]| {
            images.iter().map(|image| image.build_id.clone()).collect::<Vec<_>>().join(" ")
        };
        vec![
            "!IMPREF:".to_owned(),
            format!(" preferred: {}", of(self.firmware.preferred())),
            format!(" current:   {}", of(self.firmware.running())),
        ]
    }
}

/// The commands of one line: extended ones end at semicolons outside quotes, basic ones may follow each other (`ATE0Q0`).
fn commands(body: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = body.split(move |c: char| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    let mut found = Vec::new();
    for part in parts {
        let mut rest = part.trim();
        // A basic command is one letter with an optional number (V.250, 5.4.1).
        while rest.len() > 1 && rest.as_bytes()[0].is_ascii_alphabetic() && !rest.contains('=') {
            let digits = rest.bytes().skip(1).take_while(u8::is_ascii_digit).count();
            let (command, tail) = rest.split_at(1 + digits);
            found.push(command);
            rest = tail;
        }
        if !rest.is_empty() || found.is_empty() {
            found.push(rest);
        }
    }
    found
}
