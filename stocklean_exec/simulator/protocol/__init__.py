"""The TWS API's text protocol: bytes, frames, fields, requests and messages, by server version. No socket, no state."""
