//! `AT+CEER`: why the last call failed, in the words of the modem (3GPP TS 27.007, 6.10). Makers write what they like; many
//! write the standard's name of the cause, so that its number can be told.

/// Names of session management causes (3GPP TS 24.008, 10.5.6.6, and TS 24.301, 9.9.4.4), in small letters.
const CAUSES: [(i16, &str); 21] = [
    (8, "operator determined barring"),
    (26, "insufficient resources"),
    (27, "missing or unknown apn"),
    (28, "unknown pdp address or pdp type"),
    (28, "unknown pdn type"),
    (29, "user authentication failed"),
    (29, "user authentication or authorization failed"),
    (30, "activation rejected by ggsn"),
    (30, "request rejected by serving gw or pdn gw"),
    (31, "activation rejected, unspecified"),
    (31, "request rejected, unspecified"),
    (32, "service option not supported"),
    (33, "requested service option not subscribed"),
    (34, "service option temporarily out of order"),
    (36, "regular deactivation"),
    (38, "network failure"),
    (50, "type ipv4 only allowed"),
    (51, "type ipv6 only allowed"),
    (52, "single address bearers only allowed"),
    (55, "multiple pdn connections for a given apn not allowed"),
    (66, "requested apn not supported"),
];

/// Why the last call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallEnd {
    /// The modem's words.
    pub words: String,
    /// Number of the session management cause, where the words are the name of one.
    pub cause: Option<i16>,
}

impl CallEnd {
    /// Reads the lines of an answer to `AT+CEER`. `None` when they say no more than that nothing is known.
    #[must_use]
    pub fn read(information: &[String]) -> Option<Self> {
        let words = information.iter().find_map(|line| line.strip_prefix("+CEER:"))?;
        let words = words.trim().trim_matches('"').trim().to_owned();
        let small = words.to_ascii_lowercase();
        if small.is_empty() || small.starts_with("no ") {
            return None;
        }
        let cause = CAUSES.iter().find(|(_, name)| small.contains(name)).map(|(number, _)| *number);
        Some(Self { words, cause })
    }
}

/// The standard's name of a session management cause.
#[must_use]
pub fn name_of_cause(number: i16) -> Option<&'static str> {
    CAUSES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<CallEnd> {
        CallEnd::read(&[line.to_owned()])
    }

    #[test]
    fn a_cause_of_the_standard_has_its_number_however_it_is_dressed() {
        for (line, cause) in [
            ("+CEER: Requested service option not subscribed", 33),
            ("+CEER: \"SM error\",27,\"Missing or unknown APN\"", 27),
            ("+CEER: PDN type IPv4 only allowed", 50),
            ("+CEER: User authentication failed", 29),
        ] {
            assert_eq!(read(line).unwrap().cause, Some(cause), "{line}");
        }
        for (number, name) in CAUSES {
            assert_eq!(read(&format!("+CEER: {name}")).unwrap().cause, Some(number), "{name}");
        }
    }

    #[test]
    fn other_words_are_kept_and_none_are_none() {
        let told = read("+CEER: \"LRRC layer down\"").unwrap();
        assert_eq!((told.words.as_str(), told.cause), ("LRRC layer down", None));
        for line in ["+CEER: No cause information available", "+CEER: No report available", "+CEER: ", "OK"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
