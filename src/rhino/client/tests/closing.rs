//! U13: a node that closes each connection 1 to 100 ms after an answer, whatever is on its way.

use std::collections::HashMap;
use std::sync::Mutex;

use futures_util::future::join_all;

use super::*;

/// Who ask at one time.
const CALLERS: usize = 16;

type Arrived = Arc<Mutex<HashMap<String, u32>>>;

/// Counts how often each body arrived whole.
async fn closing_node(arrived: Arrived) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move {
        for number in 0_u64.. {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(socket, Arc::clone(&arrived), number));
        }
    });
    url
}

async fn serve(mut socket: TcpStream, arrived: Arrived, number: u64) {
    let mut answers = number;
    loop {
        // The request that it closes on may be half read, or not at all.
        let idle =
            if answers == number { Duration::from_secs(5) } else { Duration::from_millis(1 + answers * 37 % 100) };
        let Ok(Some(body)) = tokio::time::timeout(idle, next(&mut socket)).await else { return };
        *arrived.lock().unwrap().entry(body).or_default() += 1;
        if socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.is_err() {
            return;
        }
        answers += 1;
    }
}

/// The body of the next request, if there is one.
async fn next(socket: &mut TcpStream) -> Option<String> {
    let (mut read, mut chunk) = (String::new(), [0; 4096]);
    loop {
        let count = socket.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        read.push_str(str::from_utf8(&chunk[..count]).unwrap());
        if let Some((head, body)) = read.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() == length.parse::<usize>().unwrap() {
                return Some(body.to_owned());
            }
        }
    }
}

/// Asks so often. How many were not answered.
async fn lost_of(times: usize) -> usize {
    let arrived = Arrived::default();
    let options = Options { idle_connections: CALLERS, ..options(closing_node(Arc::clone(&arrived)).await) };
    let client = Client::new(options).unwrap();
    let caller = async |caller: usize| {
        let mut lost = Vec::new();
        for number in (caller..times).step_by(CALLERS) {
            if let Err(failure) = client.solve(Bytes::from(format!("\"{number}\"")), 10, None).await {
                lost.push((number, failure));
            }
            tokio::time::sleep(Duration::from_millis(number as u64 * 13 % 101)).await;
        }
        lost
    };
    let lost = join_all((0..CALLERS).map(caller)).await.concat();
    let arrived = arrived.lock().unwrap();
    let opened_again = client.opened_again();
    println!("{} of {times} lost, {opened_again} connections closed before use: {lost:?}", lost.len());
    assert!(arrived.values().all(|times| *times == 1), "one arrived twice");
    assert!(arrived.len() >= times - lost.len(), "{} arrived", arrived.len());
    lost.len()
}

/// Before the node has shown how soon it closes, a request may be on its way as it does; then none is.
#[tokio::test]
async fn u13_what_a_node_closes_on_is_not_lost_and_arrives_once() {
    let lost = lost_of(400).await;
    assert!(lost <= 2, "{lost}");
}

mod slow {
    #[tokio::test]
    #[ignore = "slow: ten thousand requests to a node that closes connections"]
    async fn u13_of_ten_thousand_none_is_lost_and_each_arrives_once() {
        let lost = super::lost_of(10_000).await;
        assert!(lost <= 2, "{lost}");
    }
}
