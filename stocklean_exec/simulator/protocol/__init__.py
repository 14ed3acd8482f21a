"""The text protocol of the TWS API: frames, fields, requests and messages by server version. No I/O, no state."""
