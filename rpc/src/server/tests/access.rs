//! Tokens at the port: what they open over HTTP and WebSocket, alone and in a batch, and for how long.

use super::subscribers::{block, subscribed};
use super::*;

async fn token(server: &Server, home: &Path, wanted: &Value) -> (String, String) {
    let (_, made) = post(server, &bearer(home), &call("auth_createToken", wanted)).await;
    let text = made["result"]["token"]
        .as_str()
        .unwrap_or_else(|| panic!("{made}"));
    let id = made["result"]["shown"]["id"].as_str().unwrap();
    (format!("Bearer {text}"), id.to_owned())
}

#[tokio::test]
async fn a_token_opens_what_its_scope_holds() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let wanted = json!({ "name": "reader", "scope": "read" });
    let (reader, id) = token(&server, home.path(), &wanted).await;
    let (_, me) = post(&server, &reader, &call("auth_whoami", &json!({}))).await;
    assert_eq!(me["result"]["scope"], "read");
    assert_eq!(me["result"]["token"]["id"], id);
    let (_, owner) = post(
        &server,
        &bearer(home.path()),
        &call("auth_whoami", &json!([])),
    )
    .await;
    assert_eq!(owner["result"], json!({ "scope": "admin" }));
    let list = call("auth_listTokens", &json!({}));
    let (_, refused) = post(&server, &reader, &list).await;
    assert_eq!(refused["error"]["code"], 1_601, "{refused}");
    assert_eq!(refused["error"]["data"]["reason"], "forbidden");
    let both = format!("[{list},{}]", call("echo", &json!([])));
    let (_, answers) = post(&server, &reader, &both).await;
    assert_eq!(answers[0]["error"]["code"], 1_601, "{answers}");
    assert_eq!(answers[1]["result"], "hello");
    // A name and a password, for programs that know nothing else.
    let secret = reader.strip_prefix("Bearer ").unwrap();
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("any:{secret}")));
    assert_eq!(
        post(&server, &basic, &call("echo", &json!([]))).await.0,
        200
    );
    let socket = web_socket(&server, &reader).await;
    let refused = socket
        .request::<Value, _>("auth_listTokens", rpc_params![])
        .await;
    assert!(refused.unwrap_err().to_string().contains("admin"));
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_token_ends_on_open_sockets_too() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let wanted = json!({ "name": "phone", "scope": "wallet", "methods": ["auth_whoami"] });
    let (phone, id) = token(&server, home.path(), &wanted).await;
    let socket = web_socket(&server, &phone).await;
    socket
        .request::<Value, _>("auth_whoami", rpc_params![])
        .await
        .unwrap();
    let refused = socket.request::<Value, _>("echo", rpc_params![]).await;
    assert!(refused.is_err(), "it is for another method");
    let revoke = call("auth_revokeToken", &json!({ "id": id }));
    let (_, done) = post(&server, &bearer(home.path()), &revoke).await;
    assert_eq!(done["result"], json!({}));
    let refused = socket
        .request::<Value, _>("auth_whoami", rpc_params![])
        .await;
    assert!(refused.unwrap_err().to_string().contains("taken back"));
    assert_eq!(
        post(&server, &phone, &call("auth_whoami", &json!([])))
            .await
            .0,
        401
    );
    let unknown = json!({ "name": "x", "scope": "read", "methods": ["nothing_there"] });
    let (_, refused) = post(
        &server,
        &bearer(home.path()),
        &call("auth_createToken", &unknown),
    )
    .await;
    assert_eq!(refused["error"]["code"], 1_507, "{refused}");
    server.stop().await;
}

