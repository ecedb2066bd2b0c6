//! What a modem answers: bytes to lines, lines to one reply per command.
//!
//! A modem may put an unsolicited line anywhere, also between the lines of an answer. Such a line never
//! becomes part of the answer; it is kept apart and handed on.

use super::command::{Command, name_len, redact};
use std::fmt;

/// Longest line kept, in bytes; what comes beyond is dropped and the reply says so.
pub const MAX_LINE_LEN: usize = 4096;

/// Most lines kept of one reply; what comes beyond is dropped and the reply says so.
pub const MAX_REPLY_LINES: usize = 1024;

/// Unsolicited result codes that begin with `+` (3GPP TS 27.007, 27.005), without it. Names beginning with `^` or `!`
/// are always the vendor's own and need no table.
const UNSOLICITED: &[&str] = &[
    "CREG",
    "CGREG",
    "CEREG",
    "C5GREG",
    "CMTI",
    "CMT",
    "CBM",
    "CBMI",
    "CDS",
    "CDSI",
    "CRING",
    "CLIP",
    "COLP",
    "CCWA",
    "CUSD",
    "CGEV",
    "CTZV",
    "CTZE",
    "CIEV",
    "CSSI",
    "CSSU",
    "CDEV",
    "CKEV",
    "CPIN",
    "CMWARN",
    "CALV",
    "CNEC_ESM",
    "CNEC_EMM",
    "QIND",
    "QUSIM",
    "QNETDEVSTATUS",
    "QCSQ",
    "PACSP0",
    "PACSP1",
    "SIMS",
    "WIND",
    "KSUP",
    "UUSIMSTAT",
];

/// Unsolicited lines that are whole words.
const UNSOLICITED_WORDS: &[&str] =
    &["RING", "RDY", "SMS READY", "CALL READY", "PB DONE", "SMS DONE", "POWERED DOWN", "NORMAL POWER DOWN"];

/// The line that ends an answer (V.250 5.7.1, 3GPP TS 27.007 9.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinalResult {
    /// `OK`
    Ok,
    /// `ERROR`, and vendors' words for the same.
    Error,
    /// `+CME ERROR: …`: the number, or the text of a modem set to verbose errors.
    Cme(String),
    /// `+CMS ERROR: …`
    Cms(String),
    /// `CONNECT …`: the port carries data from here on.
    Connect(String),
    /// `NO CARRIER`, as the result of a command that dials.
    NoCarrier,
    /// `BUSY`
    Busy,
    /// `NO ANSWER`
    NoAnswer,
    /// `NO DIALTONE`
    NoDialtone,
    /// `> `: the modem waits for text, as after `AT+CMGS`.
    Prompt,
}

impl FinalResult {
    /// True when the command was carried out.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok | Self::Connect(_))
    }

    fn parse(line: &str, dials: bool) -> Option<Self> {
        let line = line.trim();
        if let Some(code) = line.strip_prefix("+CME ERROR:") {
            return Some(Self::Cme(code.trim().to_owned()));
        }
        if let Some(code) = line.strip_prefix("+CMS ERROR:") {
            return Some(Self::Cms(code.trim().to_owned()));
        }
        match line {
            "OK" => Some(Self::Ok),
            "ERROR" | "COMMAND NOT SUPPORT" | "TOO MANY PARAMETERS" => Some(Self::Error),
            "NO CARRIER" if dials => Some(Self::NoCarrier),
            "BUSY" if dials => Some(Self::Busy),
            "NO ANSWER" if dials => Some(Self::NoAnswer),
            "NO DIALTONE" | "NO DIAL TONE" => Some(Self::NoDialtone),
            "CONNECT" => Some(Self::Connect(String::new())),
            _ => line.strip_prefix("CONNECT ").map(|rate| Self::Connect(rate.to_owned())),
        }
    }
}

impl fmt::Display for FinalResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("OK"),
            Self::Error => f.write_str("ERROR"),
            Self::Cme(code) => write!(f, "+CME ERROR: {code}"),
            Self::Cms(code) => write!(f, "+CMS ERROR: {code}"),
            Self::Connect(rate) if rate.is_empty() => f.write_str("CONNECT"),
            Self::Connect(rate) => write!(f, "CONNECT {rate}"),
            Self::NoCarrier => f.write_str("NO CARRIER"),
            Self::Busy => f.write_str("BUSY"),
            Self::NoAnswer => f.write_str("NO ANSWER"),
            Self::NoDialtone => f.write_str("NO DIALTONE"),
            Self::Prompt => f.write_str(">"),
        }
    }
}

