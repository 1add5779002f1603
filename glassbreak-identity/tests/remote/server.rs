//! A server on the loopback that answers as it is told, and counts.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    location: Option<String>,
    body: String,
    after: Duration,
    cut: bool,
}

impl Answer {
    pub(crate) fn ok(body: String) -> Self {
        Self {
            status: 200,
            location: None,
            body,
            after: Duration::ZERO,
            cut: false,
        }
    }

    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::ok(String::new())
        }
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self {
            location: Some(to.to_owned()),
            ..Self::status(302)
        }
    }

    pub(crate) fn after(self, after: Duration) -> Self {
        Self { after, ..self }
    }

    /// Half of it, and then nothing.
    pub(crate) fn cut(self) -> Self {
        Self { cut: true, ..self }
    }
}

pub(crate) struct Server {
    port: u16,
    told: Arc<Told>,
}

struct Told {
    answer: Mutex<Answer>,
    asked: AtomicU32,
    over: AtomicBool,
}

impl Server {
    pub(crate) fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Told {
            answer: Mutex::new(answer),
            asked: AtomicU32::new(0),
            over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&told);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let (mut stream, told) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    told.asked.fetch_add(1, Ordering::Relaxed);
                    let answer = told.answer.lock().unwrap().clone();
                    std::thread::sleep(answer.after);
                    let location = answer
                        .location
                        .map(|to| format!("location: {to}\r\n"))
                        .unwrap_or_default();
                    let head = format!(
                        "HTTP/1.1 {} x\r\n{location}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                        answer.status,
                        answer.body.len()
                    );
                    let body = if answer.cut {
                        answer.body.split_at(answer.body.len() / 2).0
                    } else {
                        &answer.body
                    };
                    // Whoever does not wait for it has gone away.
                    let _ = stream
                        .write_all(head.as_bytes())
                        .and_then(|()| stream.write_all(body.as_bytes()));
                });
            }
        });
        Self { port, told }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}/jwks", self.port)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.told.answer.lock().unwrap() = answer;
    }

    pub(crate) fn asked(&self) -> u32 {
        self.told.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.told.over.store(true, Ordering::Relaxed);
        // The listener is let go when the thread sees that.
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
    }
}
