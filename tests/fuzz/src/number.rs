//! Numbers from any text, and texts of any number.
//!
//! 1. An integer is read if and only if it is spelled as Rust prints it, which is the strictest spelling.
//! 2. A float is read as the standard library reads it.
//! 3. An f32 of any bits reads back from its text to the same bits (a NaN to a NaN), and the same text is what
//!    goes into replies.
//! 4. A blob is read if its length is a multiple of four, and written back to the same bytes.

use bytes::BytesMut;
use kora_resp::number::{FloatText, parse_f32, parse_f32s_le, parse_i64, parse_u64, print_f32, print_f32s_le};

/// Panics if one of the four does not hold.
pub fn check(bytes: &[u8]) {
    let text = str::from_utf8(bytes).ok();
    let signed = text.and_then(|text| text.parse::<i64>().ok().filter(|value| value.to_string() == text));
    assert_eq!(parse_i64(bytes), signed);
    let unsigned = text.and_then(|text| text.parse::<u64>().ok().filter(|value| value.to_string() == text));
    assert_eq!(parse_u64(bytes), unsigned);
    let float = text.and_then(|text| text.parse::<f32>().ok());
    assert_eq!(parse_f32(bytes).map(canonical), float.map(canonical));

    match parse_f32s_le(bytes) {
        None => assert_ne!(bytes.len() % 4, 0),
        Some(values) => {
            let values: Vec<f32> = values.collect();
            let mut out = BytesMut::new();
            print_f32s_le(&values, &mut out);
            assert_eq!(&out[..], bytes);
            values.into_iter().for_each(check_text);
        }
    }
}

fn check_text(value: f32) {
    let text = FloatText::new(value);
    let mut out = BytesMut::new();
    print_f32(value, &mut out);
    assert_eq!(text.as_bytes(), &out[..]);
    let read = parse_f32(&out).expect("our own text is a number");
    assert_eq!(canonical(read), canonical(value), "{text}");
}

/// The bits of a number; every NaN has the same.
fn canonical(value: f32) -> u32 {
    if value.is_nan() {
        f32::NAN.to_bits()
    } else {
        value.to_bits()
    }
}
