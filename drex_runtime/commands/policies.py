"""`drex policies`: what ships, or one policy as a readable table."""

from __future__ import annotations

from typing import Annotated

import typer


def policies(
    policy: Annotated[str | None, typer.Argument(
        metavar="[NAME|FILE.yaml|FILE.py:NAME]", show_default=False,
        help="A shipped policy, a policy file, or a Policy object in a Python file (which is executed).")] = None,
    yaml: Annotated[bool, typer.Option("--yaml", help="Print the policy in its YAML form, to edit.")] = False,
) -> None:
    """List the shipped policies, or show one: parameters, launch rules in order, ramp rules."""
    from rich.console import Console

    from drex_runtime.policies.load import load_policy
    from drex_runtime.policies.shipped import SHIPPED
    from drex_runtime.policies.show import policy_list, policy_view
    from drex_runtime.policies.yaml_form import policy_to_yaml

    chosen = None if policy is None else load_policy(policy)
    if yaml:
        print("---\n".join(policy_to_yaml(item) for item in ([chosen] if chosen else SHIPPED.values())), end="")
        return
    console = Console(highlight=False)
    console.print(policy_view(chosen) if chosen else policy_list(SHIPPED.values()))
