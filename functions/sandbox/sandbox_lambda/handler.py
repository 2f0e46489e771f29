"""The function that runs item nodes and code of imported n8n workflows.

Its role has no right on anything of the platform. With the stack of the network, or with SandboxSubnetIds, it runs in
subnets without a route. The action n8n.node calls it with a run's items.
"""

from typing import Annotated

from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel, ConfigDict, Field

from email_sender.kit.tasks.platform_step import platform_step
from email_sender.packed_text import pack, unpack
from sandbox_lambda import engine


class SandboxRequest(BaseModel):
    """`request` is JSON, of the shape in js/workflow.js, packed. `seconds` is the time that it may take."""

    model_config = ConfigDict(extra="forbid")

    request: Annotated[str, Field(max_length=6_000_000)]
    seconds: Annotated[float, Field(gt=0, le=60)] = 20


@platform_step(SandboxRequest)
def handler(sandbox_request: SandboxRequest, _context: LambdaContext) -> dict[str, str]:
    answer = engine.run(unpack(sandbox_request.request), sandbox_request.seconds)
    return {"result": pack(answer, "The nodes' results")}
