"""The tools and the prompt of the everything server that answer with questions: MCP 2026-07-28."""

from typing import Any

from everything_content import user
from everything_tools import Answer, Context, declares, need, said, schema, tool
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequest,
    InputRequiredResult,
    InputResponse,
    ListRootsRequest,
    ListRootsResult,
    Prompt,
    SamplingMessage,
    TextContent,
)

STRING = {"type": "string"}
CAPABILITIES = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}
"""What a client declares that can answer a question."""
ASKING_PROMPT = Prompt(
    name="test_input_required_result_prompt", description="Asks the user for context first."
)


def form(message: str, **properties: dict[str, Any]) -> ElicitRequest:
    """Return a question to the user."""
    params = ElicitRequestFormParams(message=message, requested_schema=schema(**properties))
    return ElicitRequest(params=params)


def completion(text: str, max_tokens: int) -> CreateMessageRequest:
    """Return a question to the client's model."""
    message = SamplingMessage(role="user", content=TextContent(text=text))
    params = CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    return CreateMessageRequest(params=params)


def ask(ctx: Context, state: str | None = None, **questions: InputRequest) -> InputRequiredResult:
    """Return questions; `state` comes back with the answers.

    Raises `MCPError` where the client did not declare that it can answer them.
    """
    for question in questions.values():
        need(ctx, CAPABILITIES[question.method])
    return InputRequiredResult(input_requests=questions, request_state=state)


Params = CallToolRequestParams | GetPromptRequestParams


def answer(params: Params, key: str) -> InputResponse | None:
    """Return the client's answer to one question."""
    return (params.input_responses or {}).get(key)


def filled_in(params: Params, key: str) -> dict[str, Any] | None:
    """Return what the user filled in; None without an answer, or where the user declined."""
    given = answer(params, key)
    if isinstance(given, ElicitResult) and given.action == "accept":
        return dict(given.content or {})
    return None


NAME = form("What is your name?", name=STRING)
CONFIRM = form("Please confirm", ok={"type": "boolean"})


@tool("test_input_required_result_elicitation", "Asks the user.")
async def elicitation(ctx: Context, params: CallToolRequestParams) -> Answer:
    given = filled_in(params, "user_name")
    return ask(ctx, user_name=NAME) if given is None else said(f"Hello, {given.get('name')}!")


@tool("test_input_required_result_sampling", "Asks the client's model.")
async def sampling(ctx: Context, params: CallToolRequestParams) -> Answer:
    given = answer(params, "capital_question")
    if not isinstance(given, CreateMessageResult):
        return ask(ctx, capital_question=completion("What is the capital of France?", 100))
    return said(f"The model answered: {_text(given)}")


@tool("test_input_required_result_list_roots", "Asks for the client's roots.")
async def list_roots(ctx: Context, params: CallToolRequestParams) -> Answer:
    given = answer(params, "client_roots")
    if not isinstance(given, ListRootsResult):
        return ask(ctx, client_roots=ListRootsRequest())
    return said(f"Roots: {_roots(given)}")


async def request_state(ctx: Context, params: CallToolRequestParams) -> Answer:
    if params.request_state != "confirming" or filled_in(params, "confirm") is None:
        return ask(ctx, "confirming", confirm=CONFIRM)
    return said("state-ok")


tool("test_input_required_result_request_state", "Needs its state back.")(request_state)
tool("test_input_required_result_tampered_state", "Refuses a state that it did not give.")(
    request_state
)


@tool("test_input_required_result_multiple_inputs", "Asks the user, the model and the client.")
async def multiple_inputs(ctx: Context, params: CallToolRequestParams) -> Answer:
    name = filled_in(params, "user_name")
    greeting, roots = answer(params, "greeting"), answer(params, "client_roots")
    if (
        name is None
        or not isinstance(greeting, CreateMessageResult)
        or not isinstance(roots, ListRootsResult)
    ):
        return ask(
            ctx,
            "asked three",
            user_name=NAME,
            greeting=completion("Generate a greeting", 50),
            client_roots=ListRootsRequest(),
        )
    return said(f"{_text(greeting)} {name.get('name')}, your roots are {_roots(roots)}")


@tool("test_input_required_result_multi_round", "Asks the user twice.")
async def multi_round(ctx: Context, params: CallToolRequestParams) -> Answer:
    state, named = params.request_state or "", "named: "
    if state.startswith(named) and (color := filled_in(params, "step2")) is not None:
        return said(f"{state.removeprefix(named)} likes {color.get('color')}.")
    if state == "asked for a name" and (name := filled_in(params, "step1")) is not None:
        question = form("Step 2: What is your favorite color?", color=STRING)
        return ask(ctx, f"{named}{name.get('name')}", step2=question)
    return ask(ctx, "asked for a name", step1=form("Step 1: What is your name?", name=STRING))


@tool("test_input_required_result_capabilities", "Asks only what the client can answer.")
async def capabilities(ctx: Context, params: CallToolRequestParams) -> Answer:
    questions: dict[str, InputRequest] = {
        "user_name": NAME,
        "greeting": completion("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    answerable = {
        key: question
        for key, question in questions.items()
        if declares(ctx, CAPABILITIES[question.method])
    }
    unanswered = {key: each for key, each in answerable.items() if answer(params, key) is None}
    return ask(ctx, None, **unanswered) if unanswered else said(f"Asked for {sorted(answerable)}.")


@tool("test_streaming_elicitation", "Asks the user, on the stream of its answer.")
async def streaming_elicitation(ctx: Context, params: CallToolRequestParams) -> Answer:
    await ctx.session.report_progress(0, 1)
    given = filled_in(params, "user_name")
    return ask(ctx, user_name=NAME) if given is None else said(f"Hello, {given.get('name')}!")


async def asking_prompt(
    ctx: Context, params: GetPromptRequestParams
) -> GetPromptResult | InputRequiredResult:
    """Write the prompt that asks the user for context first."""
    given = filled_in(params, "user_context")
    if given is None:
        return ask(ctx, user_context=form("What context should the prompt use?", context=STRING))
    return GetPromptResult(messages=user(f"Use this context: {given.get('context')}"))


def _text(given: CreateMessageResult) -> str:
    if not isinstance(given.content, TextContent):
        raise MCPError(INVALID_PARAMS, "The model's answer has to be text")
    return given.content.text


def _roots(given: ListRootsResult) -> str:
    return ", ".join(str(root.uri) for root in given.roots)
