//! A fake control API: answers from a closure, remembers what it was asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::{Ran, pointsman};

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// Lower-case names.
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// A running fake. Its thread ends with the test process.
pub(crate) struct Api {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    pub(crate) fn start(answer: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Self {
        Self::start_raw(move |asked| {
            let (status, body) = answer(asked);
            (status, body.to_string())
        })
    }

    pub(crate) fn start_raw(
        answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let memory = Arc::clone(&asked);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                // A client that goes away is its own affair.
                drop(serve(&connection, &memory, &answer));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = pointsman(arguments);
        command.env("POINTSMAN_SERVER", self.url());
        command.output().expect("the program starts").into()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic while locked").clone()
    }
}

fn serve(
    connection: &TcpStream,
    memory: &Mutex<Vec<Asked>>,
    answer: &impl Fn(&Asked) -> (u16, String),
) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let mut asked = Asked {
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        ..Default::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        let value = value.trim().to_owned();
        asked.headers.push((name.to_ascii_lowercase(), value));
    }
    let length = asked.header("content-length").map(str::parse);
    let mut body = vec![0; length.and_then(Result::ok).unwrap_or(0)];
    reader.read_exact(&mut body)?;
    asked.body = String::from_utf8(body).expect("UTF-8");
    let (status, body) = answer(&asked);
    memory.lock().expect("no panic while locked").push(asked);
    let mut connection = connection;
    write!(
        connection,
        "HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
