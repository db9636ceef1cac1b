//! The load: connections that ask one thing again and again, each as soon as it was answered. By hand over
//! TCP, so that the client costs little beside the server.

use futures::future::join_all;
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// How calls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    Http,
    WebSocket,
}

/// What a measurement gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    calls: u64,
    time: Duration,
    median: Duration,
    p99: Duration,
}

impl Round {
    /// Calls a second.
    pub(crate) fn rate(&self) -> f64 {
        u32::try_from(self.calls).map_or(f64::MAX, f64::from) / self.time.as_secs_f64()
    }

    /// The one with the middle rate.
    pub(crate) fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|a, b| a.rate().total_cmp(&b.rate()));
        rounds[rounds.len() / 2]
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let (median, p99) = (ms(self.median), ms(self.p99));
        write!(
            f,
            "{:.0}/s, median {median:.2} ms, p99 {p99:.2} ms",
            self.rate()
        )
    }
}

/// Asks over `connections` until the time or the number of calls is over.
pub(crate) async fn run(
    at: SocketAddr,
    bearer: &str,
    ask: &str,
    wire: Wire,
    connections: usize,
    until: Instant,
    most: u64,
) -> Round {
    let request: Arc<[u8]> = match wire {
        Wire::Http => http(at, bearer, ask).into_bytes().into(),
        Wire::WebSocket => frame(ask).into(),
    };
    let left = Arc::new(AtomicU64::new(most));
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(match wire {
            Wire::Http => BufReader::new(TcpStream::connect(at).await.unwrap()),
            Wire::WebSocket => upgraded(at, bearer).await,
        });
    }
    let began = Instant::now();
    let tasks = open.into_iter().map(|mut stream| {
        let (request, left) = (Arc::clone(&request), Arc::clone(&left));
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let taken =
                    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                if taken.is_err() {
                    break;
                }
                let asked = Instant::now();
                stream.get_mut().write_all(&request).await.unwrap();
                let answer = match wire {
                    Wire::Http => http_answer(&mut stream).await,
                    Wire::WebSocket => message(&mut stream).await,
                };
                times.push(asked.elapsed());
                let has = |word: &[u8]| answer.windows(word.len()).any(|w| w == word);
                assert!(has(b"\"result\""), "{}", String::from_utf8_lossy(&answer));
            }
            times
        })
    });
    let mut times: Vec<Duration> = Vec::new();
    for task in join_all(tasks).await {
        times.extend(task.unwrap());
    }
    let time = began.elapsed();
    times.sort_unstable();
    Round {
        calls: times.len() as u64,
        time,
        median: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
    }
}

fn http(at: SocketAddr, bearer: &str, ask: &str) -> String {
    format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {bearer}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{ask}",
        ask.len()
    )
}

/// A text frame, masked by zeros.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(short) if short < 126 => frame.push(0x80 | short),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

async fn upgraded(at: SocketAddr, bearer: &str) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    let ask = format!(
        "GET /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {bearer}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.get_mut().write_all(ask.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream
}

async fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn http_answer(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    let head = head(stream).await.to_lowercase();
    let (_, rest) = head.split_once("content-length: ").unwrap();
    let length = rest.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// The next text; pings are passed over, as the server bears a minute of silence.
async fn message(stream: &mut BufReader<TcpStream>) -> Vec<u8> {
    loop {
        let (kind, length) = (
            stream.read_u8().await.unwrap(),
            stream.read_u8().await.unwrap(),
        );
        let length = match length {
            126 => usize::from(stream.read_u16().await.unwrap()),
            127 => usize::try_from(stream.read_u64().await.unwrap()).unwrap(),
            short => usize::from(short),
        };
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        if kind & 0x0f == 1 {
            return body;
        }
    }
}

/// Subscribers to new blocks, each on a socket of its own.
pub(crate) async fn subscribe(
    at: SocketAddr,
    bearer: &str,
    count: usize,
) -> Vec<BufReader<TcpStream>> {
    let ask = frame(r#"{"jsonrpc":"2.0","id":1,"method":"chain_subscribe","params":[]}"#);
    let mut sockets = Vec::new();
    for _ in 0..count {
        let mut socket = upgraded(at, bearer).await;
        socket.get_mut().write_all(&ask).await.unwrap();
        message(&mut socket).await;
        sockets.push(socket);
    }
    sockets
}

/// Each reads the blocks of these heights, which are still to come; gives the median time between the
/// first and the last to hear of one.
pub(crate) async fn heard(sockets: Vec<BufReader<TcpStream>>, heights: Range<u64>) -> Duration {
    let readers = sockets.into_iter().map(|mut socket| {
        let heights = heights.clone();
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.len() < heights.clone().count() {
                let text = message(&mut socket).await;
                let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
                let height = value["params"]["result"]["height"].as_u64().unwrap();
                if heights.contains(&height) {
                    seen.push((height, Instant::now()));
                }
            }
            seen
        })
    });
    let mut by_height = BTreeMap::<u64, Vec<Instant>>::new();
    for seen in join_all(readers).await {
        for (height, when) in seen.unwrap() {
            by_height.entry(height).or_default().push(when);
        }
    }
    let mut spreads: Vec<Duration> = by_height
        .values()
        .filter_map(|times| Some(*times.iter().max()? - *times.iter().min()?))
        .collect();
    spreads.sort_unstable();
    spreads[spreads.len() / 2]
}