#[tokio::test]
async fn a_cross_site_form_and_a_foreign_socket_do_nothing() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let (at, owner) = (server.address(), bearer(home.path()));
    let body = call("echo", &json!([]));
    let form = format!(
        "POST /rpc HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nAuthorization: {owner}\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(
        raw(at, &form).await.0,
        415,
        "what a page may send unasked is no call"
    );
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for headers in [
        format!("Host: {at}\r\nOrigin: https://evil.example\r\n"),
        format!("Host: {at}\r\nOrigin: null\r\n"),
        "Host: evil.example\r\n".to_owned(),
        format!("Host: evil.example:{}\r\n", at.port()),
    ] {
        let headers = format!("{headers}Authorization: {owner}\r\n{upgrade}");
        assert_eq!(get_as(at, "/rpc", &headers).await.0, 403, "{headers}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_subscription_ends_with_its_token() {
    let home = tempfile::tempdir().unwrap();
    let feeds = Arc::<Feeds>::default();
    let server = start_with(home.path(), LIMITS, Arc::clone(&feeds)).await;
    let wanted = json!({ "name": "phone", "scope": "read" });
    let (phone, id) = token(&server, home.path(), &wanted).await;
    let socket = web_socket(&server, &phone).await;
    let mut blocks = subscribed(&socket).await;
    let revoke = call("auth_revokeToken", &json!({ "id": id }));
    let (_, done) = post(&server, &bearer(home.path()), &revoke).await;
    assert_eq!(done["result"], json!({}));
    feeds.chain.tell(&block(1), Vec::new);
    let told = blocks.next().await;
    assert!(told.is_none_or(|told| told.is_err()), "it hears no block");
    feeds.chain.all_gone().await;
    server.stop().await;
}

#[tokio::test]
async fn a_limited_token_makes_no_other() {
    let home = tempfile::tempdir().unwrap();
    let server = start(home.path()).await;
    let more = call(
        "auth_createToken",
        &json!({ "name": "more", "scope": "read" }),
    );
    for limit in [
        json!({ "methods": ["auth_createToken", "auth_whoami"] }),
        json!({ "expires": "2100-01-01T00:00:00Z" }),
    ] {
        let mut wanted = json!({ "name": "limited", "scope": "admin" });
        wanted
            .as_object_mut()
            .unwrap()
            .extend(limit.as_object().unwrap().clone());
        let (limited, _) = token(&server, home.path(), &wanted).await;
        let (_, refused) = post(&server, &limited, &more).await;
        assert_eq!(refused["error"]["code"], 1_601, "{limit}: {refused}");
    }
    let (whole, _) = token(
        &server,
        home.path(),
        &json!({ "name": "whole", "scope": "admin" }),
    )
    .await;
    let (_, made) = post(&server, &whole, &more).await;
    assert!(made["result"]["token"].is_string(), "{made}");
    server.stop().await;
}

#[tokio::test]
async fn the_owner_is_served_though_a_reader_has_all_places_for_calls() {
    let home = tempfile::tempdir().unwrap();
    let hung = Arc::new(Semaphore::new(0));
    let limits = Limits { calls: 2, ..LIMITS };
    let server = start_hanging(home.path(), limits, Arc::default(), Arc::clone(&hung)).await;
    let wanted = json!({ "name": "reader", "scope": "read" });
    let (reader, id) = token(&server, home.path(), &wanted).await;
    let socket = web_socket(&server, &reader).await;
    let hang = || socket.request::<Value, _>("hang", rpc_params![]);
    let greedy = async { tokio::join!(hang(), hang()) };
    let owner = async {
        hung.acquire_many(2).await.unwrap().forget();
        let (_, refused) = post(&server, &reader, &call("echo", &json!([]))).await;
        assert_eq!(
            refused["error"]["code"],
            Code::TooManyCalls.number(),
            "{refused}"
        );
        let revoke = call("auth_revokeToken", &json!({ "id": id }));
        let (_, done) = post(&server, &bearer(home.path()), &revoke).await;
        assert_eq!(done["result"], json!({}));
    };
    tokio::select! {
        _ = greedy => panic!("hanging calls are not answered"),
        () = owner => {}
    }
    server.stop().await;
}
