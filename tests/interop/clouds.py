"""Registries of clouds behind a proxy: TLS, the cloud's login, and a real registry for the rest.

Arguments: the certificate and its key, the address of the registry, and as JSON what each host takes:
{"HOST": {"basic": "USER:PASSWORD"}} or {"HOST": {"entra": "ACCESS TOKEN"}}. Prints its port.
"""

import base64
import http.client
import http.server
import json
import socketserver
import ssl
import sys
import urllib.parse

certificate, key, registry, hosts = sys.argv[1:]
hosts = json.loads(hosts)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(certificate, key)
REFRESH, ACCESS = "a-refresh-token", "an-access-token"


class Cloud(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    host = None

    def log_message(self, *_):
        pass

    def do_CONNECT(self):
        host = self.path.rpartition(":")[0]
        if host not in hosts:
            return self.answer(502, {}, b"")
        self.send_response(200)
        self.end_headers()
        self.host = host
        self.connection = tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = socketserver._SocketWriter(self.connection)
        self.close_connection = False

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "content-length" not in {name.lower() for name in headers}:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def login(self, takes, body):
        """What the cloud's own endpoints answer, or None where the registry is asked."""
        given = self.headers.get("Authorization", "")
        if "basic" in takes:
            wanted = "Basic " + base64.b64encode(takes["basic"].encode()).decode()
            if given != wanted:
                return 401, {"WWW-Authenticate": 'Basic realm="cloud"'}, b""
            return None
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if self.path == "/oauth2/exchange":
            right = form == {
                "grant_type": "access_token",
                "service": self.host,
                "access_token": takes["entra"],
            }
            if not right:
                return 401, {}, b"{}"
            return 200, {}, json.dumps({"refresh_token": REFRESH}).encode()
        if self.path == "/oauth2/token":
            right = form.get("grant_type") == "refresh_token"
            right = right and form.get("refresh_token") == REFRESH
            if not right or form.get("service") != self.host:
                return 401, {}, b"{}"
            return 200, {}, json.dumps({"access_token": ACCESS}).encode()
        if given != "Bearer " + ACCESS:
            realm = f"https://{self.host}/oauth2/token"
            challenge = f'Bearer realm="{realm}",service="{self.host}"'
            return 401, {"WWW-Authenticate": challenge}, b""
        return None

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.host is None:
            return self.answer(400, {}, b"")
        answer = self.login(hosts[self.host], body)
        if answer is not None:
            return self.answer(*answer)
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in ("authorization", "connection", "host")
        }
        headers["Host"] = self.host
        headers["X-Forwarded-Proto"] = "https"
        backend = http.client.HTTPConnection(registry)
        backend.request(self.command, self.path, body, headers)
        response = backend.getresponse()
        content = response.read()
        kept = {
            name: value
            for name, value in response.getheaders()
            if name.lower() not in ("connection", "transfer-encoding", "date", "server")
        }
        backend.close()
        self.answer(response.status, kept, content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
