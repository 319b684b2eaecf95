"""Lists a trigger log with the vendor's client of API 3.0 (tencentcloud-sdk-python-tcr), signed each way.

three.py AUTHORITY SECRET_ID SECRET_KEY REPO

Prints a line of JSON for each way: {"way": "GET TC3-HMAC-SHA256", "total": N, "tags": [...]}, or
with "refused": "CODE".
"""

import json
import sys

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.tcr.v20190924 import models, tcr_client

authority, secret_id, secret_key, repo = sys.argv[1:]
request = models.DescribeApplicationTriggerLogPersonalRequest()
request.RepoName = repo
request.Offset = 0
request.Limit = 100
request.Order = "desc"
request.OrderBy = "invoke_time"

for method in ["GET", "POST"]:
    for signature in ["TC3-HMAC-SHA256", "HmacSHA1", "HmacSHA256"]:
        http = HttpProfile(protocol="http", endpoint=authority, reqMethod=method)
        profile = ClientProfile(signMethod=signature, httpProfile=http)
        who = credential.Credential(secret_id, secret_key)
        client = tcr_client.TcrClient(who, "ap-guangzhou", profile)
        said = {"way": f"{method} {signature}"}
        try:
            data = client.DescribeApplicationTriggerLogPersonal(request).Data
            said["total"] = data.TotalCount
            said["tags"] = [row.TagName for row in data.LogInfo]
        except TencentCloudSDKException as refusal:
            said["refused"] = refusal.get_code()
        print(json.dumps(said))
