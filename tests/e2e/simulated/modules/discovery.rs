//! Finding modules by what they can do.

use claude_comms_proto::v1::{DiscoverModulesRequest, DiscoverModulesResponse};
use claude_comms_tests::{Client, TestServer};
use serde_json::json;

use super::support::{descriptor, register, unregister};

async fn discover(client: &Client, request: DiscoverModulesRequest) -> DiscoverModulesResponse {
    client.modules.clone().discover_modules(request).await.unwrap().into_inner()
}

fn names(found: &DiscoverModulesResponse) -> Vec<&str> {
    found.modules.iter().map(|hit| hit.module.as_ref().unwrap().name.as_str()).collect()
}

fn capability(text: &str) -> DiscoverModulesRequest {
    DiscoverModulesRequest { capability: text.into(), ..Default::default() }
}

fn text(text: &str) -> DiscoverModulesRequest {
    DiscoverModulesRequest { text: text.into(), ..Default::default() }
}

#[tokio::test]
async fn modules_are_found_by_capability_type_tag_and_text_and_say_what_fitted() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    let weather = descriptor(
        "weather",
        "1.0.0",
        json!({
            "description": "Foretells rain and sun.", "tags": ["sky"],
            "capabilities": [{"name": "foretell_rain", "description": "Foretells rain.", "tags": ["forecast"]}],
            "data_types": [{"name": "sky_chart", "media_type": "image/x-sky", "description": "A chart."}],
        }),
    );
    register(&client, &weather).await;
    let requests = [
        (capability("foretell_rain"), "capability foretell_rain"),
        (capability("rain"), "capability foretell_rain"),
        (capability("FORECAST"), "capability foretell_rain (tag forecast)"),
        (
            DiscoverModulesRequest { data_type: "sky_chart".into(), ..Default::default() },
            "data type sky_chart",
        ),
        (
            DiscoverModulesRequest { data_type: "image/x-sky".into(), ..Default::default() },
            "data type sky_chart",
        ),
        (DiscoverModulesRequest { tags: vec!["sky".into()], ..Default::default() }, "tag sky"),
        (
            DiscoverModulesRequest { tags: vec!["sky".into(), "forecast".into()], ..Default::default() },
            "tag forecast",
        ),
        (text("foretells"), "text: foretells"),
    ];
    for (request, why) in requests {
        let found = discover(&client, request.clone()).await;
        assert_eq!((names(&found), found.total), (vec!["weather"], 1), "{request:?}");
        assert!(
            found.modules[0].matched.iter().any(|matched| matched == why),
            "{why}: {:?}",
            found.modules[0].matched
        );
        assert!(found.modules[0].score > 0.0);
    }
    // All of it must fit.
    let both = DiscoverModulesRequest { tags: vec!["sky".into()], text: "aql".into(), ..Default::default() };
    assert_eq!(discover(&client, both).await.total, 0);
    assert_eq!(
        names(&discover(&client, DiscoverModulesRequest::default()).await),
        ["arangodb", "claude_mcp", "marker", "weather"]
    );
    unregister(&client, "weather").await.unwrap();
    assert_eq!(discover(&client, text("foretells")).await.total, 0, "what is gone is not found");
}

#[tokio::test]
async fn better_fits_come_first_and_pages_hold_each_once() {
    let server = TestServer::simulated().start().await;
    let client = server.client().await;
    register(&client, &descriptor("zebra", "1.0.0", json!({"description": "Something else.", "capabilities": [{"name": "paint", "description": "Paints a picture."}]}))).await;
    register(&client, &descriptor("aardvark", "1.0.0", json!({"description": "Once saw somebody paint.", "capabilities": [{"name": "paint_walls", "description": "Walls."}]}))).await;
    for number in 0..30 {
        register(&client, &descriptor(&format!("m{number:02}"), "1.0.0", json!({"capabilities": [{"name": "repaint", "description": "Again."}, {"name": "do_paint_slowly", "description": "Slowly."}]}))).await;
    }
    let found = discover(&client, capability("paint")).await;
    assert_eq!(names(&found)[..2], ["zebra", "aardvark"], "the name itself, then its beginning");
    let scores: Vec<f64> = found.modules.iter().map(|hit| hit.score).collect();
    assert!(scores.is_sorted_by(|one, next| one >= next), "{scores:?}");
    let whole: Vec<String> = names(&found).into_iter().map(str::to_owned).collect();
    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = DiscoverModulesRequest { page_size: 7, page_token, ..capability("paint") };
        let page = discover(&client, request).await;
        assert!(page.modules.len() <= 7 && page.total == found.total);
        paged.extend(names(&page).into_iter().map(str::to_owned));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(paged, whole);
    assert_eq!(names(&discover(&client, text("zebra")).await)[0], "zebra");
    assert_eq!(names(&discover(&client, text("arangdb")).await)[0], "arangodb", "one slip is forgiven");
}
