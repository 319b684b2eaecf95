"""What people write for themselves: read the log, compare with what was there last time, post.

    usual.py ENDPOINT SECRET_ID SECRET_KEY REPO,REPO SINK ENTRIES

Prints messages a second. Standard library only; one request after another, as such scripts do.
"""

import base64
import hashlib
import hmac
import json
import random
import sys
import tempfile
import time
import urllib.parse
import urllib.request

endpoint, secret_id, secret_key, repos, sink, entries = sys.argv[1:]
state_file = tempfile.NamedTemporaryFile(mode="w+")


def page(repo, offset):
    params = {
        "Action": "ListTriggerLog", "reponame": repo, "offset": offset, "limit": 100, "order": "desc",
        "Timestamp": int(time.time()), "Nonce": random.randint(1, 2**31 - 1), "SecretId": secret_id,
        "SignatureMethod": "HmacSHA256",
    }
    url = urllib.parse.urlsplit(endpoint)
    text = "GET%s%s?%s" % (
        url.netloc, url.path, "&".join("%s=%s" % (key, params[key]) for key in sorted(params)))
    digest = hmac.new(secret_key.encode(), text.encode(), hashlib.sha256).digest()
    params["Signature"] = base64.b64encode(digest).decode()
    with urllib.request.urlopen(endpoint + "?" + urllib.parse.urlencode(params)) as answer:
        return json.load(answer)["data"]["logInfo"]


def post(repo, row):
    result = row.get("invokeResult") or {}
    code = result.get("returnCode")
    word = "ok" if code == 0 else "failed: %s" % result.get("returnMsg")
    text = "%s:%s on %s %s" % (repo, row.get("tagName"), row.get("invokeTime"), word)
    body = json.dumps({"text": text, "row": row}).encode()
    request = urllib.request.Request(sink, body, {"content-type": "application/json"})
    urllib.request.urlopen(request, timeout=15).read()


def main():
    last, sent, started = {}, 0, time.time()
    for repo in repos.split(","):
        fresh, offset = [], 0
        while True:
            rows = page(repo, offset)
            fresh += [row for row in rows if row["invokeTime"] > last.get(repo, "")]
            offset += len(rows)
            if len(rows) < 100:
                break
        for row in reversed(fresh):
            post(repo, row)
            last[repo] = row["invokeTime"]
            state_file.seek(0)
            json.dump(last, state_file)
            state_file.truncate()
            state_file.flush()
            sent += 1
            if sent == int(entries):
                return sent / (time.time() - started)
    return sent / (time.time() - started)


print(main())
