//! One AT command line as it is sent, and as it may be logged.

use std::fmt;

/// Longest command line accepted, in bytes, without the carriage return. Modems take 400 to 2,000.
pub const MAX_COMMAND_LEN: usize = 560;

/// Commands whose arguments are secret, with the number of leading arguments that may still be shown.
const SECRETS: &[(&str, usize)] = &[
    ("+CPIN", 0),
    ("+CPIN2", 0),
    ("+CPWD", 1),
    ("+CLCK", 2),
    ("+CGAUTH", 2),
    ("+QICSGP", 3),
    ("$QCPDPP", 2),
    ("^AUTHDATA", 2),
    ("^CPIN", 0),
    ("^SGAUTH", 2),
    ("*CPINR", 0),
    ("#PDPAUTH", 2),
    ("!ENTERCND", 0),
    ("!SETCND", 0),
    ("!UNLOCK", 0),
];

/// What stands in a log where a secret was.
const MASK: &str = "\"****\"";

/// Why a text is not an AT command that may be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The text does not begin with `AT`.
    #[error("an AT command begins with \"AT\", this one with {0:?}")]
    Prefix(String),
    /// A byte that would end the line early or that no modem reads.
    #[error("character {character:?} at position {position} is not allowed in an AT command")]
    Character {
        /// The offending character.
        character: char,
        /// Its position in bytes from the start, from 0.
        position: usize,
    },
    /// Longer than [`MAX_COMMAND_LEN`].
    #[error("an AT command has at most {MAX_COMMAND_LEN} bytes, this one {0}")]
    Length(usize),
}

/// One AT command line, checked: printable ASCII, begins with `AT`, no line ends, bounded length.
///
/// `Debug` and `Display` never show a secret argument.
#[derive(Clone, PartialEq, Eq)]
pub struct Command(String);

impl Command {
    /// Checks `text`, which stands without its line end (`AT+CSQ`).
    ///
    /// # Errors
    /// [`CommandError`] when the text could not be sent as one command.
    pub fn new(text: &str) -> Result<Self, CommandError> {
        let text = text.trim();
        if text.len() > MAX_COMMAND_LEN {
            return Err(CommandError::Length(text.len()));
        }
        if !text.get(..2).is_some_and(|at| at.eq_ignore_ascii_case("AT")) {
            return Err(CommandError::Prefix(text.chars().take(8).collect()));
        }
        match text.char_indices().find(|(_, c)| !matches!(c, ' '..='~')) {
            Some((position, character)) => Err(CommandError::Character { character, position }),
            None => Ok(Self(text.to_owned())),
        }
    }

    /// The command as typed, secrets included: for the port only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes to write: the command and a carriage return (V.250, 5.2.1).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.0.clone().into_bytes();
        bytes.push(b'\r');
        bytes
    }

    /// The names of the extended commands on the line, upper case (`+CSQ`); basic commands have none.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        parts(&self.0[2..])
            .filter_map(|part| name_len(part).map(|len| part[..len].to_ascii_uppercase()))
            .collect()
    }

    /// True for commands after which `NO CARRIER` is the result and not news about another call.
    #[must_use]
    pub fn dials(&self) -> bool {
        let body = self.0[2..].trim_start().to_ascii_uppercase();
        matches!(body.as_bytes().first(), Some(b'D' | b'A' | b'O')) || body.starts_with("+CGDATA")
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redact(&self.0))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Command({})", redact(&self.0))
    }
}

/// The line without secrets: PINs, passwords and user names become `"****"`.
///
/// Works on commands (`AT+CPIN="1234"`) and on answer lines (`+CGAUTH: 1,2,"user","pass"`) alike; everything else
/// stays as it is. A line with unbalanced quotes loses too much rather than too little.
#[must_use]
pub fn redact(line: &str) -> String {
    let start = if line.get(..2).is_some_and(|at| at.eq_ignore_ascii_case("AT")) { 2 } else { 0 };
    let mut out = line[..start].to_owned();
    for (i, part) in parts(&line[start..]).enumerate() {
        if i > 0 {
            out.push(';');
        }
        redact_part(part, &mut out);
    }
    out
}

fn redact_part(part: &str, out: &mut String) {
    let Some(secret) = name_len(part).and_then(|len| {
        let name = part[..len].to_ascii_uppercase();
        let shown = SECRETS.iter().find(|(secret, _)| *secret == name)?.1;
        Some((len, shown))
    }) else {
        out.push_str(part);
        return;
    };
    let (len, shown) = secret;
    let tail = &part[len..];
    let arguments = tail.trim_start();
    let is_set = arguments.starts_with('=') && !arguments.starts_with("=?");
    // `+CPIN: SIM PIN` and `+CPWD: ("SC",8)` carry a state, no secret; the credential answers do.
    let is_answer = arguments.starts_with(':') && shown >= 2;
    if !is_set && !is_answer {
        out.push_str(part);
        return;
    }
    let lead = part.len() - arguments.len() + 1;
    out.push_str(&part[..lead]);
    for (i, argument) in split_unquoted(&part[lead..], ',').enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push_str(if i < shown { argument } else { MASK });
    }
}

