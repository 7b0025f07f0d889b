//! Bodies that are known: the same answers as without, and only for the very same request.

use http::Uri;

use super::*;

/// Of the lane that is asked for, with these bytes.
fn of_body(body: &str) -> Asked {
    let mut request = right();
    *request.body_mut() = body.to_owned();
    request
}

fn known(bench: &Bench) -> u64 {
    let bodies = bench.cache.bodies().unwrap();
    bodies.settle();
    bodies.count()
}

#[tokio::test]
async fn a_body_is_known_after_its_first_hit_and_gives_what_it_gave() {
    let bench = Bench::new(bounds(), |number, _| async move { Ok(numbered(number)) });
    let mut answers = Vec::new();
    for (word, then_known) in [("miss", 0), ("hit", 1), ("hit", 1)] {
        let (status, headers, mut body) = bench.send(right()).await;
        assert_eq!((status, body["receipt"]["cache"].as_str()), (200, Some(word)));
        assert_eq!(known(&bench), then_known, "{word}");
        for changing in ["request_id", "receipt"] {
            body.as_object_mut().unwrap().remove(changing);
        }
        answers.push((headers[header::ETAG].clone(), body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    bench.settled((2, 1, 0)).await;
    // Forced, it is solved with the inputs that are known.
    let (_, _, body) = bench.send(with(right(), header::CACHE_CONTROL, "no-cache")).await;
    assert_eq!(body["outputs"]["number"], 1);
}

#[tokio::test]
async fn a_known_body_says_nothing_for_another_caller_address_or_spelling() {
    let bench = Bench::new(bounds(), |number, _| async move { Ok(numbered(number)) });
    let named = |version: &str| {
        let inputs: Value = serde_json::from_str::<Value>(right().body()).unwrap()["inputs"].clone();
        json!({ "version": version, "inputs": inputs }).to_string()
    };
    for _ in 0..3 {
        assert_eq!(bench.send(of_body(&named("1.0.0"))).await.0, 200);
    }
    assert_eq!(known(&bench), 1);
    // The same bytes at another address contradict it, though they lead to the same inputs.
    let mut elsewhere = of_body(&named("1.0.0"));
    *elsewhere.uri_mut() = Uri::from_static("/gh/sitefit:1.1.0/solve");
    let (status, _, body) = bench.send(elsewhere).await;
    assert_eq!((status, body["code"].as_str()), (400, Some("definition_mismatch")));
    // Another tenant's are its own.
    let mut others = of_other_tenant();
    *others.body_mut() = named("1.0.0");
    assert_eq!(bench.send(others).await.2["receipt"]["cache"], "miss");
    // Bytes that differ are read, and refused where they are wrong.
    let wrong = named("1.0.0").replace("\"inputs\"", "\"Inputs\"");
    assert_eq!(bench.send(of_body(&wrong)).await.0, 400);
    let spaced = named("1.0.0").replace(':', ": ");
    assert_eq!(bench.send(of_body(&spaced)).await.2["receipt"]["cache"], "hit");
    assert_eq!(known(&bench), 2);
}

#[tokio::test]
async fn known_bodies_are_bounded_by_their_bytes_and_none_are_kept_where_none_may_be() {
    let small = Bench::new(Bounds { bodies_bytes_max: 20_000, ..bounds() }, |_, _| async { Ok(answer()) });
    for spaces in 0..60 {
        let body = format!("{}{}", right().body(), " ".repeat(spaces));
        small.send(of_body(&body)).await;
        small.send(of_body(&body)).await;
    }
    let count = known(&small);
    assert!((1..30).contains(&count), "{count}");
    let long = format!("{}{}", right().body(), " ".repeat(16 * 1024));
    small.cache.bodies().unwrap().forget();
    for _ in 0..3 {
        small.send(of_body(&long)).await;
    }
    assert_eq!(known(&small), 0, "it is too long to be kept");
    let none = Bench::new(Bounds { bodies_bytes_max: 0, ..bounds() }, |_, _| async { Ok(answer()) });
    assert!(none.cache.bodies().is_none());
    for word in ["miss", "hit", "hit"] {
        assert_eq!(none.send(right()).await.2["receipt"]["cache"], word);
    }
}