/// Everything between a command and its final result.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The answer's own lines, without echo, blank lines and unsolicited lines.
    pub information: Vec<String>,
    /// Unsolicited lines that arrived meanwhile.
    pub unsolicited: Vec<String>,
    /// How it ended.
    pub result: FinalResult,
    /// True when lines were dropped because the reply was longer than the limits.
    pub truncated: bool,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = |lines: &[String]| lines.iter().map(|line| redact(line)).collect::<Vec<_>>();
        f.debug_struct("Reply")
            .field("information", &redacted(&self.information))
            .field("unsolicited", &redacted(&self.unsolicited))
            .field("result", &self.result)
            .field("truncated", &self.truncated)
            .finish()
    }
}

/// Cuts a byte stream into lines. Carriage return and line feed both end a line, blank lines vanish, bytes
/// that are not UTF-8 become U+FFFD and control characters are dropped.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    ready: std::collections::VecDeque<String>,
    dropped: bool,
}

impl Lines {
    /// Takes bytes from the port. Holds at most one unfinished line of [`MAX_LINE_LEN`] and twice
    /// [`MAX_REPLY_LINES`] finished ones.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end_line(),
                _ if self.buffer.len() < MAX_LINE_LEN => self.buffer.push(byte),
                _ => self.dropped = true,
            }
        }
        // V.250 has no line end after the text prompt.
        if self.buffer == b"> " {
            self.end_line();
        }
    }

    /// The next finished line.
    pub fn next_line(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    /// True once bytes or lines had to be dropped; reading it clears it.
    pub fn take_dropped(&mut self) -> bool {
        std::mem::take(&mut self.dropped)
    }

    /// Forgets everything read so far: what is left of an exchange that timed out.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn end_line(&mut self) {
        let text: String =
            String::from_utf8_lossy(&self.buffer).chars().filter(|c| !c.is_control() || *c == '\t').collect();
        self.buffer.clear();
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if self.ready.len() < 2 * MAX_REPLY_LINES {
            self.ready.push_back(text.to_owned());
        } else {
            self.dropped = true;
        }
    }
}

/// One command waiting for its final result.
#[derive(Debug)]
pub struct Exchange {
    echo: String,
    echo_seen: bool,
    names: Vec<String>,
    dials: bool,
    registration_seen: bool,
    information: Vec<String>,
    unsolicited: Vec<String>,
    truncated: bool,
}

impl Exchange {
    /// An exchange in which nothing has been answered yet.
    #[must_use]
    pub fn new(command: &Command) -> Self {
        Self {
            echo: command.as_str().to_owned(),
            echo_seen: false,
            names: command.names(),
            dials: command.dials(),
            registration_seen: false,
            information: Vec::new(),
            unsolicited: Vec::new(),
            truncated: false,
        }
    }

    /// Takes one line; gives the whole reply when that line was the final result.
    pub fn line(&mut self, line: String) -> Option<Reply> {
        if !self.echo_seen && line == self.echo {
            // What came before the echo belongs to nobody any more.
            self.echo_seen = true;
            self.unsolicited.append(&mut self.information);
            return None;
        }
        let result =
            if line == ">" { Some(FinalResult::Prompt) } else { FinalResult::parse(&line, self.dials) };
        if let Some(result) = result {
            return Some(self.finish(result));
        }
        let unsolicited = self.is_unsolicited(&line);
        if self.information.len() + self.unsolicited.len() >= MAX_REPLY_LINES {
            self.truncated = true;
        } else if unsolicited {
            self.unsolicited.push(line);
        } else {
            self.information.push(line);
        }
        None
    }

    /// The unsolicited lines seen so far, for a caller that gives up.
    #[must_use]
    pub fn into_unsolicited(self) -> Vec<String> {
        self.unsolicited
    }

    fn finish(&mut self, result: FinalResult) -> Reply {
        Reply {
            information: std::mem::take(&mut self.information),
            unsolicited: std::mem::take(&mut self.unsolicited),
            result,
            truncated: self.truncated,
        }
    }

    fn is_unsolicited(&mut self, line: &str) -> bool {
        let upper = line.to_ascii_uppercase();
        if matches!(upper.as_str(), "NO CARRIER" | "BUSY" | "NO ANSWER")
            || UNSOLICITED_WORDS.contains(&upper.as_str())
        {
            return true;
        }
        let Some(len) = name_len(&upper) else { return false };
        let (name, tail) = upper.split_at(len);
        if self.names.iter().any(|own| own == name) {
            return self.is_stray_registration(name, tail);
        }
        match name.as_bytes()[0] {
            b'^' | b'!' => tail.trim_start().starts_with(':'),
            b'+' => UNSOLICITED.contains(&&name[1..]),
            _ => false,
        }
    }

