//! Requests as a client sends them, and as a person types them.

/// The words as an array of bulks.
pub fn encode(words: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).into_bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Words that are separated by spaces.
pub fn words(text: &str) -> Vec<Vec<u8>> {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// The little-endian 32-bit floats.
pub fn blob(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|component| component.to_le_bytes()).collect()
}

/// The words as one would type them into redis-cli; what is not plain text is escaped, what is long is cut.
pub fn typed(words: &[Vec<u8>]) -> String {
    let mut line = String::new();
    for word in words.iter().take(WORDS_SHOWN) {
        if !line.is_empty() {
            line.push(' ');
        }
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
        let shown = &word[..word.len().min(BYTES_SHOWN)];
        if !shown.is_empty() && shown.iter().all(is_plain) {
            line.push_str(&String::from_utf8_lossy(shown));
        } else {
            line.push('"');
            line.extend(shown.iter().map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", char::from(*byte)),
                byte if is_plain(byte) || *byte == b' ' => char::from(*byte).to_string(),
                byte => format!("\\x{byte:02x}"),
            }));
            line.push('"');
        }
        if word.len() > BYTES_SHOWN {
            line.push('…');
        }
    }
    if words.len() > WORDS_SHOWN {
        line.push_str(" …");
    }
    line
}

/// Enough for every program that a person would retype.
const WORDS_SHOWN: usize = 64;

/// A vector of 32 components in binary is still shown whole.
const BYTES_SHOWN: usize = 128;
