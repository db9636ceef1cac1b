//! Webhooks against a real HTTP server that fails at first, one that is not there, and one that
//! never answers.

use super::*;
use crate::alerts::rules;
use crate::home::AlertConfig;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use larder_engine::alerts::{Alert, AlertCode};
use larder_types::Millis;
use std::collections::VecDeque;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Longer than any of these takes; the tests wait for events, not for this.
const DEADLINE: Duration = Duration::from_secs(30);

/// A post that came in.
#[derive(Debug)]
struct Came {
    signature: Option<String>,
    body: String,
}

#[derive(Clone)]
struct Server {
    /// What is answered, in turn; then 200.
    answers: Arc<Mutex<VecDeque<StatusCode>>>,
    came: mpsc::Sender<Came>,
}

async fn take(State(server): State<Server>, headers: HeaderMap, body: String) -> StatusCode {
    let signature = headers
        .get(SIGNATURE)
        .map(|v| v.to_str().unwrap().to_owned());
    server.came.send(Came { signature, body }).await.unwrap();
    let next = server.answers.lock().unwrap().pop_front();
    next.unwrap_or(StatusCode::OK)
}

async fn serve(answers: &[StatusCode]) -> (SocketAddr, mpsc::Receiver<Came>) {
    let (sender, came) = mpsc::channel(100);
    let server = Server {
        answers: Arc::new(Mutex::new(answers.iter().copied().collect())),
        came: sender,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/hook", post(take)).with_state(server);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, came)
}

fn hooks() -> Hooks {
    let pause = Duration::from_millis(5);
    Hooks::with_pause("12D3Koo".into(), CancellationToken::new(), pause).unwrap()
}

fn settings(addresses: &[SocketAddr], secret: Option<&str>) -> rules::Settings {
    let config = AlertConfig {
        webhook: addresses
            .iter()
            .map(|a| format!("http://{a}/hook"))
            .collect(),
        secret: secret.map(str::to_owned),
        ..AlertConfig::default()
    };
    rules::Settings::of(&config, Millis(60_000)).unwrap()
}

fn alert() -> Alert {
    Alert {
        code: AlertCode::NoPeers,
        subject: String::new(),
        severity: Severity::Warning,
        since: Time(1_700_000_000_000),
        cleared: None,
        message: "no peer is connected".into(),
    }
}

async fn next(came: &mut mpsc::Receiver<Came>) -> Came {
    let next = tokio::time::timeout(DEADLINE, came.recv()).await;
    next.expect("in time").expect("the server runs")
}

#[tokio::test]
async fn a_server_that_fails_at_first_gets_each_change_in_order_and_signed() {
    let answers = [
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    let (address, mut came) = serve(&answers).await;
    let (hooks, settings) = (hooks(), settings(&[address], Some("s3cret")));
    let at = Time(1_700_000_001_000);
    hooks.tell(&settings, Change::Raised(alert()), at);
    let cleared = Alert {
        cleared: Some(at),
        ..alert()
    };
    hooks.tell(&settings, Change::Cleared(cleared), at);
    let tries = [
        next(&mut came).await,
        next(&mut came).await,
        next(&mut came).await,
    ];
    assert!(tries.iter().all(|t| t.body == tries[0].body), "{tries:?}");
    let body: serde_json::Value = serde_json::from_str(&tries[2].body).unwrap();
    assert_eq!(body["event"], "raised");
    assert_eq!(body["node"], "12D3Koo");
    assert_eq!(body["sent"], "2023-11-14T22:13:21Z");
    assert_eq!(body["alert"]["code"], "no_peers");
    assert_eq!(body["alert"]["severity"], "warning");
    assert!(body["alert"].get("cleared").is_none());
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"s3cret");
    let signed = tries[2].signature.as_ref().unwrap();
    let tag = hex::decode(signed.strip_prefix("sha256=").unwrap()).unwrap();
    hmac::verify(&key, tries[2].body.as_bytes(), &tag).unwrap();
    let last = next(&mut came).await;
    let body: serde_json::Value = serde_json::from_str(&last.body).unwrap();
    assert_eq!(body["event"], "cleared");
    assert_eq!(body["alert"]["cleared"], "2023-11-14T22:13:21Z");
}

#[tokio::test]
async fn who_refuses_is_not_asked_again_and_without_a_secret_nothing_is_signed() {
    let (address, mut came) = serve(&[StatusCode::NOT_FOUND]).await;
    let (hooks, settings) = (hooks(), settings(&[address], None));
    hooks.tell(&settings, Change::Raised(alert()), Time(1));
    let other = Alert {
        code: AlertCode::BackupOld,
        ..alert()
    };
    hooks.tell(&settings, Change::Raised(other), Time(1));
    let first = next(&mut came).await;
    assert!(first.body.contains("no_peers") && first.signature.is_none());
    assert!(
        next(&mut came).await.body.contains("backup_old"),
        "no second try"
    );
}

#[tokio::test]
async fn an_address_that_never_answers_delays_nobody_and_its_queue_is_bounded() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, mut came) = serve(&[]).await;
    let settings = settings(&[silent.local_addr().unwrap(), address], None);
    let hooks = hooks();
    hooks.tell(&settings, Change::Raised(alert()), Time(1));
    // The silent one has the first post in its hands from here on.
    let (_open, _) = tokio::time::timeout(DEADLINE, silent.accept())
        .await
        .unwrap()
        .unwrap();
    next(&mut came).await;
    for _ in 0..3 * QUEUE {
        hooks.tell(&settings, Change::Raised(alert()), Time(1));
        next(&mut came).await;
    }
    let queues = hooks.0.queues.lock().unwrap();
    let room: Vec<usize> = queues.values().map(mpsc::Sender::capacity).collect();
    assert!(room.contains(&0), "{room:?}");
}

#[tokio::test]
async fn who_is_no_longer_named_is_no_longer_told() {
    let (address, mut came) = serve(&[]).await;
    let hooks = hooks();
    hooks.tell(
        &settings(&[address], None),
        Change::Raised(alert()),
        Time(1),
    );
    next(&mut came).await;
    hooks.tell(&settings(&[], None), Change::Raised(alert()), Time(1));
    assert!(hooks.0.queues.lock().unwrap().is_empty());
}

#[test]
fn a_secret_does_not_show_itself() {
    let secret = Secret::new("s3cret".into());
    assert!(!format!("{secret:?}").contains("s3cret"));
    // RFC 4231, test case 2.
    let jefe = Secret::new("Jefe".into()).sign(b"what do ya want for nothing?");
    let known = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(jefe, known);
}
