"""Lists a trigger log with the vendor's client of API 2.0 (qcloudapi-sdk-python).

two.py AUTHORITY SECRET_ID SECRET_KEY REPO GET|POST HmacSHA1|HmacSHA256

Prints {"total": N, "tags": [...]} or {"refused": "CODE"}. The client speaks HTTPS to a host of its
own; only these two are changed here, what it sends and signs is its own doing.
"""

import json
import sys
from http.client import HTTPConnection

from QcloudApi.modules.ccr import Ccr

authority, secret_id, secret_key, repo, method, signature = sys.argv[1:]


class Local(Ccr):
    requestHost = authority


client = Local(
    {
        "secretId": secret_id,
        "secretKey": secret_key,
        "Region": "ap-guangzhou",
        "method": method,
        "SignatureMethod": signature,
    }
)


class Plain(HTTPConnection):
    # The client reads this after each answer.
    request_length = 0


client.apiRequest.conn = Plain(authority)
answer = json.loads(
    client.call(
        "ListTriggerLog",
        {"reponame": repo, "offset": 0, "limit": 100, "order": "desc", "orderby": "invoke_time"},
    )
)
if answer["code"] == 0:
    data = answer["data"]
    tags = [row["tagName"] for row in data["logInfo"]]
    print(json.dumps({"total": data["totalCount"], "tags": tags}))
else:
    print(json.dumps({"refused": str(answer["code"])}))
