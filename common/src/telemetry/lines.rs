//! Log lines on their way to standard error, by a thread of their own.
//!
//! Whoever reads our log may stop reading, or go: a full pipe would hold up every task that has something to say, and
//! a closed one would make each of them panic. So nobody who logs ever waits, or fails. A line that finds no room, or
//! that cannot be written, is counted and gone.

use prometheus::IntCounter;
use std::io::{self, Write};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written; more than a busy second has.
const WAITING: usize = 8_192;
/// How long the end of the process waits for the last of them.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often it looks whether there is room.
const MOMENT: Duration = Duration::from_millis(2);

/// Lines that were not written, of the whole process.
#[allow(clippy::expect_used, reason = "the name is a constant of the program")]
pub(super) static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Log lines that were not written: standard error is closed, or nobody reads it.";
    IntCounter::new("log_lines_lost_total", help).expect("the name is valid")
});

enum Message {
    Line(Vec<u8>),
    Written(SyncSender<()>),
}

/// Where lines go; what tracing writes to.
#[derive(Clone)]
pub(super) struct Lines(SyncSender<Message>);

/// Dropped at the end of the process, it waits a moment for the last lines.
pub struct Guard(Lines);

/// Starts the thread that writes to `out`.
///
/// # Errors
/// The system gives us no thread.
pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Lines, Guard)> {
    let (sender, waiting) = sync_channel(WAITING);
    let write_all = move || write_all(&waiting, out);
    std::thread::Builder::new().name("carom-log".to_owned()).spawn(write_all)?;
    let lines = Lines(sender);
    Ok((lines.clone(), Guard(lines)))
}

fn write_all(waiting: &Receiver<Message>, mut out: impl Write) {
    for message in waiting {
        match message {
            Message::Line(line) => {
                if out.write_all(&line).and_then(|()| out.flush()).is_err() {
                    LOST.inc();
                }
            }
            Message::Written(told) => drop(told.send(())),
        }
    }
}

impl Write for Lines {
    /// Takes a whole line, as tracing gives it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            LOST.inc();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let (told, written) = sync_channel(1);
        let deadline = Instant::now() + FAREWELL;
        let mut last = Message::Written(told);
        // There may be no room for it yet. Where nobody reads what we write, nobody misses it.
        while let Err(TrySendError::Full(again)) = self.0.0.try_send(last) {
            if Instant::now() >= deadline {
                return;
            }
            last = again;
            std::thread::sleep(MOMENT);
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Condvar, Mutex};

    /// A pipe that nobody reads until it is opened.
    #[derive(Clone, Default)]
    struct Pipe(Arc<State>);

    /// Whether it is open, and what has come through.
    type State = (Mutex<(bool, Vec<u8>)>, Condvar);

    impl Pipe {
        fn open(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.0.lock().unwrap().1.clone()).unwrap()
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.0.lock().unwrap();
            while !state.0 {
                state = self.0.1.wait(state).unwrap();
            }
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up_and_a_closed_one_hurts_nobody() {
        let pipe = Pipe::default();
        let (mut lines, guard) = start(pipe.clone()).unwrap();
        let before = LOST.get();
        for number in 0..WAITING + 100 {
            lines.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        // One may be in the writer's hands.
        assert!((99..=100).contains(&(LOST.get() - before)), "{}", LOST.get() - before);
        pipe.open();
        drop(guard);
        assert!(pipe.text().starts_with("0\n1\n2\n"), "what waited is written in its order");

        let (mut closed, guard) = start(Closed).unwrap();
        let before = LOST.get();
        lines = closed.clone();
        lines.write_all(b"a\n").unwrap();
        closed.write_all(b"b\n").unwrap();
        drop(guard);
        assert_eq!(LOST.get() - before, 2);
    }
}
