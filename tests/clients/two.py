"""Lists a trigger log with the vendor's client of API 2.0 (qcloudapi-sdk-python), signed each way.

two.py AUTHORITY SECRET_ID SECRET_KEY REPO

Prints a line of JSON for each way: {"way": "GET HmacSHA1", "total": N, "tags": [...]}, or with
"refused": "CODE". The client speaks HTTPS to a host of its own; only these two are changed here,
what it sends and signs is its own doing.
"""

import json
import sys
from http.client import HTTPConnection

from QcloudApi.modules.ccr import Ccr

authority, secret_id, secret_key, repo = sys.argv[1:]
request = {"reponame": repo, "offset": 0, "limit": 100, "order": "desc", "orderby": "invoke_time"}


class Local(Ccr):
    requestHost = authority


class Plain(HTTPConnection):
    # The client reads this after each answer.
    request_length = 0


for method in ["GET", "POST"]:
    for signature in ["HmacSHA1", "HmacSHA256"]:
        client = Local(
            {
                "secretId": secret_id,
                "secretKey": secret_key,
                "Region": "ap-guangzhou",
                "method": method,
                "SignatureMethod": signature,
            }
        )
        client.apiRequest.conn = Plain(authority)
        answer = json.loads(client.call("ListTriggerLog", request))
        said = {"way": f"{method} {signature}"}
        if answer["code"] == 0:
            said["total"] = answer["data"]["totalCount"]
            said["tags"] = [row["tagName"] for row in answer["data"]["logInfo"]]
        else:
            said["refused"] = str(answer["code"])
        print(json.dumps(said))
