"""What a notebook does with the unmodified MLflow client: prompts."""

from __future__ import annotations

from client_program import case, main, refused
from pydantic import BaseModel

import mlflow
from mlflow import MlflowClient
from mlflow.genai import load_prompt, register_prompt, search_prompts, set_prompt_alias


class Answer(BaseModel):
    text: str
    score: float


@case
def a_text_with_variables() -> None:
    first = register_prompt(
        "abstract", "Summarize in {{ words }} words: {{ text }}", commit_message="First.", tags={"team": "docs"}
    )
    assert (first.version, first.variables) == (1, {"words", "text"}), first
    second = register_prompt("abstract", "In {{ words }} words: {{ text }}")
    assert second.version == 2
    loaded = load_prompt("prompts:/abstract/1")
    assert loaded.template == "Summarize in {{ words }} words: {{ text }}"
    assert loaded.format(words=3, text="Hi") == "Summarize in 3 words: Hi"
    assert (loaded.commit_message, loaded.tags["team"]) == ("First.", "docs")
    assert load_prompt("abstract").version == 2


@case
def a_chat_with_settings() -> None:
    messages = [{"role": "system", "content": "Be {{ tone }}."}, {"role": "user", "content": "{{ question }}"}]
    made = register_prompt(
        "chat", messages, response_format=Answer, model_config={"model_name": "any", "temperature": 0.2}
    )
    loaded = load_prompt(f"prompts:/chat/{made.version}")
    assert loaded.template == messages, loaded.template
    assert loaded.response_format["properties"].keys() == {"text", "score"}
    assert loaded.model_config["temperature"] == 0.2
    assert loaded.format(tone="brief", question="Why?")[1] == {"role": "user", "content": "Why?"}


@case
def aliases() -> None:
    register_prompt("aliased", "one {{ a }}")
    register_prompt("aliased", "two {{ a }}")
    set_prompt_alias("aliased", "production", 1)
    assert load_prompt("prompts:/aliased@production").template == "one {{ a }}"
    mlflow.genai.delete_prompt_alias("aliased", "production")
    refused("RESOURCE_DOES_NOT_EXIST", lambda: load_prompt("prompts:/aliased@production", allow_missing=False))


@case
def search() -> None:
    register_prompt("find-me", "{{ x }}", tags={"color": "blue"})
    MlflowClient().set_prompt_tag("find-me", "shape", "round")
    names = {one.name for one in search_prompts()}
    assert "find-me" in names, names
    (found,) = search_prompts("name = 'find-me'")
    assert found.tags["shape"] == "round", found.tags
    versions = MlflowClient().search_prompt_versions("find-me")
    assert [one.version for one in versions] == [1], versions
    register_prompt("find-me", "{{ y }}")
    page = MlflowClient().search_prompt_versions("find-me", max_results=1)
    rest = MlflowClient().search_prompt_versions("find-me", max_results=1, page_token=page.token)
    assert [one.version for one in (*page, *rest)] == [2, 1], (page, rest)
    assert not rest.token
    assert not {one.name for one in MlflowClient().search_registered_models()} & names, "prompts are no models"


@case
def models_and_prompts_share_names() -> None:
    MlflowClient().create_registered_model("shared-name")
    refused("INVALID_PARAMETER_VALUE", lambda: register_prompt("shared-name", "{{ x }}"))
    register_prompt("a-prompt", "{{ x }}")
    refused("RESOURCE_ALREADY_EXISTS", lambda: MlflowClient().create_registered_model("a-prompt"))


@case
def versions_and_prompts_are_deleted() -> None:
    client = MlflowClient()
    register_prompt("temporary", "{{ x }}")
    register_prompt("temporary", "{{ y }}")
    client.set_prompt_version_tag("temporary", 1, "reviewed", "yes")
    assert load_prompt("prompts:/temporary/1").tags["reviewed"] == "yes"
    client.delete_prompt_version_tag("temporary", 1, "reviewed")
    client.delete_prompt_version("temporary", 1)
    assert load_prompt("prompts:/temporary/1", allow_missing=True) is None
    client.delete_prompt_version("temporary", 2)
    client.delete_prompt("temporary")
    assert "temporary" not in {one.name for one in search_prompts()}


if __name__ == "__main__":
    main()
