//! Subscribers that listen, that are slow, that go; and a node that stops under them.

use super::*;
use crate::types::feed::BlockNotice;
use crate::values::{Moment, Text};
use jsonrpsee::core::client::{Subscription, SubscriptionClientT as _};
use larder_types::{BlockHash, Time};

pub(super) fn block(height: u64) -> BlockNotice {
    BlockNotice {
        height,
        hash: Text(BlockHash([7; 32])),
        time: Moment(Time(1_700_000_000_000)),
        epoch: 0,
        transactions: 0,
    }
}

pub(super) async fn subscribed(socket: &WsClient) -> Subscription<Value> {
    socket
        .subscribe("chain_subscribe", rpc_params![], "chain_unsubscribe")
        .await
        .unwrap()
}

#[tokio::test]
async fn a_subscriber_hears_all_until_it_leaves_and_then_nothing_is_left_of_it() {
    let home = tempfile::tempdir().unwrap();
    let feeds = Arc::<Feeds>::default();
    let server = start_with(home.path(), LIMITS, Arc::clone(&feeds)).await;
    let socket = web_socket(&server, &bearer(home.path())).await;
    let (mut one, mut two) = (subscribed(&socket).await, subscribed(&socket).await);
    feeds.chain.tell(&block(1), Vec::new);
    for subscription in [&mut one, &mut two] {
        let told = subscription.next().await.unwrap().unwrap();
        assert_eq!(told["height"], 1);
    }
    one.unsubscribe().await.unwrap();
    feeds.chain.tell(&block(2), Vec::new);
    assert_eq!(two.next().await.unwrap().unwrap()["height"], 2);
    drop(two);
    feeds.chain.all_gone().await;
    let third = subscribed(&socket).await;
    assert!(feeds.chain.is_heard());
    // Without a word: the whole socket.
    drop((third, socket));
    feeds.chain.all_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_slow_subscriber_is_told_how_many_it_missed_and_goes_on_with_the_newest() {
    let home = tempfile::tempdir().unwrap();
    let feeds = Arc::<Feeds>::default();
    let server = start_with(home.path(), LIMITS, Arc::clone(&feeds)).await;
    let at = server.address();
    // By hand: it reads nothing until it is far behind.
    let mut slow = TcpStream::connect(at).await.unwrap();
    let upgrade = format!(
        "GET /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        bearer(home.path())
    );
    slow.write_all(upgrade.as_bytes()).await.unwrap();
    let ask = call("chain_subscribe", &json!([]));
    let mut frame = vec![0x81, 0x80 | u8::try_from(ask.len()).unwrap(), 0, 0, 0, 0];
    frame.extend(ask.as_bytes());
    slow.write_all(&frame).await.unwrap();
    let fast = web_socket(&server, &bearer(home.path())).await;
    let mut fast = subscribed(&fast).await;
    let mut seen = Vec::new();
    let mut read = async |slow: &mut TcpStream, until: &str| {
        while !String::from_utf8_lossy(&seen).contains(until) {
            assert_ne!(slow.read_buf(&mut seen).await.unwrap(), 0, "it was cut off");
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    read(&mut slow, "\"result\":").await;
    // Far more than the buffers of two sockets and the ring hold.
    let last = 60_000;
    for height in 1..=last {
        feeds.chain.tell(&block(height), Vec::new);
        // The fast one keeps up.
        assert_eq!(fast.next().await.unwrap().unwrap()["height"], height);
    }
    let seen = read(&mut slow, &format!("\"height\":{last},")).await;
    let missed: u64 = seen
        .split("{\"lagged\":")
        .skip(1)
        .map(|rest| rest.split('}').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let heard = seen.matches("\"height\":").count() as u64;
    assert!(missed > 0);
    assert_eq!(heard + missed, last, "what was not told was counted");
    server.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_says_so_to_subscribers_and_to_calls_that_wait() {
    let home = tempfile::tempdir().unwrap();
    let (door, hung) = (
        Door::of_home(home.path(), "127.0.0.1:0".parse().unwrap()),
        Arc::new(Semaphore::new(0)),
    );
    let methods = methods(Arc::clone(&hung));
    let server = serve_methods(door, LIMITS, methods, Arc::new(Probe), Arc::default())
        .await
        .unwrap();
    let owner = bearer(home.path());
    let socket = web_socket(&server, &owner).await;
    let mut blocks = subscribed(&socket).await;
    let at = server.address();
    let body = call("hang", &json!([]));
    let request = format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nAuthorization: {owner}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let waiting = async {
        let mut stream = TcpStream::connect(at).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let over_socket = socket.request::<Value, _>("hang", rpc_params![]);
    let stop = async {
        // Both calls hang before the node stops: an answer to a later one says so.
        socket
            .request::<String, _>("echo", rpc_params![])
            .await
            .unwrap();
        server.stop().await;
    };
    let (http, ws, ()) = tokio::join!(waiting, over_socket, stop);
    assert!(http.contains("\"code\":1501"), "{http}");
    assert!(ws.unwrap_err().to_string().contains("stops"));
    let told = blocks.next().await;
    assert!(
        told.is_none_or(|told| told.is_err()),
        "the subscription ends"
    );
}

#[tokio::test]
async fn a_token_for_one_subscription_may_end_it() {
    let home = tempfile::tempdir().unwrap();
    let feeds = Arc::<Feeds>::default();
    let server = start_with(home.path(), LIMITS, Arc::clone(&feeds)).await;
    let wanted = json!({ "name": "clock", "scope": "read", "methods": ["chain_subscribe"] });
    let made = call("auth_createToken", &wanted);
    let (_, made) = post(&server, &bearer(home.path()), &made).await;
    let bearer = format!("Bearer {}", made["result"]["token"].as_str().unwrap());
    let socket = web_socket(&server, &bearer).await;
    let blocks = subscribed(&socket).await;
    assert!(feeds.chain.is_heard());
    blocks.unsubscribe().await.unwrap();
    // The socket stays: only a leave that was allowed ends it.
    feeds.chain.all_gone().await;
    assert!(socket.is_connected());
    server.stop().await;
}
