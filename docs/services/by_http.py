import hashlib, hmac, json, os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SECRET = int(os.environ.get("PORT", 3000)), os.environ.get("SECRET", "open sesame")

def is_signed(header, body):
    sent, _, signature = (header or "").removeprefix("t=").partition(",v1=")
    expected = hmac.new(SECRET.encode(), sent.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode()) and abs(time.time() - int(sent)) < 300

class Cafe(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not is_signed(self.headers["Madang-Signature"], body):
            return self.reply(401, {"code": "unauthorized", "message": "This is not signed by Madang."})
        call = json.loads(body)
        if call["params"]["item"] == "cake":
            return self.reply(422, {"code": "sold_out", "message": "There is no cake left."})
        self.reply(200, {"item": call["params"]["item"], "for": call["from"]["name"]})

    def reply(self, status, answer):
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", len(body))
        self.end_headers()
        self.wfile.write(body)

ThreadingHTTPServer(("127.0.0.1", PORT), Cafe).serve_forever()
