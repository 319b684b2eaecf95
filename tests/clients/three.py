"""Lists a trigger log with the vendor's client of API 3.0 (tencentcloud-sdk-python-tcr).

three.py AUTHORITY SECRET_ID SECRET_KEY REPO GET|POST TC3-HMAC-SHA256|HmacSHA1|HmacSHA256

Prints {"total": N, "tags": [...]} or {"refused": "CODE"}.
"""

import json
import sys

from tencentcloud.common import credential
from tencentcloud.common.exception.tencent_cloud_sdk_exception import TencentCloudSDKException
from tencentcloud.common.profile.client_profile import ClientProfile
from tencentcloud.common.profile.http_profile import HttpProfile
from tencentcloud.tcr.v20190924 import models, tcr_client

authority, secret_id, secret_key, repo, method, signature = sys.argv[1:]

profile = ClientProfile(
    signMethod=signature,
    httpProfile=HttpProfile(protocol="http", endpoint=authority, reqMethod=method),
)
client = tcr_client.TcrClient(
    credential.Credential(secret_id, secret_key), "ap-guangzhou", profile
)
request = models.DescribeApplicationTriggerLogPersonalRequest()
request.RepoName = repo
request.Offset = 0
request.Limit = 100
request.Order = "desc"
request.OrderBy = "invoke_time"
try:
    data = client.DescribeApplicationTriggerLogPersonal(request).Data
    print(json.dumps({"total": data.TotalCount, "tags": [row.TagName for row in data.LogInfo]}))
except TencentCloudSDKException as refusal:
    print(json.dumps({"refused": refusal.get_code()}))
