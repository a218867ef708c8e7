//! WeCom's API as tests need it: keeps what it is sent, answers as it is told.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::house::PATIENCE;

/// What the next message is answered.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// This code.
    Code(i64),
    /// Something that is no JSON.
    Garbage,
    /// Nothing, for as long as it is asked.
    Silence,
}

#[derive(Default)]
struct Book {
    tokens: usize,
    sent: Vec<Sent>,
    /// Bodies that were taken and are not taken twice (`enable_duplicate_check`).
    once: HashSet<String>,
    answers: VecDeque<Answer>,
}

/// One message that came.
#[derive(Debug, Clone)]
pub struct Sent {
    pub token: String,
    /// Who it is for: `touser`, empty where there is none.
    pub to: String,
    pub text: String,
    /// Answered with success, or not at all: whoever sent it must reckon with its being read.
    pub taken: bool,
    /// Whether somebody may have seen it: it was taken, and was no repetition that WeCom drops.
    pub shown: bool,
}

/// The double. Clones are the same one.
#[derive(Clone)]
pub struct Double {
    book: Arc<Mutex<Book>>,
    count: watch::Sender<usize>,
}

impl Double {
    pub fn new() -> Double {
        Double { book: Arc::default(), count: watch::Sender::new(0) }
    }

    /// Begins to answer, and says where.
    pub async fn open(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        self.listen(listener);
        base
    }

    /// Begins to answer at a reserved address.
    pub fn open_at(&self, reserved: TcpSocket) {
        self.listen(reserved.listen(64).expect("it listens"));
    }

    fn listen(&self, listener: TcpListener) {
        let routes = Router::new().fallback(take).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
    }

    /// Answers the next messages so; then all is well again.
    pub fn answers(&self, answers: &[Answer]) {
        self.book.lock().unwrap().answers.extend(answers);
    }

    /// What was sent so far.
    pub fn sent(&self) -> Vec<Sent> {
        self.book.lock().unwrap().sent.clone()
    }

    /// How many messages with this text somebody saw.
    pub fn shown(&self, text: &str) -> usize {
        self.sent().iter().filter(|sent| sent.shown && sent.text.contains(text)).count()
    }

    /// How many tokens were given.
    pub fn tokens(&self) -> usize {
        self.book.lock().unwrap().tokens
    }

    /// Waits for a message with this text in it.
    pub async fn said(&self, text: &str) -> Sent {
        let mut count = self.count.subscribe();
        let waiting = async {
            loop {
                if let Some(sent) = self.sent().into_iter().find(|sent| sent.text.contains(text)) {
                    return sent;
                }
                count.changed().await.expect("the double lives");
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("nobody said {text}: {:?}", self.sent()))
    }

    /// Waits until so many messages came.
    pub async fn heard(&self, count: usize) {
        let mut came = self.count.subscribe();
        let heard = timeout(PATIENCE, came.wait_for(|came| *came >= count)).await;
        heard.expect("messages in time").expect("the double lives");
    }

    fn note(&self, sent: Sent, body: &Value) -> Answer {
        let mut book = self.book.lock().unwrap();
        let answer = book.answers.pop_front().unwrap_or(Answer::Code(0));
        let taken = !matches!(answer, Answer::Code(1..) | Answer::Code(..=-1));
        let shown = taken && (body["enable_duplicate_check"] != 1 || book.once.insert(body.to_string()));
        book.sent.push(Sent { taken, shown, ..sent });
        self.count.send_replace(book.sent.len());
        answer
    }

    fn give_token(&self) -> Value {
        let mut book = self.book.lock().unwrap();
        book.tokens += 1;
        json!({ "errcode": 0, "errmsg": "ok", "access_token": format!("token-{}", book.tokens), "expires_in": 7200 })
    }
}

/// An address where nobody listens, and nobody else will.
pub fn reserve() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let base = format!("http://{}", socket.local_addr().expect("an address"));
    (socket, base)
}

async fn take(State(double): State<Double>, request: Request) -> Response {
    if request.uri().path().ends_with("/gettoken") {
        return axum::Json(double.give_token()).into_response();
    }
    let token = request.uri().query().unwrap_or_default().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    let text = ["text", "markdown"].iter().find_map(|kind| body[kind]["content"].as_str()).unwrap_or_default().to_owned();
    let to = body["touser"].as_str().unwrap_or_default().to_owned();
    match double.note(Sent { token, to, text, taken: false, shown: false }, &body) {
        Answer::Code(code) => axum::Json(json!({ "errcode": code, "errmsg": "as told" })).into_response(),
        Answer::Garbage => "<html>502 Bad Gateway".into_response(),
        Answer::Silence => std::future::pending().await,
    }
}
