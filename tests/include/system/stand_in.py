"""A small component for the supervisor's tests: answers 200 on a port, has a grandchild in a session of its own."""

import http.server
import subprocess
import sys
from pathlib import Path


class _Well(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        """Say nothing."""


if __name__ == "__main__":
    port, broken = int(sys.argv[1]), Path(sys.argv[2])
    if broken.exists():
        sys.exit("the stand-in is broken")
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    http.server.HTTPServer(("127.0.0.1", port), _Well).serve_forever()
