//! Which protocol a client speaks, by the first bytes that it sends.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a client that speaks HTTP/2 without being asked sends first (RFC 9113, section 3.4).
pub(super) const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until it is certain whether the client speaks HTTP/2; hands back what it has read.
pub(super) async fn sniff(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut start = vec![0; HTTP2_PREFACE.len()];
    let mut read = 0;
    while read < start.len() && HTTP2_PREFACE.starts_with(&start[..read]) {
        match stream.read(&mut start[read..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    start.truncate(read);
    Ok(start)
}
