//! A client that hangs up stops the work, and a service that is told to stop does.

use std::time::Duration;

use isopleth_api::{ServiceConfig, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// A map that would take minutes: 2000 stations, exact, 80 million cells.
fn long_request() -> String {
    let mut table = String::from("station,lon,lat,pm25\n");
    for i in 0..2000_u32 {
        let (lon, lat) = (f64::from(i * 37 % 2000) / 40.0, f64::from(i) / 50.0);
        table.push_str(&format!("s{i},{lon},{lat},{}\n", i % 50));
    }
    let query = "bounds=0,0,50,40&shape=10000x8000&tolerance=exact&kernel=matern52&epsilon=0.01";
    format!(
        "POST /v1/maps?{query} HTTP/1.1\r\nhost: test\r\ncontent-type: text/csv\r\n\
         content-length: {}\r\n\r\n{table}",
        table.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_frees_the_only_place() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let config = ServiceConfig {
        concurrency: Some(1),
        queue_length: 1,
        queue_wait_seconds: 30,
        ..ServiceConfig::default()
    };
    let service = tokio::spawn(serve(config, listener, async {
        let _ = stopped.await;
    }));

    let mut first = TcpStream::connect(address).await.expect("a connection");
    first.write_all(long_request().as_bytes()).await.expect("sent");
    // Long enough to read, factorise and begin to evaluate.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    drop(first);

    // The second, small one, waits for the place; it would time out if the first went on.
    let mut second = TcpStream::connect(address).await.expect("a connection");
    let table = "station,lon,lat,pm25\na,1,1,5\nb,2,2,6\nc,1,2,7\n";
    let request = format!(
        "POST /v1/maps?bounds=0,0,3,3&shape=4x4&f=json HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\
         content-type: text/csv\r\ncontent-length: {}\r\n\r\n{table}",
        table.len()
    );
    second.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let reading = second.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(25), reading)
        .await
        .expect("in time")
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    stop.send(()).expect("the service listens");
    let ended = tokio::time::timeout(Duration::from_secs(20), service).await;
    ended.expect("it ends").expect("it does not panic").expect("in good order");
}
