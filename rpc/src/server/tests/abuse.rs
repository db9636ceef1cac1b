//! Callers that send too much, too slowly or too often: each is refused, and others are served on.

use super::*;

/// So short that a test need not wait; long enough for whoever is not slow on purpose.
const SHORT: Limits = Limits {
    calls: LIMITS.calls,
    connections: 4,
    head: Duration::from_millis(300),
    body: Duration::from_millis(300),
    answer: Duration::from_secs(60),
};

async fn is_served(server: &Server, home: &Path) -> bool {
    post(server, &bearer(home), &call("echo", &json!([])))
        .await
        .1["result"]
        == "hello"
}

#[tokio::test]
async fn a_slow_head_and_a_slow_body_are_cut_off() {
    let home = tempfile::tempdir().unwrap();
    let server = start_with(home.path(), SHORT, Arc::default()).await;
    let at = server.address();
    let mut slow = TcpStream::connect(at).await.unwrap();
    slow.write_all(b"POST /rpc HT").await.unwrap();
    assert!(is_served(&server, home.path()).await);
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();

    let mut slow = TcpStream::connect(at).await.unwrap();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{",
        bearer(home.path())
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    assert!(is_served(&server, home.path()).await);
    let mut rest = String::new();
    slow.read_to_string(&mut rest).await.unwrap();
    assert!(rest.starts_with("HTTP/1.1 408 "), "{rest}");
    server.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_last_are_turned_away_and_a_free_place_is_taken() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits {
        head: Duration::from_secs(600),
        ..SHORT
    };
    let server = start_with(home.path(), limits, Arc::default()).await;
    let at = server.address();
    let mut open = Vec::new();
    for _ in 0..SHORT.connections {
        // An answer says that the connection has its place.
        let mut stream = TcpStream::connect(at).await.unwrap();
        let ask = format!("GET /healthz HTTP/1.1\r\nHost: {at}\r\n\r\n");
        stream.write_all(ask.as_bytes()).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'H');
        open.push(stream);
    }
    let mut more = TcpStream::connect(at).await.unwrap();
    let mut answer = String::new();
    more.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    open.clear();
    while get_as(at, "/healthz", &format!("Host: {at}\r\n")).await.0 == 503 {}
    assert!(is_served(&server, home.path()).await);
    server.stop().await;
}

/// Whether the port has no place: it says so, or hangs up on a request that it does not read.
async fn is_turned_away(at: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        let ask = format!("GET /healthz HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
        stream.write_all(ask.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answered = asked.await;
    !answered.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
}

#[tokio::test]
async fn who_asks_on_and_reads_nothing_loses_its_place() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits {
        connections: 1,
        answer: Duration::from_millis(300),
        ..SHORT
    };
    let server = start_with(home.path(), limits, Arc::default()).await;
    let at = server.address();
    let body = call("large", &json!([]));
    let ask = format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        bearer(home.path()),
        body.len()
    );
    let mut deaf = TcpStream::connect(at).await.unwrap();
    // More than what lies between two sockets holds.
    deaf.write_all(ask.repeat(32).as_bytes()).await.unwrap();
    assert_eq!(deaf.read_u8().await.unwrap(), b'H', "it has the one place");
    while is_turned_away(at).await {}
    assert!(is_served(&server, home.path()).await);
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let at = server.address();
    let head = format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {}\r\nContent-Type: application/json\r\n",
        bearer(home.path())
    );
    let declared = format!("{head}Content-Length: 104857600\r\n\r\n[");
    assert_eq!(raw(at, &declared).await.0, 413);
    // Undeclared, in chunks: cut off as soon as it is more than there may be.
    let mut stream = TcpStream::connect(at).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let send = async {
        let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        writing.write_all(head.as_bytes()).await?;
        for _ in 0..1_600 {
            writing.write_all(chunk.as_bytes()).await?;
        }
        Ok::<_, io::Error>(())
    };
    let read = async {
        let mut answer = Vec::new();
        // The rest of what was sent may have the connection reset.
        reading.read_to_end(&mut answer).await.ok();
        String::from_utf8(answer).unwrap()
    };
    let (sent, answer) = tokio::join!(send, read);
    assert!(sent.is_err(), "100 MB were taken");
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 413 "),
        "{answer}"
    );
    let socket = web_socket(&server, &bearer(home.path())).await;
    let long = "x".repeat(2 << 20);
    let refused = socket.request::<String, _>("echo", rpc_params![long]).await;
    assert!(refused.is_err());
    assert!(is_served(&server, home.path()).await);
    server.stop().await;
}

#[tokio::test]
async fn a_batch_has_its_bounds_and_each_call_in_it_counts() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let (owner, one) = (bearer(home.path()), call("echo", &json!([])));
    let batch = |n| format!("[{}]", vec![one.as_str(); n].join(","));
    let (_, answer) = post(&server, &owner, &batch(10_000)).await;
    assert_eq!(answer["error"]["code"], -32_010, "{answer}");
    let (_, answer) = post(&server, &owner, &batch(100)).await;
    assert_eq!(answer.as_array().unwrap().len(), 100);
    let (_, empty) = post(&server, &owner, "[]").await;
    assert_eq!(empty["error"]["code"], -32_600);
    let few = json!({ "name": "few", "scope": "read", "callsPerSecond": 5 });
    let (_, made) = post(&server, &owner, &call("auth_createToken", &few)).await;
    let few = format!("Bearer {}", made["result"]["token"].as_str().unwrap());
    let (_, answer) = post(&server, &few, &batch(50)).await;
    let answers = answer.as_array().unwrap();
    let refused = answers.iter().filter(|a| a["error"]["code"] == 1_602);
    let refused = refused.count();
    assert!((1..=45).contains(&refused), "{refused} of 50");
    server.stop().await;
}

#[tokio::test]
async fn garbage_is_answered_with_an_error() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let owner = bearer(home.path());
    for (body, code) in [
        ("", -32_700),
        ("{", -32_700),
        ("\u{0}\u{1}", -32_700),
        ("{}", -32_600),
        (" 1", -32_600),
        ("null", -32_600),
        ("\"auth_whoami\"", -32_600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1}", -32_600),
        ("[]", -32_600),
        ("[1,2]", -32_600),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"nothing\"}",
            -32_601,
        ),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"auth_whoami\",\"params\":[1]}",
            -32_602,
        ),
    ] {
        let (_, answer) = post(&server, &owner, body).await;
        let error = answer.get(0).unwrap_or(&answer);
        assert_eq!(error["error"]["code"], code, "{body}: {answer}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let (_, answer) = post(&server, &owner, &deep).await;
    assert!(answer.to_string().contains("error"), "{answer}");
    assert!(is_served(&server, home.path()).await);
    server.stop().await;
}
