//! Golden frames both ways.

use super::golden;
use super::*;

/// The description of a frame's TLVs, by its id, direction and result.
fn body_spec(frame: &Frame) -> &'static message::BodySpec {
    let spec = |spec: &'static message::MessageSpec| match frame.kind {
        Kind::Request => spec.request.as_ref(),
        Kind::Response if frame.result() == Some(ProtocolError::None) => spec.response.as_ref(),
        Kind::Response => spec.failure.as_ref(),
        Kind::Indication => spec.indication.as_ref(),
    };
    let messages = frame.service.messages();
    messages
        .iter()
        .filter(|found| found.id == frame.message)
        .find_map(spec)
        .expect("golden messages are described")
}

#[test]
fn golden_frames_read_and_write_to_the_same_bytes() {
    for (name, bytes) in golden::all() {
        let frame = Frame::decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(frame.encode(), bytes, "{name}");
    }
}

#[test]
fn golden_bodies_read_and_write_to_the_same_bytes() {
    for (name, bytes) in golden::all() {
        let frame = Frame::decode(&bytes).unwrap();
        let body = (body_spec(&frame).rewrite)(&frame.tlvs).unwrap_or_else(|error| panic!("{name}: {error}"));
        let tlvs = match frame.kind {
            Kind::Request => body.descending(),
            Kind::Response => message::with_result(frame.result().unwrap(), &body),
            Kind::Indication => body,
        };
        assert_eq!(tlvs, frame.tlvs, "{name}");
    }
}

#[test]
fn every_truncation_of_a_golden_frame_is_an_error_that_names_a_place_inside() {
    for (name, bytes) in golden::all() {
        for length in 0..bytes.len() {
            let error = Frame::decode(&bytes[..length]).expect_err(name);
            assert!(error.offset() <= length, "{name} cut at {length}: {error}");
        }
    }
}
