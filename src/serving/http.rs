//! The sockets under [`protocol`](super::protocol): HTTP/1.1 by hyper, whole bodies in and out.
//!
//! One thread moves bytes; requests are answered by a function on a small pool, so that a long batch never keeps a short one waiting at
//! the door. Every answer carries a Content-Length (OpenWhisk takes a chunked one for none at all). Limits: a request's
//! head must arrive within 15 seconds, its body within a minute; what is too large is read to a bound and refused.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::protocol::{Asked, Headers, MAX_BODY_BYTES, Reply, SENTINEL};

/// Answers a whole request; called by many threads at once.
pub type Answerer = dyn Fn(Asked) -> Reply + Send + Sync;

const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A refused body is still read this far, for a client that is cut off while it sends never reads the refusal.
const MAX_DISCARDED_BYTES: usize = 64 << 20;

/// What all bodies may hold together; who comes when it is full waits in the socket. Counted as bytes arrive, so that
/// slow senders hold what they sent and no more.
static ROOM: Semaphore = Semaphore::const_new((32 << 20) / ROOM_UNIT);
const ROOM_UNIT: usize = 4096;

/// Out of file descriptors, most likely: wait for a connection to end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves until SIGTERM or SIGINT, which end it at once, also as PID 1 of a container; returns the signal's number. Listens once
/// signals are caught: who can connect can also end it.
pub fn serve(
    listen: impl FnOnce() -> io::Result<TcpListener>,
    n_workers: usize,
    answerer: Arc<Answerer>,
) -> io::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(n_workers).build()?;
    let ended = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let listener = listen()?;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(accept(listener, answerer));
        let ended = poll_fn(|context| match (terminate.poll_recv(context), interrupt.poll_recv(context)) {
            (Poll::Ready(_), _) => Poll::Ready(15),
            (_, Poll::Ready(_)) => Poll::Ready(2),
            _ => Poll::Pending,
        });
        Ok(ended.await)
    });
    runtime.shutdown_background();
    ended
}

async fn accept(listener: tokio::net::TcpListener, answerer: Arc<Answerer>) -> Infallible {
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).keep_alive(true).half_close(true);
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Answers are single small writes: waiting to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
        let answerer = Arc::clone(&answerer);
        let service = service_fn(move |request| answer(Arc::clone(&answerer), request));
        // A connection that breaks concerns its client alone.
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(answerer: Arc<Answerer>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let mut held = None;
    let body = tokio::time::timeout(BODY_TIMEOUT, whole(body, &mut held)).await;
    let (keep, refusal) = match &body {
        Ok(Ok(body)) if body.len() <= MAX_BODY_BYTES => (true, None),
        Ok(Ok(_)) => (false, Some((413, "the request is larger than 4 MiB"))),
        Ok(Err(_)) => (false, Some((400, "the request's body is broken"))),
        Err(_) => (false, Some((408, "the request's body came too slowly"))),
    };
    let asked = path.clone();
    let worked = tokio::task::spawn_blocking(move || {
        let reply = match (refusal, body) {
            (None, Ok(Ok(body))) => {
                let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
                let headers = Headers(Some(&head.headers));
                answerer(Asked { method: head.method.as_str(), target, headers, body: &body })
            }
            (refusal, _) => {
                let (status, message) = refusal.unwrap_or((400, "the request is broken"));
                Reply::unread(&path, status, message)
            }
        };
        print(&reply);
        reply
    });
    let reply = match worked.await {
        Ok(reply) => reply,
        Err(_) => {
            let reply = Reply::unread(&asked, 502, "the action failed, which is a bug");
            print(&reply);
            reply
        }
    };
    drop(held);
    Ok(response(reply, keep))
}

/// Collects a body; one that is too large comes back one byte longer than allowed, read to its end but not kept.
async fn whole(mut body: Incoming, held: &mut Option<SemaphorePermit<'static>>) -> Result<Vec<u8>, hyper::Error> {
    let (mut kept, mut n_bytes) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        n_bytes += data.len();
        let room = (MAX_BODY_BYTES + 1).saturating_sub(kept.len());
        let more = &data[..data.len().min(room)];
        let n_units = (kept.len() + more.len()).div_ceil(ROOM_UNIT) - kept.len().div_ceil(ROOM_UNIT);
        // The semaphore is never closed.
        if let Ok(permits) = ROOM.acquire_many(n_units as u32).await {
            match held {
                Some(held) => held.merge(permits),
                None => *held = Some(permits),
            }
        }
        kept.extend_from_slice(more);
        if n_bytes > MAX_DISCARDED_BYTES {
            break;
        }
    }
    Ok(kept)
}

fn response(reply: Reply, keep: bool) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    if !keep {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Log line and sentinels, each stream in one write and flushed: the platform may read the log as soon as it has the
/// answer. Both locks are held together, so that the ends of parallel activations stay in groups. A closed stream is
/// nobody's request.
fn print(reply: &Reply) {
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    let end = if reply.ends_activation { format!("{SENTINEL}\n") } else { String::new() };
    let log = reply.log.as_ref().map(|line| format!("{line}\n")).unwrap_or_default();
    if !end.is_empty() {
        let _ = stdout.write_all(end.as_bytes()).and_then(|()| stdout.flush());
    }
    if !(log.is_empty() && end.is_empty()) {
        let _ = stderr.write_all(format!("{log}{end}").as_bytes());
    }
}
