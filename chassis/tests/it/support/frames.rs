//! HTTP/2 as bytes, for what no HTTP/2 library would send.

use super::App;
use super::raw::Raw;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// Error codes.
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The ping by which h2 learns that its GOAWAY has arrived.
const GOAWAY_PING: [u8; 8] = [0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame that was received.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection whose client has said hello, with these settings.
pub(crate) async fn connect(app: &App, settings: &[(u16, u32)]) -> Raw {
    let mut connection = app.raw().await;
    let settings: Vec<u8> = settings
        .iter()
        .flat_map(|(key, value)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    connection.send([PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).await;
    connection
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// GET of a target, without a body.
pub(crate) fn get(stream: u32, target: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields("GET", target))
}

/// The pseudo-header fields, in HPACK without Huffman: indexed, or literal and never remembered.
pub(crate) fn fields(method: &str, target: &str) -> Vec<u8> {
    [literal(2, method), vec![0x86], literal(4, target), literal(1, "site")].concat()
}

fn literal(name: u8, value: &str) -> Vec<u8> {
    [&[name], &text(value)[..]].concat()
}

/// A string of HPACK, shorter than 127.
pub(crate) fn text(value: &str) -> Vec<u8> {
    [&[u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
}

impl Raw {
    /// The next frame that is none of the connection's small talk.
    pub(crate) async fn frame(&mut self) -> Frame {
        self.frame_or_end().await.unwrap()
    }

    async fn frame_or_end(&mut self) -> Option<Frame> {
        while self.has(9).await {
            let head = self.bytes(9).await;
            let number =
                |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
            let length = usize::try_from(number(&head[..3])).unwrap();
            let payload = self.bytes(length).await;
            let (kind, flags, stream) = (head[3], head[4], number(&head[5..]));
            if kind != SETTINGS && kind != 8 {
                return Some(Frame { kind, flags, stream, payload });
            }
        }
        None
    }

    /// Answers all pings until the service closes the connection.
    pub(crate) async fn answers_pings(&mut self) {
        self.answers_pings_but(&[]).await;
    }

    /// Answers the pings that keep it alive until the service closes the connection.
    pub(crate) async fn only_keeps_alive(&mut self) {
        self.answers_pings_but(&GOAWAY_PING).await;
    }

    async fn answers_pings_but(&mut self, unanswered: &[u8]) {
        while let Some(Frame { kind, payload, .. }) = self.frame_or_end().await {
            if kind == PING && payload != unanswered {
                self.send(frame(PING, ACK, 0, &payload)).await;
            }
        }
    }

    /// The code of the GOAWAY that the connection ends with.
    pub(crate) async fn goaway(&mut self) -> u32 {
        loop {
            let frame = self.frame().await;
            if frame.kind == GOAWAY {
                return frame.code(4);
            }
        }
    }
}

impl Frame {
    /// The error code at this place of the payload.
    pub(crate) fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}
