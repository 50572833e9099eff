//! What we write, in bytes.

use websocket::{Close, CloseCode, Frame, Opcode, Role, encode_masked};

use crate::support::*;

#[test]
fn server_writes_the_unmasked_hello_of_the_rfc() {
    assert_eq!(Frame::text("Hello").to_bytes(), b"\x81\x05Hello");
}

#[test]
fn client_writes_the_masked_hello_of_the_rfc() {
    let mut out = b"before".to_vec();
    encode_masked(Opcode::Text, b"Hello", MASK, &mut out);
    assert_eq!(out, b"before\x81\x85\x37\xFA\x21\x3D\x7F\x9F\x4D\x51\x58");
}

#[test]
fn server_writes_every_kind_of_frame() {
    assert_eq!(Frame::binary(&b"\xFF"[..]).to_bytes(), b"\x82\x01\xFF");
    assert_eq!(Frame::ping(b"hi").to_bytes(), b"\x89\x02hi");
    assert_eq!(Frame::pong(b"hi").to_bytes(), b"\x8A\x02hi");
    assert_eq!(Frame::close(None).to_bytes(), b"\x88\x00");
    let close = Close::new(CloseCode::GOING_AWAY, "bye");
    assert_eq!(
        Frame::close(Some(&close)).to_bytes(),
        b"\x88\x05\x03\xE9bye"
    );
}

#[test]
fn both_write_the_shortest_form_of_every_length() {
    let forms: [(usize, &[u8]); 6] = [
        (0, b"\x00"),
        (125, b"\x7D"),
        (126, b"\x7E\x00\x7E"),
        (0xFFFF, b"\x7E\xFF\xFF"),
        (0x1_0000, b"\x7F\0\0\0\0\0\x01\0\0"),
        (0x12_3456, b"\x7F\0\0\0\0\0\x12\x34\x56"),
    ];
    for (length, form) in forms {
        let payload = vec![b'x'; length];
        let expected = [b"\x82", form, &payload].concat();
        let frame = Frame::binary(payload.clone());
        assert_eq!(frame.to_bytes(), expected);
        assert_eq!(frame.len(), expected.len());
        assert_eq!(frame.encode(None).len(), expected.len());

        let mut masked = Vec::new();
        encode_masked(Opcode::Binary, &payload, [0; 4], &mut masked);
        let mut expected = [b"\x82", form, &[0; 4], &payload].concat();
        expected[1] |= 0x80;
        assert_eq!(masked, expected);
    }
}

#[test]
fn a_control_frame_carries_at_most_125_bytes() {
    let expected = [b"\x8A\x7D".as_slice(), &[b'x'; 125]].concat();
    assert_eq!(Frame::pong(&[b'x'; 126]).to_bytes(), expected);
    let mut masked = Vec::new();
    encode_masked(Opcode::Ping, &[b'x'; 126], MASK, &mut masked);
    assert_eq!(
        decode(Role::Server, &masked),
        (vec![ping(&[b'x'; 125])], None)
    );
}

#[test]
fn a_code_that_must_not_be_sent_is_not_sent() {
    for code in [
        CloseCode::NO_STATUS,
        CloseCode::ABNORMAL,
        CloseCode::new(1015),
    ] {
        let close = Close::new(code, "secret");
        assert_eq!(Frame::close(Some(&close)).to_bytes(), b"\x88\x00");
    }
}

#[test]
fn a_reason_longer_than_a_frame_is_cut_when_written() {
    let close = Close {
        code: CloseCode::NORMAL,
        reason: "한".repeat(50),
    };
    let frame = Frame::close(Some(&close));
    let expected = [b"\x88\x7D\x03\xE8".as_slice(), "한".repeat(41).as_bytes()].concat();
    assert_eq!(frame.to_bytes(), expected);
}

#[test]
fn every_receiver_of_a_frame_shares_its_payload() {
    let text = String::from("once");
    let address = text.as_ptr();
    let frame = Frame::text(text);
    for frame in [frame.clone(), frame] {
        assert_eq!(frame.encode(None).payload().as_ptr(), address);
    }
}
