"""The TWS API's text protocol: frames, fields, requests and messages by server version. No socket, no state."""
