//! Where HTTP/2 has the name of the server, gRPC's C core writes the path of the socket, percent
//! signs and all. An agent in Go does not look at it; hyper refuses the request. So the percent
//! signs are replaced before hyper sees them, each by one byte, which leaves every length and the
//! table of headers as they were.

use std::io::Result;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection whose requests name servers that hyper takes.
pub(super) struct Lenient<S> {
    inner: S,
    frames: Frames,
}

impl<S> Lenient<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, frames: Frames::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        while self.frames.ready.is_empty() {
            let mut chunk = [0; CHUNK];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.inner).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.frames.take(chunk.filled());
        }
        let length = buffer.remaining().min(self.frames.ready.len());
        let rest = self.frames.ready.split_off(length);
        buffer.put_slice(&self.frames.ready);
        self.frames.ready = rest;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Takes a connection apart as far as it takes to find the headers (RFC 9113, 3.4 and 4.1).
struct Frames {
    /// What can be read.
    ready: Vec<u8>,
    /// How many of the next bytes are of no interest.
    passing: usize,
    /// A frame of which something is missing.
    begun: Vec<u8>,
}

impl Default for Frames {
    fn default() -> Self {
        Self { ready: Vec::new(), passing: PREFACE, begun: Vec::new() }
    }
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.passing > 0 {
                let (passing, rest) = bytes.split_at(self.passing.min(bytes.len()));
                self.ready.extend_from_slice(passing);
                self.passing -= passing.len();
                bytes = rest;
                continue;
            }
            let wanted = frame_length(&self.begun).unwrap_or(FRAME_HEADER) - self.begun.len();
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            self.begun.extend_from_slice(part);
            bytes = rest;
            let Some(length) = frame_length(&self.begun) else { continue };
            let is_headers = self.begun.get(3) == Some(&HEADERS);
            // A frame that is too large is for hyper to refuse.
            if !is_headers || length > MAX_FRAME {
                self.passing = length - self.begun.len();
                self.ready.append(&mut self.begun);
            } else if self.begun.len() == length {
                repair(&mut self.begun);
                self.ready.append(&mut self.begun);
            }
        }
    }
}

/// How long the frame is that begins so, its own header included.
fn frame_length(begun: &[u8]) -> Option<usize> {
    let &[a, b, c] = begun.get(..FRAME_HEADER)?.first_chunk()?;
    Some(FRAME_HEADER + u32::from_be_bytes([0, a, b, c]) as usize)
}

/// Repairs the server's name in a frame of headers. What cannot be read is left to hyper.
fn repair(frame: &mut [u8]) {
    let flags = frame.get(4).copied().unwrap_or_default();
    let padding = usize::from(flags & PADDED != 0);
    let priority = if flags & PRIORITY == 0 { 0 } else { 5 };
    if let Some(block) = frame.get_mut(FRAME_HEADER + padding + priority..) {
        // What is unreadable ends the walk, and so does the padding.
        let _: Option<()> = repair_block(block);
    }
}

/// Goes through the headers of a block (RFC 7541, 6).
fn repair_block(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while let Some(&first) = block.get(at) {
        let prefix = match first {
            0x80.. => 7,
            0x40.. => 6,
            0x20.. => 5,
            _ => 4,
        };
        let index = integer(block, &mut at, prefix)?;
        if matches!(prefix, 5 | 7) {
            continue;
        }
        let is_name = match index {
            0 => {
                let (start, end, plain) = string(block, &mut at)?;
                plain && block.get(start..end)? == b":authority"
            }
            index => index == AUTHORITY,
        };
        let (start, end, plain) = string(block, &mut at)?;
        if is_name && plain {
            for byte in block.get_mut(start..end)?.iter_mut().filter(|byte| **byte == b'%') {
                *byte = b'-';
            }
        }
    }
    Some(())
}

/// RFC 7541, 5.1.
fn integer(block: &[u8], at: &mut usize, prefix: u32) -> Option<usize> {
    let mask = (1_usize << prefix) - 1;
    let mut value = usize::from(*block.get(*at)?) & mask;
    *at += 1;
    if value < mask {
        return Some(value);
    }
    for shift in [0, 7, 14] {
        let byte = usize::from(*block.get(*at)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Where the text of a string begins and ends, and whether it is plain (RFC 7541, 5.2).
fn string(block: &[u8], at: &mut usize) -> Option<(usize, usize, bool)> {
    let plain = block.get(*at)? & 0x80 == 0;
    let length = integer(block, at, 7)?;
    let start = *at;
    *at = start.checked_add(length).filter(|end| *end <= block.len())?;
    Some((start, *at, plain))
}

/// How much is read at a time.
const CHUNK: usize = 4096;

/// The bytes with which every client begins.
const PREFACE: usize = 24;

/// The length of a frame's own header.
const FRAME_HEADER: usize = 9;

/// The largest frame that hyper announces to take.
const MAX_FRAME: usize = FRAME_HEADER + (1 << 14);

/// The type of frames with headers, and their flags.
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// The place of `:authority` in the table of well-known headers.
const AUTHORITY: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of headers with `:method: POST`, and the authority with its name written out.
    fn request(authority: &str) -> Vec<u8> {
        let mut block = vec![0x83, 0x40, 10];
        block.extend_from_slice(b":authority");
        block.push(authority.len() as u8);
        block.extend_from_slice(authority.as_bytes());
        // And a header of no interest.
        block.extend_from_slice(b"\x00\x01a\x03%2F");
        let mut frame = vec![0, 0, block.len() as u8, HEADERS, 4, 0, 0, 0, 1];
        frame.append(&mut block);
        frame
    }

    fn connection(authority: &str) -> Vec<u8> {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.append(&mut request(authority));
        bytes.extend_from_slice(&[0, 0, 3, 0, 1, 0, 0, 0, 1, b'%', b'2', b'F']);
        bytes
    }

    #[test]
    fn only_the_servers_name_changes_however_the_bytes_arrive() {
        let sent = connection("%2Frun%2Fagent.sock");
        for size in [1, 2, 7, 4096] {
            let mut frames = Frames::default();
            sent.chunks(size).for_each(|chunk| frames.take(chunk));
            assert!(frames.ready == connection("-2Frun-2Fagent.sock"), "{size}");
        }
    }

    #[test]
    fn an_indexed_name_and_padding_are_understood() {
        let mut frame = vec![0, 0, 9, HEADERS, PADDED, 0, 0, 0, 1, 2, 0x41, 4];
        frame.extend_from_slice(b"%2Fa%%");
        repair(&mut frame);
        assert!(frame.ends_with(b"-2Fa%%"), "{frame:?}");
    }

    #[test]
    fn what_cannot_be_read_passes_as_it_is() {
        for block in [&b"\x40"[..], b"\x7f\xff\xff\xff\xff", b"\x41\x7f\xff\xff", b"\x41\x05%"] {
            let mut repaired = block.to_vec();
            repair_block(&mut repaired);
            assert_eq!(repaired, block);
        }
        let mut frames = Frames::default();
        let huge = [&[0; PREFACE][..], &[0xff, 0xff, 0xff, HEADERS, 0, 0, 0, 0, 1], b"%"].concat();
        frames.take(&huge);
        assert_eq!(frames.ready, huge);
    }
}