    /// `AT+CREG?` is answered by `+CREG: n,stat…`, once; `+CREG: stat[,"tac","ci",act]` is news even now
    /// (3GPP TS 27.007, 7.2 and 10.1.22).
    fn is_stray_registration(&mut self, name: &str, tail: &str) -> bool {
        if !matches!(name, "+CREG" | "+CGREG" | "+CEREG" | "+C5GREG") {
            return false;
        }
        let Some(arguments) = tail.trim_start().strip_prefix(':') else { return false };
        if arguments.trim_start().starts_with('(') {
            return false; // the answer to the test form, `+CREG: (0-2)`
        }
        let answers = arguments.split(',').nth(1).is_some_and(|stat| {
            let stat = stat.trim();
            stat.len() <= 2 && stat.parse::<u8>().is_ok()
        });
        let stray = !answers || self.registration_seen;
        self.registration_seen |= answers;
        stray
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `bytes` in pieces of `piece` bytes and returns the reply, if it was complete.
    fn exchange(command: &str, bytes: &[u8], piece: usize) -> Option<Reply> {
        let mut lines = Lines::default();
        let mut exchange = Exchange::new(&Command::new(command).unwrap());
        for piece in bytes.chunks(piece.max(1)) {
            lines.push(piece);
            while let Some(line) = lines.next_line() {
                if let Some(reply) = exchange.line(line) {
                    return Some(reply);
                }
            }
        }
        None
    }

    fn check(command: &str, bytes: &str, information: &[&str], unsolicited: &[&str], result: FinalResult) {
        for piece in [1, 2, 3, 7, 4096] {
            let reply =
                exchange(command, bytes.as_bytes(), piece).unwrap_or_else(|| panic!("no result: {bytes:?}"));
            assert_eq!(reply.information, information, "{command} in pieces of {piece}");
            assert_eq!(reply.unsolicited, unsolicited, "{command} in pieces of {piece}");
            assert_eq!(reply.result, result, "{command} in pieces of {piece}");
        }
    }

    #[test]
    fn answers_lose_echo_and_blank_lines() {
        check("ATQ0", "ATQ0\r\r\nOK\r\n", &[], &[], FinalResult::Ok);
        check("AT+CSQ", "\r\n+CSQ: 22,99\r\n\r\nOK\r\n", &["+CSQ: 22,99"], &[], FinalResult::Ok);
        check(
            "ATI",
            "ATI\r\r\nManufacturer: Sierra Wireless, Incorporated\r\nModel: MC7455\r\n+GCAP: +CGSM\r\n\r\nOK\r\n",
            &["Manufacturer: Sierra Wireless, Incorporated", "Model: MC7455", "+GCAP: +CGSM"],
            &[],
            FinalResult::Ok,
        );
        check("AT+CGSN", "356938035643809\r\n\r\nOK\r\n", &["356938035643809"], &[], FinalResult::Ok);
    }

    #[test]
    fn every_final_result_ends_the_answer() {
        check("AT+X", "\r\nERROR\r\n", &[], &[], FinalResult::Error);
        check("AT+CPIN?", "\r\n+CME ERROR: 10\r\n", &[], &[], FinalResult::Cme("10".into()));
        check("AT+CPIN?", "+CME ERROR: SIM busy\r\n", &[], &[], FinalResult::Cme("SIM busy".into()));
        check("AT+CMGR=1", "+CMS ERROR: 321\r\n", &[], &[], FinalResult::Cms("321".into()));
        check("ATD*99#", "\r\nNO CARRIER\r\n", &[], &[], FinalResult::NoCarrier);
        check(
            "ATD*99#",
            "\r\nCONNECT 150000000\r\n~data",
            &[],
            &[],
            FinalResult::Connect("150000000".into()),
        );
        check("AT+CMGS=\"1\"", "AT+CMGS=\"1\"\r\r\n> ", &[], &[], FinalResult::Prompt);
        check("AT^FOO", "COMMAND NOT SUPPORT\r\n", &[], &[], FinalResult::Error);
    }

    #[test]
    fn unsolicited_lines_between_answer_lines_stay_apart() {
        check(
            "AT!GSTATUS?",
            "AT!GSTATUS?\r\r\n!GSTATUS: \r\nCurrent Time:  1234\r\n\r\n+CREG: 1,\"2A3B\",\"01A2B3C4\",7\r\nRING\r\n\
             ^RSSI: 21\r\n!NEWS: 4\r\nNO CARRIER\r\nMode:          ONLINE\r\n\r\nOK\r\n",
            &["!GSTATUS:", "Current Time:  1234", "Mode:          ONLINE"],
            &["+CREG: 1,\"2A3B\",\"01A2B3C4\",7", "RING", "^RSSI: 21", "!NEWS: 4", "NO CARRIER"],
            FinalResult::Ok,
        );
        check(
            "AT+CSQ",
            "+CMTI: \"ME\",3\r\n+CSQ: 9,99\r\nOK\r\n",
            &["+CSQ: 9,99"],
            &["+CMTI: \"ME\",3"],
            FinalResult::Ok,
        );
    }

    #[test]
    fn a_registration_line_is_the_answer_only_in_the_answers_form() {
        let news = "+CEREG: 5,\"1A2B\",\"0012ABCD\",7";
        check(
            "AT+CEREG?",
            &format!("{news}\r\n+CEREG: 2,1,\"1A2B\",\"0012ABCD\",7\r\n+CEREG: 0\r\n+CEREG: 3,4\r\nOK\r\n"),
            &["+CEREG: 2,1,\"1A2B\",\"0012ABCD\",7"],
            &[news, "+CEREG: 0", "+CEREG: 3,4"],
            FinalResult::Ok,
        );
        check("AT+CREG=?", "+CREG: (0-2)\r\nOK\r\n", &["+CREG: (0-2)"], &[], FinalResult::Ok);
        check("AT+CPIN?", "+CPIN: READY\r\nOK\r\n", &["+CPIN: READY"], &[], FinalResult::Ok);
        check("AT+CSQ", "+CPIN: NOT READY\r\nOK\r\n", &[], &["+CPIN: NOT READY"], FinalResult::Ok);
    }

    #[test]
    fn what_comes_before_the_echo_is_not_the_answer() {
        check(
            "AT+CSQ",
            "+COPS: 0\r\nAT+CSQ\r+CSQ: 1,99\r\nOK\r\n",
            &["+CSQ: 1,99"],
            &["+COPS: 0"],
            FinalResult::Ok,
        );
    }

    #[test]
    fn endless_lines_and_endless_answers_are_cut() {
        let long = format!("{}\r\nOK\r\n", "x".repeat(3 * MAX_LINE_LEN));
        let reply = exchange("ATI", long.as_bytes(), 100).unwrap();
        assert_eq!(reply.information[0].len(), MAX_LINE_LEN);
        let many = format!("{}OK\r\n", "y\r\n".repeat(5 * MAX_REPLY_LINES));
        let reply = exchange("ATI", many.as_bytes(), 100).unwrap();
        assert_eq!((reply.information.len(), reply.truncated), (MAX_REPLY_LINES, true));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_without_panic_and_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..2000), piece in 1usize..64,
        ) {
            let mut lines = Lines::default();
            let mut exchange = Exchange::new(&Command::new("AT+CREG?").unwrap());
            for piece in bytes.chunks(piece) {
                lines.push(piece);
                while let Some(line) = lines.next_line() {
                    prop_assert!(!line.is_empty() && line.len() <= 3 * MAX_LINE_LEN);
                    if let Some(reply) = exchange.line(line) {
                        let _ = format!("{reply:?} {}", reply.result);
                    }
                }
            }
        }

        #[test]
        fn the_answer_does_not_depend_on_how_the_bytes_arrive(
            body in "([ -~]{0,30}(\r\n|\r|\n)){0,12}", piece in 1usize..40,
        ) {
            let bytes = format!("{body}\r\nOK\r\n");
            // The prompt is the one answer without a line end, so it is the one that depends on the cut.
            prop_assume!(!bytes.contains("> "));
            prop_assert_eq!(exchange("ATI", bytes.as_bytes(), piece), exchange("ATI", bytes.as_bytes(), usize::MAX));
        }

        #[test]
        fn an_unsolicited_line_never_becomes_a_value(
            index in 0usize..UNSOLICITED.len(), tail in "[ -~]{0,20}", position in 0usize..3,
        ) {
            let news = format!("+{}: {}", UNSOLICITED[index], tail.trim());
            let mut answer = vec!["one", "two"];
            answer.insert(position, &news);
            let reply = exchange("ATI", format!("{}\r\nOK\r\n", answer.join("\r\n")).as_bytes(), 5).unwrap();
            prop_assert_eq!(reply.information, ["one", "two"]);
            prop_assert_eq!(reply.unsolicited, [news.trim()]);
        }
    }
}
