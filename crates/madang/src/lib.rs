//! WebSocket endpoints on tokio: on_open, on_message, on_close, on_error over a Session.
