use super::super::script::{Script, TOKEN, ok};
use super::*;
use serde_json::{Value, json};

fn endpoint(id: u64) -> Value {
    json!({"id": id, "url": "https://x.example", "name": "x", "event_type_ids": null, "api_version": 2})
}

#[tokio::test]
async fn every_request_says_who_asks_and_with_which_token() {
    let script = Script::of(vec![ok(json!([])), ok(json!([]))]).await;
    let client = script.client();
    client.events(Some(7), Order::Ascending).await.unwrap();
    std::fs::write(script.folder.path().join("token"), "a-newer-token").unwrap();
    client.events(None, Order::Descending).await.unwrap();
    let asked = script.asked();
    assert_eq!(asked[0].line, "GET /api/v2/workspaces/42000/webhooks/outgoing/events?after=7");
    assert_eq!(asked[1].line, "GET /api/v2/workspaces/42000/webhooks/outgoing/events?sort_order=desc");
    for (asked, token) in asked.iter().zip([TOKEN, "a-newer-token"]) {
        for header in [format!("authorization: bearer {token}"), "user-agent: carom-test".to_owned()] {
            assert!(asked.head.contains(&header), "{header} in {}", asked.head);
        }
    }
}

#[tokio::test]
async fn a_list_is_read_to_its_last_page_whichever_header_leads_there() {
    let link = "<https://elsewhere.example/api?after=5>; rel=\"next\"".to_owned();
    let script = Script::of(vec![
        (200, vec![("Pagination-Next", "3".to_owned())], json!([endpoint(2), endpoint(3)])),
        (200, vec![("Link", link)], json!([endpoint(4), endpoint(5)])),
        ok(json!([endpoint(6)])),
    ])
    .await;
    let ids: Vec<_> = script.client().endpoints().await.unwrap().iter().map(|one| one.id).collect();
    assert_eq!(ids, [2, 3, 4, 5, 6]);
    let path = "GET /api/v2/workspaces/42000/webhooks/outgoing/endpoints";
    assert_eq!(script.lines(), [path.to_owned(), format!("{path}?after=3"), format!("{path}?after=5")]);
}

#[tokio::test]
async fn pages_that_lead_in_a_circle_end() {
    let again = || (200, vec![("Pagination-Next", "3".to_owned())], json!([endpoint(3)]));
    let script = Script::of(vec![again(), again(), again()]).await;
    assert_eq!(script.client().endpoints().await.unwrap().len(), 2);
    assert_eq!(script.lines().len(), 2);
}

#[tokio::test]
async fn a_limit_of_the_rate_is_waited_for_and_a_server_in_trouble_is_asked_again() {
    let script = Script::of(vec![
        (500, vec![], Value::Null),
        (429, vec![("Retry-After", "1".to_owned())], json!({"error": "slow down"})),
        ok(json!([{"id": "contact.created", "topic": "contact"}])),
    ])
    .await;
    let started = std::time::Instant::now();
    assert_eq!(script.client().event_types().await.unwrap(), ["contact.created"]);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(script.lines().len(), 3);
}

#[tokio::test]
async fn a_server_that_stays_in_trouble_is_given_up_in_the_end() {
    let script = Script::of(vec![(503, vec![], Value::Null); 20]).await;
    assert!(matches!(script.client().event_types().await, Err(Error::Failing(503))));
    assert_eq!(script.lines().len(), TRIES as usize);
}

#[tokio::test]
async fn what_might_be_done_twice_is_not_asked_for_again() {
    let script = Script::of(vec![(500, vec![], Value::Null)]).await;
    let fields = EndpointFields::default();
    assert!(matches!(script.client().create_endpoint(&fields).await, Err(Error::Unknown(_))));
    assert_eq!(script.lines().len(), 1);
}

#[tokio::test]
async fn what_is_written_is_wrapped_as_documented_and_only_what_is_given() {
    let script =
        Script::of(vec![ok(endpoint(5)), (204, vec![], Value::Null), (404, vec![], Value::Null)]).await;
    let client = script.client();
    let fields = EndpointFields { name: Some("Carom".to_owned()), ..EndpointFields::default() };
    client.update_endpoint(5, &fields).await.unwrap();
    client.delete_endpoint(5).await.unwrap();
    client.delete_endpoint(6).await.unwrap();
    let asked = script.asked();
    assert_eq!(asked[0].line, "PUT /api/v2/webhooks/outgoing/endpoints/5");
    assert_eq!(asked[0].body, json!({"webhooks_outgoing_endpoint": {"name": "Carom"}}));
    assert!(asked[0].head.contains("content-type: application/json"));
    assert_eq!(asked[1].line, "DELETE /api/v2/webhooks/outgoing/endpoints/5");
}

#[tokio::test]
async fn neither_a_refusal_that_repeats_the_token_nor_an_answer_that_is_none_shows_what_was_said() {
    let echo = json!({"error": format!("no such key: {TOKEN}")});
    let script = Script::of(vec![(422, vec![], echo), ok(json!({"secret": "s3cret-s3cret"}))]).await;
    let client = script.client();
    for _ in 0..2 {
        let error = client.event_types().await.unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains(TOKEN) && !text.contains("s3cret"), "{text}");
        }
    }
}