/// The commands of one line: cut at semicolons outside quotes.
fn parts(body: &str) -> impl Iterator<Item = &str> {
    split_unquoted(body, ';')
}

fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

/// Length of an extended command's name (`+CREG`, `!GSTATUS`) at the start of `part`.
pub(super) fn name_len(part: &str) -> Option<usize> {
    let first = part.bytes().next()?;
    if !matches!(first, b'+' | b'^' | b'!' | b'$' | b'%' | b'#' | b'*' | b'&' | b'_') {
        return None;
    }
    let tail = part[1..]
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'/'))
        .count();
    (tail > 0).then_some(tail + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_kept() {
        for (line, shown) in [
            ("AT+CPIN=\"1234\"", "AT+CPIN=\"****\""),
            ("at+cpin=1234", "at+cpin=\"****\""),
            ("AT+CPIN=\"12345678\",\"1234\"", "AT+CPIN=\"****\",\"****\""),
            ("AT+CPIN?", "AT+CPIN?"),
            ("AT+CPIN=?", "AT+CPIN=?"),
            ("+CPIN: SIM PIN", "+CPIN: SIM PIN"),
            ("AT+CGAUTH=1,2,\"foo\",\"b;a,r\"", "AT+CGAUTH=1,2,\"****\",\"****\""),
            ("+CGAUTH: 1,2,\"foo\",\"bar\"", "+CGAUTH: 1,2,\"****\",\"****\""),
            ("AT+CMEE=1;+CPIN=\"1234\";+CSQ", "AT+CMEE=1;+CPIN=\"****\";+CSQ"),
            ("AT+CLCK=\"SC\",1,\"1234\"", "AT+CLCK=\"SC\",1,\"****\""),
            ("AT+CPWD=\"SC\",\"1234\",\"4321\"", "AT+CPWD=\"SC\",\"****\",\"****\""),
            ("AT!ENTERCND=\"A710\"", "AT!ENTERCND=\"****\""),
            ("AT+CPIN=\"12;34", "AT+CPIN=\"****\""),
            ("ATI", "ATI"),
            ("ATQ0", "ATQ0"),
            ("", ""),
        ] {
            assert_eq!(redact(line), shown, "{line}");
        }
        let command = Command::new("AT+CPIN=\"1234\"").unwrap();
        assert!(!format!("{command} {command:?}").contains("1234"));
        assert_eq!(command.to_bytes(), b"AT+CPIN=\"1234\"\r");
    }

    #[test]
    fn what_is_not_a_command_is_refused_with_the_place() {
        assert_eq!(Command::new("+CSQ"), Err(CommandError::Prefix("+CSQ".into())));
        assert_eq!(Command::new(""), Err(CommandError::Prefix(String::new())));
        assert_eq!(
            Command::new("AT+CSQ\rATZ"),
            Err(CommandError::Character { character: '\r', position: 6 })
        );
        assert_eq!(Command::new(&format!("AT{}", "x".repeat(600))), Err(CommandError::Length(602)));
    }

    #[test]
    fn names_are_those_of_every_command_on_the_line() {
        let names = |line| Command::new(line).unwrap().names();
        assert_eq!(names("AT+CSQ;+cereg?"), ["+CSQ", "+CEREG"]);
        assert_eq!(names("AT!GSTATUS?"), ["!GSTATUS"]);
        assert!(names("ATI").is_empty());
        assert!(Command::new("ATD*99#").unwrap().dials());
        assert!(!Command::new("AT+COPS?").unwrap().dials());
    }

    proptest! {
        #[test]
        fn a_pin_never_survives_redaction(
            before in "(\\+[A-Z]{1,6}=[0-9]{1,2};){0,3}", pin in "[0-9]{6,8}", quoted: bool, junk in "[^\"]{0,20}",
        ) {
            let argument = if quoted { format!("\"{pin}\"") } else { pin.clone() };
            let shown = redact(&format!("AT{before}+CPIN={argument};{junk}"));
            let kept = shown.replace(&junk, "");
            prop_assert!(!kept.contains(&pin), "{}", shown);
        }

        #[test]
        fn any_text_is_redacted_without_panic(text in "\\PC{0,80}") {
            let _ = redact(&text);
            let _ = Command::new(&text).map(|command| (command.names(), command.dials(), command.to_string()));
        }
    }
}
