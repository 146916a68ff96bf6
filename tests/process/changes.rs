//! A thousand weight changes under load: no request fails, and each change holds for the next one.

use std::time::Duration;

use pointsman::testing::{Client, H2Client, Load};

use crate::fixture::{Home, LIMIT, Versions};

const CHANGES: u32 = 1_000;
/// Enough for both workers to have some.
const CONNECTIONS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_changes_fail_no_request_and_hold_for_the_next_on_every_connection() {
    let versions = Versions::start().await;
    let home = Home::with(&versions.config(""));
    let mut pointsman = home.start().await;
    let address = pointsman.address();
    let load = Load::keep_alive(address)
        .connections(2)
        .pause(Duration::from_millis(5))
        .start();
    let fresh = Load::fresh(address)
        .connections(1)
        .pause(Duration::from_millis(20))
        .start();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(Client::connect(address).await.expect("a connection"));
    }
    let mut by_h2 = H2Client::connect(address).await.expect("a connection");
    let first = pointsman.api().revision().await;
    for change in 1..=CHANGES {
        let canary = change % 2;
        let reply = pointsman.api().weigh(1 - canary, canary).await;
        assert_eq!(reply.number("/revision"), first + u64::from(change));
        let wanted = if canary == 1 { "canary" } else { "primary" };
        for client in &mut open {
            let answer = client.get("/").await.expect("an answer");
            assert_eq!(answer.text(), wanted, "change {change}");
        }
        let answer = by_h2.get("/").await.expect("an answer");
        assert_eq!(answer.text(), wanted, "change {change}, HTTP/2");
    }
    load.wait_for(100, LIMIT).await.expect("the load runs");
    let (load, fresh) = (load.stop().await, fresh.stop().await);
    for counts in [load, fresh] {
        assert_eq!(counts.failed, 0, "{counts:?}");
        assert_eq!(counts.status(200), counts.answered, "{counts:?}");
        assert!(
            counts.from("primary") > 0 && counts.from("canary") > 0,
            "{counts:?}"
        );
    }
    assert!(pointsman.runs());
}
