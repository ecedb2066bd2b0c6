//! The smallest DNS question (RFC 1035 section 4): the start of authority of the root. Pure.

/// Type SOA, class IN, of the name without labels.
const QUESTION: [u8; 5] = [0, 0, 6, 0, 1];
const HEADER: usize = 12;

/// A query with recursion desired.
pub fn query(id: u16) -> [u8; HEADER + QUESTION.len()] {
    let mut bytes = [0; HEADER + QUESTION.len()];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes[2] = 0x01;
    bytes[5] = 1;
    bytes[HEADER..].copy_from_slice(&QUESTION);
    bytes
}

/// Whether `bytes` are a response to [`query`], whatever it says. A server that refuses may leave the question out.
pub fn answers(bytes: &[u8], id: u16) -> bool {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return false };
    let is_response = header[2] & 0x80 != 0;
    let questions = u16::from_be_bytes([header[4], header[5]]);
    is_response
        && header[..2] == id.to_be_bytes()
        && (questions == 0 || questions == 1 && rest.starts_with(&QUESTION))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_a_response_to_this_question_answers() {
        let mut answer = query(0x1234).to_vec();
        assert!(!answers(&answer, 0x1234), "our own query");
        answer[2] |= 0x80;
        assert!(answers(&answer, 0x1234));
        assert!(!answers(&answer, 0x1235));
        assert!(!answers(&answer[..11], 0x1234));
        answer[13] = 1;
        assert!(!answers(&answer, 0x1234), "another question");
        // REFUSED without the question.
        assert!(answers(&[0x12, 0x34, 0x80, 0x05, 0, 0, 0, 0, 0, 0, 0, 0], 0x1234));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), id: u16) {
            let _ = answers(&bytes, id);
        }
    }
}
